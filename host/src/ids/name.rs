use std::fmt;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::limits;

/// A name with a grammar of its own.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn parse(text: &str) -> Result<Self, Error> {
                let parse: fn(&str) -> Result<String, Error> = $parse;
                parse(text).map(Self)
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = Error;

            fn try_from(text: String) -> Result<Self, Error> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name!(
    /// Where a plugin is mounted: `[a-z0-9][a-z0-9_-]{0,62}`, none of the words that are taken.
    MountName, |text| {
        const TAKEN: [&str; 8] =
            ["create", "token", "client_credentials", "refresh_token", "session", "callback", "me", "sys"];
        if TAKEN.contains(&text) {
            return Err(Error("is a reserved word"));
        }
        slug(text, limits::MOUNT_BYTES)
    }
);
name!(
    /// A plugin, as its manifest names it: the grammar of a mount.
    PluginName, |text| slug(text, limits::MOUNT_BYTES)
);
name!(
    /// A role: the grammar of a mount.
    RoleName, |text| slug(text, limits::MOUNT_BYTES)
);
name!(
    /// A text of policies: the grammar of a mount, and not the word that stands in its place in a URL.
    PolicyName, |text| match text {
        "explain" => Err(Error("is a reserved word")),
        text => slug(text, limits::MOUNT_BYTES),
    }
);
name!(
    /// A user's name in its canonical form: lower case, `[a-z0-9][a-z0-9._@+-]{0,127}`.
    Username, |text| {
        let name = text.to_ascii_lowercase();
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._@+-".contains(&b));
        match first && rest && name.len() <= limits::USERNAME_BYTES {
            true => Ok(name),
            false => Err(Error("must be 1 to 128 of a-z 0-9 . _ @ + -, and begin with a letter or digit")),
        }
    }
);
name!(
    /// An e-mail address, in as much as we look at it: one `@`, no blanks, at most 254 bytes.
    Email, |text| {
        let parts = text.split_once('@').filter(|(local, domain)| {
            !local.is_empty() && domain.contains('.') && !domain.contains('@')
                && !domain.starts_with('.') && !domain.ends_with('.')
        });
        let plain = text.chars().all(|c| !c.is_whitespace() && !c.is_control());
        match parts.is_some() && plain && text.len() <= limits::EMAIL_BYTES {
            true => Ok(text.to_owned()),
            false => Err(Error("must be an e-mail address")),
        }
    }
);

impl Username {
    /// Names that nobody may register: they would be taken for the server itself, or for a path.
    pub fn is_reserved(&self) -> bool {
        ["root", "admin", "system", "anonymous", "me", "create", "delete"].contains(&self.as_str())
    }

    /// Names that not even the server itself gives.
    pub fn is_path_word(&self) -> bool {
        ["me", "create", "delete"].contains(&self.as_str())
    }
}

fn slug(text: &str, most: usize) -> Result<String, Error> {
    let mut bytes = text.bytes();
    let first = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest = bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
    match first && rest && text.len() <= most {
        true => Ok(text.to_owned()),
        false => Err(Error("must be 1 to 63 of a-z 0-9 _ -, and begin with a letter or digit")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_slugs_and_not_reserved_words() {
        for good in ["kv", "a", "0-x_y", &"m".repeat(63)] {
            assert!(MountName::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "KV", "a/b", "me", "sys", "token", "ä", &"m".repeat(64)] {
            assert!(MountName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn user_names_are_lower_cased_and_ascii() {
        assert_eq!(Username::parse("Ada.L@x+1").unwrap().as_str(), "ada.l@x+1");
        for bad in ["", ".a", "a b", "ада", "a/b", "a\0", &"a".repeat(129)] {
            assert!(Username::parse(bad).is_err(), "{bad}");
        }
        assert!(Username::parse("Root").unwrap().is_reserved());
    }

    #[test]
    fn nothing_folds_to_a_name_but_its_case() {
        // Each becomes "kim" or "ada" under some folding, trimming or cutting that others have done.
        let lookalikes = [
            "\u{212a}im",
            "kım",
            "kİm",
            "ｋim",
            "ki\u{200d}m",
            "kim\u{0}",
            "kim\n",
            " kim",
            "kim ",
            "kim\u{a0}",
            "kim\u{200b}",
            "\u{feff}kim",
            "kim\u{301}",
            "аda",
            "ad\u{430}",
            "a\u{308}da",
            "ᵃda",
            "ada\0x",
            "ada/",
            "./ada",
            "ada/..",
            "ad%61",
            "ada\u{7f}",
        ];
        for text in lookalikes {
            assert!(Username::parse(text).is_err(), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_name_has_one_form_and_keeps_it(text in "\\PC{0,12}|[A-Za-z0-9._@+-]{0,130}") {
            if let Ok(name) = Username::parse(&text) {
                proptest::prop_assert!(name.as_str().is_ascii());
                proptest::prop_assert_eq!(name.as_str(), text.to_ascii_lowercase());
                let again = Username::parse(name.as_str());
                proptest::prop_assert_eq!(again.as_ref(), Ok(&name));
            }
        }
    }

    #[test]
    fn email_needs_a_domain() {
        assert!(Email::parse("ada@example.com").is_ok());
        for bad in ["", "ada", "ada@", "@x.y", "a@b", "a@b.c@d.e", "a b@c.d"] {
            assert!(Email::parse(bad).is_err(), "{bad}");
        }
    }
}
