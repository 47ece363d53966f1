//! One thing that an examination of the surroundings has found, for the operator to read.

use std::borrow::Cow;

use serde::Serialize;

/// Orders from good to bad.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    /// It works, and something may be lost or found out.
    Warn,
    /// It does not work, or must not be used so.
    Fail,
}

/// Never holds a secret, nor the text of somebody else's error.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    /// What was looked at: `redis.eviction`.
    pub check: &'static str,
    pub verdict: Verdict,
    pub found: Cow<'static, str>,
    /// What to change. None where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Cow<'static, str>>,
}

impl Finding {
    pub fn ok(check: &'static str, found: impl Into<Cow<'static, str>>) -> Self {
        Self { check, verdict: Verdict::Ok, found: found.into(), change: None }
    }

    pub fn warn(
        check: &'static str,
        found: impl Into<Cow<'static, str>>,
        change: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { check, verdict: Verdict::Warn, found: found.into(), change: Some(change.into()) }
    }

    pub fn fail(
        check: &'static str,
        found: impl Into<Cow<'static, str>>,
        change: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { check, verdict: Verdict::Fail, found: found.into(), change: Some(change.into()) }
    }
}
