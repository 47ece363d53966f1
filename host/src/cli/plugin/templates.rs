//! The files that a new project begins with.

use clap::ValueEnum;

use super::Lang;

/// What a plugin is to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Kind {
    /// A secrets engine
    #[default]
    Secrets,
    /// An auth method
    Auth,
}

/// Its path in the project, and its text.
pub type File = (&'static str, &'static str);

macro_rules! files {
    ($($name:literal: $path:literal,)*) => { &[$(($name, include_str!(concat!("templates/", $path)))),*] };
}

const RUST: &[File] = files! { "Cargo.toml": "rust/project.toml", ".gitignore": "rust/gitignore", };
const RUST_SECRETS: &[File] = files! {
    "plugin.toml": "secrets.toml",
    "src/lib.rs": "rust/secrets.rs",
    "tests/plugin.rs": "rust/secrets_test.rs",
    "calls.json": "secrets.json",
};
const RUST_AUTH: &[File] = files! {
    "plugin.toml": "auth.toml",
    "src/lib.rs": "rust/auth.rs",
    "tests/plugin.rs": "rust/auth_test.rs",
    "calls.json": "auth.json",
};

const JS: &[File] = files! { "package.json": "js/package.json", ".npmrc": "js/npmrc", ".gitignore": "js/gitignore", };
const JS_SECRETS: &[File] =
    files! { "plugin.toml": "secrets.toml", "plugin.js": "js/secrets.js", "calls.json": "secrets.json", };
const JS_AUTH: &[File] = files! { "plugin.toml": "auth.toml", "plugin.js": "js/auth.js", "calls.json": "auth.json", };

const PYTHON: &[File] = files! { "requirements.txt": "python/requirements.txt", ".gitignore": "python/gitignore", };
const PYTHON_SECRETS: &[File] =
    files! { "plugin.toml": "secrets.toml", "plugin.py": "python/secrets.py", "calls.json": "secrets.json", };
const PYTHON_AUTH: &[File] =
    files! { "plugin.toml": "auth.toml", "plugin.py": "python/auth.py", "calls.json": "auth.json", };

const C: &[File] = files! { "requirements.txt": "c/requirements.txt", ".gitignore": "python/gitignore", };
const C_SECRETS: &[File] =
    files! { "plugin.toml": "secrets.toml", "plugin.c": "c/secrets.c", "calls.json": "secrets.json", };
const C_AUTH: &[File] = files! { "plugin.toml": "auth.toml", "plugin.c": "c/auth.c", "calls.json": "auth.json", };

/// What the author works on; what a language needs besides is written by `new` and `build`.
pub fn files(lang: Lang, kind: Kind) -> impl Iterator<Item = File> {
    let (common, own) = match (lang, kind) {
        (Lang::Rust, Kind::Secrets) => (RUST, RUST_SECRETS),
        (Lang::Rust, Kind::Auth) => (RUST, RUST_AUTH),
        (Lang::Js, Kind::Secrets) => (JS, JS_SECRETS),
        (Lang::Js, Kind::Auth) => (JS, JS_AUTH),
        (Lang::Python, Kind::Secrets) => (PYTHON, PYTHON_SECRETS),
        (Lang::Python, Kind::Auth) => (PYTHON, PYTHON_AUTH),
        (Lang::C, Kind::Secrets) => (C, C_SECRETS),
        (Lang::C, Kind::Auth) => (C, C_AUTH),
    };
    common.iter().chain(own).copied()
}

/// What its people do before they build.
pub fn preparation(lang: Lang) -> &'static str {
    match lang {
        Lang::Rust => "",
        Lang::Js => "npm install && ",
        Lang::Python | Lang::C => "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt && ",
    }
}
