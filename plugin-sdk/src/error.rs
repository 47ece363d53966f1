use std::fmt;

use crate::{Error, Problem};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The message reaches the client where the code is answered with a 4xx, and never from a login. All codes stand in the
/// server's own documentation, at `/docs/plugins-reference`.
impl Error {
    /// Any code; one that the host does not know counts as `internal`.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), problems: Vec::new(), retry_after_ms: None }
    }

    /// What the path names is not there. 404.
    pub fn not_found() -> Self {
        Self::new("not-found", "there is nothing of that name")
    }

    /// There already. 422.
    pub fn exists() -> Self {
        Self::new("exists", "there is something of that name already")
    }

    /// Not allowed; in a login: not who they say they are. 403, in a login 400 `invalid_grant`.
    pub fn denied() -> Self {
        Self::new("denied", "that is not allowed")
    }

    /// The expected version is not the current one. 409.
    pub fn conflict() -> Self {
        Self::new("conflict", "it has been changed meanwhile")
    }

    /// One thing that the caller can mend: `at` is a JSON Pointer into the body, `code` says what
    /// is wrong with it. 422. More are added by `and`.
    pub fn invalid(at: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let problem = Problem { at: at.into(), code: code.into(), message };
        Self { problems: vec![problem], ..Self::new("invalid", "the request cannot be carried out") }
    }

    pub fn and(mut self, at: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        self.problems.push(Problem { at: at.into(), code: code.into(), message: message.into() });
        self
    }

    /// Not an operation of this plugin. 405, for a verb 404.
    pub fn unsupported() -> Self {
        Self::new("unsupported", "that cannot be done here")
    }

    /// 413.
    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new("too-large", message)
    }

    /// 429.
    pub fn rate_limited(retry_after_ms: u32) -> Self {
        Self { retry_after_ms: Some(retry_after_ms), ..Self::new("rate-limited", "too often") }
    }

    /// Something this plugin needs is away. 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new("unavailable", message)
    }

    /// A login that waits for its user: the challenge stays as it is. 400.
    pub fn pending() -> Self {
        Self::new("pending", "not yet")
    }

    /// As `pending`, and asked too often. 400.
    pub fn slow_down() -> Self {
        Self::new("slow-down", "not so often")
    }

    /// The plugin's own fault: the message goes to the operator only. 502.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new("internal", message)
    }
}

impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        let places = |e: &Self| e.problems.iter().map(|p| (p.at.clone(), p.code.clone())).collect::<Vec<_>>();
        self.code == other.code && places(self) == places(other)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.at, self.message, self.code)
    }
}
