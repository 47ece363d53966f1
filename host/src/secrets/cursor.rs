use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{Error, Secrets};
use crate::{barrier::Purpose, ids::UserId};

/// Where a listing goes on. Sealed: names in it are nobody's business, and nobody makes one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// The folder that was being listed.
    pub(super) folder: String,
    /// The last name that was looked at in it; None: begin there.
    pub(super) after: Option<String>,
}

impl Secrets {
    /// A cursor opens for the user and the listing that it was made for, and no other.
    pub(super) fn seal_cursor(&self, cursor: &Cursor, user: &UserId, listing: &str) -> Result<String, Error> {
        let plain = serde_json::to_vec(cursor).expect("our own records serialise");
        let bound = [user.as_str().as_bytes(), listing.as_bytes()];
        Ok(URL_SAFE_NO_PAD.encode(self.barrier.seal_blob(Purpose::Cursor, &bound, &plain)?))
    }

    pub(super) fn open_cursor(&self, text: &str, user: &UserId, listing: &str) -> Result<Cursor, Error> {
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| Error::Cursor)?;
        let bound = [user.as_str().as_bytes(), listing.as_bytes()];
        let plain = self.barrier.open_blob(Purpose::Cursor, &bound, &sealed).map_err(|error| match error {
            crate::barrier::Error::Corrupt(_) => Error::Cursor,
            other => other.into(),
        })?;
        serde_json::from_slice(&plain).map_err(|_| Error::Cursor)
    }
}
