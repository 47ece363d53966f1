//! What comes in: secrets from standard input, from a file, or typed where nobody sees them. Never
//! from arguments, which stand in the history and in the process list.

use std::{
    fs::File,
    io::{self, BufRead as _, IsTerminal as _, Read, Write as _},
    path::Path,
};

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
pub fn json(path: &Path) -> Result<serde_json::Value, Failure> {
    let text = file(path)?;
    serde_json::from_str(&text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Failure::usage(format!("{}: is no JSON, at {place}", path.display()))
    })
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
    io::stdin().lock().take(MOST).read_line(&mut line)?;
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
    fn what_is_wrong_with_json_is_told_by_place_and_never_quoted() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        std::fs::write(&file, "{\"a\": hunter2}").unwrap();
        let told = json(&file).unwrap_err().to_string();
        assert!(told.contains("line 1") && !told.contains("hunter2"), "{told}");
    }
}
