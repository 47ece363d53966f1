//! References to secrets in texts and in the environment: `coffer://kv/apps/web/db#pass`.
//!
//! Percent-encoding is undone once. Where there is no `#member`, the secret's only one is meant, or
//! `value`. A reference ends where no name would go on; one in `{{ }}` may hold anything.

use std::{collections::BTreeMap, ops::Range};

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::{Failure, With, client::Client, output, secret};
use crate::ids::SecretPath;

pub const SCHEME: &str = "coffer://";

/// One value, of one version or of the newest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reference {
    pub secret: SecretPath,
    pub version: Option<u64>,
    pub member: Option<String>,
}

impl Reference {
    /// With the scheme or without.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |told: &str| format!("{text}: {told}");
        let decode = |part: &str| {
            let decoded = percent_decode_str(part).decode_utf8().map(std::borrow::Cow::into_owned);
            decoded.map_err(|_| wrong("is not UTF-8"))
        };
        let rest = text.strip_prefix(SCHEME).unwrap_or(text);
        let (rest, member) = rest.split_once('#').map_or((rest, None), |(rest, member)| (rest, Some(member)));
        let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
        let version = match query {
            None => None,
            Some(query) => match query.strip_prefix("version=").and_then(|number| number.parse().ok()) {
                Some(number) => Some(number),
                None => return Err(wrong("what follows ? must be version=N")),
            },
        };
        let secret = SecretPath::parse(&decode(path)?).map_err(|error| wrong(error.0))?;
        let member = member.map(decode).transpose()?;
        match member.as_deref() {
            Some("") => Err(wrong("a member is missing after #")),
            _ => Ok(Self { secret, version, member }),
        }
    }
}

/// All references in a text, and where they stand.
pub fn find(text: &str) -> Result<Vec<(Range<usize>, Reference)>, Failure> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find(SCHEME).map(|start| at + start) {
        let (place, inner) = extent(text, start);
        let line = 1 + text[..start].matches('\n').count();
        let reference = Reference::parse(inner).map_err(|told| Failure::usage(format!("line {line}: {told}")))?;
        at = place.end;
        found.push((place, reference));
    }
    Ok(found)
}

/// What is to be replaced, and the reference in it.
fn extent(text: &str, start: usize) -> (Range<usize>, &str) {
    let before = text[..start].trim_end_matches([' ', '\t']);
    if before.ends_with("{{")
        && let Some(end) = text[start..].find("}}")
        && !text[start..start + end].contains('\n')
    {
        return (before.len() - 2..start + end + 2, text[start..start + end].trim_end());
    }
    let goes_on = |c: char| c.is_alphanumeric() || "/_-.~%@+=?#".contains(c);
    let end = text[start + SCHEME.len()..].find(|c| !goes_on(c)).map_or(text.len(), |end| start + SCHEME.len() + end);
    // The end of a sentence, not of a name.
    let inner = text[start..end].trim_end_matches('.');
    (start..start + inner.len(), inner)
}

/// Reads secrets, each once. Logs nobody in before there is something to read.
pub struct Reader<'a> {
    with: &'a With,
    client: Option<Client>,
    read: BTreeMap<(String, Option<u64>), Map<String, Value>>,
}

impl<'a> Reader<'a> {
    pub fn new(with: &'a With) -> Self {
        Self { with, client: None, read: BTreeMap::new() }
    }

    pub fn client(&mut self) -> Result<&Client, Failure> {
        if self.client.is_none() {
            self.client = Some(self.with.client()?);
        }
        self.client.as_ref().ok_or_else(|| Failure::nobody("nobody is logged in"))
    }

    pub async fn data(&mut self, secret: &SecretPath, version: Option<u64>) -> Result<&Map<String, Value>, Failure> {
        let key = (secret.to_string(), version);
        if !self.read.contains_key(&key) {
            let query: Vec<_> = version.iter().map(|version| ("version", version.to_string())).collect();
            let path = secret::path(secret)?;
            let found = self.client()?.get_with(&path, &query).await;
            let found = found.map_err(|refused| secret::advised(refused.about(secret), secret))?;
            self.read.insert(key.clone(), found["data"].as_object().cloned().unwrap_or_default());
        }
        Ok(&self.read[&key])
    }

    pub async fn value(&mut self, reference: &Reference) -> Result<String, Failure> {
        let data = self.data(&reference.secret, reference.version).await?;
        let value = match &reference.member {
            Some(member) => data.get(member),
            None if data.len() == 1 => data.values().next(),
            None => data.get("value"),
        };
        let names = || data.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        value.map(output::text).ok_or_else(|| {
            let missing = reference.member.as_deref().unwrap_or("member named");
            Failure::usage(format!("{} has no {missing}; it has: {}", reference.secret, names()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Option<u64>, Option<String>) {
        let Reference { secret, version, member } = Reference::parse(text).unwrap();
        (secret.to_string(), version, member)
    }

    #[test]
    fn a_reference_names_a_secret_a_version_and_a_member() {
        let member = |name: &str| Some(name.to_owned());
        assert_eq!(read("coffer://kv/apps/web/db#pass"), ("kv/apps/web/db".into(), None, member("pass")));
        assert_eq!(read("coffer://kv/~/x?version=3"), ("kv/~/x".into(), Some(3), None));
        assert_eq!(read("kv/a%20b#c%23%25d"), ("kv/a b".into(), None, member("c#%d")));
        assert_eq!(read("kv/имя#ключ"), ("kv/имя".into(), None, member("ключ")));
        for bad in
            ["", "coffer://", "kv", "kv/a#", "kv/a?x=1", "kv/a?version=", "kv/a%2", "kv/a%ff", "kv/../b", "kv/a%252e"]
        {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn references_end_where_the_text_goes_on() {
        let text = "a: \"coffer://kv/a#x\", see coffer://kv/b.c#y. {{coffer://kv/c d#the field }}{{  coffer://kv/e }}\ncoffer://kv/f";
        let found = find(text).unwrap();
        let places: Vec<&str> = found.iter().map(|(place, _)| &text[place.clone()]).collect();
        assert_eq!(
            places,
            [
                "coffer://kv/a#x",
                "coffer://kv/b.c#y",
                "{{coffer://kv/c d#the field }}",
                "{{  coffer://kv/e }}",
                "coffer://kv/f"
            ]
        );
        let members: Vec<_> = found.iter().map(|(_, one)| one.member.clone().unwrap_or_default()).collect();
        assert_eq!(members, ["x", "y", "the field", "", ""]);
        assert!(find("nothing here").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_reference_is_refused_with_its_line() {
        for text in ["\n\ncoffer://", "\n\nx coffer://kv", "\n\ncoffer://kv/a?b", "\n\n{{ coffer://kv/a:b }}"] {
            let told = find(text).unwrap_err().to_string();
            assert!(told.starts_with("line 3: "), "{told}");
        }
    }
}
