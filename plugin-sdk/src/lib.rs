//! Write auth methods and secrets engines for Coffer.
//!
//! A plugin is a struct, which is its configuration; a trait for each thing that it does; and one
//! line that exports it. This is a whole secrets engine:
//!
//! ```
//! use coffer_plugin_sdk::{prelude::*, serde_json::json};
//!
//! #[derive(Deserialize)]
//! struct Hello;
//!
//! impl Engine for Hello {
//!     fn handle(&self, request: Request) -> Result<Response> {
//!         Response::json(&json!({ "hello": request.path }))
//!     }
//! }
//! # /*
//! coffer_plugin_sdk::export!(Hello: engine);
//! # */
//! ```
//!
//! # The project
//!
//! Beside it stand a manifest, `plugin.toml`, which says what the plugin is and what it asks for:
//!
//! ```toml
//! [plugin]
//! name = "hello"
//! version = "1.0.0"
//! kind = "secrets"                # or "auth"
//! api = "1.0"
//! ```
//!
//! and a `Cargo.toml` with `crate-type = ["cdylib", "rlib"]`. `cargo build --target wasm32-wasip2 --release` makes the
//! component, with the manifest in it; `cargo test` runs the same code natively.
//!
//! # What a call is
//!
//! (request, own storage) → (response, writes). Nothing is stored until the call has returned success, and the
//! call runs again if what it got has changed meanwhile. So there are no locks, nothing is ever half done, and a plugin
//! keeps nothing between calls but what stands in [`storage`].
//!
//! # What is sent, what is stored, what is refused
//!
//! Bodies, queries, configuration and values are types that serde reads. What does not fit is answered with its place and a
//! reason, in the SDK's words: with `deny_unknown_fields` a slip in a name is found. An [`Error`] has a code that
//! the server knows: `Error::not_found()` is a 404, `Error::invalid("/ttl", "out_of_range", "must be …")` a 422 that
//! points at `ttl`. [`routes!`] is the table of what an engine answers.
//!
//! ```
//! use coffer_plugin_sdk::{prelude::*, routes, serde_json::json, testing::Host};
//!
//! /// The configuration of a mount: `{"most": 3}`.
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Counter {
//!     #[serde(default = "ten")]
//!     most: u32,
//! }
//!
//! fn ten() -> u32 {
//!     10
//! }
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Add {
//!     by: u32,
//! }
//!
//! impl Engine for Counter {
//!     fn handle(&self, request: Request) -> Result<Response> {
//!         routes!(request, path: "add" (body add: Add) => {
//!             let count = storage::get::<u32>(path)?.map_or(0, |entry| entry.value) + add.by;
//!             if count > self.most {
//!                 return Err(Error::invalid("/by", "out_of_range", "is more than this mount counts"));
//!             }
//!             storage::put(path, &count, None)?;
//!             Response::json(&json!({ "count": count }))
//!         })
//!     }
//! }
//!
//! // The tests: a host in memory, with a clock that you move and faults that you order.
//! let host = Host::new();
//! host.set_config(json!({ "most": 3 }));
//! assert_eq!(host.post::<Counter>("add", "a", json!({ "by": 2 })).unwrap(), json!({ "count": 2 }));
//! let refused = host.post::<Counter>("add", "a", json!({ "by": 2 })).unwrap_err();
//! assert_eq!((refused.code.as_str(), refused.problems[0].at.as_str()), ("invalid", "/by"));
//! let misspelt = host.post::<Counter>("add", "a", json!({ "buy": 2 })).unwrap_err();
//! assert_eq!(misspelt.problems[0].code, "unknown_member");
//! ```
//!
//! A verb beyond the plain six (`add` here) stands in the manifest as `[[calls]]`, with the action that policy is asked
//! for and the JSON Schemas of what it takes and answers. Its other fields, all codes of errors, the names of algorithms and
//! all bounds stand in the server's own documentation, at `/docs/plugins-reference`.
//!
//! # What else there is
//!
//! - [`Auth`]: a way to log in, [`Credentials`]: what users keep for it. [`Leases`]: answers with an end.
//! - [`crypto`]: keys that never enter the plugin, password hashes, randomness. [`http`]: to the hosts that were granted.
//! - [`log`]: for the operator. A panic is heard there too, with its place, and answered with 502.
//! - [`listing`]: the answer to `list`. [`testing`]: everything above, without a server.

mod auth;
mod bindings;
mod body;
pub mod config;
pub mod context;
mod credentials;
pub mod crypto;
pub mod effects;
mod engine;
mod error;
mod export;
mod host;
pub mod http;
mod leases;
mod listing;
pub mod log;
mod maintenance;
mod metadata;
pub mod storage;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod time;

pub use auth::{Auth, Challenge, Identity, SessionLimits, Step};
pub use bindings::coffer::plugin::types::{Error, Field, LeaseSpec, Problem, Request, Response};
pub use body::{from_json, from_query, from_value};
pub use credentials::{Credential, Credentials};
pub use engine::{Engine, NoParameters, Operation};
pub use error::Result;
pub use export::Check;
pub use leases::Leases;
pub use listing::{ListQuery, listing};
pub use maintenance::Maintenance;
pub use metadata::{check_metadata, merge};
pub use serde_json;
pub use time::{Span, Timestamp};

/// What nearly every plugin uses.
pub mod prelude {
    pub use serde::{Deserialize, Serialize};

    pub use crate::{
        Auth, Challenge, Check, Credential, Credentials, Engine, Error, Identity, LeaseSpec, Leases, Maintenance,
        Operation, Request, Response, Result, Span, Step, Timestamp, context, crypto, log, storage, time,
    };
}

#[doc(hidden)]
pub mod private {
    pub use crate::bindings::{auth, credentials, engine, leases, maintenance, plugin};
}
