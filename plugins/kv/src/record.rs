use coffer_plugin_sdk::{prelude::*, serde_json};

use crate::bodies::{Changed, Object};

/// Of JSON, each.
const DATA_BYTES: usize = 1024 * 1024;
const METADATA_BYTES: usize = 16 * 1024;

/// Everything of a secret but its data.
#[derive(Serialize, Deserialize)]
pub struct Record {
    /// When the present row of versions began.
    pub created_at: Timestamp,
    /// The last change of any kind.
    pub updated_at: Timestamp,
    pub expires_at: Option<Timestamp>,
    pub metadata: Object,
    /// The oldest first; never empty.
    pub versions: Vec<Version>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct Version {
    pub version: u64,
    pub created_at: Timestamp,
    /// A user's id.
    pub created_by: Option<String>,
    pub deleted_at: Option<Timestamp>,
    pub destroyed: bool,
}

impl Version {
    pub fn is_readable(&self) -> bool {
        self.deleted_at.is_none() && !self.destroyed
    }
}

/// Which of the two places the record was found in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Live,
    Gone,
}

impl Place {
    fn key(self, path: &str) -> String {
        match self {
            Self::Live => format!("live/{path}"),
            Self::Gone => format!("gone/{path}"),
        }
    }
}

/// A secret that is there, or is about to be.
pub struct Secret<'a> {
    path: &'a str,
    found: Option<Place>,
    pub record: Record,
}

impl<'a> Secret<'a> {
    /// None if there never was one, or it was purged or has expired.
    pub fn find(path: &'a str) -> Result<Option<Self>> {
        let now = time::now();
        let places = [Place::Live, Place::Gone];
        let entries = storage::get_many::<Record>(&places.map(|place| place.key(path)))?;
        let found = places.into_iter().zip(entries).find_map(|(place, entry)| entry.map(|entry| (place, entry.value)));
        let alive = found.filter(|(_, record)| record.expires_at.is_none_or(|end| end > now));
        Ok(alive.map(|(place, record)| Self { path, found: Some(place), record }))
    }

    pub fn get(path: &'a str) -> Result<Self> {
        Self::find(path)?.ok_or_else(Error::not_found)
    }

    /// One whose newest version can be read.
    pub fn get_readable(path: &'a str) -> Result<Self> {
        let secret = Self::get(path)?;
        if secret.newest().is_readable() { Ok(secret) } else { Err(Error::not_found()) }
    }

    /// Without a version, so not to be saved before it has one.
    pub fn new(path: &'a str, expires_at: Option<Timestamp>) -> Self {
        let now = time::now();
        let record =
            Record { created_at: now, updated_at: now, expires_at, metadata: Object::new(), versions: Vec::new() };
        Self { path, found: None, record }
    }

    pub fn newest(&self) -> &Version {
        self.record.versions.last().expect("a record has a version")
    }

    pub fn version(&mut self, number: u64) -> Option<&mut Version> {
        self.record.versions.iter_mut().find(|version| version.version == number)
    }

    /// None if the version is not kept, deleted or destroyed.
    pub fn data(&self, number: u64) -> Result<Option<Object>> {
        let is_readable = |version: &Version| version.version == number && version.is_readable();
        if !self.record.versions.iter().any(is_readable) {
            return Ok(None);
        }
        Ok(storage::get(&self.data_key(number))?.map(|entry| entry.value))
    }

    /// Adds a version, and drops the oldest ones beyond `most`.
    pub fn add(&mut self, data: &Object, most: usize) -> Result<()> {
        let bytes = serde_json::to_vec(data).map_err(|_| Error::internal("the data does not serialise"))?;
        if bytes.len() > DATA_BYTES {
            return Err(Error::too_large("the data must be at most 1 MiB of JSON"));
        }
        let version = self.record.versions.last().map_or(1, |newest| newest.version + 1);
        storage::put_bytes(&self.data_key(version), &bytes, self.record.expires_at)?;
        let (created_at, created_by) = (time::now(), context::principal());
        self.record.versions.push(Version { version, created_at, created_by, deleted_at: None, destroyed: false });
        while self.record.versions.len() > most.max(1) {
            let oldest = self.record.versions.remove(0);
            self.drop_data(&oldest)?;
        }
        Ok(())
    }

    pub fn drop_data(&self, of: &Version) -> Result<()> {
        if of.destroyed { Ok(()) } else { storage::delete(&self.data_key(of.version)) }
    }

    /// Moves the end of the secret, and of everything that belongs to it.
    pub fn expire(&mut self, ttl: Option<Span>) -> Result<()> {
        let end = ttl.map(|ttl| time::now().after(ttl));
        if end == self.record.expires_at {
            return Ok(());
        }
        self.record.expires_at = end;
        for version in self.record.versions.iter().filter(|version| !version.destroyed) {
            storage::expire(&self.data_key(version.version), end)?;
        }
        Ok(())
    }

    pub fn set_metadata(&mut self, metadata: Object) -> Result<()> {
        let bytes = serde_json::to_vec(&metadata).map_err(|_| Error::internal("the metadata does not serialise"))?;
        if bytes.len() > METADATA_BYTES {
            return Err(Error::invalid("/metadata", "out_of_range", "must be at most 16 KiB of JSON"));
        }
        self.record.metadata = metadata;
        Ok(())
    }

    /// Writes the record where its newest version says.
    pub fn save(&mut self) -> Result<()> {
        self.record.updated_at = time::now();
        let place = if self.newest().is_readable() { Place::Live } else { Place::Gone };
        if let Some(before) = self.found.filter(|before| *before != place) {
            storage::delete(&before.key(self.path))?;
        }
        self.found = Some(place);
        storage::put(&place.key(self.path), &self.record, self.record.expires_at)
    }

    /// As if it had never been.
    pub fn purge(self) -> Result<()> {
        for version in &self.record.versions {
            self.drop_data(version)?;
        }
        self.found.map_or(Ok(()), |place| storage::delete(&place.key(self.path)))
    }

    /// What a change answers: about the newest version.
    pub fn changed(&self) -> Changed {
        let newest = self.newest();
        Changed { version: newest.version, created_at: newest.created_at, expires_at: self.record.expires_at }
    }

    fn data_key(&self, version: u64) -> String {
        format!("data/{}/{version}", self.path)
    }
}
