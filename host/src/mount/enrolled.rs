use serde_json::Value;

use super::{Error, Mount, Mounts};
use crate::{
    ids::UserId,
    runtime::{self, Facts, Fault},
};

impl Mounts {
    /// Does an auth mount keep a credential of this user that counts? One that waits to be confirmed does not
    /// yet: else it could lock its owner out.
    pub async fn is_enrolled(&self, mount: &Mount, facts: Facts, user: &UserId) -> Result<bool, Error> {
        let mut attempts = self.call(mount, facts, user.as_str())?.read_only(true);
        let kept = attempts.run(runtime::Credentials { subject: user.to_string() }).await?.value;
        let kept: Vec<Value> = match kept.is_empty() {
            true => Vec::new(),
            false => serde_json::from_slice(&kept)
                .map_err(|_| Error::Fault(Fault::Invalid("credentials that are none".to_owned())))?,
        };
        Ok(kept.iter().any(|one| one["pending"] != true))
    }
}
