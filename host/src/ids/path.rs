use std::fmt;

use serde::{Deserialize, Serialize};
use unicode_normalization::is_nfc;

use super::{Error, MountName, UserId};
use crate::limits;

/// A secret's id, canonical: mount first, then at least one segment, `kv/apps/web/db`.
/// A leading `~` after the mount stands for the caller's own folder until `resolve`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretPath {
    mount: MountName,
    path: String,
}

/// A folder of secrets: a mount and no, one or several segments. Written with a `/` at its end.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Folder {
    mount: MountName,
    /// Without a `/` at the end; empty for the mount itself.
    path: String,
}

/// Of `users/<id>`, which a `~` stands for.
const OWN_BYTES: usize = "users/".len() + 24;

impl SecretPath {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let (mount, path) = text.split_once('/').ok_or(Error("must be a mount and a path, as in kv/apps/db"))?;
        Self::new(MountName::parse(mount)?, path)
    }

    pub fn new(mount: MountName, path: &str) -> Result<Self, Error> {
        segments(mount.as_str().len() + 1, path)?;
        match path {
            "~" => Err(Error("must name a secret, not a folder")),
            _ => Ok(Self { mount, path: path.to_owned() }),
        }
    }

    pub fn mount(&self) -> &MountName {
        &self.mount
    }

    /// What stands after the mount: never empty.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The same with `~` replaced by the folder of `user`.
    pub fn resolve(self, user: &UserId) -> Self {
        Self { path: own(self.path, user), mount: self.mount }
    }

    pub fn folder(&self) -> Folder {
        let path = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        Folder { mount: self.mount.clone(), path: path.to_owned() }
    }
}

impl Folder {
    /// With or without a `/` at the end.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (mount, path) = text.split_once('/').unwrap_or((text, ""));
        let mount = MountName::parse(mount)?;
        if !path.is_empty() || text.contains('/') {
            segments(mount.as_str().len() + 1, path)?;
        }
        Ok(Self { mount, path: path.to_owned() })
    }

    pub fn root(mount: MountName) -> Self {
        Self { mount, path: String::new() }
    }

    /// The folder of `user` on this mount, `kv/users/<id>/`.
    pub fn of_user(mount: MountName, user: &UserId) -> Self {
        Self { mount, path: format!("users/{user}") }
    }

    pub fn mount(&self) -> &MountName {
        &self.mount
    }

    /// What stands after the mount, without `/` at either end; empty for the mount itself.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// As the engine is given it: empty, or ending in `/`.
    pub fn prefix(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!("{}/", self.path) }
    }

    pub fn resolve(self, user: &UserId) -> Self {
        Self { path: own(self.path, user), mount: self.mount }
    }

    /// The secret or folder of that name in this folder. The name must be one canonical segment.
    pub fn join(&self, name: &str) -> Result<SecretPath, Error> {
        SecretPath::new(self.mount.clone(), &format!("{}{name}", self.prefix()))
    }
}

fn own(path: String, user: &UserId) -> String {
    match below_own(&path) {
        Some(rest) => format!("users/{user}{rest}"),
        None => path,
    }
}

/// What follows a `~` that is the whole of the first segment.
fn below_own(path: &str) -> Option<&str> {
    path.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn segments(before: usize, path: &str) -> Result<(), Error> {
    // What it stands for must be a path as well: it is what the caller is told.
    let (bytes, more) = below_own(path).map_or((path.len(), 0), |rest| (OWN_BYTES + rest.len(), 1));
    if before + bytes > limits::PATH_BYTES {
        return Err(Error("must be at most 1024 bytes long"));
    }
    if path.split('/').count() + more >= limits::PATH_SEGMENTS {
        return Err(Error("must have at most 32 segments"));
    }
    path.split('/').enumerate().try_for_each(|(place, segment)| match segment {
        "~" if place == 0 => Ok(()),
        _ => check_segment(segment),
    })
}

fn check_segment(segment: &str) -> Result<(), Error> {
    match segment {
        "" => return Err(Error("must have no empty segment and no / at the end")),
        "." | ".." | "~" => return Err(Error("must have no segment that is . or .. or ~")),
        _ => {}
    }
    if segment.len() > limits::SEGMENT_BYTES {
        return Err(Error("must have segments of at most 255 bytes"));
    }
    if segment.starts_with(' ') || segment.ends_with(' ') {
        return Err(Error("must have no space at either end of a segment"));
    }
    if segment.chars().any(is_forbidden) {
        return Err(Error(
            r#"must have no control, direction or invisible characters and none of : % \ ? # * " < > |"#,
        ));
    }
    if !is_nfc(segment) {
        return Err(Error("must be in Unicode normalisation form C"));
    }
    Ok(())
}

fn is_forbidden(c: char) -> bool {
    c.is_control()
        || r#"/:%\?#*"<>|"#.contains(c)
        || matches!(c,
            // Soft hyphen, Arabic letter mark, Mongolian vowel separator.
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            // Zero width, direction marks, line and paragraph separators, embeddings.
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            // Word joiner, invisible operators, isolates, deprecated format characters.
            | '\u{2060}'..='\u{206f}'
            // Byte order mark, interlinear annotation, tags.
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
            // Combining grapheme joiner, Hangul fillers.
            | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}')
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.mount, self.path)
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.mount, self.prefix())
    }
}

impl TryFrom<String> for SecretPath {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<SecretPath> for String {
    fn from(path: SecretPath) -> Self {
        path.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Paths as people have them, and as they should not.
    fn paths() -> impl Strategy<Value = String> {
        let segment = prop_oneof![
            4 => "[a-zA-Z0-9_.@~ -]{1,12}",
            2 => "[а-яёé€字🔑]{1,8}",
            1 => "[~.]{1,3}",
            1 => any::<String>(),
            1 => "[a-z]{200,260}",
        ];
        prop::collection::vec(segment, 1..36).prop_map(|segments| segments.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

        #[test]
        fn a_path_is_itself_or_refused_and_only_a_lone_tilde_is_somebodys_folder(path in paths()) {
            let (text, user) = (format!("kv/{path}"), UserId::new());
            if let Ok(parsed) = SecretPath::parse(&text) {
                prop_assert_eq!(parsed.to_string(), text.as_str());
                let resolved = parsed.resolve(&user);
                let expected = match path.strip_prefix("~/") {
                    Some(rest) => format!("kv/users/{user}/{rest}"),
                    None => text,
                };
                prop_assert_eq!(resolved.to_string(), expected.as_str());
                prop_assert_eq!(SecretPath::parse(&expected), Ok(resolved.clone()));
                prop_assert_eq!(Folder::parse(&expected).unwrap().to_string(), format!("{expected}/"));
                let name = expected.rsplit_once('/').unwrap().1;
                prop_assert_eq!(resolved.folder().join(name), Ok(resolved));
            }
        }
    }

    #[test]
    fn canonical_paths_are_taken_as_they_are() {
        for good in ["kv/a", "kv/apps/web/tls.crt", "kv/..a/b..", "kv/имя/ключ", "kv/a b", "kv/~/x", "kv/a~b"] {
            assert_eq!(SecretPath::parse(good).unwrap().to_string(), good);
        }
    }

    #[test]
    fn variants_that_could_pass_a_check_and_be_normalised_later_are_refused() {
        let long = format!("kv/{}", "a".repeat(256));
        let deep = format!("kv{}", "/a".repeat(32));
        let bad = [
            "",
            "kv",
            "kv/",
            "/a",
            "kv//a",
            "kv/a/",
            "kv/./a",
            "kv/../a",
            "kv/a/..",
            "kv/~",
            "kv/a/~",
            "kv/a/~/b",
            "KV/a",
            "kv/ a",
            "kv/a ",
            "kv/a%2f",
            "kv/a:b",
            "kv/a\\b",
            "kv/a?b",
            "kv/a#b",
            "kv/a*",
            "kv/a\0",
            "kv/a\n",
            "kv/a\u{200b}b",
            "kv/\u{202e}a",
            "kv/e\u{301}",
            "kv/\u{feff}a",
            "kv/a\u{7f}",
            "me/a",
            &long,
            &deep,
        ];
        for text in bad {
            assert!(SecretPath::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_tilde_becomes_the_callers_folder() {
        let user = UserId::new();
        let path = SecretPath::parse("kv/~/x").unwrap().resolve(&user);
        assert_eq!(path.to_string(), format!("kv/users/{user}/x"));
        assert_eq!(
            Folder::parse("kv/~/").unwrap().resolve(&user),
            Folder::of_user(MountName::parse("kv").unwrap(), &user)
        );
        assert_eq!(path.folder().to_string(), format!("kv/users/{user}/"));
    }

    #[test]
    fn a_tilde_that_is_part_of_a_name_is_that_name() {
        let user = UserId::new();
        for text in ["kv/~x/y", "kv/~~/x", "kv/~0", "kv/~.bak/~x"] {
            assert_eq!(SecretPath::parse(text).unwrap().resolve(&user).to_string(), text);
            assert_eq!(Folder::parse(text).unwrap().resolve(&user).to_string(), format!("{text}/"));
        }
    }

    #[test]
    fn what_is_resolved_is_a_path_again() {
        let user = UserId::new();
        let long = "a".repeat(255);
        let texts = [
            format!("kv/~/{long}/{long}/{long}/{}", "a".repeat(222)),
            format!("kv/~/{long}/{long}/{long}/{}", "a".repeat(223)),
            format!("kv/~{}", "/a".repeat(29)),
            format!("kv/~{}", "/a".repeat(30)),
        ];
        let taken: Vec<_> = texts.iter().map(|text| SecretPath::parse(text).map(|path| path.resolve(&user))).collect();
        assert!(taken[0].is_ok() && taken[1].is_err() && taken[2].is_ok() && taken[3].is_err(), "{taken:?}");
        for path in taken.into_iter().flatten() {
            assert_eq!(SecretPath::parse(&path.to_string()), Ok(path));
        }
    }

    #[test]
    fn a_folder_may_end_in_a_slash_or_not() {
        for (text, canonical) in [("kv", "kv/"), ("kv/", "kv/"), ("kv/a", "kv/a/"), ("kv/a/", "kv/a/")] {
            assert_eq!(Folder::parse(text).unwrap().to_string(), canonical);
        }
        for bad in ["", "/", "kv//", "kv/a//", "kv/../a"] {
            assert!(Folder::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Folder::parse("kv/a").unwrap().join("b").unwrap().to_string(), "kv/a/b");
    }
}
