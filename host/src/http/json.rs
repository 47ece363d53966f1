//! JSON as we take it: an object, in UTF-8, no member twice, bounded in depth and number.
//!
//! Small JSON can be dear to parse (CVE-2025-6203), and two parsers that choose different ones of
//! two equal members can be played against each other; so both are refused before anybody looks. And
//! a number that would come back as another (`numeral`) is refused where it stands.

use std::{
    cell::{Cell, RefCell},
    fmt,
};

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::error::{ApiError, Kind, Step};
use crate::{limits, numeral, problem};

/// How much of a name that a client chose is told back to it.
const TOLD_BYTES: usize = 128;

/// Bytes to an object: 400 if they are no JSON, 422 if they are, but not as we take it.
pub fn parse(bytes: &[u8]) -> Result<Value, ApiError> {
    let state = State::default();
    let value = read(bytes, &state)?;
    // Only what is no integer can have been rounded, and few bodies have such a number.
    match state.fractions.get().then(|| numeral::first_inexact(bytes)).flatten() {
        None => Ok(value),
        // Again, to see where it stands.
        Some(number) => read(bytes, &State { refused: Some(number), ..State::default() })
            .and(Err(ApiError::at(Kind::InexactNumber, ["body"]))),
    }
}

fn read(bytes: &[u8], state: &State) -> Result<Value, ApiError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let parsed = Seed { state, depth: 0 }.deserialize(&mut reader).and_then(|value| {
        reader.end()?;
        Ok(value)
    });
    match (parsed, state.fault.take()) {
        (Ok(value @ Value::Object(_)), _) => Ok(value),
        (Ok(_), _) => Err(ApiError::because(Kind::WrongType, ["body"], "must be a JSON object")),
        (Err(_), Some(fault)) => Err(ApiError::at(fault, state.path.take())),
        // The only thing that is grammatical and that serde_json cannot hold: 1e999.
        (Err(error), None) if error.to_string().starts_with("number out of range") => {
            Err(ApiError::at(Kind::InexactNumber, state.path.take()))
        }
        (Err(_), None) => Err(ApiError::at(Kind::InvalidJson, ["body"])),
    }
}

/// An object to a type of ours; every problem is told with its place, in our own words.
pub fn decode<T: DeserializeOwned>(value: &Value, root: &'static str) -> Result<T, ApiError> {
    problem::decode(value).map_err(|problems| ApiError::problems(root, problems, value))
}

/// A JSON Pointer as a `loc`. What was sent tells the third of a list from a member named `3`.
pub fn loc(root: &'static str, pointer: &str, sent: &Value) -> Vec<Step> {
    let (mut loc, mut here) = (vec![Step::from(root)], Some(sent));
    for segment in pointer.split('/').skip(1) {
        let name = segment.replace("~1", "/").replace("~0", "~");
        let index = here.filter(|value| value.is_array()).and_then(|_| name.parse().ok());
        here = here.and_then(|value| match index {
            Some(index) => value.get::<usize>(index),
            None => value.get(&name),
        });
        loc.push(index.map_or_else(|| told(&name), Step::Index));
    }
    loc
}

/// A name that the client chose, bounded.
pub fn told(name: &str) -> Step {
    let mut end = name.len().min(TOLD_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].to_owned().into()
}

/// What the visitor learns, besides the value: serde's errors can carry only text.
struct State {
    path: RefCell<Vec<Step>>,
    members: RefCell<usize>,
    fault: RefCell<Option<Kind>>,
    /// How many numbers there were, and whether one of them was not an integer of 64 bits.
    numbers: Cell<usize>,
    fractions: Cell<bool>,
    /// The number that would come back changed.
    refused: Option<usize>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            path: RefCell::new(vec!["body".into()]),
            members: RefCell::default(),
            fault: RefCell::default(),
            numbers: Cell::default(),
            fractions: Cell::default(),
            refused: None,
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'a> {
    state: &'a State,
    depth: usize,
}

impl Seed<'_> {
    /// Stops here: the path that was walked is the place of the fault.
    fn fail<E: serde::de::Error>(&self, kind: Kind) -> E {
        *self.state.fault.borrow_mut() = Some(kind);
        E::custom("refused")
    }

    fn enter<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth < limits::JSON_DEPTH {
            true => Ok(Self { depth: self.depth + 1, ..self }),
            false => Err(self.fail(Kind::TooDeep)),
        }
    }

    fn count<E: serde::de::Error>(&self) -> Result<(), E> {
        *self.state.members.borrow_mut() += 1;
        if *self.state.members.borrow() > limits::JSON_MEMBERS { Err(self.fail(Kind::TooMany)) } else { Ok(()) }
    }

    fn number<E: serde::de::Error>(&self) -> Result<(), E> {
        let number = self.state.numbers.get();
        self.state.numbers.set(number + 1);
        if self.state.refused == Some(number) { Err(self.fail(Kind::InexactNumber)) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.number().map(|()| value.into())
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.number().map(|()| value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.number()?;
        self.state.fractions.set(true);
        Number::from_f64(value).map(Value::Number).ok_or_else(|| self.fail(Kind::InexactNumber))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let (inner, mut list) = (self.enter()?, Vec::new());
        loop {
            self.state.path.borrow_mut().push(Step::Index(list.len()));
            let Some(value) = from.next_element_seed(inner)? else { break };
            list.push(value);
            self.count()?;
            self.state.path.borrow_mut().pop();
        }
        self.state.path.borrow_mut().pop();
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let (inner, mut map) = (self.enter()?, Map::new());
        while let Some(name) = from.next_key::<String>()? {
            self.state.path.borrow_mut().push(told(&name));
            self.count()?;
            if map.contains_key(&name) {
                return Err(self.fail(Kind::DuplicateMember));
            }
            let value = from.next_value_seed(inner)?;
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("checked above"));
            }
            self.state.path.borrow_mut().pop();
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    fn refused(bytes: impl AsRef<[u8]>) -> (u16, String, String) {
        let error = parse(bytes.as_ref()).unwrap_err();
        let loc = serde_json::to_string(&error.detail()[0].loc).unwrap();
        (error.kind().status(), error.kind().code().to_owned(), loc)
    }

    #[test]
    fn an_object_is_taken_as_it_is() {
        let text = r#" {"a": [1, -2, 1.5, "\u00e9", null, true], "b": {"": {}}} "#;
        assert_eq!(parse(text.as_bytes()).unwrap(), json!({"a": [1, -2, 1.5, "é", null, true], "b": {"": {}}}));
    }

    #[test]
    fn what_is_no_json_is_400() {
        let bad: &[&[u8]] = &[
            b"",
            b"{",
            b"{}x",
            b"{} {}",
            b"nul",
            b"{\"a\":1,}",
            b"{'a':1}",
            b"{\"a\":01}",
            b"{\"a\":\"\xff\"}",
            b"\xef\xbb\xbf{}",
            b"{\"a\":NaN}",
            b"{\"a\":\"\\ud800\"}",
            b"{\"a\":\"\n\"}",
            b"\xff",
            b"{a:1}",
        ];
        for text in bad {
            assert_eq!(refused(text), (400, "invalid_json".into(), r#"["body"]"#.into()), "{text:?}");
        }
    }

    #[test]
    fn what_is_json_but_no_object_is_422() {
        for text in ["[]", "null", "1", "\"x\"", "[{}]"] {
            assert_eq!(refused(text), (422, "wrong_type".into(), r#"["body"]"#.into()), "{text}");
        }
    }

    #[test]
    fn a_member_that_comes_twice_is_named() {
        let cases = [
            (r#"{"a":1,"a":1}"#, r#"["body","a"]"#),
            (r#"{"a":1,"\u0061":2}"#, r#"["body","a"]"#),
            (r#"{"x":[{},{"y":{"b":1,"b":2}}]}"#, r#"["body","x",1,"y","b"]"#),
        ];
        for (text, loc) in cases {
            assert_eq!(refused(text), (422, "duplicate_member".into(), loc.into()), "{text}");
        }
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let nested = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
        assert!(parse(nested(limits::JSON_DEPTH).as_bytes()).is_ok());
        assert_eq!(refused(nested(limits::JSON_DEPTH + 1)).1, "too_deep");
        assert_eq!(refused(format!(r#"{{"a":{}"#, "[".repeat(100_000))).1, "too_deep");
        let list = |members: usize| format!(r#"{{"a":[{}1]}}"#, "1,".repeat(members - 2));
        assert!(parse(list(limits::JSON_MEMBERS).as_bytes()).is_ok());
        assert_eq!(refused(list(limits::JSON_MEMBERS + 1)).1, "too_many");
    }

    #[test]
    fn a_number_that_would_come_back_changed_is_refused_where_it_stands() {
        let cases = [
            (r#"{"a":{"b":1e999}}"#, r#"["body","a","b"]"#),
            (r#"{"a":[1,-2,0.5,18446744073709551616]}"#, r#"["body","a",3]"#),
            (r#"{"a":{"1e999":[0.1],"c":0.1000000000000000055511151231257827}}"#, r#"["body","a","c"]"#),
            (r#"{"a":"18446744073709551616","b":-9223372036854775809}"#, r#"["body","b"]"#),
        ];
        for (text, loc) in cases {
            assert_eq!(refused(text), (422, "inexact_number".into(), loc.into()), "{text}");
        }
        for text in [r#"{"a":1.10,"b":1e5,"c":0.1}"#, r#"{"a":18446744073709551615,"b":-9223372036854775808}"#] {
            assert!(parse(text.as_bytes()).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_type_that_does_not_fit_is_told_with_its_place() {
        #[derive(Deserialize, Debug)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "only read")]
        struct Body {
            list: Vec<u8>,
        }
        let cases = [
            (json!({}), "missing", json!(["body", "list"])),
            (json!({"list": [1, "x"]}), "wrong_type", json!(["body", "list", 1])),
            (json!({"list": [], "canary": 1}), "unknown_member", json!(["body", "canary"])),
        ];
        for (sent, code, loc) in cases {
            let error = decode::<Body>(&sent, "body").unwrap_err();
            let detail = serde_json::to_value(&error.detail()[0]).unwrap();
            assert_eq!((&detail["type"], &detail["loc"]), (&json!(code), &loc), "{sent}");
        }
    }

    #[test]
    fn a_name_of_the_clients_is_told_back_only_in_part() {
        let Step::Name(name) = told(&"é".repeat(1000)) else { panic!() };
        assert_eq!(name, "é".repeat(TOLD_BYTES / 2));
    }
}
