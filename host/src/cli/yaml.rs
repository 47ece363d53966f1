//! YAML, written only: whatever could be read as anything but the text that it is stands in quotes,
//! as JSON has them, which is YAML as well.

use serde_json::Value;

pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    if !out.ends_with('\n') {
        out.push('\n');
    }
    out.trim_start_matches('\n').to_owned()
}

/// A collection that has members begins on a line of its own, anything else stands where it is.
fn write(value: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                line_end(out);
                out.push_str(&format!("{indent}{}:", scalar(name)));
                within(value, depth + 1, out);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for value in list {
                line_end(out);
                out.push_str(&format!("{indent}-"));
                within(value, depth + 1, out);
            }
        }
        Value::String(text) => out.push_str(&scalar(text)),
        other => out.push_str(&other.to_string()),
    }
}

fn within(value: &Value, depth: usize, out: &mut String) {
    let nested = match value {
        Value::Object(members) => !members.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    out.push(if nested { '\n' } else { ' ' });
    write(value, depth, out);
}

fn line_end(out: &mut String) {
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

fn scalar(text: &str) -> String {
    const WORDS: [&str; 10] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan"];
    let begins = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    let rest = text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./@".contains(c));
    match begins && rest && !WORDS.contains(&text.to_ascii_lowercase().as_str()) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// JSON leaves some characters as they are that YAML does not take.
fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    json.chars().fold(String::new(), |mut out, c| {
        match c {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_looks_like_something_else_is_quoted() {
        for text in ["", "yes", "No", "1", "1e3", "a: b", "- a", "#", "a\nb", "~", "2026-01-02", "é", "*a", "null"] {
            assert!(scalar(text).starts_with('"'), "{text}");
        }
        for text in ["kv/apps/web", "a", "tls.crt", "_x"] {
            assert_eq!(scalar(text), text);
        }
        assert_eq!(quoted("\u{85}\u{2028}"), "\"\\u0085\\u2028\"");
    }

    #[test]
    fn collections_are_nested_by_indentation() {
        let value = json!({"a": {"b": [1, {"c": "d", "e": []}, [2]]}, "f": {}, "g": null});
        let expected = "a:\n  b:\n    - 1\n    -\n      c: d\n      e: []\n    -\n      - 2\nf: {}\ng: null\n";
        assert_eq!(text(&value), expected);
        assert_eq!(text(&json!("x y")), "\"x y\"\n");
        assert_eq!(text(&json!([])), "[]\n");
    }
}
