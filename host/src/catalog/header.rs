//! Which headers of a request a plugin may ask for.

use crate::{limits, problem, runtime};

/// Where it stands in a manifest, and what is wrong with it.
pub(super) fn refused(name: &str) -> Option<(String, &'static str)> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if !(1..=limits::HEADER_NAME_BYTES).contains(&name.len()) || !name.bytes().all(allowed) {
        return Some(("/requires/headers".to_owned(), "must be names of headers, in lower case"));
    }
    let at = || problem::pointer("/requires/headers", name);
    runtime::is_withheld(name).then(|| (at(), "is a header that no plugin is shown"))
}
