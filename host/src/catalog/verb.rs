//! How verbs are called, and which action those take that mean the same in every engine.

use serde::Deserialize;

use crate::ids::Action;

/// By which method a verb is called.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    Get,
    Post,
}

/// Verbs whose action is the host's to say: no manifest says another.
pub(super) const FIXED: [(&str, Method, Action); 7] = [
    ("history", Method::Get, Action::Read),
    ("metadata", Method::Get, Action::Read),
    ("metadata", Method::Post, Action::Update),
    ("restore", Method::Post, Action::Update),
    ("undelete", Method::Post, Action::Update),
    ("destroy", Method::Post, Action::Delete),
    ("purge", Method::Post, Action::Manage),
];

/// None: it is the manifest's to say.
pub fn fixed_action(verb: &str, method: Method) -> Option<Action> {
    FIXED.iter().find(|(name, by, _)| *name == verb && *by == method).map(|(_, _, action)| *action)
}

impl Method {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }

    pub const fn other(self) -> Self {
        match self {
            Self::Get => Self::Post,
            Self::Post => Self::Get,
        }
    }
}
