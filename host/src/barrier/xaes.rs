//! XAES-256-GCM (C2SP): AES-256-GCM with a 192-bit nonce, random for every value without
//! a limit on how many. A key for each nonce is derived by CMAC, then used once.

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    cipher::{AES_256, EncryptingKey, UnboundCipherKey},
};
use zeroize::Zeroizing;

pub(super) const NONCE: usize = 24;
pub(super) const TAG: usize = 16;

/// A 256-bit key, ready for use: its schedule is expanded once.
pub(super) struct Xaes {
    cipher: EncryptingKey,
    /// CMAC's first subkey.
    k1: Zeroizing<[u8; 16]>,
}

impl Xaes {
    pub(super) fn new(key: &[u8; 32]) -> Self {
        let cipher = UnboundCipherKey::new(&AES_256, key).and_then(EncryptingKey::ecb).expect("32 bytes");
        let mut k1 = Zeroizing::new([0; 16]);
        encrypt_blocks(&cipher, k1.as_mut_slice());
        let carry = k1[0] >> 7;
        for at in 0..16 {
            k1[at] = (k1[at] << 1) | k1.get(at + 1).map_or(0, |next| next >> 7);
        }
        k1[15] ^= carry * 0b1000_0111;
        Self { cipher, k1 }
    }

    /// Encrypts in place and appends the tag.
    pub(super) fn seal(&self, nonce: &[u8; NONCE], associated: &[u8], in_out: &mut Vec<u8>) {
        let (key, nonce) = self.derive(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(associated), in_out).expect("a value is far below the GCM limit");
    }

    /// Decrypts in place; what is returned is the plaintext.
    pub(super) fn open<'a>(
        &self,
        nonce: &[u8; NONCE],
        associated: &[u8],
        in_out: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let (key, nonce) = self.derive(nonce);
        key.open_in_place(nonce, Aad::from(associated), in_out).ok()
    }

    fn derive(&self, nonce: &[u8; NONCE]) -> (LessSafeKey, Nonce) {
        let mut derived = Zeroizing::new([0; 32]);
        for (counter, block) in (1..).zip(derived.chunks_exact_mut(16)) {
            block[..4].copy_from_slice(&[0, counter, b'X', 0]);
            block[4..].copy_from_slice(&nonce[..12]);
            block.iter_mut().zip(self.k1.iter()).for_each(|(byte, k)| *byte ^= k);
        }
        encrypt_blocks(&self.cipher, derived.as_mut_slice());
        let key = UnboundKey::new(&AES_256_GCM, derived.as_slice()).expect("32 bytes");
        let rest: [u8; NONCE_LEN] = nonce[12..].try_into().expect("12 bytes");
        (LessSafeKey::new(key), Nonce::assume_unique_for_key(rest))
    }
}

/// AES-256 on each block by itself: CMAC is built from it.
fn encrypt_blocks(cipher: &EncryptingKey, blocks: &mut [u8]) {
    cipher.encrypt(blocks).expect("whole blocks");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two vectors of the specification, C2SP XAES-256-GCM.
    #[test]
    fn published_vectors() {
        let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
        let cases: [(u8, &[u8], &str); 2] = [
            (1, b"", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (3, b"c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
        ];
        for (byte, associated, sealed) in cases {
            let key = Xaes::new(&[byte; 32]);
            let mut text = b"XAES-256-GCM".to_vec();
            key.seal(nonce, associated, &mut text);
            assert_eq!(hex::encode(&text), sealed);
            assert_eq!(key.open(nonce, associated, &mut text).unwrap(), b"XAES-256-GCM");
        }
    }
}
