use coffer_plugin_sdk::{
    crypto::Key as Handle,
    prelude::*,
    serde_json::{Map, Value},
};

use crate::algorithm::{Algorithm, Work};

/// What is kept of a key. The key itself is the host's, under the same path.
#[derive(Serialize, Deserialize)]
pub struct Record {
    pub algorithm: Algorithm,
    pub created_at: Timestamp,
    /// A user's id.
    pub created_by: Option<String>,
    /// The last change of any kind.
    pub updated_at: Timestamp,
    pub metadata: Map<String, Value>,
    /// The first one first; never empty. A version's number is its place, from 1.
    pub versions: Vec<Version>,
    /// What versions below this one have made is refused.
    pub min_decrypt_version: u32,
    /// Versions below this one make nothing any more. Never below `min_decrypt_version`.
    pub min_encrypt_version: u32,
    pub deletable: bool,
}

#[derive(Serialize, Deserialize)]
pub struct Version {
    pub created_at: Timestamp,
}

impl Record {
    pub fn newest(&self) -> u32 {
        u32::try_from(self.versions.len()).unwrap_or(u32::MAX)
    }
}

/// A key that is there, with the handles that this call has taken.
pub struct Key<'a> {
    pub path: &'a str,
    pub record: Record,
    /// Each version is asked for once, however long the batch.
    handles: Vec<(u32, Handle)>,
}

pub fn place(path: &str) -> String {
    format!("key/{path}")
}

impl<'a> Key<'a> {
    pub fn get(path: &'a str) -> Result<Self> {
        let entry = storage::get(&place(path))?.ok_or_else(Error::not_found)?;
        Ok(Self { path, record: entry.value, handles: Vec::new() })
    }

    pub fn save(&mut self) -> Result<()> {
        self.record.updated_at = time::now();
        storage::put(&place(self.path), &self.record, None)
    }

    pub fn must_do(&self, work: Work) -> Result<()> {
        let message = match work {
            Work::Encrypt => "the algorithm of this key does not encrypt",
            Work::Sign => "the algorithm of this key does not sign",
            Work::Mac => "the algorithm of this key makes no MACs",
        };
        match self.record.algorithm.work() == work {
            true => Ok(()),
            false => Err(Error::invalid("", "wrong_algorithm", message)),
        }
    }

    /// To make something: the newest version, or the one that is asked for.
    pub fn maker(&mut self, asked: Option<u32>) -> Result<(u32, &Handle)> {
        let newest = self.record.newest();
        let version = asked.unwrap_or(newest);
        match version {
            _ if version == 0 || version > newest => Err(no_version("/key_version")),
            _ if version < self.record.min_encrypt_version => {
                Err(Error::invalid("/key_version", "version_too_old", "is below min_encrypt_version"))
            }
            _ => Ok((version, self.handle(version)?)),
        }
    }

    /// To open or check what was made; `at` is the member that says which version did.
    pub fn checker(&mut self, version: u32, at: &str) -> Result<&Handle> {
        match version {
            _ if version > self.record.newest() => Err(no_version(at)),
            _ if version < self.record.min_decrypt_version => {
                Err(Error::invalid(at, "version_too_old", "was made by a version below min_decrypt_version"))
            }
            _ => self.handle(version),
        }
    }

    fn handle(&mut self, version: u32) -> Result<&Handle> {
        let known = self.handles.iter().position(|(known, _)| *known == version);
        let at = match known {
            Some(at) => at,
            None => {
                let lost = |_| Error::internal("a version of the key is not with the host");
                self.handles.push((version, Handle::open(self.path, Some(version)).map_err(lost)?));
                self.handles.len() - 1
            }
        };
        Ok(&self.handles[at].1)
    }
}

fn no_version(at: &str) -> Error {
    Error::invalid(at, "unknown_version", "is not a version of this key")
}
