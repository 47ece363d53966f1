use std::fmt;

use crate::{
    ids::{self, MountName, SecretPath},
    mount::Kind,
    security,
};

/// A key that can be set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// `security`.
    Security,
    /// `auth/<mount>` and `secrets/<mount>`.
    Mount(Kind, MountName),
    /// `custom/<path>`: free JSON.
    Custom(SecretPath),
    /// Any other path: there is no such setting, which only those learn who may ask for it.
    Unknown(String),
}

impl Key {
    /// Refused is what is no path.
    pub fn parse(text: &str) -> Result<Self, ids::Error> {
        match Self::known(text) {
            Ok(key) => Ok(key),
            Err(error) => match SecretPath::parse(&format!("custom/{text}")) {
                Ok(_) => Ok(Self::Unknown(text.to_owned())),
                Err(_) => Err(error),
            },
        }
    }

    fn known(text: &str) -> Result<Self, ids::Error> {
        const UNKNOWN: ids::Error = ids::Error("is not the key of a setting");
        if text == security::KEY {
            return Ok(Self::Security);
        }
        if text.starts_with("custom/") {
            return SecretPath::parse(text).map(Self::Custom);
        }
        let (kind, name) = Kind::of_key(text).ok_or(UNKNOWN)?;
        let name = MountName::parse(name)?;
        // Their names mean logins everywhere; an engine of that name would only mislead.
        match kind == Kind::Secrets && ["password", "clients"].contains(&name.as_str()) {
            true => Err(ids::Error("is the name of an auth method")),
            false => Ok(Self::Mount(kind, name)),
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Security => f.write_str(security::KEY),
            Self::Mount(kind, name) => write!(f, "{}/{name}", kind.as_str()),
            Self::Custom(path) => path.fmt(f),
            Self::Unknown(text) => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_the_contract_lists() {
        for good in ["security", "auth/github", "secrets/kv-2", "custom/a/b"] {
            assert_eq!(Key::parse(good).unwrap().to_string(), good);
        }
        for bad in ["", "auth", "auth/", "auth/me", "secrets/a/b", "secrets/password", "custom", "custom/", "core/seal"]
        {
            assert!(matches!(Key::parse(bad), Err(_) | Ok(Key::Unknown(_))), "{bad}");
        }
    }
}
