//! RFC 8628. A device cannot show who asked for the code, so this is off unless it is configured.

use coffer_plugin_sdk::{
    from_json, http,
    prelude::*,
    serde_json::{Value, json},
};
use oauth2::{RequestTokenError, Scope, StandardDeviceAuthorizationResponse};

use crate::{GitHub, api, challenge, oauth};

#[derive(Serialize, Deserialize)]
pub struct Waiting {
    device_code: String,
    /// The organisations that wanted to be asked have been.
    #[serde(default)]
    pub partly: bool,
}

#[derive(Deserialize)]
struct Answer {
    access_token: Option<String>,
    error: Option<String>,
}

pub fn begin(github: &GitHub, partly: bool) -> Result<Step> {
    if !github.device_flow {
        return Err(Error::denied());
    }
    let client = oauth::client(github)?;
    let asked = client.exchange_device_code().add_scope(Scope::new("read:org".to_owned()));
    let told = asked.request(&|request| oauth::send(request, None));
    let told: StandardDeviceAuthorizationResponse = told.map_err(|error| match error {
        RequestTokenError::Request(error) => error,
        _ => Error::internal("GitHub gives this OAuth app no code for a device"),
    })?;
    let seconds = |span: std::time::Duration| u32::try_from(span.as_secs()).unwrap_or(u32::MAX);
    let details =
        json!({ "user_code": told.user_code().secret(), "verification_uri": told.verification_uri().as_str() });
    let waiting = Waiting { device_code: told.device_code().secret().clone(), partly };
    let interval = Some(seconds(told.interval()));
    challenge("device", &details, seconds(told.expires_in()), interval, &crate::Waiting::Device(waiting))
}

/// Asks once: the crate would wait by itself, and a call here does not sleep.
pub fn poll(github: &GitHub, waiting: &Waiting) -> Result<String> {
    let id = github.client_id.as_deref().ok_or_else(Error::denied)?;
    let form = [
        ("client_id", id),
        ("device_code", &waiting.device_code),
        ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
    ];
    let form = form.map(|(name, value)| format!("{name}={}", encoded(value))).join("&");
    let request = http::Request::post(github.web("/login/oauth/access_token"))
        .header("accept", "application/json")
        .header("user-agent", "coffer")
        .header("content-type", "application/x-www-form-urlencoded");
    let answer = api::accepted(api::send(http::Request { body: form.into_bytes(), ..request })?)?;
    let Answer { access_token, error } = from_json::<Value>(&answer.body)
        .and_then(coffer_plugin_sdk::from_value)
        .map_err(|_| Error::internal("GitHub's answer is not as RFC 8628 has it"))?;
    match (access_token, error.as_deref()) {
        (Some(token), None) => Ok(token),
        (_, Some("authorization_pending")) => Err(Error::pending()),
        (_, Some("slow_down")) => Err(Error::slow_down()),
        (_, Some("access_denied" | "expired_token")) => Err(Error::denied()),
        _ => Err(Error::internal("GitHub gives this OAuth app no token for a device")),
    }
}

fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
