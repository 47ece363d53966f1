use std::sync::Arc;

use super::{Call, Error, Fault, Input, Outcome};
use crate::clock::Clock;

/// How many calls there may be at once.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// In all.
    pub calls: usize,
    /// Of one plugin.
    pub calls_each: usize,
    /// That wait for one plugin.
    pub queue: usize,
}

/// The engine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Runtime;

impl Runtime {
    pub fn new(_clock: Clock, _options: Options) -> Result<Self, Error> {
        Err(Error::Engine("it is being built".to_owned()))
    }

    /// Compiles on a thread of its own, one at a time.
    pub async fn compile(&self, _wasm: Arc<[u8]>) -> Result<Plugin, Error> {
        Err(Error::Engine("it is being built".to_owned()))
    }
}

/// Which interfaces a plugin exports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exports {
    pub engine: bool,
    pub auth: bool,
    pub leases: bool,
    pub credentials: bool,
    pub maintenance: bool,
}

/// A compiled plugin. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Plugin {
    exports: Exports,
}

impl Plugin {
    pub fn exports(&self) -> Exports {
        self.exports
    }

    /// Runs one call in a fresh sandbox.
    pub async fn call<I: Input>(&self, _input: I, _call: &Call) -> Result<Outcome<I::Answer>, Fault> {
        Err(Fault::Busy)
    }
}
