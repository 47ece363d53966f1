//! The source of the server, held to the rules of the house: who may use whom, what stands where, how long
//! a file may be. Test code is exempt.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Modules by rank: each may use those of a lower rank, and none of its own but itself.
const RANKS: &[&[&str]] = &[
    &["address", "clock", "finding", "ids", "limits", "metrics", "numeral", "problem", "sensitive", "span"],
    &["config"],
    &["storage", "shared"],
    &["barrier"],
    &["audit", "document", "fence", "runtime"],
    &["catalog", "security"],
    &["mount", "directory", "throttle"],
    &["session"],
    &["policy"],
    &["lease"],
    &["login", "users", "secrets", "settings", "plugins", "operate", "telemetry"],
    &["app"],
    &["http"],
    &["cli"],
];

/// `limits` is a table that everybody reads, and the identifiers check their lengths by it.
const WITHIN_A_RANK: &[(&str, &str)] = &[("ids", "limits")];

/// Libraries that only one module may know.
const ONLY_IN: &[(&str, &str)] = &[
    ("axum", "http"),
    ("wasmtime", "runtime"),
    ("wasmtime_wasi", "runtime"),
    ("sqlx", "storage"),
    ("redis", "shared"),
    ("cedar_policy", "policy"),
];

/// Who may take a secret out of its wrapping: a module, or one file of it.
const MAY_REVEAL: &[&str] = &[
    "sensitive.rs",
    "config/",
    "barrier/",
    "shared/",
    "storage/",
    "runtime/",
    "session/",
    "login/",
    "users/",
    "operate/",
    "app/",
    "http/",
    "cli/",
];

const LINES_AT_MOST: usize = 400;

struct Source {
    /// Below `host/src`, with `/`.
    name: String,
    module: String,
    /// With comments, texts and test code blanked out; lines are where they were.
    code: String,
    lines: usize,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&root, &mut files);
    files.sort();
    files.iter().map(|file| read(&root, file)).collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the source is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn read(root: &Path, file: &Path) -> Source {
    let parts: Vec<_> = file.strip_prefix(root).expect("below it").iter().map(|part| part.to_string_lossy()).collect();
    let name = parts.join("/");
    let module = parts[0].trim_end_matches(".rs").to_owned();
    let text = fs::read_to_string(file).expect("source is text");
    // A file that is all tests is declared so where it is declared: `#[cfg(test)] mod testing;`.
    let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let declared_in = [file.with_file_name("mod.rs"), file.with_file_name("lib.rs")];
    let parent = file.parent().map(|folder| folder.with_extension("rs"));
    let is_test = declared_in.iter().chain(&parent).any(|place| {
        let declaring = fs::read_to_string(place).unwrap_or_default();
        let mut lines = declaring.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut marked = false;
        lines.any(|line| {
            let here = marked && (line == format!("mod {stem};") || line.ends_with(&format!(" mod {stem};")));
            marked = line.starts_with("#[cfg(test)]") || (marked && line.starts_with("#["));
            here
        })
    });
    let plain = blank(&text);
    let is_test = is_test || name.contains("/tests/");
    let code = if is_test { String::new() } else { without_tests(&plain) };
    let lines = code.trim_end().lines().count();
    Source { name, module, code, lines }
}

/// Comments and texts become blanks.
fn blank(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(n, c)| chars.get(at + n) == Some(&c));
    let keep_line = |c: char| if c == '\n' { '\n' } else { ' ' };
    while at < chars.len() {
        let before = at.checked_sub(1).map(|before| chars[before]);
        let within_name = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let end = if starts(at, "//") {
            (at..chars.len()).find(|&n| chars[n] == '\n').unwrap_or(chars.len())
        } else if starts(at, "/*") {
            (at + 2..chars.len()).find(|&n| starts(n, "*/")).map_or(chars.len(), |n| n + 2)
        } else if !within_name && chars[at] == 'r' && (starts(at + 1, "\"") || starts(at + 1, "#")) {
            let hashes = chars[at + 1..].iter().take_while(|&&c| c == '#').count();
            if chars.get(at + 1 + hashes) == Some(&'"') {
                let close = format!("\"{}", "#".repeat(hashes));
                let from = at + 2 + hashes;
                (from..chars.len()).find(|&n| starts(n, &close)).map_or(chars.len(), |n| n + close.len())
            } else {
                at
            }
        } else if chars[at] == '"' {
            let mut n = at + 1;
            while n < chars.len() && chars[n] != '"' {
                n += if chars[n] == '\\' { 2 } else { 1 };
            }
            (n + 1).min(chars.len())
        } else if starts(at, "'\\") {
            (at + 3..chars.len()).find(|&n| chars[n] == '\'').map_or(chars.len(), |n| n + 1)
        } else if chars[at] == '\'' && chars.get(at + 2) == Some(&'\'') {
            at + 3
        } else {
            at
        };
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(chars[at..end].iter().map(|&c| keep_line(c)));
            at = end;
        }
    }
    out
}

/// Blanks each item that is there for tests only.
fn without_tests(code: &str) -> String {
    let mut out = code.to_owned();
    while let Some(start) = out.find("#[cfg(test)]") {
        let rest = &out[start..];
        let end = match (rest.find('{'), rest.find(';')) {
            (Some(open), semicolon) if semicolon.is_none_or(|semicolon| open < semicolon) => {
                let mut depth = 0;
                let close = rest[open..].char_indices().find(|(_, c)| {
                    depth += match c {
                        '{' => 1,
                        '}' => -1,
                        _ => 0,
                    };
                    depth == 0
                });
                start + open + close.map_or(rest.len() - open, |(n, _)| n + 1)
            }
            (_, Some(semicolon)) => start + semicolon + 1,
            (_, None) => out.len(),
        };
        let blanked: String = out[start..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        out.replace_range(start..end, &blanked);
    }
    out
}

/// First names after each `crate::`: of a path, and of a list in braces.
fn used_modules(code: &str) -> Vec<String> {
    let mut used = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        // `$crate` and names that merely end in it.
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                let mut depth = 0;
                let mut part = String::new();
                for c in list.chars() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => used.extend(first_name(&std::mem::take(&mut part))),
                        _ if depth == 0 => part.push(c),
                        _ => {}
                    }
                }
                used.extend(first_name(&part));
            }
            None => used.extend(first_name(rest)),
        }
    }
    used
}

fn first_name(path: &str) -> Option<String> {
    let name: String = path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
    Some(name).filter(|name| !name.is_empty())
}

/// Does this crate's name begin a path here?
fn names_crate(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(at, _)| {
        let before = code[..at].trim_end();
        let after = &code[at + name.len()..];
        let glued = code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || "_.".contains(c));
        // `crate::redis::x` and `self::redis::x` are modules of ours.
        let ours = before.ends_with("::") || before.ends_with("mod");
        !glued && !ours && (after.starts_with("::") || before.ends_with("use") && after.starts_with([';', ' ']))
    })
}

fn rank(module: &str) -> Option<usize> {
    RANKS.iter().position(|rank| rank.contains(&module))
}

#[test]
fn modules_use_only_what_ranks_below_them() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !["lib", "main"].contains(&source.module.as_str())) {
        let Some(own) = rank(&source.module) else {
            wrong.push(format!("{}: module {} has no rank", source.name, source.module));
            continue;
        };
        for used in used_modules(&source.code) {
            let exempt = used == source.module || WITHIN_A_RANK.contains(&(source.module.as_str(), used.as_str()));
            match rank(&used) {
                _ if exempt => {}
                Some(other) if other < own => {}
                Some(_) => wrong.push(format!("{}: {} may not use {used}", source.name, source.module)),
                None => wrong.push(format!("{}: {used} has no rank", source.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_library_is_known_to_one_module() {
    let mut wrong = Vec::new();
    for source in sources() {
        for (library, module) in ONLY_IN {
            if source.module != *module && names_crate(&source.code, library) {
                wrong.push(format!("{}: {library} belongs to {module}", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn status_codes_stand_in_http() {
    let wrong: Vec<_> = sources()
        .into_iter()
        .filter(|source| !["cli", "http"].contains(&source.module.as_str()))
        .filter(|source| source.code.contains("StatusCode::"))
        .map(|source| source.name)
        .collect();
    assert!(wrong.is_empty(), "status codes outside http: {wrong:?}");
}

#[test]
fn secrets_are_revealed_only_where_it_is_listed() {
    let sources = sources();
    let reveals = |source: &&Source| source.code.contains(".reveal()");
    let wrong: Vec<_> = sources
        .iter()
        .filter(reveals)
        .map(|source| source.name.as_str())
        .filter(|name| !MAY_REVEAL.iter().any(|place| name == place || place.ends_with('/') && name.starts_with(place)))
        .collect();
    assert!(wrong.is_empty(), "reveal secrets without being listed: {wrong:?}");
}

/// Every `type` that our code gives a problem stands in the table that is documented.
#[test]
fn the_types_of_problems_stand_in_one_table() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let text = |name: &str| fs::read_to_string(root.join(name)).expect("source is text");
    let table = text("http/error.rs");
    let rows = table.split_once("kinds! {").and_then(|(_, rest)| rest.split_once("\n}")).expect("the table").0;
    let listed: Vec<&str> = rows.lines().filter_map(|row| row.split('"').nth(1)).collect();
    assert!(listed.contains(&"missing") && listed.len() > 50, "{listed:?}");
    let mut wrong = Vec::new();
    let mut found = 0;
    for source in sources() {
        let whole: Vec<char> = text(&source.name).chars().collect();
        // Texts are blanked in the code: what is a call is seen there, what it says in the file itself.
        for call in ["Problem::new(", "invalid("] {
            for (at, _) in source.code.match_indices(call) {
                let from = source.code[..at].chars().count() + call.len();
                let Some(kind) = second_text(&source.code, &whole, from) else { continue };
                found += 1;
                if !listed.contains(&kind.as_str()) {
                    wrong.push(format!("{}: {kind}", source.name));
                }
            }
        }
    }
    assert!(found > 50, "only {found} problems are found in the source");
    assert!(wrong.is_empty(), "types that http/error.rs does not list: {wrong:?}");
}

/// What `step_up.operations` may name is what asks who calls.
#[test]
fn the_operations_of_the_routes_are_those_that_the_rules_may_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for source in sources().iter().filter(|source| source.module == "http") {
        let whole = fs::read_to_string(root.join(&source.name)).expect("source is text");
        let constants = whole.split("const OPERATION: &'static str = \"").skip(1);
        // What makes two inputs of one is told the name.
        let macros = whole.split("\nof_one!(").skip(1).filter_map(|call| call.split_once('"')).map(|(_, rest)| rest);
        found.extend(constants.chain(macros).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
    }
    assert_eq!(found, coffer::security::OPERATIONS.iter().map(|name| (*name).to_owned()).collect());
}

/// The second argument of a call of three, if it is a text and nothing else. Code and file have as many characters.
fn second_text(code: &str, whole: &[char], from: usize) -> Option<String> {
    let (mut depth, mut commas) = (0, Vec::new());
    for (at, c) in code.chars().skip(from).enumerate() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' if depth == 0 => {
                commas.push(from + at);
                break;
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => commas.push(from + at),
            _ => {}
        }
    }
    let &[first, second, _, ..] = commas.as_slice() else { return None };
    let argument: String = whole.get(first + 1..second)?.iter().collect();
    argument.trim().strip_prefix('"')?.strip_suffix('"').map(str::to_owned)
}

#[test]
#[expect(clippy::print_stdout, reason = "the median is reported")]
fn files_are_short() {
    let mut lengths: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for source in sources() {
        lengths.entry(source.lines).or_default().push(source.name);
    }
    let all: Vec<usize> = lengths.iter().flat_map(|(lines, files)| files.iter().map(|_| *lines)).collect();
    let (median, longest) = (all[all.len() / 2], all[all.len() - 1]);
    println!("{} files, {median} lines in the median, {longest} in the longest", all.len());
    let wrong: Vec<_> = lengths.range(LINES_AT_MOST + 1..).collect();
    assert!(wrong.is_empty(), "longer than {LINES_AT_MOST} lines: {wrong:?}");
}

#[test]
fn folders_open_with_what_they_own() {
    let without: Vec<_> = sources()
        .into_iter()
        .filter(|source| source.name.ends_with("/mod.rs") && source.name.matches('/').count() == 1)
        .filter(|source| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(&source.name);
            !fs::read_to_string(path).is_ok_and(|text| text.starts_with("//! "))
        })
        .map(|source| source.name)
        .collect();
    assert!(without.is_empty(), "say what the folder owns: {without:?}");
}

#[test]
fn the_reader_of_sources_sees_through_comments_texts_and_tests() {
    let code = r##"
use crate::{clock::Clock, storage::{self, Batch}, ids};
// use crate::http::App;
const A: &str = "crate::http::x"; const B: char = '"'; const C: &str = r#"crate::cli"#;
fn f<'a>(x: &'a str) { $crate::policy::y(); crate::fence::z() }
#[cfg(test)]
use crate::app::App;
#[cfg(test)]
mod tests { use crate::cli; fn f() { if x { y } } }
fn g() { crate::audit::a() }
"##;
    let plain = without_tests(&blank(code));
    assert_eq!(used_modules(&plain), ["clock", "storage", "ids", "policy", "fence", "audit"]);
    assert!(names_crate("use axum::Router;", "axum") && names_crate("x(redis::cmd())", "redis"));
    assert!(!names_crate("use self::redis::Store;", "redis") && !names_crate("mod redis;", "redis"));
    assert!(!names_crate("my_redis::x", "redis"));
}
