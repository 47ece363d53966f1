use serde::{Deserialize, Serialize};

use super::Error;
use crate::{
    barrier::{Barrier, Purpose},
    ids::{MountId, UserId, Username},
};

/// What stands at a name or a link: the user it leads to, or none for a link that is retired.
#[derive(Serialize, Deserialize)]
pub struct Leads {
    pub user: Option<UserId>,
}

/// Beside the names: what the name of nobody leads to, and who that would be.
pub const NOBODY: [&str; 2] = ["-lead", "-user"];

/// Where a name may stand: under the newest key first, then under older ones.
pub fn of_name(barrier: &Barrier, name: &Username) -> Result<Vec<String>, Error> {
    under_every_key(barrier, &[b"user", name.as_str().as_bytes()])
}

/// Where an identity may stand, as `of_name`.
pub fn of_link(barrier: &Barrier, mount: &MountId, subject: &str) -> Result<Vec<String>, Error> {
    let parts = [b"link", mount.as_str().as_bytes(), subject.as_bytes()];
    let keys = under_every_key(barrier, &parts)?;
    Ok(keys.into_iter().map(|key| format!("{mount}/{key}")).collect())
}

fn under_every_key(barrier: &Barrier, parts: &[&[u8]]) -> Result<Vec<String>, Error> {
    let newest = barrier.mac(Purpose::Name)?;
    let older = (1..newest.version()).rev().filter_map(|version| barrier.mac_at(Purpose::Name, version).ok());
    Ok(std::iter::once(newest.clone()).chain(older).map(|mac| hex::encode(mac.sign(parts))).collect())
}
