//! The one authorising extractor. It reads the input, lets it name its resource, asks for the
//! permit, records what was decided and takes a use; only then the handler runs.
//!
//! The order is fixed, so that who may not do a thing learns nothing of it: 401, 415, 413, 400,
//! 422 (naming), 403, 422 (the rest).

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, HeaderName, request::Parts},
};

use super::{
    bearer,
    body::{self, Members, Takes},
    client_address::ClientAddress,
    error::{ApiError, Kind},
    trail::{About, Decision, Trail},
};
use crate::{
    app::App,
    audit::Who,
    ids,
    login::{Authenticated, Client},
    policy::{Action, Permit, Resource},
    runtime,
    secrets::Asker,
    session::AccessToken,
};

/// A request that is permitted, and read.
pub struct Permitted<I: Input>(pub Permit<I::Action, I::Resource>, pub I, pub Caller);

/// Who makes the request.
#[derive(Clone, Debug)]
pub struct Caller {
    pub authenticated: Authenticated,
    pub client: Client,
}

impl Caller {
    pub fn asker(&self) -> Asker {
        Asker {
            user: self.authenticated.user.id.clone(),
            name: self.authenticated.user.username.clone(),
            address: self.client.address,
            request: self.client.request.clone(),
            session: self.authenticated.session.id.clone(),
            ends_at: self.authenticated.session.absolute_end,
            headers: self.client.headers.clone(),
        }
    }
}

/// The request before it means anything.
pub struct Raw {
    pub parts: Parts,
    pub body: Members,
}

/// What an endpoint reads of a request.
pub trait Input: Sized + Send + 'static {
    type Action: Action;
    type Resource: Resource;

    /// As the trail names it.
    const OPERATION: &'static str;
    const TAKES: Takes = Takes::Nothing;
    /// It makes a session or a credential: not for limited sessions. So is every write below `sys`.
    const POWERFUL: bool = false;
    /// Only soon after a login. So is every write below `sys`.
    const STEP_UP: bool = false;

    /// What it is about, before anything else is looked at.
    fn target(raw: &Raw, caller: &Caller, app: &App) -> Result<(Self::Action, Self::Resource), ApiError>;

    /// The rest of it.
    fn read(raw: Raw) -> Result<Self, ApiError>;

    /// What of it the trail tells besides: words of ours, never what is secret.
    fn values(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
}

impl<I: Input> FromRequest<App> for Permitted<I> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (request, file) = body::held_back(request, I::TAKES);
        let (raw, caller) = raw(request, app, I::OPERATION, I::TAKES).await?;
        Self::decide_with(raw, caller, app, file).await
    }
}

impl<I: Input> Permitted<I> {
    /// The rest, once it is known who asks and what was sent.
    pub(super) async fn decide(raw: Raw, caller: Caller, app: &App) -> Result<Self, ApiError> {
        Self::decide_with(raw, caller, app, None).await
    }

    async fn decide_with(mut raw: Raw, mut caller: Caller, app: &App, file: Option<Body>) -> Result<Self, ApiError> {
        let trail = trail(&raw.parts)?;
        let (mut action, mut resource) = I::target(&raw, &caller, app)?;
        let path = resource.path();
        trail.about(path.clone());
        if app.login.waited_for(&path).await? {
            // The plugin that has come up may take another action for it.
            caller = authenticated(&raw.parts, app).await?;
            (action, resource) = I::target(&raw, &caller, app)?;
        }
        let rules_others = rules_others(&path, action.actions());
        let actions = action.actions().iter().map(|action| action.as_str()).collect::<Vec<_>>().join(" ");
        let asked = About { resource: Some(path), action: Some(actions), ..About::default() };
        let session = &caller.authenticated.session;
        let permit = match app.policies.permit(&caller.authenticated.caller, action, resource) {
            Ok(permit) => permit,
            Err(refusal) => {
                let decision = Some(Decision::ByPolicies(refusal.reason.clone()));
                trail.decided(I::OPERATION, who(&caller.authenticated), About { decision, ..asked }).await?;
                if !refusal.by_scope() {
                    app.login.spend(session).await?;
                }
                return Err(ApiError::new(Kind::Forbidden).caused_by(refusal));
            }
        };
        if (I::POWERFUL || rules_others) && session.max_uses.is_some() {
            return Err(ApiError::new(Kind::LimitedSession));
        }
        if I::STEP_UP || rules_others || app.login.asks_step_up(I::OPERATION) {
            app.login.check_recent(&caller.authenticated).map_err(ApiError::step_up)?;
        }
        if let Some(file) = file {
            let received = body::receive(&raw.parts, file, I::TAKES).await?;
            raw.parts.extensions.insert(received);
        }
        let input = I::read(raw)?;
        let (decision, values) = (Some(Decision::ByPolicies(permit.reason().clone())), input.values());
        trail.decided(I::OPERATION, who(&caller.authenticated), About { decision, values, ..asked }).await?;
        app.login.spend(session).await?;
        Ok(Self(permit, input, caller))
    }
}

/// A request about the caller's own things: nobody else's permission is needed.
pub struct Own<I: OwnInput>(pub I, pub Caller);

/// What such an endpoint reads.
pub trait OwnInput: Sized + Send + 'static {
    const OPERATION: &'static str;
    const TAKES: Takes = Takes::Nothing;
    /// It concerns all that the user has: not for a session that is narrowed or limited.
    const WHOLE: bool = false;
    /// Only soon after a login.
    const STEP_UP: bool = false;

    fn read(raw: Raw) -> Result<Self, ApiError>;

    /// What of the caller's it is about, for the trail.
    fn resource(&self) -> Option<String> {
        None
    }
}

impl<I: OwnInput> FromRequest<App> for Own<I> {
    type Rejection = ApiError;

    async fn from_request(request: Request, app: &App) -> Result<Self, ApiError> {
        let (raw, caller) = raw(request, app, I::OPERATION, I::TAKES).await?;
        Self::decide(raw, caller, app).await
    }
}

impl<I: OwnInput> Own<I> {
    pub(super) async fn decide(raw: Raw, caller: Caller, app: &App) -> Result<Self, ApiError> {
        let trail = trail(&raw.parts)?;
        let session = &caller.authenticated.session;
        if I::WHOLE && session.max_uses.is_some() {
            return Err(ApiError::new(Kind::LimitedSession));
        }
        if I::WHOLE && session.scope.is_some() {
            return Err(ApiError::new(Kind::Forbidden));
        }
        if I::STEP_UP || app.login.asks_step_up(I::OPERATION) {
            app.login.check_recent(&caller.authenticated).map_err(ApiError::step_up)?;
        }
        let input = I::read(raw)?;
        trail.decided(I::OPERATION, who(&caller.authenticated), About::own(input.resource())).await?;
        app.login.spend(session).await?;
        Ok(Self(input, caller))
    }
}

/// Who asks, and what was sent.
pub(super) async fn raw(
    request: Request,
    app: &App,
    operation: &'static str,
    takes: Takes,
) -> Result<(Raw, Caller), ApiError> {
    let (parts, body) = request.into_parts();
    let (caller, known) = (authenticated(&parts, app).await?, app.fence.generations());
    trail(&parts)?.known(operation, who(&caller.authenticated));
    let body = body::read(&parts, body, takes).await?;
    // A body may take its time. Who was good when it began is looked at again where anything has
    // changed since: nobody keeps a request open to act after the end of a session.
    let same = takes == Takes::Nothing || app.fence.is_fresh() && app.fence.generations() == known;
    let caller = if same { caller } else { authenticated(&parts, app).await? };
    Ok((Raw { parts, body }, caller))
}

/// A write below `sys`: never by a limited session, and only soon after a login, whatever a route
/// says or forgets to say.
fn rules_others(path: &str, actions: &[ids::Action]) -> bool {
    let below = path.strip_prefix("sys").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    below && actions.iter().any(|action| !matches!(action, ids::Action::Read | ids::Action::List))
}

/// Who a bearer token stands for: 401 without one, 403 from a wrong address. Spends nothing.
pub async fn authenticated(parts: &Parts, app: &App) -> Result<Caller, ApiError> {
    let token = bearer::required(parts)?;
    let token = AccessToken::parse(token.reveal()).map_err(|_| ApiError::new(Kind::InvalidToken))?;
    let client = client(parts)?;
    let authenticated = app.login.authenticate(&token, client.address).await?;
    Ok(Caller { authenticated, client })
}

/// Where the request comes from.
pub fn client(parts: &Parts) -> Result<Client, ApiError> {
    let address = parts.extensions.get::<ClientAddress>();
    let device = parts.headers.get(axum::http::header::USER_AGENT).and_then(|value| value.to_str().ok());
    Ok(Client {
        address: address.and_then(|client| client.address),
        forwarded: address.is_some_and(|client| client.untrusted_forwarding),
        device: device.unwrap_or_default().chars().take(crate::limits::DEVICE_CHARS).collect(),
        request: trail(parts)?.request().clone(),
        headers: shown(&parts.headers),
    })
}

/// What plugins may be shown of it, where they are granted it. Of one that is there several times: all, as one
/// (RFC 9110 section 5.3).
fn shown(headers: &HeaderMap) -> Arc<[(String, String)]> {
    let names = headers.keys().filter(|name| !runtime::is_withheld(name.as_str()));
    let text = |name: &HeaderName| {
        let values: Option<Vec<_>> = headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
        Some((name.as_str().to_owned(), values?.join(", ")))
    };
    names.filter_map(text).collect()
}

pub fn trail(parts: &Parts) -> Result<Trail, ApiError> {
    parts.extensions.get::<Trail>().cloned().ok_or_else(|| ApiError::internal("a request without a trail"))
}

pub fn who(authenticated: &Authenticated) -> Who {
    Who {
        session: Some(authenticated.session.id.clone()),
        user: Some(authenticated.user.id.clone()),
        roles: authenticated.caller.roles.clone(),
        mount: Some(authenticated.session.mount.clone()),
        method: Some(authenticated.session.method.clone()),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;
    use crate::ids::Action as A;

    #[test]
    fn plugins_are_shown_no_credential_and_what_is_there_twice_as_one() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "Bearer x"),
            ("cookie", "c=d"),
            ("x-forwarded-for", "192.0.2.1"),
            ("x-team", "one"),
            ("x-team", "two"),
        ] {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers.append("x-odd", HeaderValue::from_bytes(b"\xe9").unwrap());
        assert_eq!(*shown(&headers), [("x-team".to_owned(), "one, two".to_owned())]);
    }

    #[test]
    fn a_write_below_sys_rules_others_whatever_its_route_says() {
        for action in [A::Create, A::Update, A::Delete, A::Use, A::Manage] {
            assert!(rules_others("sys/users/ada", &[action]) && rules_others("sys", &[action]));
            assert!(!rules_others("secrets/kv/sys", &[action]) && !rules_others("system/x", &[action]));
        }
        assert!(!rules_others("sys/users/ada", &[A::Read]) && !rules_others("sys/users", &[A::List]));
        assert!(rules_others("sys/x", &[A::Read, A::Update]));
    }
}
