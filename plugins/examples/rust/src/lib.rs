//! A note for somebody else: it is there until it is opened, once, or until it has waited too long.

use coffer_plugin_sdk::{
    prelude::*,
    serde_json::{Value, json},
};

#[derive(Deserialize)]
pub struct Notes {
    /// How long a note waits to be opened.
    keep: Span,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    data: Value,
}

impl Engine for Notes {
    fn handle(&self, request: Request) -> Result<Response> {
        let note = storage::get::<Value>(&request.path)?;
        match request.operation() {
            Operation::Create if note.is_some() => Err(Error::exists()),
            Operation::Create => {
                let Write { data } = request.body()?;
                let end = time::now().after(self.keep);
                storage::put(&request.path, &data, Some(end))?;
                Response::json(&json!({ "opens_until": end }))
            }
            // Whether it is still there; nobody learns what is in it.
            Operation::Read => {
                let note = note.ok_or_else(Error::not_found)?;
                Response::json(&json!({ "opens_until": note.expires_at }))
            }
            Operation::Verb("open") => {
                let note = note.ok_or_else(Error::not_found)?;
                // Of two who open it at once, one finds it gone: a call that has read what is not so any more runs again.
                storage::delete(&request.path)?;
                Response::json(&json!({ "data": note.value }))
            }
            Operation::Delete => {
                note.ok_or_else(Error::not_found)?;
                storage::delete(&request.path)?;
                Ok(Response::empty())
            }
            _ => Err(Error::unsupported()),
        }
    }
}

coffer_plugin_sdk::export!(Notes: engine);
