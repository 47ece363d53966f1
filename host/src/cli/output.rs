//! What goes to standard output: the answer, as a table for people or in a form for programs.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use clap::{Args, ValueEnum};
use serde_json::Value;
use unicode_width::UnicodeWidthStr as _;

use super::{Failure, process, yaml};

#[derive(Args, Clone, Debug, Default)]
pub struct Shape {
    /// How the answer is written; `table`, or `raw` with --field
    #[arg(short, long, value_enum, value_name = "FORMAT", global = true)]
    output: Option<Format>,
    /// Only this member of the answer: its name, names with dots between them, or a JSON pointer
    #[arg(long, value_name = "NAME", global = true)]
    field: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    Table,
    Json,
    Yaml,
    Raw,
}

/// The columns of a list, and which member of the answer it is.
pub struct Columns {
    pub list: &'static str,
    pub names: &'static [&'static str],
}

impl Shape {
    pub fn format(&self) -> Format {
        self.output.unwrap_or(if self.field.is_some() { Format::Raw } else { Format::Table })
    }

    pub fn is_table(&self) -> bool {
        self.field.is_none() && self.format() == Format::Table
    }

    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// A table has a line for each member, any other form has the answer as it is.
    pub fn show(&self, answer: &Value) -> Result<(), Failure> {
        match &self.field {
            Some(field) => self.write(pick(answer, field)?, &members),
            None => self.write(answer, &members),
        }
    }

    /// A table has a line for each entry, and `raw` the first column of it.
    pub fn list(&self, answer: &Value, columns: &Columns) -> Result<(), Failure> {
        let rows = answer[columns.list].as_array().map(Vec::as_slice).unwrap_or_default();
        if let Some(field) = &self.field {
            return self.member_of_each(answer, rows, field, columns);
        }
        if self.format() == Format::Raw {
            let first = |row: &Value| columns.names.first().map_or_else(String::new, |name| text(&row[*name]));
            return raw(&rows.iter().map(|row| first(row) + "\n").collect::<String>());
        }
        self.write(answer, &|_| listed(rows, columns.names))
    }

    /// A member of the answer, or of each entry: a line for each.
    fn member_of_each(&self, answer: &Value, rows: &[Value], field: &str, columns: &Columns) -> Result<(), Failure> {
        let none = match pick(answer, field) {
            Ok(found) => return self.write(found, &members),
            Err(none) => none,
        };
        let of_each: Vec<&Value> = rows.iter().filter_map(|row| pick(row, field).ok()).collect();
        match self.format() {
            _ if of_each.is_empty() && !columns.names.contains(&field) => {
                Err(Failure::usage(format!("{none}, and each of them: {}", columns.names.join(", "))))
            }
            Format::Raw => raw(&of_each.iter().map(|value| text(value) + "\n").collect::<String>()),
            _ => self.write(&of_each.into_iter().cloned().collect(), &members),
        }
    }

    /// One value, whatever --field says: it has been picked already.
    pub fn value(&self, value: &Value) -> Result<(), Failure> {
        self.write(value, &members)
    }

    fn write(&self, value: &Value, table: &dyn Fn(&Value) -> String) -> Result<(), Failure> {
        match self.format() {
            Format::Table => put(&table(value)),
            Format::Json => put(&spelled(serde_json::to_string_pretty(value).map_err(io::Error::from)? + "\n")),
            Format::Yaml => put(&spelled(yaml::text(value))),
            Format::Raw => raw(&text(value)),
        }
    }
}

/// To the byte, for programs; at a terminal nothing that steers it, and an end to the last line.
pub fn raw(text: &str) -> Result<(), Failure> {
    match io::stdout().is_terminal() {
        false => put(text),
        true => {
            let shown: Vec<_> = text.lines().map(plain).collect();
            put(&(shown.join("\n") + "\n"))
        }
    }
}

pub fn put(text: &str) -> Result<(), Failure> {
    if !text.is_empty() {
        somebody_listens()?;
    }
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::from)
}

/// Before something is made that is shown once: there must be where to.
pub fn somebody_listens() -> Result<(), Failure> {
    match process::has_no_output() {
        true => {
            Err(Failure::Local(io::Error::other("standard output is closed: what was to be written there is lost")))
        }
        false => Ok(()),
    }
}

/// A member: by its name, by names with dots between them, or by a JSON pointer.
pub fn pick<'a>(answer: &'a Value, field: &str) -> Result<&'a Value, Failure> {
    let found = match field.starts_with('/') {
        true => answer.pointer(field),
        false => answer.get(field).or_else(|| {
            field.split('.').try_fold(answer, |at, name| match at {
                Value::Array(list) => list.get(name.parse::<usize>().ok()?),
                at => at.get(name),
            })
        }),
    };
    found.ok_or_else(|| Failure::Usage(format!("there is no {field} in the answer; it has: {}", names(answer))))
}

fn names(value: &Value) -> String {
    let names = value.as_object().map(|members| members.keys().map(String::as_str).collect::<Vec<_>>());
    names.unwrap_or_default().join(", ")
}

/// One value, as it stands in a table or in `raw`.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// All of them below U+10000.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// What steers a terminal, or hides what is there, is spelled out: names and values are other people's.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return text.into();
    }
    text.chars()
        .fold(String::new(), |mut shown, c| {
            match c {
                '\t' => shown.push('\t'),
                c if steers(c) => shown.extend(c.escape_default()),
                c => shown.push(c),
            }
            shown
        })
        .into()
}

/// JSON, and what is quoted as JSON is, says the same when a character in it is spelled out: at a terminal those are
/// that would steer it.
fn spelled(text: String) -> String {
    if io::stdout().is_terminal() { escaped(&text) } else { text }
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        match c {
            c if c != '\n' && steers(c) => drop(write!(shown, "\\u{:04x}", u32::from(c))),
            c => shown.push(c),
        }
        shown
    })
}

/// With ANSI colours, unless `NO_COLOR` says otherwise (no-color.org) or the terminal has none.
pub fn styled(text: &str, style: &str, terminal: bool) -> String {
    let says = |name: &str, what: fn(&str) -> bool| std::env::var(name).is_ok_and(|value| what(&value));
    match terminal && !says("NO_COLOR", |value| !value.is_empty()) && !says("TERM", |term| term == "dumb") {
        true => format!("\x1b[{style}m{text}\x1b[0m"),
        false => text.to_owned(),
    }
}

/// `name  value`, a line each, with dots between the names of what is within (as `--field` takes them); of a list each
/// entry has one.
fn members(value: &Value) -> String {
    match value {
        Value::Object(_) => {}
        Value::Array(list) => return list.iter().map(|entry| format!("{}\n", plain(&short(entry)))).collect(),
        scalar => return format!("{}\n", plain(&text(scalar))),
    }
    let mut rows = Vec::new();
    for (name, leaf) in leaves(value).into_iter().filter(|(name, _)| !name.is_empty()) {
        match leaf {
            Value::Array(list) if !list.is_empty() => {
                let names = std::iter::once(name).chain(std::iter::repeat(String::new()));
                rows.extend(names.zip(list).map(|(name, entry)| vec![name, short(entry)]));
            }
            leaf => rows.push(vec![name, short(leaf)]),
        }
    }
    aligned(&rows, false)
}

/// What has no names within, and how it is called.
pub fn leaves(value: &Value) -> Vec<(String, &Value)> {
    let Some(members) = value.as_object().filter(|members| !members.is_empty()) else {
        return vec![(String::new(), value)];
    };
    let below = |(name, value)| {
        let within = leaves(value).into_iter();
        within.map(move |(rest, leaf)| match rest.as_str() {
            "" => (String::clone(name), leaf),
            rest => (format!("{name}.{rest}"), leaf),
        })
    };
    members.iter().flat_map(below).collect()
}

/// On one line, for people.
pub fn short(value: &Value) -> String {
    let joined = |parts: Vec<String>, between| parts.join(between);
    match value {
        Value::Array(list) => joined(list.iter().map(short).collect(), ","),
        Value::Object(_) => {
            let leaves = leaves(value).into_iter().filter(|(name, _)| !name.is_empty());
            joined(leaves.map(|(name, leaf)| format!("{name}={}", short(leaf))).collect(), " ")
        }
        scalar => text(scalar),
    }
}

/// A column takes no more of what has many members: `-o json` has it all.
const WIDEST: usize = 60;

fn cell(value: &Value) -> String {
    let whole = short(value);
    match value {
        Value::Array(_) | Value::Object(_) if whole.chars().count() > WIDEST => {
            whole.chars().take(WIDEST - 1).chain(['…']).collect()
        }
        _ => whole,
    }
}

fn listed(rows: &[Value], columns: &[&str]) -> String {
    let mut lines = vec![columns.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>()];
    lines.extend(rows.iter().map(|row| columns.iter().map(|name| cell(&row[*name])).collect()));
    aligned(&lines, true)
}

fn aligned(rows: &[Vec<String>], with_heading: bool) -> String {
    let rows: Vec<Vec<Cow<'_, str>>> = rows.iter().map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut shown = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            let blanks = width - cell.width() + 2;
            let _ = write!(line, "{cell}{:blanks$}", "");
        }
        let line = line.trim_end();
        let heading = with_heading && number == 0;
        shown += &if heading { styled(line, "1", io::stdout().is_terminal()) } else { line.to_owned() };
        shown.push('\n');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_member_is_found_by_name_by_path_and_by_pointer() {
        let answer = json!({"data": {"a.b": 1, "list": [{"x": 2}]}, "x.y": 3});
        for (field, found) in [("x.y", 3), ("data.list.0.x", 2), ("/data/a.b", 1), ("/data/list/0/x", 2)] {
            assert_eq!(pick(&answer, field).unwrap(), &json!(found), "{field}");
        }
        for none in ["", "y", "data.a", "/y", "data.list.1", "data.list.x"] {
            assert!(matches!(pick(&answer, none), Err(Failure::Usage(_))), "{none}");
        }
    }

    #[test]
    fn columns_stand_below_each_other_in_every_script() {
        let rows = [json!({"name": "ключ", "n": 1}), json!({"name": "秘密", "n": null})];
        assert_eq!(listed(&rows, &["name", "n"]), "NAME  N\nключ  1\n秘密\n");
        assert_eq!(members(&json!({"shares": ["a", "b"], "token": "t"})), "shares  a\n        b\ntoken   t\n");
    }

    #[test]
    fn a_table_holds_no_json() {
        let answer = json!({"a": {"b": {"c": 1}, "d": []}, "e": {}, "f": [{"x": 1, "y": ["u", "v"]}, {"x": 2}]});
        assert_eq!(members(&answer), "a.b.c  1\na.d\ne\nf      x=1 y=u,v\n       x=2\n");
        assert_eq!(members(&json!(["x", {"a": 1, "b": [2, 3]}])), "x\na=1 b=2,3\n");
        let rows = [json!({"n": {"a": {"b": 1}}, "l": ["x", "y"]}), json!({"n": {"long": "x".repeat(80)}, "l": []})];
        let shown = listed(&rows, &["n", "l"]);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[1].split_whitespace().collect::<Vec<_>>(), ["a.b=1", "x,y"]);
        assert!(lines[2].ends_with('…') && lines[2].chars().count() == WIDEST, "{shown}");
    }

    #[test]
    fn nothing_in_json_or_yaml_steers_the_terminal_and_both_say_the_same() {
        let value =
            json!({"a\u{9b}2J": "x\u{1b}]0;t\u{7}\n\u{202e}y\u{7f}", "list": ["\u{85}\u{9d}", "\u{2066}", "ключ"]});
        for told in [serde_json::to_string_pretty(&value).unwrap(), yaml::text(&value)] {
            let shown = escaped(&told);
            assert!(shown.chars().all(|c| c == '\n' || !steers(c)), "{shown:?}");
            assert!(shown.contains("\\u009b2J") && shown.contains("\\u202ey") && shown.contains("ключ"), "{shown}");
        }
        let shown = escaped(&serde_json::to_string_pretty(&value).unwrap());
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }

    #[test]
    fn nothing_in_a_table_steers_the_terminal() {
        let shown = members(&json!({"a\u{1b}[2J": "x\u{1b}]0;title\u{7}\n\u{202e}y"}));
        assert_eq!(shown, "a\\u{1b}[2J  x\\u{1b}]0;title\\u{7}\\n\\u{202e}y\n");
    }
}
