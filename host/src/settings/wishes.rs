use serde_json::{Map, Value};

use super::{Error, Key};
use crate::{mount::Kind, problem::Problem};

/// Members of a mount's value that are no part of the setting, but say what is to come of this change of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Wishes {
    /// All that came in by the mount is to end.
    pub(super) end_sessions: bool,
    /// What the mount holds is to be another plugin's.
    pub(super) adopt: bool,
}

impl Wishes {
    /// Takes them out of the value.
    pub(super) fn take(key: &Key, value: Option<&mut Value>) -> Result<Self, Error> {
        let (Key::Mount(kind, _), Some(Value::Object(members))) = (key, value) else { return Ok(Self::default()) };
        let end_sessions = *kind == Kind::Auth && wish(members, "end_sessions")?;
        Ok(Self { end_sessions, adopt: wish(members, "adopt")? })
    }
}

fn wish(members: &mut Map<String, Value>, name: &'static str) -> Result<bool, Error> {
    match members.remove(name) {
        None => Ok(false),
        Some(Value::Bool(wished)) => Ok(wished),
        Some(_) => Err(Error::Invalid(vec![Problem::new(format!("/{name}"), "wrong_type", "has the wrong type")])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taken(key: &str, mut value: Value) -> (Result<Wishes, Error>, Value) {
        (Wishes::take(&Key::parse(key).unwrap(), Some(&mut value)), value)
    }

    #[test]
    fn a_wish_is_taken_out_of_the_value_that_it_stands_in() {
        for (key, value, wishes, rest) in [
            ("auth/a", json!({"end_sessions": true}), (true, false), json!({})),
            ("auth/a", json!({"adopt": true, "x": 1}), (false, true), json!({"x": 1})),
            ("secrets/a", json!({"adopt": true}), (false, true), json!({})),
            // No session comes in by an engine.
            ("secrets/a", json!({"end_sessions": true}), (false, false), json!({"end_sessions": true})),
            ("custom/a", json!({"adopt": true}), (false, false), json!({"adopt": true})),
        ] {
            let (found, left) = taken(key, value);
            let found = found.unwrap();
            assert_eq!(((found.end_sessions, found.adopt), left), (wishes, rest), "{key}");
        }
        assert!(matches!(taken("auth/a", json!({"adopt": 1})).0, Err(Error::Invalid(_))));
    }
}
