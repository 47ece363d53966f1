//! Where a listing goes on, in the client's hands: sealed, and good for the user and the listing that
//! it was made for, and no other.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};

use super::{
    error::{ApiError, Kind},
    permitted::Caller,
    query::Page,
};
use crate::{
    app::App,
    barrier::{Error, Purpose},
};

pub fn seal<T: Serialize>(app: &App, caller: &Caller, listing: &str, at: &T) -> Result<String, ApiError> {
    let plain = serde_json::to_vec(at).map_err(ApiError::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(app.barrier.seal_blob(Purpose::Cursor, &bound(caller, listing), &plain)?))
}

fn open<T: DeserializeOwned>(app: &App, caller: &Caller, listing: &str, text: &str) -> Result<T, ApiError> {
    let refused = || ApiError::at(Kind::InvalidValue, ["query", "cursor"]);
    let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
    let opened = app.barrier.open_blob(Purpose::Cursor, &bound(caller, listing), &sealed);
    let plain = opened.map_err(|error| match error {
        Error::Corrupt(_) => refused(),
        other => other.into(),
    })?;
    serde_json::from_slice(&plain).map_err(|_| refused())
}

/// After what a page begins, if not at the beginning.
pub fn after<T: DeserializeOwned>(
    app: &App,
    caller: &Caller,
    listing: &str,
    page: &Page,
) -> Result<Option<T>, ApiError> {
    page.cursor.as_deref().map(|text| open(app, caller, listing, text)).transpose()
}

fn bound<'a>(caller: &'a Caller, listing: &'a str) -> [&'a [u8]; 2] {
    [caller.authenticated.user.id.as_str().as_bytes(), listing.as_bytes()]
}
