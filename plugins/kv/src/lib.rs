//! Secrets with versions, an end and metadata.

use coffer_plugin_sdk::{prelude::*, serde_json::json};

#[derive(Deserialize)]
struct Kv;

impl Engine for Kv {
    fn handle(&self, request: Request) -> Result<Response> {
        let body: serde_json::Value = request.body()?;
        storage::put(&request.path, &body, None)?;
        Response::json(&json!({ "version": 1, "at": time::now() }))
    }
}

coffer_plugin_sdk::export!(Kv: engine);
