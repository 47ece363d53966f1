use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use super::super::{
    super::{Callback, Grant, testing::Bench},
    wit::{
        log::{Host, Level},
        types::Field,
    },
};
use crate::{runtime::imports::wasi::print_for_test, sensitive::Secret};

#[derive(Clone, Default)]
struct Captured(Arc<Mutex<Vec<u8>>>);

impl Write for Captured {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What reached the operator's log meanwhile.
fn logged(work: impl FnOnce()) -> String {
    let captured = Captured::default();
    let writer = captured.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, work);
    let bytes = captured.0.lock().unwrap();
    String::from_utf8(bytes.clone()).unwrap()
}

fn field(name: &str, value: &str) -> Vec<Field> {
    vec![Field { name: name.to_owned(), value: value.to_owned() }]
}

#[test]
fn what_a_header_or_the_state_of_a_callback_says_is_not_logged_either() {
    let mut bench = Bench::new();
    bench.call.grant = Arc::new(Grant { headers: ["x-api-key".to_owned()].into(), ..Grant::default() });
    let headers = [("x-api-key", "swordfish"), ("x-withheld", "elsewhere")];
    bench.call.facts.headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let state = Secret::new("12345678".to_owned());
    bench.call.facts.callback = Some(Callback { url: "https://coffer.example/back".to_owned(), state });
    let text = logged(|| {
        let mut sandbox = bench.sandbox(&[r#"{"pin":"hunter22"}"#]);
        let said = "swordfish, c3dvcmRmaXNo, 12345678, hunter22, elsewhere at https://coffer.example/back";
        sandbox.emit(Level::Warn, said.into(), field("state", "12345678")).unwrap();
    });
    let left = "[secret], [secret], [secret], [secret], elsewhere at https://coffer.example/back";
    assert!(text.contains(left) && text.contains("state=[secret]"), "{text}");
}

#[test]
fn a_line_names_mount_and_request_and_none_of_the_calls_secrets() {
    let bench = Bench::new();
    let inputs = [r#"{"password": "hunter22", "deep": [{"pin": 12345678}], "short": "abc"}"#, "not json at all"];
    let text = logged(|| {
        let mut sandbox = bench.sandbox(&inputs);
        sandbox.emit(Level::Warn, "got hunter22 and 12345678 and abc".into(), field("k", "xhunter22x")).unwrap();
        sandbox.emit(Level::Info, "not json at all\nforged line\u{1b}[0m".into(), vec![]).unwrap();
    });
    assert!(text.contains("WARN") && text.contains("mount=\"kv\"") && text.contains("request=\"r1\""), "{text}");
    assert!(text.contains("got [secret] and [secret] and abc") && text.contains("k=x[secret]x"), "{text}");
    assert!(!text.contains("hunter22") && !text.contains("12345678") && !text.contains("not json"), "{text}");
    assert_eq!(text.lines().count(), 2, "{text}");
}

#[test]
fn a_secret_of_many_lines_is_found_line_by_line_and_in_quotes() {
    let bench = Bench::new();
    let text = logged(|| {
        let mut sandbox = bench.sandbox(&[r#"{"key":"-----BEGIN\ncanary-one\ncanary-two\n"}"#]);
        sandbox.emit(Level::Info, "x canary-one y".into(), vec![]).unwrap();
        sandbox.emit(Level::Info, format!("{:?}", "-----BEGIN\ncanary-one\ncanary-two\n"), vec![]).unwrap();
        print_for_test(&mut sandbox, b"-----BEGIN\ncanary-one\ncanary-two\n");
    });
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn a_secret_is_known_in_hex_and_in_base64_wherever_it_begins() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let bench = Bench::new();
    let text = logged(|| {
        let mut sandbox = bench.sandbox(&[r#"{"key":"canary-one"}"#]);
        for before in ["", "a", "ab", "abc", "{\"key\":\""] {
            let whole = format!("{before}canary-one\"}}");
            sandbox.emit(Level::Info, STANDARD.encode(&whole), vec![]).unwrap();
            sandbox.emit(Level::Info, hex::encode(&whole), field("hex", &hex::encode_upper(&whole))).unwrap();
        }
    });
    assert_eq!(text.matches("[secret]").count(), 15, "{text}");
    assert!(!text.contains(&hex::encode("canary")) && !text.contains("Y2FuYXJ5"), "{text}");
}

#[test]
fn with_more_secrets_than_can_be_searched_for_nothing_is_said() {
    let bench = Bench::new();
    let many: Vec<String> = (0..300).map(|i| format!("\"secret-{i}\"")).collect();
    let input = format!("[{}]", many.join(","));
    let text = logged(|| bench.sandbox(&[&input]).emit(Level::Info, "secret-7".into(), vec![]).unwrap());
    assert!(text.contains("[withheld]") && !text.contains("secret-7"), "{text}");
}

#[test]
fn a_secret_of_more_lines_than_can_be_searched_for_is_too_many_secrets() {
    let bench = Bench::new();
    let input = format!(r#"{{"key":"{}"}}"#, r"secret\n".repeat(140_000));
    let text = logged(|| bench.sandbox(&[&input]).emit(Level::Info, "not one of them".into(), vec![]).unwrap());
    assert!(text.contains("[withheld]") && !text.contains("not one"), "{text}");
}

#[test]
fn a_flood_of_lines_ends_at_the_bound() {
    let mut bench = Bench::new();
    bench.call.bounds.log_bytes = 4096;
    let text = logged(|| {
        let mut sandbox = bench.sandbox(&[]);
        for _ in 0..10_000 {
            sandbox.emit(Level::Info, "m".repeat(100), field("name", "value")).unwrap();
            print_for_test(&mut sandbox, b"printed\n");
        }
    });
    assert!(text.len() < 20_000, "{}", text.len());
}

#[test]
fn what_is_printed_is_logged_line_by_line_even_without_an_end() {
    let bench = Bench::new();
    let text = logged(|| {
        let mut sandbox = bench.sandbox(&[r#"{"a":"hunter22"}"#]);
        print_for_test(&mut sandbox, b"panicked at hunt");
        print_for_test(&mut sandbox, b"er22\nsecond \xff line\nthird");
    });
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(text.contains("panicked at [secret]") && text.contains("third") && !text.contains("hunter22"), "{text}");
}
