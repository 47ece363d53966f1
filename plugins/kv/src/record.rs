use coffer_plugin_sdk::{check_metadata, prelude::*, serde_json};

use crate::bodies::{Changed, Object};

/// Of JSON, each.
const DATA_BYTES: usize = 1024 * 1024;
/// Data of all versions of a secret together. When its end is moved, all of it is written anew in
/// one call, and the host bounds what a call may write.
const KEPT_BYTES: usize = 6 * 1024 * 1024;

/// Everything of a secret but its data.
#[derive(Serialize, Deserialize)]
pub struct Record {
    /// When the present row of versions began.
    pub created_at: Timestamp,
    /// The id of the user who began it.
    pub created_by: Option<String>,
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
    /// Of its data; none once that is destroyed.
    pub bytes: usize,
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
    /// The versions up to this one were stored with another end than the secret has now.
    outlived: Option<u64>,
}

impl<'a> Secret<'a> {
    /// None if there never was one, or it was purged or has expired.
    pub fn find(path: &'a str) -> Result<Option<Self>> {
        let now = time::now();
        let places = [Place::Live, Place::Gone];
        let entries = storage::get_many::<Record>(&places.map(|place| place.key(path)))?;
        let found = places.into_iter().zip(entries).find_map(|(place, entry)| entry.map(|entry| (place, entry.value)));
        let alive = found.filter(|(_, record)| record.expires_at.is_none_or(|end| end > now));
        Ok(alive.map(|(place, record)| Self { path, found: Some(place), record, outlived: None }))
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
    pub fn new(path: &'a str) -> Self {
        let now = time::now();
        let record = Record {
            created_at: now,
            created_by: context::principal(),
            updated_at: now,
            expires_at: None,
            metadata: Object::new(),
            versions: Vec::new(),
        };
        Self { path, found: None, record, outlived: None }
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

    /// Why there is no data of a version, to whom may read: the history would tell as much.
    pub fn absent(&self, number: u64) -> Error {
        let is_deleted = |version: &Version| version.version == number && version.deleted_at.is_some();
        match self.record.versions.iter().any(|version| is_deleted(version) && !version.destroyed) {
            true => Error::new("not-found", "it is deleted: undelete brings it back"),
            false => Error::not_found(),
        }
    }

    /// Adds a version, and drops the oldest ones beyond `most`, or beyond what a secret may take up.
    /// Says how many it dropped for the latter reason.
    fn add(&mut self, data: &Object, most: usize) -> Result<usize> {
        let json = serde_json::to_vec(data).map_err(|_| Error::internal("the data does not serialise"))?;
        let bytes = json.len();
        if bytes > DATA_BYTES {
            return Err(Error::too_large("the data must be at most 1 MiB of JSON"));
        }
        let version = self.record.versions.last().map_or(1, |newest| newest.version + 1);
        storage::put_bytes(&self.data_key(version), &json, self.record.expires_at)?;
        let (created_at, created_by) = (time::now(), context::principal());
        self.record.versions.push(Version {
            version,
            created_at,
            created_by,
            deleted_at: None,
            destroyed: false,
            bytes,
        });
        while self.record.versions.len() > most.max(1) {
            self.drop_oldest()?;
        }
        let kept = self.record.versions.len();
        while self.record.versions.iter().map(|version| version.bytes).sum::<usize>() > KEPT_BYTES {
            self.drop_oldest()?;
        }
        Ok(kept - self.record.versions.len())
    }

    fn drop_oldest(&mut self) -> Result<()> {
        let oldest = self.record.versions.remove(0);
        self.drop_data(&oldest)
    }

    fn drop_data(&self, of: &Version) -> Result<()> {
        if of.destroyed { Ok(()) } else { storage::delete(&self.data_key(of.version)) }
    }

    /// Removes the data of a version for good. False if there is no such version.
    pub fn destroy(&mut self, number: u64) -> Result<bool> {
        let Some(place) = self.record.versions.iter().position(|version| version.version == number) else {
            return Ok(false);
        };
        self.drop_data(&self.record.versions[place])?;
        let version = &mut self.record.versions[place];
        (version.destroyed, version.bytes) = (true, 0);
        Ok(true)
    }

    /// Moves the end of the secret; `save` moves that of everything that belongs to it.
    pub fn expire(&mut self, ttl: Option<Span>) {
        let end = ttl.map(|ttl| time::now().after(ttl));
        if end != self.record.expires_at {
            self.record.expires_at = end;
            self.outlived = self.record.versions.last().map(|newest| newest.version);
        }
    }

    pub fn set_metadata(&mut self, metadata: Object) -> Result<()> {
        check_metadata(&metadata)?;
        self.record.metadata = metadata;
        Ok(())
    }

    /// Writes the record where its newest version says.
    pub fn save(&mut self) -> Result<()> {
        self.record.updated_at = time::now();
        let is_outlived = |version: &&Version| self.outlived >= Some(version.version) && !version.destroyed;
        for version in self.record.versions.iter().filter(is_outlived) {
            storage::expire(&self.data_key(version.version), self.record.expires_at)?;
        }
        self.outlived = None;
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
    pub fn changed(&self) -> Result<Response> {
        let newest = self.newest();
        let (version, created_at, expires_at) = (newest.version, self.record.created_at, self.record.expires_at);
        Response::json(&Changed { version, created_at, expires_at })
    }

    /// Adds a version, saves, and answers. What did not go with the caller's wish is a warning.
    pub fn write(mut self, data: &Object, most: usize) -> Result<Response> {
        let dropped = self.add(data, most)?;
        self.save()?;
        let answer = self.changed()?;
        Ok(match dropped {
            0 => answer,
            _ => answer.with_warning("older versions were dropped: together they may take up 6 MiB"),
        })
    }

    fn data_key(&self, version: u64) -> String {
        format!("data/{}/{version}", self.path)
    }
}
