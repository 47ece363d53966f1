use coffer_plugin_sdk::{prelude::*, serde_json::json};
#[derive(Deserialize)]
pub struct Hello;
impl Engine for Hello {
    fn handle(&self, request: Request) -> Result<Response> {
        Response::json(&json!({ "hello": request.path }))
    }
}
coffer_plugin_sdk::export!(Hello: engine);
