//! What the host offers to a plugin: one interface of `wit/v1`, one file.
//!
//! Every function is bounded by itself and by the call. A refusal that the plugin can mend is an
//! error of the interface (`Stop::Told`); what breaks the contract or a bound ends the call
//! (`Stop::Halt`), so that a plugin cannot go on as if nothing had been.

use std::{future::Future, time::Duration};

use wasmtime::{
    Engine,
    component::{HasSelf, Linker},
};

use super::{Error, Fault, bindings::coffer::plugin as wit, sandbox::Sandbox};
use crate::limits;

mod crypto;
mod facts;
mod key;
mod keys;
mod log;
mod outside;
mod passwords;
mod read_tracker;
mod storage;
#[cfg(test)]
mod tests;
mod wasi;

pub use facts::is_withheld;
pub use key::Key;
pub(super) use log::Log;
pub(super) use passwords::Passwords;
pub(super) use read_tracker::ReadTracker;

/// Interfaces of the contract that a plugin may import, of any version 1.x.
const CONTRACT: [&str; 9] = ["types", "context", "config", "storage", "crypto", "http", "clock", "log", "effects"];

/// Is there such an import for plugins? `import` is a name as it stands in a component:
/// `wasi:io/streams@0.2.6`.
pub fn is_offered(import: &str) -> bool {
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    match interface.strip_prefix("coffer:plugin/") {
        Some(ours) => CONTRACT.contains(&ours) && version.starts_with("1."),
        None => wasi::OFFERED.contains(&interface) && version.starts_with("0.2."),
    }
}

/// Everything that a plugin can import; what is not here is refused.
pub(super) fn link(engine: &Engine) -> Result<Linker<Sandbox>, Error> {
    let mut linker = Linker::new(engine);
    let linked = link_contract(&mut linker).and_then(|()| wasi::link(&mut linker));
    linked.map_err(|cause| Error::Engine(format!("{cause:#}")))?;
    Ok(linker)
}

fn link_contract(linker: &mut Linker<Sandbox>) -> wasmtime::Result<()> {
    wit::types::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    wit::context::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    wit::config::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    wit::storage::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    wit::crypto::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    wit::http::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    wit::clock::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    wit::log::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)?;
    wit::effects::add_to_linker::<_, HasSelf<Sandbox>>(linker, |sandbox| sandbox)
}

/// A host function has a deadline of its own: epochs do not interrupt the host.
async fn bounded<T>(work: impl Future<Output = T>) -> Result<T, Fault> {
    const WAIT: Duration = limits::PLUGIN_IMPORT_WAIT;
    tokio::time::timeout(WAIT, work).await.map_err(|_| Fault::Deadline)
}
