use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Error, UserId};

/// What may be done to a resource. `use` is for custom verbs, `manage` for what rules others.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    Read,
    List,
    Create,
    Update,
    Delete,
    Use,
    Manage,
}

impl Action {
    pub const ALL: [Self; 7] =
        [Self::Read, Self::List, Self::Create, Self::Update, Self::Delete, Self::Use, Self::Manage];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.as_str() == text)
    }

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::List => "list",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Use => "use",
            Self::Manage => "manage",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Narrows a session: `read:secrets/kv/apps list:secrets/kv`. Each part covers a resource and
/// everything below it, by whole segments. Scope only takes away; policy decides besides.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Scope(Vec<(Action, String)>);

impl Scope {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let parts: Vec<_> = text.split_ascii_whitespace().map(part).collect::<Result<_, _>>()?;
        match parts.len() {
            0 => Err(Error("must name at least one action and path")),
            1..=crate::limits::SCOPE_PARTS => Ok(Self(parts)),
            _ => Err(Error("must have at most 64 parts")),
        }
    }

    /// What it says to its owner: `secrets/<mount>/~` is that user's own folder, as it is in a path.
    pub fn of(self, owner: &UserId) -> Self {
        let own = |(action, path): (Action, String)| {
            let segments: Vec<_> = path.split('/').collect();
            match segments.as_slice() {
                ["secrets", mount, "~", rest @ ..] => {
                    let below: String = rest.iter().flat_map(|segment| ["/", segment]).collect();
                    (action, format!("secrets/{mount}/{OWN}{owner}{below}"))
                }
                _ => (action, path),
            }
        };
        Self(self.0.into_iter().map(own).collect())
    }

    pub fn covers(&self, action: Action, path: &str) -> bool {
        self.0.iter().any(|(allowed, above)| *allowed == action && is_below(path, above))
    }

    /// Everything this one covers, `wider` covers.
    pub fn is_within(&self, wider: &Self) -> bool {
        self.0.iter().all(|(action, path)| wider.covers(*action, path))
    }
}

/// Where the folders of users stand in a mount.
const OWN: &str = "users/";

fn is_own(path: &str) -> bool {
    let mut segments = path.split('/');
    segments.next() == Some("secrets") && segments.nth(1) == Some("~")
}

fn part(text: &str) -> Result<(Action, String), Error> {
    let (action, path) = text.split_once(':').ok_or(Error("must be a list of action:path"))?;
    let action = Action::parse(action).ok_or(Error("names an unknown action"))?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let plain = path.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
    // As long as it will be for its owner: `of` makes it no longer than may be stored.
    let long = if is_own(path) { path.len() - "~".len() + OWN.len() + UserId::LEN } else { path.len() };
    match plain && long <= crate::limits::PATH_BYTES && !path.contains(char::is_control) {
        true => Ok((action, path.to_owned())),
        false => Err(Error("names a path that is none")),
    }
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .enumerate()
            .try_for_each(|(at, (action, path))| write!(f, "{}{action}:{path}", if at == 0 { "" } else { " " }))
    }
}

impl TryFrom<String> for Scope {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_owners_own_folder() {
        let ada = UserId::new();
        let told = |text: &str| Scope::parse(text).unwrap().of(&ada).to_string();
        assert_eq!(told("read:secrets/kv/~"), format!("read:secrets/kv/users/{ada}"));
        assert_eq!(told("read:secrets/kv/~/a/b"), format!("read:secrets/kv/users/{ada}/a/b"));
        for other in ["read:secrets/kv/a/~", "read:secrets/~/a", "read:sys/kv/~"] {
            assert_eq!(told(other), other);
        }
    }

    #[test]
    fn a_scope_that_would_be_too_long_for_its_owner_is_none() {
        let most = crate::limits::PATH_BYTES;
        let of = |len: usize| format!("read:secrets/kv/~/{}", "x".repeat(len - "secrets/kv/~/".len()));
        let longer = "users/".len() + UserId::LEN - "~".len();
        let longest = Scope::parse(&of(most - longer)).unwrap().of(&UserId::new());
        assert_eq!(longest.to_string().len(), "read:".len() + most);
        assert_eq!(Scope::parse(&longest.to_string()), Ok(longest), "what is stored can be read");
        assert!(Scope::parse(&of(most - longer + 1)).is_err() && Scope::parse(&of(most)).is_err());
        let other = format!("read:secrets/kv/a/~/{}", "x".repeat(most - "secrets/kv/a/~/".len()));
        assert!(Scope::parse(&other).is_ok() && Scope::parse(&(other + "x")).is_err());
    }

    #[test]
    fn scope_goes_by_whole_segments() {
        let scope = Scope::parse("read:secrets/kv/apps  list:secrets/kv/").unwrap();
        assert!(scope.covers(Action::Read, "secrets/kv/apps/web/db"));
        assert!(scope.covers(Action::List, "secrets/kv"));
        assert!(!scope.covers(Action::Read, "secrets/kv/apps2"));
        assert!(!scope.covers(Action::Update, "secrets/kv/apps/web"));
        assert_eq!(scope.to_string(), "read:secrets/kv/apps list:secrets/kv");
    }

    #[test]
    fn a_scope_within_another_covers_nothing_more() {
        let wide = Scope::parse("read:secrets/kv list:secrets").unwrap();
        assert!(Scope::parse("read:secrets/kv/a").unwrap().is_within(&wide));
        assert!(!Scope::parse("read:secrets").unwrap().is_within(&wide));
        assert!(!Scope::parse("delete:secrets/kv/a").unwrap().is_within(&wide));
    }

    #[test]
    fn what_is_no_scope_is_refused() {
        for bad in ["", "read", "fly:secrets", "read:", "read:/a", "read:a//b", "read:a/../b"] {
            assert!(Scope::parse(bad).is_err(), "{bad}");
        }
    }
}
