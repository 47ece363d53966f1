//! The mount's configuration. A plugin's struct is read from it before each call.

use serde::de::DeserializeOwned;

use crate::{Result, body, host};

/// As `T`. Problems point into the configuration.
pub fn read<T: DeserializeOwned>() -> Result<T> {
    body::from_json(&host::current().config())
}
