//! How a command ends: one exit code for each kind of failure, so that scripts need not read text.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
};

use serde_json::Value;

use super::output::{self, plain};

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
    #[error("the server cannot be reached: {0}")]
    Unreachable(String),
    /// The server's own words.
    #[error("{0}")]
    Refused(Box<Refusal>),
    #[error("the server is sealed")]
    Sealed,
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

    /// From an answer of the server: what its `detail` says, and where.
    pub fn refused(status: u16, body: &Value) -> Self {
        let details = body["detail"].as_array().map(Vec::as_slice).unwrap_or_default();
        let lines = details.iter().map(|detail| {
            let place = detail["loc"].as_array().map(Vec::as_slice).unwrap_or_default();
            let place: Vec<String> =
                place.iter().map(|step| step.as_str().map_or(step.to_string(), str::to_owned)).collect();
            let said = detail["msg"].as_str().unwrap_or("refused");
            if place.is_empty() { said.to_owned() } else { format!("{}: {said}", place.join(".")) }
        });
        let told = match lines.collect::<Vec<_>>().join("; ") {
            none if none.is_empty() => format!("the server answered {status}"),
            told => told,
        };
        let kind = details.first().and_then(|detail| detail["type"].as_str()).unwrap_or_default().to_owned();
        let request = body["request_id"].as_str().map(str::to_owned);
        let challenge = body.get("challenge").cloned().map(Box::new);
        Self::Refused(Box::new(Refusal { status, kind, told, request, wait: None, next: None, challenge }))
    }

    /// Nobody is logged in at that server, as far as we know here.
    pub fn nobody(told: &str) -> Self {
        let refusal = Refusal { told: told.to_owned(), ..Self::blank(401) };
        Self::Refused(Box::new(refusal))
    }

    fn blank(status: u16) -> Refusal {
        let (kind, told) = (String::new(), String::new());
        Refusal { status, kind, told, request: None, wait: None, next: None, challenge: None }
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
            Self::Unreachable(_) => 3,
            Self::Refused(refusal) => match refusal.status {
                401 => 4,
                403 => 5,
                404 => 6,
                503 => 8,
                500.. => 9,
                _ => 7,
            },
            Self::Sealed => 8,
            Self::Broken(_) => 10,
            Self::Quiet(code) => *code,
        }
    }

    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }

    /// The next thing to type.
    fn advice(&self) -> Option<String> {
        let command = |text: &str| Some(text.to_owned());
        match self {
            Self::Sealed => command("coffer unseal"),
            Self::Unreachable(cause) if cause.to_lowercase().contains("certificate") => {
                command("coffer login --ca-cert FILE, with the certificate of the authority that the server's is from")
            }
            Self::Unreachable(_) => command("coffer status, with --address or COFFER_ADDR if it is elsewhere"),
            Self::Refused(refusal) if refusal.next.is_some() => refusal.next.clone(),
            Self::Refused(refusal) => match (refusal.status, refusal.kind.as_str(), refusal.wait) {
                (401, ..) => command("coffer login"),
                (403, ..) => command("coffer whoami"),
                (503, "sealed", _) => command("coffer unseal"),
                (429 | 503, _, Some(wait)) => Some(format!("the same again, in {wait} s")),
                _ => None,
            },
            _ => None,
        }
    }
}

/// To standard error. Nobody may be listening there, which is no failure.
pub fn tell(failure: &Failure) {
    let silent = matches!(failure, Failure::Quiet(_)) || failure.number() == BROKEN_PIPE;
    if silent {
        return;
    }
    let mut to = io::stderr().lock();
    let name = output::styled("coffer:", "31;1", io::stderr().is_terminal());
    drop(writeln!(to, "{name} {}", plain(&failure.to_string())));
    if let Some(next) = failure.advice() {
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

    #[test]
    fn what_to_type_next_is_the_commands_own_if_it_knows() {
        let refused = |status| Failure::refused(status, &Value::Null);
        assert_eq!(refused(401).advice().as_deref(), Some("coffer login"));
        assert_eq!(refused(404).next(404, || "coffer secret list".to_owned()).advice().unwrap(), "coffer secret list");
        assert_eq!(refused(403).next(404, || unreachable!()).advice().as_deref(), Some("coffer whoami"));
        assert_eq!(refused(503).wait(Some(3)).advice().as_deref(), Some("the same again, in 3 s"));
    }
}
