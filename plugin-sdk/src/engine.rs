use serde::{Deserialize, Serialize, de::DeserializeOwned};

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

/// What a call takes that takes nothing: a body or a query with anything in it is refused.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct NoParameters {}

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

/// Routes of an engine, as a table: an operation or verb, what it takes (`body`, or `query` where it comes
/// by GET), and who answers. Whatever does not stand there is `unsupported`.
///
/// ```
/// use coffer_plugin_sdk::{NoParameters, prelude::*, routes, serde_json::json, testing::Host};
///
/// #[derive(Deserialize)]
/// struct Notes;
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Note {
///     text: String,
/// }
///
/// impl Engine for Notes {
///     fn handle(&self, request: Request) -> Result<Response> {
///         routes!(request, path:
///             "update" (body note: Note) => storage::put(path, &note.text, None).map(|()| Response::empty()),
///             "read" (query _nothing: NoParameters) => {
///                 let text = storage::get::<String>(path)?.ok_or_else(Error::not_found)?.value;
///                 Response::json(&json!({ "text": text }))
///             },
///         )
///     }
/// }
///
/// let host = Host::new();
/// host.post::<Notes>("update", "a", json!({ "text": "hello" })).unwrap();
/// assert_eq!(host.get::<Notes>("read", "a", json!({})).unwrap(), json!({ "text": "hello" }));
/// assert_eq!(host.get::<Notes>("fly", "a", json!({})).unwrap_err().code, "unsupported");
/// ```
#[macro_export]
macro_rules! routes {
    ($request:expr, $path:ident: $($operation:literal ($from:ident $taken:ident: $type:ty) => $answer:expr),+ $(,)?) => {{
        let request: &$crate::Request = &$request;
        let $path = request.path.as_str();
        match request.operation.as_str() {
            $($operation => {
                let $taken: $type = request.$from()?;
                $answer
            })+
            _ => Err($crate::Error::unsupported()),
        }
    }};
}
