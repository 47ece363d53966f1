//! The sandbox: every plugin call is a fresh instance under limits, and a function from a request
//! and the mount's own storage to an answer and the writes it proposes.
//!
//! Owns the engine, the limits of a call and what the host offers to a plugin. Never knows HTTP,
//! mounts or who asks, and never commits: the writes go back to the caller. `wasmtime` is named
//! here and nowhere else. One more import is one more file in `imports/`; one more export is one
//! more type in `input.rs`.

mod answer;
mod bindings;
mod breaker;
mod cache;
mod call;
mod compiler;
mod component;
pub mod egress;
mod engine;
mod error;
mod fault;
mod forms;
mod gate;
mod imports;
mod input;
mod invoke;
mod journal;
mod meter;
mod places;
mod plugin;
mod run;
mod sandbox;
mod shares;
mod start;
mod stats;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod ticker;
mod turns;
pub mod types;
mod workers;

pub use answer::is_subject;
pub use cache::Cache;
pub use call::{Argon2Cost, Bounds, Call, Callback, Dearest, Facts, Fault, Grant, Origin, Outcome, PasswordCosts};
pub use egress::{Egress, HostGrant};
pub use error::Error;
pub use imports::{is_offered, is_withheld};
pub use input::{
    Check, Credentials, Enroll, Handle, Input, Login, Migrate, Refresh, Remove, RenewLease, Resume, RevokeLease, Tick,
    Verify,
};
pub use journal::{Intent, Journal, Unnoted};
pub use plugin::{Exports, Failure, Plugin};
pub use start::{Options, Runtime};
pub use stats::{Failed, Line, Stats, Tally, Times};
