//! What the calls on secrets read of a request.

use serde_json::{Map, Value};

use super::secrets::ListQuery;
use crate::{
    app::App,
    catalog::Method,
    http::{
        body::Takes,
        error::{ApiError, Kind},
        path,
        permitted::{Caller, Input, OwnInput, Raw},
        query,
    },
    ids::{Folder, MountName, SecretPath},
    policy,
    secrets::{Operation, Page},
};

pub struct Create {
    pub operation: Operation,
    /// Which members named the secret and its mount.
    pub name: &'static str,
    pub mount: &'static str,
}
pub struct Read(pub Operation);
pub struct Put(pub Operation);
pub struct Patch(pub Operation);
pub struct Delete(pub Operation);
pub struct VerbByGet(pub Operation);
pub struct VerbByPost(pub Operation);
pub struct List(pub Page);
pub struct ListAll(pub Page);

const DEFAULT_MOUNT: &str = "kv";

/// Of members that say the same thing, one.
fn instead(member: &'static str, why: &'static str) -> ApiError {
    ApiError::because(Kind::InvalidValue, ["body", member], why)
}

impl Input for Create {
    type Action = policy::Create;
    type Resource = SecretPath;

    const OPERATION: &'static str = "secrets.create";
    const TAKES: Takes = Takes::Object;

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Create, SecretPath), ApiError> {
        let text = |name: &'static str| match raw.body.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(ApiError::at(Kind::WrongType, ["body", name])),
        };
        let mount = match (text("mount")?, text("engine")?) {
            (Some(_), Some(_)) => return Err(instead("engine", "means the same as mount: give one of the two")),
            (mount, engine) => mount.or(engine),
        };
        let id = match (text("secret_id")?, text("name")?) {
            (Some(_), Some(_)) => return Err(instead("name", "does not go with secret_id: give one of the two")),
            (Some(_), None) if mount.is_some() => {
                let member = if raw.body.get("mount").is_some() { "mount" } else { "engine" };
                return Err(instead(member, "does not go with secret_id, which begins with the mount"));
            }
            (Some(id), None) => path::secret_id(id, ["body", "secret_id"])?,
            (None, Some(name)) => {
                let invalid = |member| {
                    move |error: crate::ids::Error| ApiError::because(Kind::InvalidValue, ["body", member], error.0)
                };
                let mount = MountName::parse(mount.unwrap_or(DEFAULT_MOUNT)).map_err(invalid("mount"))?;
                SecretPath::new(mount, name).map_err(invalid("name"))?
            }
            (None, None) => return Err(ApiError::at(Kind::Missing, ["body", "secret_id"])),
        };
        Ok((policy::Create, id.resolve(&caller.authenticated.user.id)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let mut body = members(raw.body.into_value());
        let has = |member: &str| body.contains_key(member);
        let (name, mount) = match (has("secret_id"), has("engine")) {
            (true, _) => ("secret_id", "secret_id"),
            (false, true) => ("name", "engine"),
            (false, false) => ("name", "mount"),
        };
        for name in ["secret_id", "name", "mount", "engine"] {
            body.remove(name);
        }
        Ok(Self { operation: operation("create", with_data(body)?), name, mount })
    }
}

impl Input for Read {
    type Action = policy::Read;
    type Resource = SecretPath;

    const OPERATION: &'static str = "secrets.read";

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Read, SecretPath), ApiError> {
        Ok((policy::Read, named(raw, caller)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        let body = members(path::target(&raw.parts)?.query);
        Ok(Self(Operation { read_only: true, ..operation("read", body) }))
    }
}

impl Input for Put {
    type Action = policy::Put;
    type Resource = SecretPath;

    const OPERATION: &'static str = "secrets.update";
    const TAKES: Takes = Takes::Object;

    /// What is expected says whether it is made, replaced, or one of the two.
    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Put, SecretPath), ApiError> {
        let action = match raw.body.get("expected_version") {
            None | Some(Value::Null) => policy::Put::Either,
            Some(version) => match version.as_u64() {
                Some(0) => policy::Put::Create,
                Some(_) => policy::Put::Update,
                None => return Err(ApiError::at(Kind::WrongType, ["body", "expected_version"])),
            },
        };
        Ok((action, named(raw, caller)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        no_more_query(&raw)?;
        Ok(Self(operation("update", with_data(members(raw.body.into_value()))?)))
    }
}

impl Input for Patch {
    type Action = policy::Update;
    type Resource = SecretPath;

    const OPERATION: &'static str = "secrets.patch";
    const TAKES: Takes = Takes::Object;

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Update, SecretPath), ApiError> {
        Ok((policy::Update, named(raw, caller)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        no_more_query(&raw)?;
        Ok(Self(operation("patch", with_data(members(raw.body.into_value()))?)))
    }
}

impl Input for Delete {
    type Action = policy::Delete;
    type Resource = SecretPath;

    const OPERATION: &'static str = "secrets.delete";

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Delete, SecretPath), ApiError> {
        Ok((policy::Delete, named(raw, caller)?))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        Ok(Self(operation("delete", members(path::target(&raw.parts)?.query))))
    }
}

impl Input for VerbByGet {
    type Action = policy::Verb;
    type Resource = SecretPath;

    const OPERATION: &'static str = "secrets.verb";

    fn target(raw: &Raw, caller: &Caller, app: &App) -> Result<(policy::Verb, SecretPath), ApiError> {
        verb(raw, caller, app, Method::Get)
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        let target = path::target(&raw.parts)?;
        let name = target.verb.unwrap_or_default();
        Ok(Self(Operation { name, body: members(target.query), read_only: true }))
    }
}

impl Input for VerbByPost {
    type Action = policy::Verb;
    type Resource = SecretPath;

    const OPERATION: &'static str = "secrets.verb";
    const TAKES: Takes = Takes::ObjectOrNothing;

    fn target(raw: &Raw, caller: &Caller, app: &App) -> Result<(policy::Verb, SecretPath), ApiError> {
        verb(raw, caller, app, Method::Post)
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        no_more_query(&raw)?;
        let name = path::target(&raw.parts)?.verb.unwrap_or_default();
        Ok(Self(Operation { name, body: members(raw.body.into_value()), read_only: false }))
    }
}

impl Input for List {
    type Action = policy::List;
    type Resource = Folder;

    const OPERATION: &'static str = "secrets.list";

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::List, Folder), ApiError> {
        let query = query::members(&raw.parts)?;
        let prefix = query.get("prefix").and_then(Value::as_str).unwrap_or_default();
        Ok((policy::List, path::folder(prefix)?.resolve(&caller.authenticated.user.id)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        page(&raw).map(Self)
    }
}

impl OwnInput for ListAll {
    const OPERATION: &'static str = "secrets.list";

    fn read(raw: Raw) -> Result<Self, ApiError> {
        page(&raw).map(Self)
    }
}

fn page(raw: &Raw) -> Result<Page, ApiError> {
    let ListQuery { _prefix: _, recursive, limit, cursor } = query::decode(&raw.parts)?;
    Ok(Page { recursive, limit: query::limit(limit)?, cursor })
}

/// The secret that the URL names, with the caller's own folder for `~`.
fn named(raw: &Raw, caller: &Caller) -> Result<SecretPath, ApiError> {
    let target = path::target(&raw.parts)?;
    match target.verb {
        None => Ok(target.id.resolve(&caller.authenticated.user.id)),
        // A verb goes by GET or POST.
        Some(_) => Err(ApiError::only("GET, POST")),
    }
}

fn verb(raw: &Raw, caller: &Caller, app: &App, method: Method) -> Result<(policy::Verb, SecretPath), ApiError> {
    let target = path::target(&raw.parts)?;
    // Without a verb, this is a POST to a secret.
    let name = target.verb.ok_or_else(|| ApiError::only("GET, PUT, PATCH, DELETE"))?;
    let id = target.id.resolve(&caller.authenticated.user.id);
    Ok((app.secrets.action_of(&id, &name, method), id))
}

fn no_more_query(raw: &Raw) -> Result<(), ApiError> {
    let query = members(path::target(&raw.parts)?.query);
    match query.keys().next() {
        Some(name) => Err(ApiError::at(Kind::UnknownMember, ["query".into(), crate::http::json::told(name)])),
        None => Ok(()),
    }
}

/// `value` is short for `data` with one member.
fn with_data(mut body: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    match (body.remove("value"), body.contains_key("data")) {
        (None, _) => {}
        (Some(_), true) => return Err(ApiError::because(Kind::InvalidValue, ["body", "value"], "goes without data")),
        (Some(value), false) => {
            body.insert("data".to_owned(), Value::Object(Map::from_iter([("value".to_owned(), value)])));
        }
    }
    Ok(body)
}

fn operation(name: &str, body: Map<String, Value>) -> Operation {
    Operation { name: name.to_owned(), body, read_only: false }
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
