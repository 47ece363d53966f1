//! HTTPS to the hosts that the grant names, and to no other.

pub use crate::bindings::coffer::plugin::http::{Request, Response};
use crate::{Error, Field, Result, body, host};

/// A request other than GET or HEAD means that this call is not run again if it cannot commit.
pub fn send(request: &Request) -> Result<Response> {
    host::current().send(request)
}

/// The same, side by side.
pub fn send_many(requests: &[Request]) -> Vec<Result<Response>> {
    host::current().send_many(requests)
}

impl Request {
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    pub fn post(url: impl Into<String>) -> Self {
        Self::new("POST", url)
    }

    pub fn new(method: &str, url: impl Into<String>) -> Self {
        let (method, url) = (method.to_owned(), url.into());
        Self { method, url, headers: Vec::new(), body: Vec::new(), timeout_ms: None, credential: None }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push(Field { name: name.to_owned(), value: value.into() });
        self
    }

    /// A credential that the host holds and adds, by name; the plugin never sees it.
    #[must_use]
    pub fn credential(self, name: &str) -> Self {
        Self { credential: Some(name.to_owned()), ..self }
    }

    pub fn json(self, value: &impl serde::Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(|_| Error::internal("the request does not serialise"))?;
        Ok(Self { body, ..self }.header("content-type", "application/json"))
    }
}

impl Response {
    /// The body as `T`. What does not fit is not the client's fault.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Result<T> {
        body::from_json(&self.body).map_err(|_| Error::internal("the answer from outside is not as expected"))
    }
}
