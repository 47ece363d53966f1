use serde::de::DeserializeOwned;

use crate::{LeaseSpec, Result, bindings, export};

/// A secrets engine whose answers have an end.
pub trait Leases: DeserializeOwned {
    /// What holds from now on; its `internal` replaces the old one.
    fn renew(&self, internal: Vec<u8>, increment_seconds: u64) -> Result<LeaseSpec>;

    /// Idempotent: what is gone already is success.
    fn revoke(&self, internal: Vec<u8>) -> Result<()>;
}

impl<P: Leases> bindings::leases::exports::coffer::plugin::leases::Guest for P {
    fn renew(internal: Vec<u8>, increment_seconds: u64) -> Result<LeaseSpec> {
        export::begin::<P>()?.renew(internal, increment_seconds)
    }

    fn revoke(internal: Vec<u8>) -> Result<()> {
        export::begin::<P>()?.revoke(internal)
    }
}
