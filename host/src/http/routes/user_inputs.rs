//! What the calls on users read of a request.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    app::App,
    directory::{Change, Kind as UserKind},
    http::{
        body::Takes,
        error::{ApiError, Kind},
        path,
        permitted::{Caller, Input, OwnInput, Raw},
        query::{self, Page},
        whose::Theirs,
    },
    ids::{Email, RoleName, Username},
    policy,
    problem::{self, Problem},
    sensitive::Secret,
    users::{AllUsers, NewUser, OwnPassword, PasswordPath, UserPath},
};

/// `GET /users`.
pub struct List(pub Page);

impl Input for List {
    type Action = policy::List;
    type Resource = AllUsers;

    const OPERATION: &'static str = "users.list";

    fn target(_: &Raw, _: &Caller, _: &App) -> Result<(policy::List, AllUsers), ApiError> {
        Ok((policy::List, AllUsers))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        Page::read(&raw.parts).map(Self)
    }
}

/// `GET /users/{username}`.
pub struct Get;

impl Input for Get {
    type Action = policy::Read;
    type Resource = UserPath;

    const OPERATION: &'static str = "users.get";

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Read, UserPath), ApiError> {
        Ok((policy::Read, UserPath(in_path(raw, caller, "")?)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

/// A user to be made.
#[derive(Deserialize, ToSchema)]
#[schema(as = NewUser)]
#[serde(deny_unknown_fields)]
pub struct Create {
    #[serde(rename = "username")]
    #[schema(value_type = String)]
    _username: Username,
    /// A person must have one.
    #[schema(value_type = Option<String>, format = Email)]
    email: Option<Email>,
    #[schema(value_type = String)]
    role: RoleName,
    /// A person must have one, a machine has none: its secrets are credentials of the mount `clients`.
    #[schema(value_type = Option<String>, format = Password)]
    password: Option<Secret<String>>,
    #[serde(default)]
    kind: UserKind,
}

impl Create {
    pub fn named(self, path: &UserPath, caller: &Caller) -> NewUser {
        let Self { email, role, password, .. } = self;
        NewUser { username: path.0.clone(), email, role, password, request: caller.client.request.clone() }
    }
}

impl Input for Create {
    type Action = policy::Create;
    type Resource = UserPath;

    const OPERATION: &'static str = "users.create";
    const TAKES: Takes = Takes::Object;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Create, UserPath), ApiError> {
        // Whom it is about must be said; the rest is looked at once it is known that the caller may.
        if raw.body.get("username").is_none() {
            has_all(raw)?;
        }
        Ok((policy::Create, UserPath(in_body(raw)?)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        has_all(&raw)?;
        let read: Self = raw.body.decode()?;
        match (read.kind, &read.password) {
            (UserKind::Machine, Some(_)) => {
                Err(ApiError::because(Kind::InvalidValue, ["body", "password"], "a machine has no password"))
            }
            _ => Ok(read),
        }
    }

    fn values(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("role".to_owned(), self.role.to_string())])
    }
}

/// All that a new user lacks, told at once: nobody should have to ask four times.
fn has_all(raw: &Raw) -> Result<(), ApiError> {
    let is_person = raw.body.get("kind").is_none_or(|kind| kind == "person");
    let needed: &[&str] = if is_person { &["username", "email", "role", "password"] } else { &["username", "role"] };
    let lacks = |member: &&&'static str| raw.body.get(member).is_none_or(Value::is_null);
    let missing = |member: &&'static str| Problem::new(problem::pointer("", member), "missing", "is required");
    let problems: Vec<Problem> = needed.iter().filter(lacks).map(missing).collect();
    if problems.is_empty() { Ok(()) } else { Err(ApiError::problems("body", problems, &Value::Null)) }
}

/// `POST /users/{username}/update`. What is not named stays as it is.
#[derive(Deserialize, ToSchema)]
#[schema(as = UpdateUser)]
#[serde(deny_unknown_fields)]
pub struct Update {
    /// Null takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>, format = Email)]
    email: Option<Option<Email>>,
    #[schema(value_type = Option<String>)]
    role: Option<RoleName>,
    disabled: Option<bool>,
}

impl Update {
    pub fn change(self) -> Change {
        Change { email: self.email, role: self.role, disabled: self.disabled }
    }
}

impl Input for Update {
    type Action = policy::Update;
    type Resource = UserPath;

    const OPERATION: &'static str = "users.update";
    const TAKES: Takes = Takes::Object;

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Update, UserPath), ApiError> {
        Ok((policy::Update, UserPath(in_path(raw, caller, "/update")?)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        raw.body.decode()
    }

    fn values(&self) -> BTreeMap<String, String> {
        let role = self.role.as_ref().map(|role| ("role".to_owned(), role.to_string()));
        let disabled = self.disabled.map(|disabled| ("disabled".to_owned(), disabled.to_string()));
        let email = self.email.is_some().then(|| ("email".to_owned(), "changed".to_owned()));
        role.into_iter().chain(disabled).chain(email).collect()
    }
}

/// `POST /users/{username}/password`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// For one's own password, and only for that.
    #[schema(value_type = Option<String>, format = Password)]
    current: Option<Secret<String>>,
    #[schema(value_type = String, format = Password)]
    new: Secret<String>,
}

/// One's own.
pub struct OwnChange {
    current: Secret<String>,
    new: Secret<String>,
}

impl OwnChange {
    pub fn by(self, caller: &Caller) -> OwnPassword {
        let (address, request) = (caller.client.address, caller.client.request.clone());
        OwnPassword { current: self.current, new: self.new, address, request }
    }
}

impl OwnInput for OwnChange {
    const OPERATION: &'static str = "users.password";
    const TAKES: Takes = Takes::Object;
    const WHOLE: bool = true;

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let ChangePassword { current, new } = raw.body.decode()?;
        let current = current.ok_or_else(|| ApiError::at(Kind::Missing, ["body", "current"]))?;
        Ok(Self { current, new })
    }
}

impl Theirs for OwnChange {
    type Other = SetPassword;

    async fn is_own(raw: &Raw, caller: &Caller, _: &App) -> Result<bool, ApiError> {
        Ok(in_path(raw, caller, "/password")? == caller.authenticated.user.username)
    }
}

/// Somebody else's: by permission, without the current one.
pub struct SetPassword(pub Secret<String>);

impl Input for SetPassword {
    type Action = policy::Update;
    type Resource = PasswordPath;

    const OPERATION: &'static str = "users.password";
    const TAKES: Takes = Takes::Object;

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Update, PasswordPath), ApiError> {
        Ok((policy::Update, PasswordPath(in_path(raw, caller, "/password")?)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        let ChangePassword { current, new } = raw.body.decode()?;
        match current {
            None => Ok(Self(new)),
            Some(_) => Err(ApiError::because(Kind::UnknownMember, ["body", "current"], "is for one's own password")),
        }
    }
}

/// `POST /users/{username}/delete`.
pub struct Delete;

impl Input for Delete {
    type Action = policy::Delete;
    type Resource = UserPath;

    const OPERATION: &'static str = "users.delete";
    const TAKES: Takes = Takes::ObjectOrNothing;

    fn target(raw: &Raw, caller: &Caller, _: &App) -> Result<(policy::Delete, UserPath), ApiError> {
        Ok((policy::Delete, UserPath(in_path(raw, caller, "/delete")?)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        raw.body.decode::<query::Nothing>().map(|_| Self)
    }
}

/// `POST /users/delete` with the name in the body.
pub struct DeleteNamed;

/// Its body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    #[serde(rename = "username")]
    _username: Username,
}

impl Input for DeleteNamed {
    type Action = policy::Delete;
    type Resource = UserPath;

    const OPERATION: &'static str = "users.delete";
    const TAKES: Takes = Takes::Object;

    fn target(raw: &Raw, _: &Caller, _: &App) -> Result<(policy::Delete, UserPath), ApiError> {
        Ok((policy::Delete, UserPath(in_body(raw)?)))
    }

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts)?;
        raw.body.decode::<Named>().map(|_| Self)
    }
}

/// `GET /users/me`.
pub struct Me;

impl OwnInput for Me {
    const OPERATION: &'static str = "users.me";

    fn read(raw: Raw) -> Result<Self, ApiError> {
        query::none(&raw.parts).map(|()| Self)
    }
}

/// Whom the URL names: `/users/{username}` and what is below it. `me` is the caller.
pub fn in_path(raw: &Raw, caller: &Caller, after: &str) -> Result<Username, ApiError> {
    let name = path::name(&raw.parts, "/api/v1/users/", after, "username")?;
    named(&name, caller, ["path", "username"])
}

/// A name that somebody gave, or the caller's own for `me`.
pub fn named(name: &str, caller: &Caller, place: [&'static str; 2]) -> Result<Username, ApiError> {
    match name {
        "me" => Ok(caller.authenticated.user.username.clone()),
        name => username(name, place),
    }
}

fn in_body(raw: &Raw) -> Result<Username, ApiError> {
    match raw.body.get("username") {
        Some(serde_json::Value::String(name)) => username(name, ["body", "username"]),
        Some(_) => Err(ApiError::at(Kind::WrongType, ["body", "username"])),
        None => Err(ApiError::at(Kind::Missing, ["body", "username"])),
    }
}

pub fn username(text: &str, place: [&'static str; 2]) -> Result<Username, ApiError> {
    Username::parse(text).map_err(|error| ApiError::because(Kind::InvalidValue, place, error.0))
}

/// Tells a member that is null from one that is not there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}
