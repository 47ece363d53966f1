use serde::{Serialize, de::DeserializeOwned};

pub use crate::bindings::auth::exports::coffer::plugin::auth::{Challenge, Identity, SessionLimits, Step};
use crate::{Error, Field, Result, bindings, body, export};

/// An auth method. A login is a conversation: each step ends in an identity, a challenge or an
/// error. `pending` and `slow-down` leave the challenge as it is; any other error ends it, and its
/// writes are not kept: to let the client try again, answer a challenge. One of kind `wait`, from `resume`, asks nobody
/// for anything: its state is kept in place of the one before, and the client is told to ask again later.
///
/// ```
/// use coffer_plugin_sdk::{prelude::*, serde_json::{Value, json}, testing::Host};
///
/// #[derive(Deserialize)]
/// struct Pin;
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Login {
///     /// Whom it names the host has found out: `context::login_user`.
///     #[serde(rename = "username")]
///     _username: String,
///     pin: String,
/// }
///
/// impl Auth for Pin {
///     type Login = Login;
///
///     fn login(&self, login: Login) -> Result<Step> {
///         let user = context::login_user();
///         let hash = user.as_ref().map(|user| storage::get::<String>(user)).transpose()?.flatten();
///         let is_right = crypto::password_verify(&login.pin, hash.as_ref().map(|hash| hash.value.as_str()))?;
///         let Some(user) = user.filter(|_| is_right) else { return Err(Error::denied()) };
///         Ok(Identity::new(user).into())
///     }
/// }
/// # #[derive(Deserialize)]
/// # struct NewPin {
/// #     pin: String,
/// # }
/// # impl Credentials for Pin {
/// #     type Credential = NewPin;
/// #     fn enroll(&self, subject: &str, _: Option<&str>, new: NewPin) -> Result<Option<Value>> {
/// #         storage::put(subject, &crypto::password_hash(&new.pin)?, None).map(|()| None)
/// #     }
/// #     fn verify(&self, _: &str, _: NewPin) -> Result<bool> {
/// #         Err(Error::unsupported())
/// #     }
/// #     fn list(&self, _: &str) -> Result<Vec<Credential>> {
/// #         Ok(Vec::new())
/// #     }
/// #     fn remove(&self, subject: &str, _: Option<&str>) -> Result<()> {
/// #         storage::delete(subject)
/// #     }
/// # }
/// # /*
/// coffer_plugin_sdk::export!(Pin: auth, credentials);
/// # */
///
/// let host = Host::new();
/// host.enroll::<Pin>("usr_ada", None, json!({ "pin": "4711" })).unwrap();
/// host.set_login_user(Some("usr_ada"));
/// let login = |pin: &str| host.login::<Pin>(json!({ "username": "ada", "pin": pin }));
/// assert!(matches!(login("4711"), Ok(Step::Identity(identity)) if identity.subject == "usr_ada"));
/// assert_eq!(login("4712").err().unwrap().code, "denied");
/// ```
pub trait Auth: DeserializeOwned {
    /// The members that a login takes.
    type Login: DeserializeOwned;

    fn login(&self, login: Self::Login) -> Result<Step>;

    /// Goes on from a challenge's `state`. `answer` is a JSON object: see `from_json`.
    fn resume(&self, state: Vec<u8>, answer: Vec<u8>) -> Result<Step> {
        let _ = (state, answer);
        Err(Error::unsupported())
    }

    /// Called when a session is renewed: is this identity still good, and still in these groups?
    /// Anything but an identity ends the session.
    fn refresh(&self, internal: Vec<u8>) -> Result<Identity> {
        let _ = internal;
        Err(Error::denied())
    }
}

impl<P: Auth> bindings::auth::exports::coffer::plugin::auth::Guest for P {
    fn login(credentials: Vec<u8>) -> Result<Step> {
        export::begin::<P>()?.login(body::from_json(&credentials)?)
    }

    fn resume(state: Vec<u8>, answer: Vec<u8>) -> Result<Step> {
        export::begin::<P>()?.resume(state, answer)
    }

    fn refresh(internal: Vec<u8>) -> Result<Identity> {
        export::begin::<P>()?.refresh(internal)
    }
}

impl Identity {
    /// `subject` is stable and never reused. For a method that proves the host's own users it is
    /// `context::login_user`, nothing else. The session can be renewed if `refresh` agrees.
    pub fn new(subject: impl Into<String>) -> Self {
        let subject = subject.into();
        let limits = SessionLimits { ttl_seconds: None, max_uses: None, addresses: None, renewable: true };
        let display_name = String::new();
        Self { subject, display_name, groups: Vec::new(), metadata: Vec::new(), limits, internal: Vec::new() }
    }

    #[must_use]
    pub fn named(self, display_name: impl Into<String>) -> Self {
        Self { display_name: display_name.into(), ..self }
    }

    #[must_use]
    pub fn in_groups(self, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { groups: groups.into_iter().map(Into::into).collect(), ..self }
    }

    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.push(Field { name: name.into(), value: value.into() });
        self
    }

    /// Kept by the host, sealed; comes back to `refresh` as JSON: see `from_json`.
    pub fn with_internal(self, internal: &impl Serialize) -> Result<Self> {
        let internal = serde_json::to_vec(internal).map_err(|_| Error::internal("the internal does not serialise"))?;
        Ok(Self { internal, ..self })
    }
}

impl From<Identity> for Step {
    fn from(identity: Identity) -> Self {
        Self::Identity(identity)
    }
}

impl From<Challenge> for Step {
    fn from(challenge: Challenge) -> Self {
        Self::Challenge(challenge)
    }
}
