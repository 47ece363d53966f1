//! What people note beside a thing that is kept: an object of their own, bounded.

use serde_json::{Map, Value};

use crate::{Error, Result};

const METADATA_BYTES: usize = 16 * 1024;

/// Is it as short as what is noted beside a secret must be?
pub fn check_metadata(metadata: &Map<String, Value>) -> Result<()> {
    let bytes = serde_json::to_vec(metadata).map_err(|_| Error::internal("the metadata does not serialise"))?;
    match bytes.len() > METADATA_BYTES {
        true => Err(Error::invalid("/metadata", "out_of_range", "must be at most 16 KiB of JSON")),
        false => Ok(()),
    }
}

/// RFC 7396: members replace members, null removes, objects are merged.
pub fn merge(into: &mut Map<String, Value>, patch: Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => drop(into.remove(&name)),
            Value::Object(patch) => {
                let member = into.entry(name).or_insert(Value::Null);
                if !member.is_object() {
                    *member = Value::Object(Map::new());
                }
                if let Value::Object(member) = member {
                    merge(member, patch);
                }
            }
            value => drop(into.insert(name, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{check_metadata, merge};

    #[test]
    fn metadata_of_sixteen_kibibytes_is_taken_and_no_more() {
        let of = |len: usize| json!({ "a": "x".repeat(len - r#"{"a":""}"#.len()) }).as_object().cloned().unwrap();
        check_metadata(&of(16 * 1024)).unwrap();
        assert_eq!(check_metadata(&of(16 * 1024 + 1)).unwrap_err().problems[0].at, "/metadata");
    }

    /// The table of RFC 7396, appendix A, as far as it is about objects.
    #[test]
    fn the_examples_of_the_rfc_come_out_as_it_says() {
        for (original, patch, result) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let (Value::Object(mut into), Value::Object(patch)) = (original, patch) else { unreachable!() };
            merge(&mut into, patch);
            assert_eq!(Value::Object(into), result);
        }
    }
}
