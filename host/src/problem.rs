//! One thing that a client can mend in what it sent, and how JSON becomes our types with such
//! problems in our own words: a parser's message would quote the input.

use std::borrow::Cow;

use serde::{
    Deserializer,
    de::{
        self, DeserializeOwned, IntoDeserializer, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::Value;
use serde_path_to_error::Segment;

/// Lists of names that are longer than this help nobody.
const KNOWN_BYTES: usize = 256;

/// `at` is a JSON Pointer (RFC 6901) into what was sent, `code` one of the documented types.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub at: String,
    pub code: Cow<'static, str>,
    pub message: Cow<'static, str>,
}

impl Problem {
    pub fn new(at: impl Into<String>, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { at: at.into(), code: code.into(), message: message.into() }
    }

    /// The same, found inside of something that itself stands at `place`.
    pub fn below(mut self, place: &str) -> Self {
        self.at.insert_str(0, place);
        self
    }
}

/// A JSON Pointer to `member` below `place`.
pub fn pointer(place: &str, member: &str) -> String {
    format!("{place}/{}", member.replace('~', "~0").replace('/', "~1"))
}

/// Reads a type of ours from JSON; what is wrong is told with its place.
pub fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, Vec<Problem>> {
    serde_path_to_error::deserialize(Strict(value)).map_err(|error| {
        let at = error.path().iter().fold(String::new(), |at, segment| match segment {
            Segment::Seq { index } => pointer(&at, &index.to_string()),
            Segment::Map { key } => pointer(&at, key),
            Segment::Enum { .. } | Segment::Unknown => at,
        });
        vec![explain(at, &error.inner().to_string())]
    })
}

/// Like the value itself, but a record of ours is read from an object and never from an array,
/// which serde would take member by member.
struct Strict<'de>(&'de Value);

impl<'de> IntoDeserializer<'de, serde_json::Error> for Strict<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict<'de> {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(items) => SeqDeserializer::new(items.iter().map(Strict)).deserialize_any(visitor),
            Value::Object(members) => {
                let members = members.iter().map(|(name, value)| (name.as_str(), Strict(value)));
                MapDeserializer::new(members).deserialize_any(visitor)
            }
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Array(_) => Err(de::Error::invalid_type(de::Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        if self.0.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

fn explain(at: String, said: &str) -> Problem {
    let named = |text: &str| text.split('`').nth(1).map(str::to_owned);
    if said.starts_with("missing field") {
        let member = named(said).unwrap_or_default();
        return Problem::new(pointer(&at, &member), "missing", "is required");
    }
    if said.starts_with("unknown field") {
        return Problem::new(at, "unknown_member", unknown_member(said));
    }
    if said.starts_with("invalid type") || said.starts_with("data did not match") {
        return Problem::new(at, "wrong_type", "has the wrong type");
    }
    // The last of them is serde's own: what was sent may hold another.
    if let Some((_, expected)) = said.rsplit_once(", expected ").filter(|_| said.starts_with("unknown variant")) {
        let words = expected.trim_start_matches("one of ").replace('`', "");
        return Problem::new(at, "invalid_value", format!("must be {}", words.replace(", ", " or ")));
    }
    if said.starts_with("invalid value") {
        return Problem::new(at, "out_of_range", "is out of range");
    }
    // What is left are the words of our own types. A quotation mark would mean that a type of
    // somebody else's has quoted what it read.
    let ours = said.len() <= 160 && !said.contains(['"', '\'', '`']);
    Problem::new(at, "invalid_value", if ours { said.to_owned() } else { "is not valid".to_owned() })
}

/// Which members there are: serde tells, after the name that was sent and that is not told back.
fn unknown_member(said: &str) -> Cow<'static, str> {
    let known = said.rsplit_once("`, expected ").map(|(_, known)| known.trim_start_matches("one of ").replace('`', ""));
    match known {
        Some(known) if known.len() <= KNOWN_BYTES => format!("is not known here, only {known}").into(),
        _ => "is not known here".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;
    use crate::ids::MountName;

    #[derive(Deserialize, Debug)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read")]
    struct Sample {
        mount: MountName,
        #[serde(default)]
        kind: Option<Kind>,
        #[serde(default)]
        list: Vec<u8>,
    }

    #[derive(Deserialize, Debug)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        One,
        Two,
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_never_quoted() {
        let cases = [
            (json!({}), "/mount", "missing"),
            (json!({"mount": "kv", "canary/x": 1}), "/canary~1x", "unknown_member"),
            (json!({"mount": 5}), "/mount", "wrong_type"),
            (json!(["kv", null, []]), "", "wrong_type"),
            (json!({"mount": "CANARY"}), "/mount", "invalid_value"),
            (json!({"mount": "kv", "kind": "canary"}), "/kind", "invalid_value"),
            (json!({"mount": "kv", "list": [1, "canary"]}), "/list/1", "wrong_type"),
            (json!({"mount": "kv", "list": [1, 999]}), "/list/1", "out_of_range"),
        ];
        for (value, at, code) in cases {
            let problem = decode::<Sample>(&value).unwrap_err().remove(0);
            assert_eq!((problem.at.as_str(), &*problem.code), (at, code), "{value}");
            assert!(!problem.message.to_lowercase().contains("canary"), "{problem:?}");
        }
    }

    #[test]
    fn the_words_of_an_enum_are_told() {
        let problem = decode::<Sample>(&json!({"mount": "kv", "kind": 5})).unwrap_err().remove(0);
        assert!(!problem.message.is_empty());
        let problem = decode::<Sample>(&json!({"mount": "kv", "kind": "x"})).unwrap_err().remove(0);
        assert_eq!(problem.message, "must be one or two");
        let sly = "x`, expected `CANARY";
        let problem = decode::<Sample>(&json!({"mount": "kv", "kind": sly})).unwrap_err().remove(0);
        assert_eq!(problem.message, "must be one or two");
    }

    #[test]
    fn the_members_that_there_are_are_told_and_not_the_one_that_was_sent() {
        for name in ["colour", "x`, expected one of `CANARY`", "`", ""] {
            let problem = decode::<Sample>(&json!({"mount": "kv", name: 1})).unwrap_err().remove(0);
            assert_eq!(problem.message, "is not known here, only mount, kind, list", "{name}");
        }
    }
}
