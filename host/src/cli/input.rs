//! What comes in: secrets from standard input, from a file, or typed where nobody sees them. Never
//! from arguments, which stand in the history and in the process list.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead as _, IsTerminal as _, Read, Write as _},
    path::Path,
};

use serde::de::IgnoredAny;
use serde_json::Value;
use zeroize::Zeroizing;

use super::Failure;

/// No body is larger.
const MOST: u64 = 1024 * 1024;

/// One line: typed unseen at a terminal, else the next of standard input.
pub fn hidden(what: &str) -> Result<Zeroizing<String>, Failure> {
    let line = match io::stdin().is_terminal() {
        true => rpassword::prompt_password(format!("{what}: ")).map(Zeroizing::new)?,
        false => line()?,
    };
    match line.is_empty() {
        true => Err(Failure::usage(format!("no {} came on standard input", what.to_lowercase()))),
        false => Ok(line),
    }
}

/// The same typed twice, at a terminal.
pub fn new_password(what: &str) -> Result<Zeroizing<String>, Failure> {
    let first = hidden(what)?;
    if io::stdin().is_terminal() && *first != *hidden(&format!("{what}, again"))? {
        return Err(Failure::usage("the two are not the same"));
    }
    Ok(first)
}

/// Something that all may see.
pub fn visible(what: &str) -> Result<String, Failure> {
    if io::stdin().is_terminal() {
        let mut told = io::stderr();
        write!(told, "{what}: ").and_then(|()| told.flush())?;
    }
    line().map(|line| line.trim().to_owned())
}

/// Does somebody at the terminal say yes? Where there is none, nobody does.
pub fn confirmed(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Ok(false);
    }
    let answer = visible(&format!("{question} [y/N]"))?;
    Ok(["y", "yes"].contains(&answer.to_lowercase().as_str()))
}

/// Everything that comes on standard input, less the end of its last line unless `exact`. Typed
/// unseen at a terminal.
pub fn all(what: &str, exact: bool) -> Result<Zeroizing<String>, Failure> {
    if io::stdin().is_terminal() {
        return hidden(what);
    }
    let mut text = utf8(io::stdin().lock(), "standard input")?;
    // More likely something failed that should have written it.
    if text.is_empty() && !exact {
        return Err(Failure::usage("nothing came on standard input; --exact if that is the value"));
    }
    if !exact && text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// A file, as it is. `-` is standard input, as it is.
pub fn file(path: &Path) -> Result<Zeroizing<String>, Failure> {
    if path == Path::new("-") {
        return utf8(io::stdin().lock(), "standard input");
    }
    let unreadable = |error| Failure::usage(format!("{}: cannot be read: {error}", path.display()));
    utf8(File::open(path).map_err(unreadable)?, &path.display().to_string())
}

/// JSON from a file or standard input.
pub fn json(path: &Path) -> Result<Value, Failure> {
    let text = file(path)?;
    serde_json::from_str(&text).map_err(|error| no_json(path, &error))
}

/// A JSON object from a file or standard input, as it was written: numbers that we would round are for the server to
/// keep or to refuse, as are members that are there twice.
pub fn json_object(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let text = file(path)?;
    match serde_json::from_str::<BTreeMap<String, IgnoredAny>>(&text) {
        Ok(_) => Ok(text),
        Err(error) if error.is_data() => Err(Failure::usage(format!("{}: must be a JSON object", path.display()))),
        Err(error) => Err(no_json(path, &error)),
    }
}

/// An object with one more member, which is JSON already.
pub fn with_member(object: &Value, name: &str, json: &str) -> Zeroizing<String> {
    let rest = Zeroizing::new(object.to_string());
    let more = if *rest == "{}" { "}".to_owned() } else { format!(",{}", &rest[1..]) };
    Zeroizing::new(format!("{{\"{name}\":{json}{more}"))
}

/// Tells where, and quotes nothing: it may be a secret.
fn no_json(path: &Path, error: &serde_json::Error) -> Failure {
    Failure::usage(format!("{}: is no JSON, at line {}, column {}", path.display(), error.line(), error.column()))
}

fn utf8(from: impl Read, name: &str) -> Result<Zeroizing<String>, Failure> {
    // Large enough from the start: what grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST as usize + 1));
    from.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(Failure::usage(format!("{name}: is larger than 1 MiB")));
    }
    let text = std::str::from_utf8(&bytes);
    let text = text.map_err(|_| Failure::usage(format!("{name}: is no text in UTF-8; encode it, as base64 say")))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Without its end. Shared with nobody: what is read ahead belongs to the next who asks.
fn line() -> Result<Zeroizing<String>, Failure> {
    let mut line = Zeroizing::new(String::with_capacity(4096));
    if io::stdin().lock().take(MOST).read_line(&mut line)? as u64 == MOST {
        return Err(Failure::usage("a line of standard input is longer than 1 MiB"));
    }
    while line.ends_with(['\n', '\r']) {
        line.pop();
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_or_too_large_is_refused() {
        assert_eq!(*utf8(&b"a\n\xc3\xa9"[..], "x").unwrap(), "a\né");
        assert!(utf8(&b"\xff"[..], "x").is_err());
        assert!(utf8(io::repeat(b'x').take(MOST), "x").is_ok());
        assert!(utf8(io::repeat(b'x'), "x").is_err());
    }

    #[test]
    fn a_json_object_is_kept_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            json_object(&file)
        };
        let odd = "{\"a\": 123456789012345678901234567890, \"a\": 1e999, \"b\": 0.10}\n";
        assert_eq!(*read(odd).unwrap(), odd);
        for bad in ["[1]", "1", "", "{", "{\"a\" 1}", "{} {}"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(*with_member(&serde_json::json!({}), "data", "{\"x\": 1.0}"), "{\"data\":{\"x\": 1.0}}");
        assert_eq!(*with_member(&serde_json::json!({"a": 1}), "data", "{}"), "{\"data\":{},\"a\":1}");
    }

    #[test]
    fn what_is_wrong_with_json_is_told_by_place_and_never_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "{\"a\": hunter2}").unwrap();
        let told = json(&file).unwrap_err().to_string();
        assert!(told.contains("line 1") && !told.contains("hunter2"), "{told}");
    }
}
