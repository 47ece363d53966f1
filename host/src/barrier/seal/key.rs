use std::{
    fs,
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use base64::{Engine, engine::general_purpose};
use zeroize::Zeroizing;

use super::{Error, Secret};
use crate::ids::{random, random_base62};

const DEV_KEY: &str = "dev.key";
/// More than any of the forms has.
const MOST: u64 = 256;

/// 32 bytes as 64 hex digits, or in base64 of either alphabet, white space around it.
pub fn parse_key(text: &Secret<String>) -> Result<Secret<[u8; 32]>, Error> {
    parse(text.reveal().as_bytes()).ok_or(Error::Key("is not 32 bytes in hex or base64"))
}

/// A key file: 32 bytes as they are, or as `parse_key` has them.
pub fn read_key(path: &Path) -> io::Result<Secret<[u8; 32]>> {
    let file = fs::File::open(path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        tracing::warn!("the key file can be read by others than its owner");
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST as usize + 1));
    file.take(MOST).read_to_end(&mut bytes)?;
    let raw = <[u8; 32]>::try_from(&bytes[..]).ok().map(Secret::new);
    let none =
        || io::Error::new(io::ErrorKind::InvalidData, "the key file does not hold 32 bytes, raw, in hex or base64");
    raw.or_else(|| parse(&bytes)).ok_or_else(none)
}

/// The key of a dev store: in `data_dir`, made at first.
pub fn dev_key(data_dir: &Path) -> io::Result<Secret<[u8; 32]>> {
    let path = data_dir.join(DEV_KEY);
    if path.exists() {
        return read_key(&path);
    }
    let new = data_dir.join(format!("{DEV_KEY}.{}", random_base62(8)));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(Zeroizing::new(hex::encode(Zeroizing::new(random::<32>()))).as_bytes())?;
    file.sync_all()?;
    // A link does not replace: of two servers that start at once, both read the one that was first.
    let linked = fs::hard_link(&new, &path);
    fs::remove_file(&new)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => fs::File::open(data_dir)?.sync_all()?,
    }
    read_key(&path)
}

fn parse(text: &[u8]) -> Option<Secret<[u8; 32]>> {
    let text = text.trim_ascii();
    let mut key = Zeroizing::new([0; 32]);
    if hex::decode_to_slice(text, key.as_mut_slice()).is_ok() {
        return Some(Secret::new(*key));
    }
    let text = text.strip_suffix(b"=").unwrap_or(text);
    for alphabet in [general_purpose::STANDARD_NO_PAD, general_purpose::URL_SAFE_NO_PAD] {
        if let Ok(bytes) = alphabet.decode(text).map(Zeroizing::new)
            && bytes.len() == key.len()
        {
            key.copy_from_slice(&bytes);
            return Some(Secret::new(*key));
        }
    }
    None
}
