//! The `oauth2` crate over the host's HTTP. The client's secret is not here: the host adds it to the form.

use coffer_plugin_sdk::{
    Error, Result, http as outside,
    serde_json::{Map, Value},
};
use oauth2::{
    AuthUrl, ClientId, DeviceAuthorizationUrl, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse, TokenUrl,
    basic::BasicClient, http,
};

use crate::{GitHub, api};

pub type Client = BasicClient<EndpointSet, EndpointSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

pub fn client(github: &GitHub) -> Result<Client> {
    let id = github.client_id.clone().ok_or_else(Error::denied)?;
    let wrong = |_| Error::internal("an address of GitHub's is no URL");
    let (auth, token) = (github.web("/login/oauth/authorize"), github.web("/login/oauth/access_token"));
    Ok(BasicClient::new(ClientId::new(id))
        .set_auth_type(oauth2::AuthType::RequestBody)
        .set_auth_uri(AuthUrl::new(auth).map_err(wrong)?)
        .set_token_uri(TokenUrl::new(token).map_err(wrong)?)
        .set_device_authorization_url(DeviceAuthorizationUrl::new(github.web("/login/device/code")).map_err(wrong)?))
}

/// Sends a request of the crate's. GitHub answers errors of OAuth with 200: the crate is told 400, as
/// the RFC has it.
pub fn send(request: HttpRequest, credential: Option<&str>) -> Result<HttpResponse, Error> {
    let (parts, body) = request.into_parts();
    let mut asked = outside::Request::new(parts.method.as_str(), parts.uri.to_string());
    for (name, value) in &parts.headers {
        asked = asked.header(name.as_str(), value.to_str().unwrap_or_default());
    }
    asked = asked.header("user-agent", "coffer");
    asked.body = body;
    if let Some(credential) = credential {
        asked = asked.credential(credential);
    }
    let answer = api::send(asked)?;
    // Whatever else it says: nobody has been refused.
    if let Some(error) = api::limited(&answer) {
        return Err(error);
    }
    if answer.status >= 500 {
        return Err(match api::accepted(answer) {
            Err(refused) => refused.into(),
            Ok(_) => Error::internal("GitHub answers in riddles"),
        });
    }
    let told: Option<Map<String, Value>> = coffer_plugin_sdk::serde_json::from_slice(&answer.body).ok();
    let is_error = told.is_some_and(|told| told.contains_key("error"));
    let status = if is_error && answer.status == 200 { 400 } else { answer.status };
    let mut response = http::Response::builder().status(status);
    if let Some(kind) = api::header(&answer, "content-type") {
        response = response.header("content-type", kind);
    }
    response.body(answer.body).map_err(|_| Error::internal("GitHub's answer is no HTTP"))
}
