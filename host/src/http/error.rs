//! The one table of what can be wrong, and the one shape it is told in.
//!
//! The status codes of refusals stand here and nowhere else. A refusal tells the log everything (`cause`, beside
//! the response) and the client what it may know.

use std::{borrow::Cow, error::Error as StdError, fmt, sync::Arc, time::Duration};

use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;

use crate::problem::Problem;

pub type ApiResult<T> = Result<T, ApiError>;

macro_rules! kinds {
    ($($name:ident = $status:literal $code:literal $message:literal,)+) => {
        /// What can be wrong: one row each of status, `type` and words. The documentation and
        /// `openapi.json` are made from this table.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Kind { $(#[doc = concat!($code, ": ", $message)] $name,)+ }

        impl Kind {
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ }
            }

            /// The `type` of a problem; where OAuth has a word for it, that one.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            pub const fn message(self) -> &'static str {
                match self { $(Self::$name => $message,)+ }
            }
        }
    };
}

kinds! {
    BadRequest = 400 "bad_request" "the request is not understood",
    InvalidJson = 400 "invalid_json" "the body is not valid JSON",
    InvalidForm = 400 "invalid_form" "the body is not a valid form",
    PlainHttp = 400 "plain_http" "only HTTPS is spoken here; a token that was sent in the clear has been ended",
    TwoCredentials = 400 "two_credentials" "the request carries more than one credential",
    InvalidRequest = 400 "invalid_request" "the request is malformed",
    InvalidGrant = 400 "invalid_grant" "the credentials are wrong or no longer good",
    UnauthorizedClient = 400 "unauthorized_client" "this client may not use this grant type",
    UnsupportedGrantType = 400 "unsupported_grant_type" "there is no such grant type",
    InvalidScope = 400 "invalid_scope" "the scope is unknown, malformed or wider than allowed",
    ChallengeRequired = 400 "challenge_required" "another step is needed",
    AuthorizationPending = 400 "authorization_pending" "the other step has not been taken yet",
    SlowDown = 400 "slow_down" "ask less often",
    AccessDenied = 400 "access_denied" "the login was refused",
    ExpiredToken = 400 "expired_token" "the challenge has expired",
    Unauthenticated = 401 "unauthenticated" "an access token is required",
    InvalidToken = 401 "invalid_token" "the access token is not good, or no longer",
    StepUp = 401 "insufficient_user_authentication" "a more recent login is required",
    InvalidClient = 401 "invalid_client" "the client is unknown or its secret is wrong",
    Forbidden = 403 "forbidden" "not allowed",
    LimitedSession = 403 "limited_session" "a limited session may not do this",
    WrongAddress = 403 "wrong_address" "the session is bound to another address",
    CrossSite = 403 "cross_site" "requests from other sites are refused",
    NotFound = 404 "not_found" "there is nothing here",
    UnknownVerb = 404 "unknown_verb" "there is no such verb here",
    MethodNotAllowed = 405 "method_not_allowed" "the method is not allowed here",
    BodyTooSlow = 408 "body_too_slow" "the body did not arrive in time",
    VersionConflict = 409 "version_conflict" "the expected version is not the current one",
    BodyTooLarge = 413 "body_too_large" "the body is too large",
    UnsupportedMediaType = 415 "unsupported_media_type" "the body has a type that is not taken here",
    Missing = 422 "missing" "is required",
    UnknownMember = 422 "unknown_member" "is not known here",
    DuplicateMember = 422 "duplicate_member" "is given more than once",
    WrongType = 422 "wrong_type" "has the wrong type",
    InvalidValue = 422 "invalid_value" "is not valid",
    OutOfRange = 422 "out_of_range" "is out of range",
    InexactNumber = 422 "inexact_number" "is a number that cannot be kept exactly: send it as a string",
    TooShort = 422 "too_short" "is too short",
    Oversized = 422 "too_long" "is too long",
    TooCommon = 422 "too_common" "is one that everybody tries",
    TooSimple = 422 "too_simple" "is too easily guessed",
    TooDeep = 422 "too_deep" "is nested too deeply",
    TooMany = 422 "too_many" "has too many members",
    SecretInQuery = 422 "secret_in_query" "must not be in a query string, where it is logged",
    AlreadyExists = 422 "already_exists" "exists already",
    Unknown = 422 "not_found" "does not exist",
    UnknownRole = 422 "unknown_role" "is not a role",
    UnknownSetting = 422 "unknown_setting" "is not a setting",
    UnknownMount = 422 "unknown_mount" "is not a mount that can be this",
    UnknownOperation = 422 "unknown_operation" "is not an operation",
    Reserved = 422 "reserved" "is a reserved name",
    UntrustedProxy = 422 "untrusted_proxy" "came through a proxy that is not trusted",
    NoAddress = 422 "no_address" "has no trustworthy address",
    BuiltIn = 422 "built_in" "is built in and cannot be changed",
    InUse = 422 "in_use" "is in use",
    LastAdmin = 422 "last_admin" "is the last admin, who cannot be removed",
    InvalidPolicy = 422 "invalid_policy" "is not a policy that can be put in force",
    AlreadyInitialised = 422 "already_initialized" "the store is initialised already",
    LockedOut = 422 "locked_out" "would leave no login that can give the role admin",
    PluginInUse = 422 "plugin_in_use" "is used by a mount",
    ReservedName = 422 "reserved_name" "is the name of a plugin that comes with the server",
    BadPlugin = 422 "bad_plugin" "is not a plugin that runs here",
    Unsigned = 422 "unsigned" "has no signature, which the rules of this server demand",
    UnknownPublisher = 422 "unknown_publisher" "is signed by nobody whom this server trusts",
    DeniedPlugin = 422 "denied_plugin" "is denied by the rules of this server",
    UnknownPlugin = 422 "unknown_plugin" "is not a plugin that is here",
    UnknownVersion = 422 "unknown_version" "is not a version of this plugin that is here",
    WrongKind = 422 "wrong_kind" "is not a plugin for this kind of mount",
    NotAskedFor = 422 "not_asked_for" "is not what the plugin asks for",
    RollbackWindow = 422 "rollback_window" "is older than what has written the data",
    MountHoldsData = 422 "mount_holds_data" "holds the data of another plugin",
    LeasesOut = 422 "leases_out" "has lent what only its present plugin can take back",
    TooManyRequests = 429 "too_many_requests" "slow down",
    TooManySessions = 429 "too_many_sessions" "there are as many sessions as may be: end one, or let one end",
    TooManyLeases = 429 "too_many_leases" "as many leases are out as may be: give one back, or let one end",
    HeadersTooLarge = 431 "headers_too_large" "the headers are too many or too large",
    Internal = 500 "internal" "something went wrong on our side",
    PluginFailed = 502 "plugin_failed" "the plugin failed",
    Sealed = 503 "sealed" "the server is sealed",
    Disabled = 503 "disabled" "this is disabled at present",
    MountDisabled = 503 "mount_disabled" "the mount is disabled",
    Unavailable = 503 "unavailable" "not available at present",
    TooLong = 503 "timeout" "the request took too long",
}

impl Kind {
    /// Told in OAuth's form as well (RFC 6749 section 5.2, RFC 8628 section 3.5).
    pub const fn is_oauth(self) -> bool {
        use Kind as K;
        matches!(
            self,
            K::InvalidRequest
                | K::InvalidGrant
                | K::UnauthorizedClient
                | K::UnsupportedGrantType
                | K::InvalidScope
                | K::ChallengeRequired
                | K::AuthorizationPending
                | K::SlowDown
                | K::AccessDenied
                | K::ExpiredToken
                | K::InvalidClient
        )
    }

    /// Every answer of these says when to come back, where that is known: a place becomes free when somebody frees it.
    const fn retry_after(self) -> Option<Duration> {
        match (self, self.status()) {
            (Self::TooManySessions | Self::TooManyLeases, _) => None,
            (_, 429 | 503) => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// One step of a `loc`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Step {
    Name(Cow<'static, str>),
    Index(usize),
}

impl From<&'static str> for Step {
    fn from(name: &'static str) -> Self {
        Self::Name(name.into())
    }
}

impl From<String> for Step {
    fn from(name: String) -> Self {
        Self::Name(name.into())
    }
}

/// One entry of `detail`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Detail {
    pub loc: Vec<Step>,
    pub msg: Cow<'static, str>,
    pub r#type: Cow<'static, str>,
}

/// A refusal. As a response it has no body yet: `answer` writes it, which knows the request's id.
#[derive(Clone)]
pub struct ApiError(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: Kind,
    detail: Vec<Detail>,
    headers: HeaderMap,
    challenge: Option<Value>,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl ApiError {
    pub fn new(kind: Kind) -> Self {
        Self::with(kind, Vec::new(), kind.message().into())
    }

    /// Something at a place of the request, in the words of the table.
    pub fn at<S: Into<Step>>(kind: Kind, loc: impl IntoIterator<Item = S>) -> Self {
        Self::with(kind, steps(loc), kind.message().into())
    }

    /// The same in words of our own that say more. Never a parser's, never quoting the input.
    pub fn because<S: Into<Step>>(kind: Kind, loc: impl IntoIterator<Item = S>, msg: &'static str) -> Self {
        Self::with(kind, steps(loc), msg.into())
    }

    /// Problems with what was sent (422), found by a module below or by a plugin. `sent` tells
    /// members of arrays from members of objects; `root` is `body` or `query`.
    pub fn problems(root: &'static str, problems: Vec<Problem>, sent: &Value) -> Self {
        let detail = problems.into_iter().map(|problem| Detail {
            loc: super::json::loc(root, &problem.at, sent),
            msg: problem.message,
            r#type: problem.code,
        });
        Self::details(Kind::InvalidValue, detail.collect())
    }

    /// A refusal whose `detail` was made elsewhere: a plugin's 4xx, bounded and filtered.
    pub fn details(kind: Kind, detail: Vec<Detail>) -> Self {
        let error = Self::new(kind);
        if detail.is_empty() || kind.status() >= 500 { error } else { error.change(|inner| inner.detail = detail) }
    }

    /// 401 for a login that is too long ago (RFC 9470).
    pub fn step_up(max_age: Duration) -> Self {
        let error = Self::new(Kind::StepUp);
        let challenge = format!("{}, max_age=\"{}\"", bearer(Kind::StepUp), max_age.as_secs());
        error.header(header::WWW_AUTHENTICATE, challenge)
    }

    /// 400 with what the next step of a login is.
    pub fn challenge(challenge: Value) -> Self {
        Self::new(Kind::ChallengeRequired).change(|inner| inner.challenge = Some(challenge))
    }

    /// Something of ours failed: constant words for the client, the cause for the log.
    pub fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(Kind::Internal).caused_by(cause)
    }

    /// Carries the cause to the log and audit layers. The client never sees it.
    pub fn caused_by(self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        let cause = Arc::from(cause.into());
        self.change(|inner| inner.cause = Some(cause))
    }

    /// 405 with what may be done there instead (RFC 9110 section 15.5.6).
    pub fn only(allowed: &'static str) -> Self {
        Self::new(Kind::MethodNotAllowed).header(header::ALLOW, allowed.to_owned())
    }

    /// Names what may be done instead, where this is a 405 that does not yet.
    pub fn instead(self, allowed: &'static str) -> Self {
        match self.kind() == Kind::MethodNotAllowed && !self.0.headers.contains_key(header::ALLOW) {
            true => self.header(header::ALLOW, allowed.to_owned()),
            false => self,
        }
    }

    /// When to come back: whole seconds, rounded up.
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header(header::RETRY_AFTER, seconds.max(1).to_string())
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn detail(&self) -> &[Detail] {
        &self.0.detail
    }

    pub fn cause(&self) -> Option<&(dyn StdError + Send + Sync)> {
        self.0.cause.as_deref()
    }

    /// The body, whole.
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        let kind = self.kind();
        let oauth = kind.is_oauth();
        let shape = Shape {
            detail: &self.0.detail,
            request_id,
            error: oauth.then_some(kind.code()),
            error_description: oauth.then_some(kind.message()),
            challenge: self.0.challenge.as_ref(),
        };
        serde_json::to_vec(&shape).unwrap_or_default()
    }

    fn with(kind: Kind, loc: Vec<Step>, msg: Cow<'static, str>) -> Self {
        let detail = vec![Detail { loc, msg, r#type: kind.code().into() }];
        let error = Self(Arc::new(Inner { kind, detail, headers: HeaderMap::new(), challenge: None, cause: None }));
        let error = match kind {
            // RFC 6750 section 3.1: who sent no credential is told no error code.
            Kind::Unauthenticated => error.header(header::WWW_AUTHENTICATE, "Bearer".to_owned()),
            Kind::InvalidToken | Kind::StepUp => error.header(header::WWW_AUTHENTICATE, bearer(kind)),
            Kind::InvalidClient => error.header(header::WWW_AUTHENTICATE, "Basic realm=\"coffer\"".to_owned()),
            _ => error,
        };
        match kind.retry_after() {
            Some(wait) => error.retry_after(wait),
            None => error,
        }
    }

    fn header(self, name: header::HeaderName, value: String) -> Self {
        match HeaderValue::try_from(value) {
            Ok(value) => self.change(|inner| drop(inner.headers.insert(name, value))),
            Err(_) => self,
        }
    }

    fn change(mut self, change: impl FnOnce(&mut Inner)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }
}

#[derive(Serialize)]
struct Shape<'a> {
    detail: &'a [Detail],
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    challenge: Option<&'a Value>,
}

fn steps<S: Into<Step>>(loc: impl IntoIterator<Item = S>) -> Vec<Step> {
    loc.into_iter().map(Into::into).collect()
}

fn bearer(kind: Kind) -> String {
    format!("Bearer error=\"{}\", error_description=\"{}\"", kind.code(), kind.message())
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::from_u16(self.kind().status()).unwrap_or_default();
        response.headers_mut().extend(self.0.headers.clone());
        response.extensions_mut().insert(self);
        response
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError").field("kind", &self.0.kind).field("detail", &self.0.detail).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
