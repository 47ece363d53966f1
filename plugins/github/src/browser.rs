use coffer_plugin_sdk::{from_json, prelude::*, serde_json::json};
use oauth2::{
    AuthorizationCode, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope,
    TokenResponse,
};

use crate::{GitHub, PATIENCE_SECONDS, challenge, oauth};

/// To see organisations and teams.
const SCOPE: &str = "read:org";

#[derive(Serialize, Deserialize)]
pub struct Waiting {
    verifier: String,
    redirect: String,
    /// The organisations that wanted to be asked have been.
    #[serde(default)]
    pub partly: bool,
}

/// The query of the redirect, less `state`, which the host has looked at.
#[derive(Deserialize)]
struct Answer {
    code: Option<String>,
    error: Option<String>,
}

pub fn begin(github: &GitHub, partly: bool) -> Result<Step> {
    let (Some(redirect), Some(state)) = (context::callback_url(), context::callback_state()) else {
        return Err(Error::invalid("/token", "missing", "is required where there is no browser"));
    };
    let client = oauth::client(github)?.set_redirect_uri(redirect_url(&redirect)?);
    let (pkce, verifier) = PkceCodeChallenge::new_random_sha256();
    let asked = client.authorize_url(|| CsrfToken::new(state)).add_scope(Scope::new(SCOPE.to_owned()));
    let (url, _) = asked.set_pkce_challenge(pkce).url();
    let waiting = Waiting { verifier: verifier.secret().clone(), redirect, partly };
    let details = json!({ "url": url.as_str() });
    challenge("redirect", &details, PATIENCE_SECONDS, None, &crate::Waiting::Browser(waiting))
}

/// The token that the code stands for.
pub fn finish(github: &GitHub, waiting: Waiting, answer: &[u8]) -> Result<String> {
    let answer: Answer = from_json(answer).map_err(|_| Error::denied())?;
    // Whoever declined at GitHub has declined.
    let Answer { code: Some(code), error: None } = answer else { return Err(Error::denied()) };
    let client = oauth::client(github)?.set_redirect_uri(redirect_url(&waiting.redirect)?);
    let asked = client.exchange_code(AuthorizationCode::new(code));
    let asked = asked.set_pkce_verifier(PkceCodeVerifier::new(waiting.verifier));
    let token = asked.request(&|request| oauth::send(request, Some("client_secret")));
    token.map(|token| token.access_token().secret().clone()).map_err(|error| match error {
        RequestTokenError::Request(error) => error,
        RequestTokenError::ServerResponse(refusal) => refused(refusal.error().as_ref()),
        _ => Error::internal("GitHub's answer is not as RFC 6749 has it"),
    })
}

/// A code that is wrong or spent is a failed login; anything else is how this mount is configured.
fn refused(code: &str) -> Error {
    match code {
        "bad_verification_code" | "invalid_grant" => Error::denied(),
        "incorrect_client_credentials" | "redirect_uri_mismatch" => {
            Error::internal("GitHub does not take this OAuth app's id, secret or callback")
        }
        _ => Error::denied(),
    }
}

fn redirect_url(url: &str) -> Result<RedirectUrl> {
    RedirectUrl::new(url.to_owned()).map_err(|_| Error::internal("the callback is no URL"))
}
