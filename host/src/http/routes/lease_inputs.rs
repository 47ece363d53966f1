//! What the calls on leases read of a request.
//!
//! A lease is its user's own; for a session that is narrowed or limited, only what it has itself
//! borrowed is. Everything else goes by permission, and whoever has none is refused alike whether
//! or not the lease is there.

use serde::Deserialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::user_inputs::named;
use crate::{
    app::App,
    http::{
        body::Takes,
        error::{ApiError, Kind},
        path,
        permitted::{Caller, Input, Own, OwnInput, Permitted, Raw},
        query::{self, Page},
        whose::{Theirs, Whose},
    },
    ids::{Folder, LeaseId, SessionId, Username},
    lease::{Requester, Scope, State},
    limits, policy,
    span::Span,
};

/// Neither narrowed nor limited.
pub fn is_whole(caller: &Caller) -> bool {
    let session = &caller.authenticated.session;
    session.scope.is_none() && session.max_uses.is_none()
}

/// A folder of secrets; empty is everything.
fn folder(text: &str, caller: &Caller, place: [&'static str; 2]) -> Result<Option<Folder>, ApiError> {
    if text.is_empty() {
        return Ok(None);
    }
    let folder = Folder::parse(text).map_err(|error| ApiError::because(Kind::InvalidValue, place, error.0))?;
    Ok(Some(folder.resolve(&caller.authenticated.user.id)))
}

/// `GET /leases`, of the caller's own.
pub struct List {
    pub page: Page,
    pub prefix: Option<String>,
    pub state: Option<State>,
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// A folder of secrets: `db/creds/`. Without `username` it is about everybody's, by permission; empty, about all.
    prefix: Option<String>,
    /// Somebody else's, by permission.
    #[serde(rename = "username")]
    #[param(rename = "username")]
    _username: Option<String>,
    /// Only those that are so.
    #[param(inline)]
    state: Option<State>,
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
    cursor: Option<String>,
}

impl List {
    fn of(raw: &Raw) -> Result<Self, ApiError> {
        let ListQuery { prefix, state, limit, cursor, .. } = query::decode(&raw.parts)?;
        Ok(Self { page: Page::new(limit, cursor)?, prefix, state })
    }

    pub fn below(&self, caller: &Caller) -> Result<Option<Folder>, ApiError> {
        self.prefix.as_deref().map_or(Ok(None), |text| folder(text, caller, ["query", "prefix"]))
    }
}

/// What the query asks about, besides the caller's own.
fn asked(raw: &Raw, caller: &Caller) -> Result<(Option<Username>, Option<String>), ApiError> {
    let members = query::members(&raw.parts)?;
    let username = match members.get("username") {
        Some(Value::String(name)) => Some(named(name, caller, ["query", "username"])?),
        _ => None,
    };
    Ok((username, members.get("prefix").and_then(Value::as_str).map(str::to_owned)))
}

impl OwnInput for List {
    const OPERATION: &'static str = "leases.list";

    fn read(raw: Raw) -> Result<Self, ApiError> {
        Self::of(&raw)
    }
}

impl Theirs for List {
    type Other = ListOther;

    async fn is_own(raw: &Raw, caller: &Caller, _: &App) -> Result<bool, ApiError> {
        let (username, prefix) = asked(raw, caller)?;
        Ok(match username {
            Some(name) => name == caller.authenticated.user.username,
            None => prefix.is_none(),
        })
    }
}

/// Of somebody else, or of everybody below a folder.
pub struct ListOther(pub List);

impl Input for ListOther {
    type Action = policy::List;
    type Resource = Scope;

    const OPERATION: &'static str = "leases.list";

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::List, Scope), ApiError> {
        let scope = match asked(raw, caller)? {
            (Some(name), _) => Scope::User(name),
            (None, prefix) => Scope::Below(folder(&prefix.unwrap_or_default(), caller, ["query", "prefix"])?),
        };
        Ok((policy::List, scope))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        List::of(&raw).map(Self)
    }
}

fn in_path(raw: &Raw, after: &str) -> Result<LeaseId, ApiError> {
    let name = path::name(&raw.parts, "/api/v1/leases/", after, "lease_id")?;
    LeaseId::parse(&name).map_err(|_| ApiError::at(Kind::InvalidValue, ["path", "lease_id"]))
}

async fn is_callers(id: &LeaseId, caller: &Caller, app: &App) -> Result<bool, ApiError> {
    let authenticated = &caller.authenticated;
    let found = app.leases.get(id).await?.filter(|lease| lease.user.as_ref() == Some(&authenticated.user.id));
    Ok(found.is_some_and(|lease| is_whole(caller) || lease.session.as_ref() == Some(&authenticated.session.id)))
}

/// One lease, whosever it is, and what is to become of it.
pub struct OfOne<T> {
    pub id: LeaseId,
    pub input: T,
    pub caller: Caller,
    own: bool,
}

impl<T> OfOne<T> {
    pub fn requester(&self) -> Requester<'_> {
        requester(&self.caller, self.own)
    }
}

/// About their own, or by permission.
pub fn requester(caller: &Caller, own: bool) -> Requester<'_> {
    let caller = &caller.authenticated.caller;
    if own { Requester::holder(caller) } else { Requester::other(caller) }
}

/// The same for one's own lease and, by permission, for somebody else's.
macro_rules! of_one {
    ($(#[$doc:meta])* $own:ident, $other:ident, $operation:literal, $action:ident, $after:literal, $takes:expr, $value:ty, $read:expr) => {
        $(#[$doc])*
        pub struct $own(pub LeaseId, pub $value);

        impl OwnInput for $own {
            const OPERATION: &'static str = $operation;
            const TAKES: Takes = $takes;

            fn read(raw: Raw) -> Result<Self, ApiError> {
                let id = in_path(&raw, $after)?;
                query::none(&raw.parts)?;
                Ok(Self(id, $read(raw)?))
            }

            fn resource(&self) -> Option<String> {
                Some(format!("leases/{}", self.0))
            }
        }

        impl Theirs for $own {
            type Other = $other;

            async fn is_own(raw: &Raw, caller: &Caller, app: &App) -> Result<bool, ApiError> {
                is_callers(&in_path(raw, $after)?, caller, app).await
            }
        }

        impl Whose<$own> {
            pub fn split(self) -> OfOne<$value> {
                match self {
                    Self::Own(Own($own(id, input), caller)) => OfOne { id, input, caller, own: true },
                    Self::Other(Permitted(permit, $other(input), caller)) => {
                        OfOne { id: permit.into_resource(), input, caller, own: false }
                    }
                }
            }
        }

        /// The same, by permission.
        pub struct $other(pub $value);

        impl Input for $other {
            type Action = policy::$action;
            type Resource = LeaseId;

            const OPERATION: &'static str = $operation;
            const TAKES: Takes = $takes;

            fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::$action, LeaseId), ApiError> {
                Ok((policy::$action, in_path(raw, $after)?))
            }

            fn read(raw: Raw) -> Result<Self, ApiError> {
                query::none(&raw.parts)?;
                $read(raw).map(Self)
            }
        }
    };
}

of_one!(
    /// `GET /leases/{lease_id}`.
    Show, ShowOther, "leases.read", Read, "", Takes::Nothing, (), |_: Raw| Ok::<_, ApiError>(())
);
of_one!(
    /// `POST /leases/{lease_id}/renew`.
    Renew, RenewOther, "leases.renew", Update, "/renew", Takes::ObjectOrNothing, Option<Span>, increment
);
of_one!(
    /// `POST /leases/{lease_id}/revoke`.
    Revoke, RevokeOther, "leases.revoke", Delete, "/revoke", Takes::ObjectOrNothing, (),
    |raw: Raw| raw.body.decode::<query::Nothing>().map(drop)
);

/// `POST /leases/{lease_id}/forget`: nobody's own affair, since what was lent is still out there.
pub struct Forget;

impl Input for Forget {
    type Action = policy::Manage;
    type Resource = LeaseId;

    const OPERATION: &'static str = "leases.forget";
    const TAKES: Takes = Takes::ObjectOrNothing;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Manage, LeaseId), ApiError> {
        Ok((policy::Manage, in_path(raw, "/forget")?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        raw.body.decode::<query::Nothing>().map(|_| Self)
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = RenewLease)]
#[serde(deny_unknown_fields)]
pub struct RenewBody {
    /// From now on; as long as it was first given if left out. Never beyond `max_expires_at`.
    increment: Option<Span>,
}

fn increment(raw: Raw) -> Result<Option<Span>, ApiError> {
    let RenewBody { increment } = raw.body.decode()?;
    let seconds = 1..=limits::PLUGIN_LEASE_SECONDS;
    match increment {
        Some(span) if !seconds.contains(&span.duration().as_secs()) => Err(ApiError::because(
            Kind::OutOfRange,
            ["body", "increment"],
            "must be at least 1 second and at most 10 years",
        )),
        increment => Ok(increment),
    }
}

/// `POST /leases/revoke`: one of these.
#[derive(Deserialize, ToSchema)]
#[schema(as = RevokeLeases)]
#[serde(deny_unknown_fields)]
pub struct RevokeMany {
    /// All below this folder of secrets, by permission.
    #[serde(rename = "prefix")]
    #[schema(rename = "prefix")]
    _prefix: Option<String>,
    /// What this session has borrowed: one of the caller's, or by permission another.
    session_id: Option<String>,
    /// All of this user's: the caller's own, or by permission somebody else's.
    #[serde(rename = "username")]
    #[schema(rename = "username")]
    _username: Option<String>,
}

/// Of the caller's own: what one session has borrowed, or all.
pub struct RevokeOwn(pub Option<SessionId>);

fn scope(raw: &Raw, caller: &Caller) -> Result<Scope, ApiError> {
    let member = |name: &'static str| match raw.body.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(ApiError::at(Kind::WrongType, ["body", name])),
    };
    match (member("prefix")?, member("session_id")?, member("username")?) {
        (Some(prefix), None, None) => Ok(Scope::Below(folder(&prefix, caller, ["body", "prefix"])?)),
        (None, Some(id), None) => {
            let id = SessionId::parse(&id);
            id.map(Scope::Session).map_err(|_| ApiError::at(Kind::InvalidValue, ["body", "session_id"]))
        }
        (None, None, Some(name)) => named(&name, caller, ["body", "username"]).map(Scope::User),
        (None, None, None) => Err(ApiError::at(Kind::Missing, ["body", "prefix"])),
        _ => Err(ApiError::because(Kind::InvalidValue, ["body"], "takes one of prefix, session_id and username")),
    }
}

fn nothing_else(raw: Raw) -> Result<RevokeMany, ApiError> {
    query::none(&raw.parts)?;
    raw.body.decode()
}

impl OwnInput for RevokeOwn {
    const OPERATION: &'static str = "leases.revoke_many";
    const TAKES: Takes = Takes::Object;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        let RevokeMany { session_id, .. } = nothing_else(raw)?;
        Ok(Self(session_id.and_then(|id| SessionId::parse(&id).ok())))
    }
}

impl Theirs for RevokeOwn {
    type Other = RevokeManyOther;

    async fn is_own(raw: &Raw, caller: &Caller, app: &App) -> Result<bool, ApiError> {
        let authenticated = &caller.authenticated;
        Ok(match scope(raw, caller)? {
            Scope::Below(_) => false,
            Scope::User(name) => is_whole(caller) && name == authenticated.user.username,
            Scope::Session(id) if id == authenticated.session.id => true,
            Scope::Session(id) => {
                let found = app.sessions.get(&id).await?;
                is_whole(caller) && found.is_some_and(|session| session.user == authenticated.user.id)
            }
        })
    }
}

/// By permission.
pub struct RevokeManyOther;

impl Input for RevokeManyOther {
    type Action = policy::Delete;
    type Resource = Scope;

    const OPERATION: &'static str = "leases.revoke_many";
    const TAKES: Takes = Takes::Object;

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Delete, Scope), ApiError> {
        Ok((policy::Delete, scope(raw, caller)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        nothing_else(raw).map(|_| Self)
    }
}
