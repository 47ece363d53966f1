//! `name=value&name=value`: query strings, and the bodies that OAuth's clients send.
//!
//! Read strictly: percent-encoding must be whole, text must be UTF-8, no name comes twice.

use serde_json::{Map, Value};

use super::{
    error::{ApiError, Kind, Step},
    json,
};
use crate::limits;

/// What is wrong with a text that should be percent-encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Malformed;

/// Pairs to an object of strings. `root` is `body` or `query`, `malformed` what a text is told
/// that is no form.
pub fn parse(text: &[u8], root: &'static str, malformed: Kind) -> Result<Value, ApiError> {
    let mut members = Map::new();
    for pair in text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        if members.len() >= limits::FORM_MEMBERS {
            return Err(ApiError::at(Kind::TooMany, [root]));
        }
        let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let (name, value) = (&pair[..at], pair.get(at + 1..).unwrap_or_default());
        let name = decode(name, true).map_err(|Malformed| ApiError::at(malformed, [root]))?;
        let place = || [Step::from(root), json::told(&name)];
        let value = decode(value, true).map_err(|Malformed| ApiError::at(malformed, place()))?;
        if members.contains_key(&name) {
            return Err(ApiError::at(Kind::DuplicateMember, place()));
        }
        members.insert(name, value.into());
    }
    Ok(Value::Object(members))
}

/// Percent-decodes once. `%` must be followed by two hex digits, and UTF-8 must come of it.
/// In forms a `+` is a space.
pub fn decode(text: &[u8], plus: bool) -> Result<String, Malformed> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => 16 * digit(rest.next())? + digit(rest.next())?,
            b'+' if plus => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| Malformed)
}

fn digit(byte: Option<u8>) -> Result<u8, Malformed> {
    let digit = byte.and_then(|byte| char::from(byte).to_digit(16)).ok_or(Malformed)?;
    u8::try_from(digit).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, (u16, &'static str)> {
        parse(text.as_bytes(), "body", Kind::InvalidForm).map_err(|e| (e.kind().status(), e.kind().code()))
    }

    #[test]
    fn a_form_is_an_object_of_strings() {
        assert_eq!(
            read("a=1&b=x+y%2Bz&c=&d&%C3%A9=%3D=").unwrap(),
            json!({"a": "1", "b": "x y+z", "c": "", "d": "", "é": "=="})
        );
        assert_eq!(read("").unwrap(), json!({}));
    }

    #[test]
    fn a_name_that_comes_twice_is_refused_however_it_is_written() {
        for text in ["a=1&a=1", "a=1&%61=2", "a&b&a"] {
            assert_eq!(read(text), Err((422, "duplicate_member")), "{text}");
        }
    }

    #[test]
    fn what_is_half_encoded_or_no_utf_8_is_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "%ff=1", "a=%c3", "a=%+1"] {
            assert_eq!(read(text), Err((400, "invalid_form")), "{text}");
        }
    }

    #[test]
    fn a_form_has_few_members() {
        let text = (0..=limits::FORM_MEMBERS).map(|n| format!("a{n}=1&")).collect::<String>();
        assert_eq!(read(&text), Err((422, "too_many")));
    }
}
