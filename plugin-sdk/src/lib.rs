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
//! Beside it stand `plugin.toml`, the manifest, and a `Cargo.toml` with `crate-type = ["cdylib", "rlib"]`.
//! `cargo build --target wasm32-wasip2 --release` makes the component.
//!
//! A call is (request, own storage) → (response, writes): nothing is stored until the call has
//! returned success, and the call runs again if what it read has changed meanwhile. So a plugin
//! keeps nothing between calls but what stands in [`storage`].
//!
//! [`testing`] runs the same code natively, without a server.

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
pub mod storage;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
pub mod time;

pub use auth::{Auth, Challenge, Identity, SessionLimits, Step};
pub use bindings::coffer::plugin::types::{Error, Field, LeaseSpec, Problem, Request, Response};
pub use body::{from_json, from_query, from_value};
pub use credentials::{Credential, Credentials};
pub use engine::{Engine, Operation};
pub use error::Result;
pub use export::Check;
pub use leases::Leases;
pub use listing::{ListQuery, listing};
pub use maintenance::Maintenance;
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
