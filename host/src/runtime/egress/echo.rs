//! Finding a credential in what a host answers, however the host may have written it down there.

use std::borrow::Cow;

use memchr::memmem;
use percent_encoding::percent_decode;
use zeroize::Zeroizing;

use super::credential::{Credential, Place};
use crate::{limits, runtime::forms};

/// How often escapes of JSON are undone: of JSON, and of JSON in a text in it.
const ESCAPED: usize = 2;

/// A text, and what else it says to whoever undoes escapes. However many there are, a few of its lengths.
pub(super) fn readings(text: &[u8]) -> Vec<Cow<'_, [u8]>> {
    let mut readings = vec![Cow::Borrowed(text)];
    for _ in 0..ESCAPED {
        match readings.last().map(|last| unescaped(last)) {
            Some(Some(plain)) => readings.push(Cow::Owned(plain)),
            _ => break,
        }
    }
    for at in 0..readings.len() {
        if readings[at].contains(&b'%') {
            let decoded = percent_decode(&readings[at]).collect();
            readings.push(Cow::Owned(decoded));
        }
        // A form: its spaces are written so.
        if readings[at].contains(&b'+') {
            let spaced: Vec<u8> = readings[at].iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            readings.push(Cow::Owned(percent_decode(&spaced).collect()));
        }
    }
    readings
}

/// What to look for: what is secret of it, as it is and in base64.
pub(super) fn traces(credential: &Credential) -> Vec<Zeroizing<Vec<u8>>> {
    let value = credential.value.reveal();
    // Of `user:password` the one is no secret, and the other is one by itself.
    let password = value.split_once(':').filter(|_| credential.place == Place::Basic).map(|(_, password)| password);
    let mut traces = Vec::new();
    for secret in [Some(value.as_str()), password].into_iter().flatten() {
        if secret.len() >= limits::EGRESS_CREDENTIAL_BYTES {
            traces.push(Zeroizing::new(secret.as_bytes().to_vec()));
            traces.extend(forms::in_base64(secret).map(|mut text| Zeroizing::new(std::mem::take(&mut *text).into())));
        }
    }
    traces
}

pub(super) fn holds(text: &[u8], traces: &[Zeroizing<Vec<u8>>]) -> bool {
    traces.iter().any(|trace| memmem::find(text, trace).is_some())
}

/// Without the escapes of JSON; none if it has none.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let first = memchr::memchr(b'\\', text)?;
    let mut plain = text[..first].to_vec();
    let mut rest = &text[first..];
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        let (b'\\', Some((escape, after))) = (*byte, after.split_first()) else {
            plain.push(*byte);
            continue;
        };
        let meant = match escape {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => match character(after) {
                Some((char, after)) => {
                    plain.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                    rest = after;
                    continue;
                }
                None => b'u',
            },
            other => *other,
        };
        plain.push(meant);
        rest = after;
    }
    Some(plain)
}

/// Behind `\u`: four digits, or twice that for what UTF-16 writes in two.
fn character(text: &[u8]) -> Option<(char, &[u8])> {
    let unit = |text: &[u8]| u16::from_str_radix(std::str::from_utf8(text.get(..4)?).ok()?, 16).ok();
    let first = unit(text)?;
    let rest = &text[4..];
    if let Some(char) = char::from_u32(first.into()) {
        return Some((char, rest));
    }
    let second = unit(rest.strip_prefix(br"\u")?)?;
    let char = char::decode_utf16([first, second]).next()?.ok()?;
    Some((char, &rest[6..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sensitive::Secret;

    fn is_found(place: Place, value: &str, answer: &str) -> bool {
        let credential = Credential { hosts: Vec::new(), place, value: Secret::new(value.to_owned()) };
        let traces = traces(&credential);
        readings(answer.as_bytes()).iter().any(|reading| holds(reading, &traces))
    }

    #[test]
    fn a_credential_is_found_however_its_marks_are_escaped() {
        let value = "sword+fish/é 𝄞&\"22";
        for answer in [
            "a sword+fish/é 𝄞&\"22 b",
            r#"{"x":"sword+fish\/é 𝄞&\"22"}"#,
            r#"{"x":"sword\u002bfish/\u00e9 \uD834\udd1e\u0026\"22"}"#,
            r#"{"x":"{\"y\":\"sword\\u002bfish\\/é 𝄞&\\\"22\"}"}"#,
            "x=sword%2bfish/%c3%a9%20%f0%9d%84%9e&\"22",
            "x=%73word%2Bfish%2F%C3%A9+%F0%9D%84%9E%26%2222&y=1",
            r#"{"x":"sword%2bfish\/%c3%a9+%f0%9d%84%9e%26%2222"}"#,
        ] {
            assert!(is_found(Place::Bearer, value, answer), "{answer}");
        }
        assert!(!is_found(Place::Bearer, value, r#"{"x":"sword\u002"#), "what is cut off is not there");
    }

    #[test]
    fn a_password_is_found_by_itself_and_in_base64_wherever_that_begins() {
        use base64::{Engine, prelude::*};
        let value = "robot:hunter 22/>?";
        for before in ["", "a", "ab"] {
            let text = format!("{before}hunter 22/>?, and on");
            for answer in [BASE64_STANDARD.encode(&text), BASE64_URL_SAFE_NO_PAD.encode(&text)] {
                assert!(is_found(Place::Basic, value, &answer), "{answer}");
                assert!(!is_found(Place::Bearer, value, &answer), "{answer}");
            }
        }
        let escaped = BASE64_STANDARD.encode(value).replace('/', "%2f").replace('+', "%2b");
        assert!(is_found(Place::Basic, value, &escaped), "{escaped}");
        assert!(is_found(Place::Basic, value, "password=hunter+22%2f%3e%3f"));
        assert!(!is_found(Place::Basic, value, "robot"), "a name is no secret");
        assert!(!is_found(Place::Basic, "robot:abc", "abc"), "it would be found everywhere");
    }
}
