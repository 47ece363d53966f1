//! Paths of resources: `secrets/kv/apps/web/db`.

use crate::{ids::UserId, limits};

/// May this be the path of a resource? What is not canonical could pass a check as one thing
/// and be used as another, and an unresolved `~` is nobody's folder.
pub fn is_canonical(path: &str) -> bool {
    // Ahead of a secret's own path stands `secrets/`, or `sys/leases/secrets/`.
    path.len() <= limits::PATH_BYTES + 64
        && path.split('/').count() <= limits::PATH_SEGMENTS + 3
        && path.split('/').all(|segment| !matches!(segment, "" | "." | ".." | "~"))
        && !path.contains(char::is_control)
}

/// The folders above, the nearest first.
pub fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(path.rsplit_once('/'), |(above, _)| above.rsplit_once('/')).map(|(above, _)| above)
}

/// The same place, or below it.
pub fn is_within(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A user's own folder.
pub fn home(user: &UserId) -> String {
    format!("secrets/kv/users/{user}")
}
