//! How a command ends: one exit code for each kind of failure, so that scripts need not read text.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use serde_json::Value;

use super::{
    next,
    output::{self, plain},
};

pub const HELP: &str = "\
Exit codes: 0 done · 1 failed here · 2 wrong arguments · 3 server not reached · 4 not logged in (401) · \
5 not allowed (403) · 6 not there (404) · 7 refused otherwise (4xx) · 8 sealed or not ready (503) · \
9 the server failed (5xx) · 10 the audit trail is broken";

/// What a shell says of a program that wrote where nobody reads any more.
const BROKEN_PIPE: u8 = 141;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A file, the terminal, the system.
    #[error("{0}")]
    Local(#[from] io::Error),
    /// What was given makes no sense.
    #[error("{0}")]
    Usage(String),
    #[error("the server cannot be reached: {cause}")]
    Unreachable {
        cause: String,
        /// No authority that is known here vouches for who answers.
        is_untrusted: bool,
    },
    /// The server's own words.
    #[error("{0}")]
    Refused(Box<Refusal>),
    #[error("{}", if *.initialized { "the server is sealed" } else { "the server has no store yet" })]
    Sealed { initialized: bool },
    #[error("the audit trail is not as it was written: {0}")]
    Broken(String),
    /// The server could not start, or stopped by itself.
    #[error("{0}")]
    Server(String),
    /// There is nothing more to say: a program that we ran has ended so.
    #[error("")]
    Quiet(u8),
}

/// An answer that is no 2xx.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    pub status: u16,
    /// `type` of the first problem.
    pub kind: String,
    /// Where it is, with dots: `body.role`.
    pub place: String,
    /// The path below `/api/v1`, and the names in its query.
    pub asked: String,
    /// What the server says, and of what.
    pub told: String,
    pub request: Option<String>,
    /// When to come back, in seconds.
    pub wait: Option<u64>,
    /// What to type now.
    pub next: Option<String>,
    /// The next step of a login.
    pub challenge: Option<Box<Value>>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.told)?;
        self.request.as_ref().map_or(Ok(()), |id| write!(f, " (request {id})"))
    }
}

impl Failure {
    pub fn usage(told: impl Into<String>) -> Self {
        Self::Usage(told.into())
    }

    pub fn unreachable(cause: impl Into<String>) -> Self {
        Self::Unreachable { cause: cause.into(), is_untrusted: false }
    }

    pub fn untrusted(cause: impl Into<String>) -> Self {
        Self::Unreachable { cause: cause.into(), is_untrusted: true }
    }

    /// It speaks, but not as we do.
    pub fn no_coffer() -> Self {
        Self::unreachable("what answers there is no Coffer server")
    }

    /// From an answer of the server: what its `detail` says, and where.
    pub fn refused(status: u16, body: &Value) -> Self {
        let details = body["detail"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lines = details.iter().map(|detail| {
            let place = place(&detail["loc"]);
            let said = detail["msg"].as_str().unwrap_or("refused");
            if place.is_empty() { said.to_owned() } else { format!("{place}: {said}") }
        });
        let told = match lines.collect::<Vec<_>>().join("; ") {
            none if none.is_empty() => format!("the server answered {status}"),
            told => told,
        };
        let kind = details.first().and_then(|detail| detail["type"].as_str()).unwrap_or_default().to_owned();
        let place = details.first().map(|detail| place(&detail["loc"])).unwrap_or_default();
        let request = body["request_id"].as_str().map(str::to_owned);
        let challenge = body.get("challenge").cloned().map(Box::new);
        Self::Refused(Box::new(Refusal { kind, place, told, request, challenge, ..Self::blank(status) }))
    }

    /// Nobody is logged in at that server, as far as we know here.
    pub fn nobody(told: &str) -> Self {
        let refusal = Refusal { told: told.to_owned(), ..Self::blank(401) };
        Self::Refused(Box::new(refusal))
    }

    fn blank(status: u16) -> Refusal {
        let [kind, place, asked, told] = [const { String::new() }; 4];
        Refusal { status, kind, place, asked, told, request: None, wait: None, next: None, challenge: None }
    }

    /// Something that was looked for, and is not there.
    pub fn missing(told: impl Into<String>) -> Self {
        Self::Refused(Box::new(Refusal { told: told.into(), kind: "not_found".to_owned(), ..Self::blank(404) }))
    }

    pub fn asked_for(mut self, what: impl Into<String>) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.asked = what.into();
        }
        self
    }

    pub fn wait(mut self, seconds: Option<u64>) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.wait = seconds;
        }
        self
    }

    /// Of what, where a command asks for many things.
    pub fn about(mut self, what: &impl std::fmt::Display) -> Self {
        if let Self::Refused(refusal) = &mut self {
            refusal.told = format!("{what}: {}", refusal.told);
        }
        self
    }

    /// What to type now, if it was refused with this status and nobody has said better.
    pub fn next(mut self, status: u16, command: impl FnOnce() -> String) -> Self {
        match &mut self {
            Self::Refused(refusal) if refusal.status == status && refusal.next.is_none() => {
                refusal.next = Some(command());
            }
            _ => {}
        }
        self
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    pub fn kind(&self) -> &str {
        match self {
            Self::Refused(refusal) => &refusal.kind,
            _ => "",
        }
    }

    /// Where in what was sent the problem is.
    pub fn place(&self) -> &str {
        match self {
            Self::Refused(refusal) => &refusal.place,
            _ => "",
        }
    }

    /// What a login wants next, where that is why it was refused.
    pub fn challenge(&self) -> Option<&Value> {
        match self {
            Self::Refused(refusal) if refusal.kind == "challenge_required" => refusal.challenge.as_deref(),
            _ => None,
        }
    }

    pub fn number(&self) -> u8 {
        match self {
            Self::Local(error) if error.kind() == io::ErrorKind::BrokenPipe => BROKEN_PIPE,
            Self::Local(_) | Self::Server(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
            Self::Refused(refusal) => match refusal.status {
                401 => 4,
                403 => 5,
                404 => 6,
                503 => 8,
                500.. => 9,
                _ => 7,
            },
            Self::Sealed { .. } => 8,
            Self::Broken(_) => 10,
            Self::Quiet(code) => *code,
        }
    }

    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }
}

/// A `loc`, with dots.
fn place(loc: &Value) -> String {
    let steps = loc.as_array().map(Vec::as_slice).unwrap_or_default();
    let steps: Vec<String> = steps.iter().map(|step| step.as_str().map_or(step.to_string(), str::to_owned)).collect();
    steps.join(".")
}

/// To standard error, with what to type next. Nobody may be listening there, which is no failure. `way` is the
/// command that was typed.
pub fn tell(failure: &Failure, way: &str) {
    let silent = matches!(failure, Failure::Quiet(_)) || failure.number() == BROKEN_PIPE;
    if silent {
        return;
    }
    let mut to = io::stderr().lock();
    let name = output::styled("coffer:", "31;1", io::stderr().is_terminal());
    drop(writeln!(to, "{name} {}", plain(&failure.to_string())));
    if let Some(next) = next::command(failure, way) {
        drop(writeln!(to, "  next: {}", plain(&next)));
    }
}

/// Talk: to standard error, so that standard output has data only.
pub fn say(text: &str) {
    drop(writeln!(io::stderr(), "{}", plain(text)));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_of_failure_has_its_exit_code() {
        let cases =
            [(401, 4), (403, 5), (404, 6), (400, 7), (409, 7), (422, 7), (429, 7), (503, 8), (500, 9), (502, 9)];
        for (status, code) in cases {
            assert_eq!(Failure::refused(status, &Value::Null).number(), code, "{status}");
        }
        assert_eq!(Failure::from(io::Error::from(io::ErrorKind::BrokenPipe)).number(), 141);
    }

    #[test]
    fn a_refusal_is_told_with_place_and_request() {
        let body = json!({"detail": [{"loc": ["body", "list", 1], "msg": "is required", "type": "missing"}], "request_id": "r"});
        let failure = Failure::refused(422, &body);
        assert_eq!(failure.to_string(), "body.list.1: is required (request r)");
        assert_eq!(failure.kind(), "missing");
        assert_eq!(Failure::refused(404, &json!("x")).to_string(), "the server answered 404");
    }
}
