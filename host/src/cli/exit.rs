//! How a command ends: one exit code for each kind of failure, so that scripts need not read text.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use serde_json::Value;

pub const HELP: &str = "\
Exit codes: 0 done · 1 failed here · 2 wrong arguments · 3 server not reached · 4 not logged in (401) · \
5 not allowed (403) · 6 not there (404) · 7 refused otherwise (4xx) · 8 sealed or not ready (503) · \
9 the server failed (5xx) · 10 the audit trail is broken";

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
    #[error("{told}")]
    Refused { status: u16, told: String },
    #[error("the server is sealed")]
    Sealed,
    #[error("the audit trail is not as it was written: {0}")]
    Broken(String),
    /// The server could not start, or stopped by itself.
    #[error("{0}")]
    Server(String),
}

impl Failure {
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
        let id = body["request_id"].as_str().map(|id| format!(" (request {id})")).unwrap_or_default();
        Self::Refused { status, told: told + &id }
    }

    pub fn number(&self) -> u8 {
        match self {
            Self::Local(_) | Self::Server(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable(_) => 3,
            Self::Refused { status, .. } => match status {
                401 => 4,
                403 => 5,
                404 => 6,
                503 => 8,
                500.. => 9,
                _ => 7,
            },
            Self::Sealed => 8,
            Self::Broken(_) => 10,
        }
    }

    pub fn code(&self) -> ExitCode {
        ExitCode::from(self.number())
    }
}

/// To standard error. Nobody may be listening there, which is no failure.
pub fn tell(failure: &Failure) {
    drop(writeln!(io::stderr(), "coffer: {failure}"));
}

/// To standard output, for people and for programs.
pub fn show(answer: &Value) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(answer).map_err(io::Error::from)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(Failure::from)
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
    }

    #[test]
    fn a_refusal_is_told_with_place_and_request() {
        let body = json!({"detail": [{"loc": ["body", "list", 1], "msg": "is required", "type": "missing"}], "request_id": "r"});
        assert_eq!(Failure::refused(422, &body).to_string(), "body.list.1: is required (request r)");
        assert_eq!(Failure::refused(404, &json!("x")).to_string(), "the server answered 404");
    }
}
