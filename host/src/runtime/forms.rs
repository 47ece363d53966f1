//! How else a secret may be written.

use base64::{
    Engine as _,
    engine::general_purpose::{GeneralPurpose, STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};
use zeroize::Zeroizing;

/// As it stands in base64 of whatever it is a part of, in either alphabet.
pub(super) fn in_base64(secret: &str) -> impl Iterator<Item = Zeroizing<String>> {
    (0..3)
        .flat_map(move |before| [STANDARD_NO_PAD, URL_SAFE_NO_PAD].map(|engine| beginning_at(secret, before, &engine)))
}

/// Of something that it begins so many bytes into: what of it does not depend on what is beside.
fn beginning_at(secret: &str, before: usize, engine: &GeneralPurpose) -> Zeroizing<String> {
    let padded = Zeroizing::new([&[0_u8; 3][..before], secret.as_bytes()].concat());
    let (first, last) = ((before * 8).div_ceil(6), padded.len() * 8 / 6);
    let whole = Zeroizing::new(engine.encode(&*padded));
    Zeroizing::new(whole[first..last].to_owned())
}
