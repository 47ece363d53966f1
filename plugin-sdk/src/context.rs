//! Facts about this call.

use crate::host;

pub fn mount_path() -> String {
    host::current().mount_path()
}

pub fn request_id() -> String {
    host::current().request_id()
}

/// Id of the user on whose behalf the call is made; none before a login, in maintenance and when a lease is revoked.
pub fn principal() -> Option<String> {
    host::current().principal()
}

pub fn principal_name() -> Option<String> {
    host::current().principal_name()
}

/// In `login` and `resume`: id of the host's user whom the credentials name, or who is being asked
/// for a second factor. None if there is no such user: do the same work and refuse.
pub fn login_user() -> Option<String> {
    host::current().login_user()
}

/// Where a browser is to be sent back to.
pub fn callback_url() -> Option<String> {
    host::current().callback_url()
}

/// The one-time value that finds this login again: OAuth's `state`.
pub fn callback_state() -> Option<String> {
    host::current().callback_state()
}

pub fn client_address() -> Option<String> {
    host::current().client_address()
}

/// A request header, if the grant exposes it.
pub fn header(name: &str) -> Option<String> {
    host::current().header(name)
}

/// Time left for this call.
pub fn deadline_ms() -> u32 {
    host::current().deadline_ms()
}
