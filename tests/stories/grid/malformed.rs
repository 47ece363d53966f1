//! Bad input of every kind at every operation, made from `openapi.json` and the rows of the table: always a 4xx
//! that says where, never a word of what was sent, and a server that is well after it.

use reqwest::Method;
use serde_json::{Value, json};

use super::document::Operation;
use super::rows::{After, Group, Row, rows};
use super::world::{Actor, Things, World};
use crate::harness::{Answer, canary};

#[tokio::test]
async fn nothing_bad_gets_through_to_people() {
    World::dev().await.try_all(Group::People).await;
}

#[tokio::test]
async fn nothing_bad_gets_through_to_secrets() {
    World::dev().await.try_all(Group::Secrets).await;
}

#[tokio::test]
async fn nothing_bad_gets_through_to_the_system() {
    World::dev().await.try_all(Group::System).await;
}

#[tokio::test]
async fn nothing_bad_gets_through_to_leases() {
    World::with_leases().await.try_all(Group::Leases).await;
}

#[tokio::test]
async fn nothing_bad_gets_through_to_the_seal() {
    World::with_shares().await.try_all(Group::Seal).await;
}

/// Something bad to send.
struct Bad {
    what: String,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    expected: Expected,
}

enum Expected {
    /// One of these statuses, at this place or below it, if there is one.
    Refused(&'static [u16], Vec<String>),
    /// The document allows it: an answer, and if it is 422, one with a place.
    Any,
}
use Expected::{Any, Refused};

/// What is sent when all is well.
struct Good {
    method: Method,
    path: String,
    body: Value,
}

const REFUSED: &[u16] = &[400, 401, 403, 404, 405, 409, 413, 415, 422];

/// Members whose refusal has OAuth's shape, which knows no places (RFC 6749 section 5.2).
const WITHOUT_A_PLACE: [&str; 5] = ["scope", "client_id", "client_secret", "grant_type", "code"];

/// Members that go without another: the other one may be named.
const INSTEAD: [&str; 1] = ["batch"];

/// What is wrong with no member.
const OF_THE_WHOLE: [&str; 2] = ["already_initialized", "last_admin"];

impl World {
    async fn try_all(&self, group: Group) {
        // One for all: it is searched for in everything that the server writes.
        let canary = canary("bad");
        self.server.keep_secret(&canary);
        let mut wrong = Vec::new();
        let mut seen = Vec::new();
        for row in rows().iter().filter(|row| row.group == group) {
            // One row of an operation will do, of something that is there.
            if !seen.contains(&row.id) && !row.calls[0].answer.starts_with("404") {
                seen.push(row.id);
                self.try_row(row, &canary, &mut wrong).await;
            }
        }
        self.server.anonymous().get("/sys/health").await.expect(200);
        assert!(wrong.is_empty(), "{} answers are wrong:\n{}", wrong.len(), wrong.join("\n"));
    }

    async fn try_row(&self, row: &Row, canary: &str, wrong: &mut Vec<String>) {
        let operation = self.document.operation(row.id);
        let actor = if row.cells[Actor::Admin as usize] == "-" { Actor::Admin } else { Actor::Anonymous };
        let mut things = Things::new();
        let mut count = 0;
        loop {
            let path = self.path(row.calls[0].path, &mut things).await;
            let body = self.body(&row.calls[0].body, &mut things).await;
            let good = Good { method: operation.method.clone(), path, body };
            let all = self.bad(operation, &good, canary);
            // After a call that was obeyed the rest is about other things.
            let mut obeyed = false;
            for bad in all.into_iter().skip(count) {
                count += 1;
                let named = format!("{} {} {}: {}", row.id, good.method, bad.path, bad.what);
                let mut call = self.actor(actor).call(good.method.clone(), &bad.path);
                for (name, value) in &bad.headers {
                    call = call.header(name, value);
                }
                let answer = call.body(bad.body).await;
                wrong.extend(against(&bad.expected, &answer, canary).map(|what| format!("{named:.200}: {what}")));
                wrong.extend(self.document.unlisted(&answer).map(|what| format!("{named:.200}: {what}")));
                if answer.status.is_success() && good.method != Method::GET {
                    obeyed = true;
                    break;
                }
            }
            if !obeyed {
                break;
            }
            things.clear();
            match row.after {
                After::Unseal => self.unseal().await,
                After::LogIn => self.log_in().await,
                After::Nothing => {}
            }
        }
    }

    /// Everything bad that can be made of one good call.
    fn bad(&self, operation: &Operation, good: &Good, canary: &str) -> Vec<Bad> {
        let mut all = Vec::new();
        all.extend(bad_urls(operation, good, canary));
        let content = operation.says["requestBody"]["content"].as_object();
        match content.and_then(|content| content.get("application/json")) {
            Some(media) => {
                all.extend(self.bad_bodies(operation, good, canary));
                all.extend(self.bad_members(&media["schema"], good, canary));
                if content.is_some_and(|content| content.contains_key("application/x-www-form-urlencoded")) {
                    all.extend(Self::bad_forms(good, canary));
                }
            }
            None if content.is_none() => {
                let body = good.with_bytes("a body where none is taken", json!({ "colour": canary }).to_string());
                // Who asks nothing of anybody need not be heard out.
                let is_open = operation.says["security"] == json!([{}]) && good.method == Method::GET;
                let expected = if is_open { Any } else { Refused(&[415, 422], Vec::new()) };
                all.push(Bad { expected, ..body });
            }
            None if is_file(operation) => {
                all.push(good.with_json("JSON", json!({ "colour": canary }), Refused(&[415], Vec::new())));
            }
            None => all.extend(Self::bad_forms(good, canary)),
        }
        all
    }

    /// What is no body, or none that is taken.
    fn bad_bodies(&self, operation: &Operation, good: &Good, canary: &str) -> Vec<Bad> {
        let mut all = Vec::new();
        let mut raw = |what: &str, bytes: Vec<u8>, statuses, place: &[&str]| {
            let place = place.iter().map(|step| (*step).to_owned()).collect();
            all.push(Bad { expected: Refused(statuses, place), ..good.with_bytes(what, bytes) });
        };
        let text = |text: &str| text.replace("CANARY", canary).into_bytes();
        if operation.says["requestBody"]["required"] == true {
            raw("nothing", Vec::new(), &[422], &["body"]);
        }
        for bad in
            ["{", r#"{"a":"CANARY""#, r#"{"a":}"#, "{} CANARY", r#"{"a":1,}"#, "{'a':'CANARY'}", "CANARY", "{a:1}"]
        {
            raw("no JSON", text(bad), &[400], &["body"]);
        }
        for bad in [r#""CANARY""#, r#"["CANARY"]"#, "null", "1", "true", "[{}]"] {
            raw("no object", text(bad), &[422], &["body"]);
        }
        raw("no UTF-8", [&text(r#"{"a":"CANARY"#)[..], b"\xff\xfe\"}"].concat(), &[400], &["body"]);
        raw("UTF-16", "{\"a\":1}".encode_utf16().flat_map(u16::to_be_bytes).collect(), &[400], &["body"]);
        raw("half a surrogate", text(r#"{"a":"CANARY\ud800"}"#), &[400], &["body"]);
        raw("a byte order mark", [b"\xef\xbb\xbf", &text(r#"{"a":"CANARY"}"#)[..]].concat(), &[400], &["body"]);
        raw("a control character", text("{\"a\":\"CANARY\n\"}"), &[400], &["body"]);
        raw("a number beyond all", text(r#"{"colour":1e999}"#), &[422], &["body", "colour"]);
        raw(
            "a long number",
            format!("{{\"colour\":{}e400}}", "9".repeat(400)).into_bytes(),
            &[422],
            &["body", "colour"],
        );
        raw("a number that is rounded", text(r#"{"colour":18446744073709551616}"#), &[422], &["body", "colour"]);
        raw("twice the same", text(r#"{"colour":"CANARY","colour":1}"#), &[422], &["body", "colour"]);
        raw("twice the same, escaped", text(r#"{"colour":"CANARY","c\u006flour":1}"#), &[422], &["body", "colour"]);
        let deep = |open: &str, close: &str| format!("{{\"colour\":{}1{}}}", open.repeat(3000), close.repeat(3000));
        raw("deep lists", deep("[", "]").into_bytes(), &[422], &["body", "colour"]);
        raw("deep objects", deep("{\"a\":", "}").into_bytes(), &[422], &["body", "colour"]);
        let many = (0..20_000).map(|n| format!("\"m{n}\":1")).collect::<Vec<_>>().join(",");
        raw("many members", format!("{{{many}}}").into_bytes(), &[422], &["body"]);
        raw("more than fits", format!("{{\"a\":\"{}\"}}", "x".repeat(1024 * 1024)).into_bytes(), &[413], &[]);
        if let Some(name) = good.body.as_object().and_then(|members| members.keys().next()) {
            let body = good.body.to_string();
            let twice = format!("{},{}:1}}", &body[..body.len() - 1], Value::from(name.as_str()));
            raw("a member of ours twice", twice.into_bytes(), &[422], &["body", name]);
        }
        for (media, body) in [
            ("application/xml", "<a>CANARY</a>"),
            ("text/plain", "CANARY"),
            ("application/json; charset=utf-16", "CANARY"),
        ] {
            let headers = vec![("content-type", media.to_owned())];
            let bad = Bad { headers, ..good.with_bytes(media, text(body)) };
            all.push(Bad { expected: Refused(&[415], Vec::new()), ..bad });
        }
        let squeezed = good.with_bytes("compressed", good.body.to_string());
        let headers = vec![("content-type", "application/json".to_owned()), ("content-encoding", "gzip".to_owned())];
        all.push(Bad { headers, expected: Refused(&[415], Vec::new()), ..squeezed });
        all
    }

    /// Forms, where they are taken: as strict as JSON.
    fn bad_forms(good: &Good, canary: &str) -> Vec<Bad> {
        let form = |what: &str, text: String, statuses, place: &[&str]| {
            let headers = vec![("content-type", "application/x-www-form-urlencoded".to_owned())];
            let place = place.iter().map(|step| (*step).to_owned()).collect();
            Bad { headers, expected: Refused(statuses, place), ..good.with_bytes(what, text) }
        };
        let many = (0..100).map(|n| format!("m{n}=1&")).collect::<String>();
        vec![
            form("a form with a member twice", format!("token={canary}&token=1"), &[422], &["body", "token"]),
            form("the same, written otherwise", format!("token={canary}&tok%65n=1"), &[422], &["body", "token"]),
            form("a form in no UTF-8", format!("token={canary}%ff"), &[400], &["body", "token"]),
            form("a form that is half encoded", format!("token={canary}%4"), &[400], &["body", "token"]),
            form("a name in no UTF-8", format!("%ff={canary}"), &[400], &["body"]),
            form("a form of many members", many, &[422], &["body"]),
            form("a form that is too large", format!("token={canary}&x={}", "x".repeat(1024 * 1024)), &[413], &[]),
        ]
    }

    /// Each member with every wrong value, by what the document says is wrong.
    fn bad_members(&self, schema: &Value, good: &Good, canary: &str) -> Vec<Bad> {
        let mut all = Vec::new();
        let valid = self.document.validator(schema);
        let offer = |what: String, body: Value, place: &[String]| {
            let expected = if valid.is_valid(&body) { Any } else { Refused(REFUSED, steps(place)) };
            good.with_json(&what, body, expected)
        };
        let mut places = Vec::new();
        self.members(schema, &mut Vec::new(), &mut places);
        for place in &places {
            for value in wrong_values(canary) {
                // What may be left out may be null, whatever the schema of a plugin says.
                if value.is_null() && !self.is_required(schema, place) {
                    let body = set(&good.body, place, value);
                    all.push(good.with_json(&format!("{} left out", place.join(".")), body, Any));
                    continue;
                }
                let what = format!("{}={:.60}", place.join("."), value.to_string());
                all.push(offer(what, set(&good.body, place, value), place));
            }
        }
        for place in std::iter::once(&Vec::new()).chain(&places) {
            let unknown = [&place[..], &["colour".to_owned()]].concat();
            let body = set(&good.body, &unknown, canary.into());
            // Only where there is an object to put it into.
            let inside = self.at(schema, place).is_some_and(|schema| schema["properties"].is_object());
            if inside || place.is_empty() {
                all.push(offer(format!("unknown {}", unknown.join(".")), body, &unknown));
            }
        }
        all
    }

    /// Places of all members that a schema names.
    fn members(&self, schema: &Value, here: &mut Vec<String>, into: &mut Vec<Vec<String>>) {
        let schema = self.document.resolved(schema);
        if here.len() < 4 {
            for inner in ["oneOf", "anyOf", "allOf"].iter().filter_map(|of| schema[of].as_array()).flatten() {
                self.members(inner, here, into);
            }
            for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                here.push(name.clone());
                if !into.contains(here) {
                    into.push(here.clone());
                }
                self.members(inner, here, into);
                here.pop();
            }
        }
    }

    fn is_required(&self, schema: &Value, place: &[String]) -> bool {
        let Some((name, above)) = place.split_last() else { return true };
        let required = self.at(schema, above).and_then(|schema| schema["required"].as_array());
        required.is_some_and(|required| required.iter().any(|member| member == name))
    }

    fn at<'a>(&'a self, schema: &'a Value, place: &[String]) -> Option<&'a Value> {
        let schema = self.document.resolved(schema);
        let Some((name, rest)) = place.split_first() else { return Some(schema) };
        let inner = ["oneOf", "anyOf", "allOf"].iter().filter_map(|of| schema[of].as_array()).flatten();
        schema["properties"]
            .get(name)
            .and_then(|inner| self.at(inner, rest))
            .or_else(|| inner.filter_map(|inner| self.at(inner, place)).next())
    }
}

/// Bad paths and queries.
fn bad_urls(operation: &Operation, good: &Good, canary: &str) -> Vec<Bad> {
    let mut all = Vec::new();
    let plain = good.path.split('?').next().unwrap_or_default();
    let is_file = is_file(operation);
    let mut ask = |what: &str, path: String, expected| {
        let mut bad = Bad { path, ..good.with_json(what, good.body.clone(), expected) };
        if is_file {
            (bad.headers[0].1, bad.body) = ("application/wasm".to_owned(), b"\0asm".to_vec());
        }
        all.push(bad);
    };
    let texts = [
        "%ff",
        "%00",
        "x%0ay",
        "%e2%80%8bx",
        "x%e2%80%aey",
        "..%2f..%2fx",
        "%20",
        "x%5cy",
        "x%7f",
        "%c0%af",
        "%ed%a0%80",
    ];
    let mut bad: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    bad.extend([
        format!("{canary}%00"),
        format!("%0d%0aSet-Cookie:%20{canary}"),
        "x".repeat(5000),
        format!("%ff{canary}"),
    ]);
    let (written, described): (Vec<_>, Vec<_>) = (plain.split('/').collect(), operation.path.split('/').collect());
    for (at, segment) in described.iter().enumerate().filter(|(_, segment)| segment.starts_with('{')) {
        let (name, verb) = segment[1..].split_once('}').expect("a name");
        for text in &bad {
            let mut path = written.clone();
            let put = format!("{text}{verb}");
            path[at] = &put;
            ask(&format!("{name}={text:.40}"), path.join("/"), Refused(&[404, 422], vec!["path".into()]));
        }
    }
    let query = |query: &str| format!("{plain}?{query}");
    for (what, text, place) in [
        ("an unknown member", format!("colour={canary}"), "colour"),
        ("a member twice", format!("colour={canary}&colour=1"), "colour"),
        ("a member twice, written otherwise", "colour=1&col%6fur=1".to_owned(), "colour"),
        ("no UTF-8", format!("colour={canary}%ff"), "colour"),
        ("half an encoding", format!("colour={canary}%4"), "colour"),
        ("a secret", format!("password={canary}"), "password"),
        ("a token", format!("access_token={canary}"), "access_token"),
    ] {
        // What comes along with a callback is for the plugin to judge, once it is known whose it is.
        if operation.id != "browser_callback" {
            ask(what, query(&text), Refused(&[422], vec!["query".into(), place.into()]));
        }
    }
    let many = (0..100).map(|n| format!("m{n}=1&")).collect::<String>();
    ask("many members", query(&many), Refused(&[400, 422], vec!["query".into()]));
    for parameter in operation.says["parameters"].as_array().into_iter().flatten().filter(|one| one["in"] == "query") {
        let (name, kind) = (parameter["name"].as_str().expect("a name"), parameter["schema"]["type"].to_string());
        let texts: &[&str] = match kind {
            kind if kind.contains("integer") => {
                &["x", "-1", "1.5", "", "99999999999999999999", "1e3", "0x1", "%2b1", "+1", " 1"]
            }
            kind if kind.contains("boolean") => &["maybe", "1", "", "TRUE", "yes"],
            _ => &["%ff", "%00"],
        };
        for text in texts {
            let refused = Refused(&[422], vec!["query".into(), name.into()]);
            ask(&format!("{name}={text}"), query(&format!("{name}={text}")), refused);
        }
        ask(name, query(&format!("{name}=1&{name}=1")), Refused(&[422], vec!["query".into(), name.into()]));
    }
    all
}

fn is_file(operation: &Operation) -> bool {
    operation.says["requestBody"]["content"].get("application/wasm").is_some()
}

fn wrong_values(canary: &str) -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(0),
        json!(1.5),
        json!(1e300),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(""),
        json!("18446744073709551615d"),
        json!(format!("{canary}\u{0}")),
        json!(format!("\u{202e}{canary}\u{200b}")),
        json!(format!("{canary}{}", "🦀".repeat(20_000))),
        json!([]),
        json!([canary]),
        json!([[canary]]),
        json!({}),
        json!({ "": canary }),
        json!({ "colour": [canary] }),
    ]
}

/// A body with something at a place, and objects on the way to it.
fn set(body: &Value, place: &[String], value: Value) -> Value {
    let Some((name, rest)) = place.split_first() else { return value };
    let mut body = if body.is_object() { body.clone() } else { json!({}) };
    body[name] = set(&body[name], rest, value);
    body
}

fn steps(place: &[String]) -> Vec<String> {
    std::iter::once("body".to_owned()).chain(place.iter().cloned()).collect()
}

impl Good {
    fn with_json(&self, what: &str, body: Value, expected: Expected) -> Bad {
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        Bad { expected, ..self.with_bytes(what, bytes) }
    }

    fn with_bytes(&self, what: &str, body: impl Into<Vec<u8>>) -> Bad {
        let headers = vec![("content-type", "application/json".to_owned())];
        Bad { what: what.to_owned(), path: self.path.clone(), headers, body: body.into(), expected: Any }
    }
}

/// What is wrong with the answer to something bad.
fn against(expected: &Expected, answer: &Answer, canary: &str) -> Option<String> {
    let (status, text) = (answer.status.as_u16(), format!("{} {:.300}", answer.status.as_u16(), answer.text));
    if status >= 500 {
        return Some(text);
    }
    if answer.text.contains(" at line ") {
        return Some(format!("a parser speaks: {text}"));
    }
    // What was sent as a value is told to nobody. (What came as a name may stand in `loc`.)
    if status >= 400 && answer.text.contains(canary) {
        return Some(format!("quotes what was sent: {text}"));
    }
    let empty = Vec::new();
    let kinds = |kind: &str| answer.body["detail"][0]["type"] == kind;
    let problems = answer.body["detail"].as_array().unwrap_or(&empty);
    let places: Vec<Vec<String>> = problems.iter().map(|problem| place(&problem["loc"])).collect();
    // A page for people names no place.
    if answer.body.is_null()
        && answer.headers.get("content-type").is_some_and(|kind| kind == "text/html; charset=utf-8")
    {
        return (!(400..500).contains(&status) && matches!(expected, Refused(..))).then_some(text);
    }
    match expected {
        Any if status == 422 && !OF_THE_WHOLE.iter().any(|kind| kinds(kind)) && places.iter().all(Vec::is_empty) => {
            Some(format!("says no place: {text}"))
        }
        Any => None,
        Refused(statuses, _) if !statuses.contains(&status) => Some(format!("not {statuses:?}: {text}")),
        // Whether it is there is not looked at, or nothing of it is told.
        Refused(_, _) if matches!(status, 401 | 403 | 404 | 405 | 413 | 415) => None,
        Refused(_, place) if status == 400 && ends_in(place, &WITHOUT_A_PLACE) => None,
        Refused(_, place) => {
            let above = &place[..place.len().saturating_sub(1)];
            let beside = |told: &Vec<String>| told.len() == place.len() && told.starts_with(above);
            let lacks = (kinds("missing") && above.len() > 1) || ends_in(place, &INSTEAD);
            // Which of two that do not go together is too many is for the whole to say.
            let of_both = |told: &Vec<String>| ends_in(place, &INSTEAD) && told == above;
            let named = places.iter().any(|told| told.starts_with(place) || (lacks && beside(told)) || of_both(told));
            (!named).then(|| format!("not at {place:?}: {text}"))
        }
    }
}

fn ends_in(place: &[String], members: &[&str]) -> bool {
    place.last().is_some_and(|last| members.contains(&last.as_str()))
}

fn place(loc: &Value) -> Vec<String> {
    let step = |step: &Value| step.as_str().map_or_else(|| step.to_string(), str::to_owned);
    loc.as_array().into_iter().flatten().map(step).collect()
}
