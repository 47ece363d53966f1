use coffer_plugin_sdk::{prelude::*, serde_json::json};

/// A mount's configuration.
#[derive(Deserialize)]
pub struct Plugin {
    greeting: String,
}

impl Engine for Plugin {
    fn handle(&self, request: Request) -> Result<Response> {
        match request.operation() {
            Operation::Read => Response::json(&json!({ "said": format!("{} {}", self.greeting, request.path) })),
            _ => Err(Error::unsupported()),
        }
    }
}

coffer_plugin_sdk::export!(Plugin: engine);
