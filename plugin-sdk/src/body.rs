//! JSON into a type, and where it does not fit, a problem that says at which place and why. The
//! words are ours: neither the input nor a parser is quoted.

use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, Visitor};
use serde_json::{Map, Number, Value};

use crate::{Error, Result};

/// A JSON object as `T`; no bytes at all count as `{}`.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    read(bytes, false)
}

/// As `from_json`, and texts are read as numbers and bools where those are wanted.
pub fn from_query<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    read(bytes, true)
}

/// As `from_json`, of what has been parsed already.
pub fn from_value<T: DeserializeOwned>(value: Value) -> Result<T> {
    fit(value, false)
}

fn read<T: DeserializeOwned>(bytes: &[u8], text: bool) -> Result<T> {
    let value = match bytes {
        [] => Value::Object(Map::new()),
        _ => serde_json::from_slice(bytes).map_err(|_| Error::invalid("", "not_json", "must be JSON"))?,
    };
    fit(value, text)
}

fn fit<T: DeserializeOwned>(value: Value, text: bool) -> Result<T> {
    T::deserialize(Reader { value, text }).map_err(|misfit| Error::invalid(misfit.at, misfit.code, misfit.message))
}

/// What does not fit. `at` grows from the inside while the reading unwinds.
#[derive(Debug)]
struct Misfit {
    at: String,
    code: &'static str,
    message: String,
}

impl Misfit {
    fn new(code: &'static str, message: impl fmt::Display) -> Self {
        Self { at: String::new(), code, message: message.to_string() }
    }

    fn type_is_not(wanted: &str) -> Self {
        Self::new("wrong_type", format_args!("must be {wanted}"))
    }

    fn below(self, segment: &str) -> Self {
        Self { at: format!("/{}{}", segment.replace('~', "~0").replace('/', "~1"), self.at), ..self }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Misfit {}

impl de::Error for Misfit {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new("invalid_value", message)
    }

    fn invalid_type(_: de::Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        Self::new("wrong_type", format_args!("must be {wanted}"))
    }

    fn invalid_value(_: de::Unexpected<'_>, wanted: &dyn de::Expected) -> Self {
        Self::new("out_of_range", format_args!("must be {wanted}"))
    }

    fn invalid_length(_: usize, wanted: &dyn de::Expected) -> Self {
        Self::new("out_of_range", format_args!("must be {wanted}"))
    }

    fn unknown_variant(_: &str, known: &'static [&'static str]) -> Self {
        Self::new("invalid_value", format_args!("must be one of {}", known.join(", ")))
    }

    fn unknown_field(name: &str, _: &'static [&'static str]) -> Self {
        Self::new("unknown_member", "there is no such member").below(name)
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new("missing", "is required").below(name)
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::new("duplicate_member", "stands there twice").below(name)
    }
}

struct Reader {
    value: Value,
    text: bool,
}

impl Reader {
    fn number(self) -> Result<Number, Misfit> {
        let number = match self.value {
            Value::Number(number) => Some(number),
            Value::String(digits) if self.text => digits.parse().ok(),
            _ => None,
        };
        number.ok_or_else(|| Misfit::type_is_not("a number"))
    }

    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let number = self.number().map_err(|_| Misfit::type_is_not("a whole number"))?;
        let range = |_| Misfit::new("out_of_range", "is too small or too large");
        match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => visitor.visit_u64::<Misfit>(number).map_err(range),
            (None, Some(number)) => visitor.visit_i64::<Misfit>(number).map_err(range),
            (None, None) => Err(Misfit::type_is_not("a whole number")),
        }
    }

    fn object<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let text = self.text;
        match self.value {
            Value::Object(members) => visitor.visit_map(Members { rest: members.into_iter(), value: None, text }),
            _ => Err(Misfit::type_is_not("an object")),
        }
    }

    fn array<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let text = self.text;
        match self.value {
            Value::Array(items) => visitor.visit_seq(Items { rest: items.into_iter(), place: 0, text }),
            _ => Err(Misfit::type_is_not("an array")),
        }
    }

    fn string<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::String(string) => visitor.visit_string(string),
            _ => Err(Misfit::type_is_not("a string")),
        }
    }
}

macro_rules! whole_numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            self.integer(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Reader {
    type Error = Misfit;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(is) => visitor.visit_bool(is),
            Value::Number(ref number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(string) => visitor.visit_string(string),
            Value::Array(_) => self.array(visitor),
            Value::Object(_) => self.object(visitor),
        }
    }

    whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_f64(self.number()?.as_f64().unwrap_or(f64::NAN))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match &self.value {
            Value::Bool(is) => visitor.visit_bool(*is),
            Value::String(text) if self.text && text == "true" => visitor.visit_bool(true),
            Value::String(text) if self.text && text == "false" => visitor.visit_bool(false),
            _ => Err(Misfit::type_is_not("true or false")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    /// A plugin without configuration is a unit struct.
    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        match self.value {
            Value::Object(members) => match members.keys().next() {
                None => visitor.visit_unit(),
                Some(name) => Err(de::Error::unknown_field(name, &[])),
            },
            _ => Err(Misfit::type_is_not("an object")),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.array(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.object(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.object(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        let text = self.text;
        match self.value {
            Value::String(name) => visitor.visit_enum(name.into_deserializer()),
            Value::Object(members) => {
                let members = Members { rest: members.into_iter(), value: None, text };
                visitor.visit_enum(de::value::MapAccessDeserializer::new(members))
            }
            _ => Err(Misfit::type_is_not("a string or an object")),
        }
    }

    serde::forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit tuple tuple_struct identifier ignored_any }
}

struct Members {
    rest: serde_json::map::IntoIter,
    value: Option<(String, Value)>,
    text: bool,
}

impl<'de> de::MapAccess<'de> for Members {
    type Error = Misfit;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Misfit> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        let key = seed.deserialize(name.as_str().into_deserializer())?;
        self.value = Some((name, value));
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Misfit> {
        let (name, value) = self.value.take().ok_or_else(|| Misfit::type_is_not("an object"))?;
        seed.deserialize(Reader { value, text: self.text }).map_err(|misfit| misfit.below(&name))
    }
}

struct Items {
    rest: std::vec::IntoIter<Value>,
    place: usize,
    text: bool,
}

impl<'de> de::SeqAccess<'de> for Items {
    type Error = Misfit;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Misfit> {
        let Some(value) = self.rest.next() else { return Ok(None) };
        let place = self.place;
        self.place += 1;
        let item = seed.deserialize(Reader { value, text: self.text });
        item.map(Some).map_err(|misfit| misfit.below(&place.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(deny_unknown_fields)]
    struct Body {
        name: String,
        count: Option<u8>,
        #[serde(default)]
        items: Vec<Item>,
        #[serde(default)]
        free: BTreeMap<String, Value>,
        #[serde(default)]
        on: bool,
        kind: Option<Kind>,
    }

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(deny_unknown_fields)]
    struct Item {
        size: f64,
    }

    #[derive(Deserialize, PartialEq, Debug)]
    #[serde(rename_all = "lowercase")]
    enum Kind {
        Red,
        Blue { depth: u32 },
    }

    #[derive(Deserialize, Debug)]
    struct Nothing;

    #[test]
    fn a_body_that_fits_is_read() {
        let text = r#"{"name": "a", "count": 3, "items": [{"size": 1}, {"size": 2.5}],
            "free": {"x": [null, true]}, "on": true, "kind": {"blue": {"depth": 4}}}"#;
        let body: Body = from_json(text.as_bytes()).unwrap();
        assert_eq!((body.name.as_str(), body.count, body.items[1].size, body.on), ("a", Some(3), 2.5, true));
        assert_eq!((body.kind, body.free["x"][1].clone()), (Some(Kind::Blue { depth: 4 }), Value::Bool(true)));
        assert_eq!(from_json::<Body>(br#"{"name": "", "kind": "red"}"#).unwrap().kind, Some(Kind::Red));
        from_json::<Nothing>(b"").unwrap();
        from_json::<Nothing>(b"{}").unwrap();
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_place() {
        for (text, at, code) in [
            ("", "/name", "missing"),
            ("[]", "", "wrong_type"),
            ("{", "", "not_json"),
            (r#"{"name": 1}"#, "/name", "wrong_type"),
            (r#"{"name": "", "more": 1}"#, "/more", "unknown_member"),
            (r#"{"name": "", "a/b~": 1}"#, "/a~1b~0", "unknown_member"),
            (r#"{"name": "", "count": 256}"#, "/count", "out_of_range"),
            (r#"{"name": "", "count": -1}"#, "/count", "out_of_range"),
            (r#"{"name": "", "count": 1.5}"#, "/count", "wrong_type"),
            (r#"{"name": "", "count": "1"}"#, "/count", "wrong_type"),
            (r#"{"name": "", "items": [{"size": 1}, {"size": "x"}]}"#, "/items/1/size", "wrong_type"),
            (r#"{"name": "", "items": [{"size": 1, "x": 1}]}"#, "/items/0/x", "unknown_member"),
            (r#"{"name": "", "items": {}}"#, "/items", "wrong_type"),
            (r#"{"name": "", "on": "true"}"#, "/on", "wrong_type"),
            (r#"{"name": "", "kind": "green"}"#, "/kind", "invalid_value"),
            (r#"{"name": "", "kind": {"blue": {}}}"#, "/kind/blue/depth", "missing"),
        ] {
            let error = from_json::<Body>(text.as_bytes()).unwrap_err();
            let problem = &error.problems[0];
            assert_eq!(
                (error.code.as_str(), problem.at.as_str(), problem.code.as_str()),
                ("invalid", at, code),
                "{text}"
            );
        }
        assert_eq!(from_json::<Nothing>(br#"{"x": 1}"#).unwrap_err().problems[0].at, "/x");
    }

    #[test]
    fn a_query_says_numbers_and_bools_in_text() {
        let body: Body = from_query(br#"{"name": "1", "count": "7", "on": "true"}"#).unwrap();
        assert_eq!((body.name.as_str(), body.count, body.on), ("1", Some(7), true));
        let native: Body = from_query(br#"{"name": "1", "count": 7, "on": true}"#).unwrap();
        assert_eq!(body, native);
        let error = from_query::<Body>(br#"{"name": "1", "count": "x"}"#).unwrap_err();
        assert_eq!(error.problems[0].at, "/count");
    }
}
