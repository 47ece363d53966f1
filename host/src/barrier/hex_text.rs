//! Bytes in our own records, as hex.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use zeroize::Zeroizing;

pub(super) fn serialize<S: Serializer>(bytes: &impl AsRef<[u8]>, to: S) -> Result<S::Ok, S::Error> {
    Zeroizing::new(hex::encode(bytes)).serialize(to)
}

/// Exactly as many as there must be.
pub(super) fn deserialize<'de, D: Deserializer<'de>, T: AsMut<[u8]> + Default>(from: D) -> Result<T, D::Error> {
    let text = Zeroizing::new(String::deserialize(from)?);
    let mut bytes = T::default();
    hex::decode_to_slice(text.as_bytes(), bytes.as_mut()).map_err(|_| D::Error::custom("not hex of that length"))?;
    Ok(bytes)
}
