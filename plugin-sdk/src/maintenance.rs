use serde::de::DeserializeOwned;

use crate::{Result, bindings, export};

/// Work by the clock: the host calls it on one node at a time.
pub trait Maintenance: DeserializeOwned {
    /// Answers in how many seconds it wants to be called again, or none.
    fn tick(&self) -> Result<Option<u32>> {
        Ok(None)
    }

    /// Moves some of the data on from an older version; called until it answers true.
    fn migrate(&self, from_version: String) -> Result<bool> {
        let _ = from_version;
        Ok(true)
    }
}

impl<P: Maintenance> bindings::maintenance::exports::coffer::plugin::maintenance::Guest for P {
    fn tick() -> Result<Option<u32>> {
        export::begin::<P>()?.tick()
    }

    fn migrate(from_version: String) -> Result<bool> {
        export::begin::<P>()?.migrate(from_version)
    }
}
