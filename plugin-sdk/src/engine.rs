use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, LeaseSpec, Request, Response, Result, bindings, body, export};

/// A secrets engine, or an auth method's own paths.
pub trait Engine: DeserializeOwned {
    fn handle(&self, request: Request) -> Result<Response>;
}

impl<P: Engine> bindings::engine::exports::coffer::plugin::engine::Guest for P {
    fn handle(request: Request) -> Result<Response> {
        export::begin::<P>()?.handle(request)
    }
}

/// What is to be done with the path. Policy has allowed this and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation<'a> {
    Create,
    Read,
    Update,
    Patch,
    Delete,
    /// The path is a folder.
    List,
    /// One of the manifest's calls.
    Verb(&'a str),
}

impl Request {
    pub fn operation(&self) -> Operation<'_> {
        match self.operation.as_str() {
            "create" => Operation::Create,
            "read" => Operation::Read,
            "update" => Operation::Update,
            "patch" => Operation::Patch,
            "delete" => Operation::Delete,
            "list" => Operation::List,
            verb => Operation::Verb(verb),
        }
    }

    /// The body as `T`. Where it does not fit, the error says at which place and why.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T> {
        body::from_json(&self.body)
    }

    /// The query as `T`: as `body`, and `"3"` and `"true"` are read as a number and a bool where those are wanted.
    pub fn query<T: DeserializeOwned>(&self) -> Result<T> {
        body::from_query(&self.body)
    }
}

impl Response {
    /// Any value that serialises to a JSON object.
    pub fn json(value: &impl Serialize) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(|_| Error::internal("the answer does not serialise"))?;
        Ok(Self { body, warnings: Vec::new(), lease: None })
    }

    pub fn empty() -> Self {
        Self { body: Vec::new(), warnings: Vec::new(), lease: None }
    }

    #[must_use]
    pub fn with_warning(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    #[must_use]
    pub fn with_lease(self, lease: LeaseSpec) -> Self {
        Self { lease: Some(lease), ..self }
    }
}
