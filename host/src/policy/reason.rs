use std::{fmt, sync::Arc};

/// What was decided, and by what. Its text is for the audit trail and `explain`, never for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// By these policies.
    Allowed(Names),
    /// By the root token itself: what no policy says no to.
    Root,
    /// By these policies.
    Forbidden(Names),
    /// These policies cannot be evaluated: who knows what they forbid.
    Failed(Names),
    /// None says anything.
    NoPolicy,
    /// The session's own scope does not cover it: no policy was asked.
    Scope,
    InvalidPath,
    /// The policies cannot be asked.
    Unaskable,
    /// Not one action was asked for.
    NoAction,
    /// A no of whoever asks for several things at once, in their words.
    Other(&'static str),
}

/// Policies as `<document>/<n>`, in one order always. Cheap to clone, for decisions are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(Arc<[String]>);

impl Reason {
    pub const fn allows(&self) -> bool {
        match self {
            Self::Allowed(_) | Self::Root => true,
            Self::Forbidden(_)
            | Self::Failed(_)
            | Self::NoPolicy
            | Self::Scope
            | Self::InvalidPath
            | Self::Unaskable
            | Self::NoAction
            | Self::Other(_) => false,
        }
    }

    /// The policies that decided it, or that fail.
    pub fn policies(&self) -> &[String] {
        match self {
            Self::Allowed(names) | Self::Forbidden(names) | Self::Failed(names) => &names.0,
            Self::Root
            | Self::NoPolicy
            | Self::Scope
            | Self::InvalidPath
            | Self::Unaskable
            | Self::NoAction
            | Self::Other(_) => &[],
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed(names) => write!(f, "allowed by {names}"),
            Self::Root => f.write_str("allowed by the root token"),
            Self::Forbidden(names) => write!(f, "forbidden by {names}"),
            Self::Failed(names) => write!(f, "failed: {names}"),
            Self::NoPolicy => f.write_str("no policy allows"),
            Self::Scope => f.write_str("scope"),
            Self::InvalidPath => f.write_str("not a path"),
            Self::Unaskable => f.write_str("the question cannot be put"),
            Self::NoAction => f.write_str("nothing is asked for"),
            Self::Other(why) => f.write_str(why),
        }
    }
}

impl Names {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<String> for Names {
    fn from_iter<I: IntoIterator<Item = String>>(of: I) -> Self {
        let mut names: Vec<String> = of.into_iter().collect();
        names.sort_unstable();
        Self(names.into())
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            let before = if at == 0 { "" } else { ", " };
            write!(f, "{before}{name}")?;
        }
        Ok(())
    }
}
