use serde::Deserialize;
use utoipa::ToSchema;

use crate::{login::SessionWish, sensitive::Secret};

/// A login, or a new session from an old one. Other members are the auth plugin's.
#[derive(ToSchema)]
#[schema(as = Login)]
#[expect(dead_code, reason = "only its schema is used; `token::Login` reads the members")]
pub struct LoginBody {
    /// `password`, `client_credentials`, `session`, `refresh_token` or the name of an auth mount. `password` if left out
    /// with `username` and `password`.
    grant_type: Option<String>,
    username: Option<String>,
    #[schema(format = Password)]
    password: Option<String>,
    /// With `refresh_token`.
    #[schema(format = Password)]
    refresh_token: Option<String>,
    /// Narrows: `read:secrets/kv/apps list:secrets/kv`.
    scope: Option<String>,
    session: Option<SessionWish>,
    /// Which program asks; with `client_credentials`, who logs in. Or HTTP Basic.
    client_id: Option<String>,
    #[schema(format = Password)]
    client_secret: Option<String>,
}

/// The next step of a login. Other members are what the challenge asked for.
#[derive(ToSchema)]
#[schema(as = Resumption)]
#[expect(dead_code, reason = "only its schema is used; `token::resume` reads the members")]
pub struct ResumeBody {
    #[schema(format = Password)]
    challenge_id: String,
    /// Of a second factor.
    #[schema(nullable = false)]
    code: Option<String>,
}

/// The body of a renewal.
#[derive(Deserialize, ToSchema)]
#[schema(as = Renewal)]
#[serde(deny_unknown_fields)]
pub struct RenewBody {
    #[schema(value_type = String, format = Password)]
    pub refresh_token: Secret<String>,
    #[serde(default)]
    pub scope: Option<String>,
    /// The program that began the session, if one did. Or HTTP Basic.
    #[serde(default, rename = "client_id")]
    _client_id: Option<String>,
    #[serde(default, rename = "client_secret")]
    #[schema(value_type = Option<String>, format = Password)]
    _client_secret: Option<Secret<String>>,
}

/// The body of a revocation: the original's name of the member, or RFC 7009's.
#[derive(Deserialize, ToSchema)]
#[schema(as = Revocation)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    #[serde(alias = "token")]
    #[schema(value_type = String, format = Password)]
    pub revoke_token: Secret<String>,
    #[serde(default, rename = "token_type_hint")]
    _hint: Option<String>,
    /// Which program asks, if it says so. Or HTTP Basic.
    #[serde(default, rename = "client_id")]
    _client_id: Option<String>,
    #[serde(default, rename = "client_secret")]
    #[schema(value_type = Option<String>, format = Password)]
    _client_secret: Option<Secret<String>>,
}
