use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{Error, Result, Timestamp, bindings, body, export};

/// An auth method that keeps credentials of its own. A subject is a user's id.
pub trait Credentials: DeserializeOwned {
    /// What `enroll` and `verify` take.
    type Credential: DeserializeOwned;

    /// Adds a credential, or replaces the one of that id. The answer is shown once: what the
    /// plugin made (a client secret, an otpauth URI), if anything.
    fn enroll(
        &self,
        subject: &str,
        id: Option<&str>,
        credential: Self::Credential,
    ) -> Result<Option<serde_json::Value>>;

    /// Is it right? Makes no session.
    fn verify(&self, subject: &str, credential: Self::Credential) -> Result<bool>;

    /// What the subject has, nothing secret.
    fn list(&self, subject: &str) -> Result<Vec<Credential>>;

    /// One, or all of them. Idempotent.
    fn remove(&self, subject: &str, id: Option<&str>) -> Result<()>;
}

/// A credential as it is listed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Credential {
    pub id: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What else there is to tell of it, nothing secret. `"pending": true` says that it does not count
    /// yet: it is to be confirmed first.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Credential {
    pub fn new(id: impl Into<String>, created_at: Timestamp) -> Self {
        Self { id: id.into(), created_at, updated_at: created_at, more: Map::new() }
    }

    #[must_use]
    pub fn updated_at(self, updated_at: Timestamp) -> Self {
        Self { updated_at, ..self }
    }

    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

impl<P: Credentials> bindings::credentials::exports::coffer::plugin::credentials::Guest for P {
    fn enroll(subject: String, id: Option<String>, credential: Vec<u8>) -> Result<Vec<u8>> {
        let made = export::begin::<P>()?.enroll(&subject, id.as_deref(), body::from_json(&credential)?)?;
        made.map_or(Ok(Vec::new()), |made| bytes(&made))
    }

    fn verify(subject: String, credential: Vec<u8>) -> Result<bool> {
        export::begin::<P>()?.verify(&subject, body::from_json(&credential)?)
    }

    fn list(subject: String) -> Result<Vec<u8>> {
        bytes(&export::begin::<P>()?.list(&subject)?)
    }

    fn remove(subject: String, id: Option<String>) -> Result<()> {
        export::begin::<P>()?.remove(&subject, id.as_deref())
    }
}

fn bytes(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|_| Error::internal("the answer does not serialise"))
}
