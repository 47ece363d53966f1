//! Which variables secrets become.

use crate::cli::{
    Failure,
    reference::{Reference, SCHEME},
};
use crate::ids::{Folder, SecretPath};

/// What a program is to be given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// Every member of every secret in a folder.
    Folder(Folder),
    /// Every member of a secret.
    Secret(SecretPath, Option<u64>),
    /// One value, under the name of its secret and its own.
    Value(Reference),
    /// One value, under this name.
    Named(String, Reference),
}

impl Wanted {
    /// `kv/apps/web/`, `kv/apps/web/db`, `kv/apps/web/db#pass`, `NAME=kv/apps/web/db#pass`.
    pub fn parse(text: &str) -> Result<Self, String> {
        // A path has no `=` before its first `/`: that is where its mount ends.
        if let Some((name, rest)) = text.split_once('=')
            && !name.contains('/')
        {
            return match is_name(name) {
                true => Reference::parse(rest).map(|reference| Self::Named(name.to_owned(), reference)),
                false => Err(format!("{name:?} is no name of a variable: A-Z a-z 0-9 _, and no digit first")),
            };
        }
        let plain = text.strip_prefix(SCHEME).unwrap_or(text);
        if plain.ends_with('/') {
            return Folder::parse(plain).map(Self::Folder).map_err(|error| format!("{text}: {}", error.0));
        }
        let reference = Reference::parse(text)?;
        match reference.member {
            Some(_) => Ok(Self::Value(reference)),
            None => Ok(Self::Secret(reference.secret, reference.version)),
        }
    }
}

pub fn is_name(name: &str) -> bool {
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    begins && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// `DB_PASS` for member `pass` of `kv/apps/web/db`; `DB` where it is the only one and is called `value`.
pub fn variable(prefix: &str, secret: &SecretPath, member: &str, is_only: bool) -> String {
    let name = secret.path().rsplit('/').next().unwrap_or_default();
    let own = if is_only && member == "value" { name.to_owned() } else { format!("{name}_{member}") };
    let spelled = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let own: String = own.chars().map(spelled).collect();
    let lead = if prefix.is_empty() && own.starts_with(|c: char| c.is_ascii_digit()) { "_" } else { "" };
    format!("{prefix}{lead}{own}")
}

/// Whoever may write a secret must not decide what a program loads or runs: these are given by
/// `NAME=` alone, said by whoever runs it.
pub fn steers(name: &str) -> bool {
    const NAMES: [&str; 24] = [
        "PATH",
        "HOME",
        "SHELL",
        "IFS",
        "ENV",
        "BASH_ENV",
        "PS4",
        "PROMPT_COMMAND",
        "EDITOR",
        "PAGER",
        "TMPDIR",
        "NODE_OPTIONS",
        "NODE_PATH",
        "PYTHONPATH",
        "PYTHONHOME",
        "PYTHONSTARTUP",
        "PERL5LIB",
        "PERL5OPT",
        "RUBYOPT",
        "RUBYLIB",
        "JAVA_TOOL_OPTIONS",
        "CLASSPATH",
        "GCONV_PATH",
        "LOCPATH",
    ];
    const BEGIN: [&str; 8] = ["LD_", "DYLD_", "BASH_FUNC_", "GIT_", "SSH_", "COFFER_", "XDG_", "_RLD"];
    NAMES.contains(&name) || BEGIN.iter().any(|begin| name.starts_with(begin))
}

/// A name that nobody has chosen must not take the place of one that is there.
pub fn check(name: &str, is_there: bool) -> Result<(), Failure> {
    let advice = format!("give it another with --prefix, or say {name}=SECRET#MEMBER if you mean it");
    match (steers(name), is_there) {
        (true, _) => Err(Failure::usage(format!("{name} would decide what the program does: {advice}"))),
        (false, true) => Err(Failure::usage(format!("{name} is set already: {advice}"))),
        (false, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> SecretPath {
        SecretPath::parse(text).unwrap()
    }

    #[test]
    fn a_variable_is_named_after_its_secret_and_its_member() {
        for (path, member, is_only, name) in [
            ("kv/apps/web/db", "pass", false, "DB_PASS"),
            ("kv/apps/web/db", "value", true, "DB"),
            ("kv/apps/web/db", "value", false, "DB_VALUE"),
            ("kv/a/DATABASE_URL", "value", true, "DATABASE_URL"),
            ("kv/a/tls.crt", "a-b", true, "TLS_CRT_A_B"),
            ("kv/2fa", "value", true, "_2FA"),
            ("kv/имя", "x", true, "____X"),
        ] {
            assert_eq!(variable("", &secret(path), member, is_only), name);
        }
        assert_eq!(variable("APP_", &secret("kv/2fa"), "value", true), "APP_2FA");
    }

    #[test]
    fn what_is_wanted_is_told_by_how_it_is_written() {
        let reference = |text: &str| Reference::parse(text).unwrap();
        assert_eq!(Wanted::parse("kv/a/").unwrap(), Wanted::Folder(Folder::parse("kv/a").unwrap()));
        assert_eq!(Wanted::parse("kv/a").unwrap(), Wanted::Secret(secret("kv/a"), None));
        assert_eq!(Wanted::parse("coffer://kv/a?version=2").unwrap(), Wanted::Secret(secret("kv/a"), Some(2)));
        assert_eq!(Wanted::parse("kv/a#b").unwrap(), Wanted::Value(reference("kv/a#b")));
        assert_eq!(Wanted::parse("X=kv/a#b").unwrap(), Wanted::Named("X".into(), reference("kv/a#b")));
        assert_eq!(Wanted::parse("kv/a=b").unwrap(), Wanted::Secret(secret("kv/a=b"), None));
        for bad in ["", "x", "X=", "X=y", "9=kv/a", "kv//", "kv/a#"] {
            assert!(Wanted::parse(bad).is_err(), "{bad}");
        }
        for bad in ["1A=kv/a#b", "A-B=kv/a", "=kv/a", "=x"] {
            assert!(Wanted::parse(bad).unwrap_err().contains("name of a variable"), "{bad}");
        }
    }

    #[test]
    fn a_secret_decides_not_what_a_program_loads() {
        for name in
            ["PATH", "LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "BASH_ENV", "NODE_OPTIONS", "COFFER_TOKEN", "GIT_SSH"]
        {
            assert!(check(name, false).is_err(), "{name}");
        }
        assert!(check("DB_PASS", false).is_ok() && check("DB_PASS", true).is_err());
    }
}
