//! The one place where compiled code is taken from outside of this process.

use wasmtime::{Engine, component::Component};

use crate::barrier::Mac;

/// What a file must have been made from.
pub(super) struct Bound {
    pub(super) component: [u8; 32],
    pub(super) engine: [u8; 32],
}

/// Code, in memory, that this store has kept for just this component and engine.
pub(super) struct Checked<'a>(&'a [u8]);

/// Before the code: this, the version of the key, the MAC.
const MARK: &[u8; 16] = b"coffer compiled1";

impl<'a> Checked<'a> {
    pub(super) const HEAD: usize = 16 + 4 + 32;

    pub(super) fn head(mac: &Mac, bound: &Bound, code: &[u8]) -> Vec<u8> {
        let mut head = MARK.to_vec();
        head.extend_from_slice(&mac.version().to_be_bytes());
        head.extend_from_slice(&mac.sign(&[MARK, &bound.component, &bound.engine, code]));
        head
    }

    /// Of the key that a file was made with.
    pub(super) fn version(kept: &[u8]) -> Option<u32> {
        let rest = kept.strip_prefix(MARK)?;
        Some(u32::from_be_bytes(*rest.first_chunk()?))
    }

    pub(super) fn open(mac: &Mac, bound: &Bound, kept: &'a [u8]) -> Option<Self> {
        let (head, code) = kept.split_at_checked(Self::HEAD)?;
        let parts: [&[u8]; 4] = [MARK, &bound.component, &bound.engine, code];
        mac.verify(&parts, &head[Self::HEAD - 32..]).then_some(Self(code))
    }

    #[expect(unsafe_code, reason = "compiled code is loaded here and nowhere else")]
    pub(super) fn load(self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: the bytes must be what `Component::serialize` once returned. A `Checked` is made
        // only of bytes under a MAC whose key is this store's and used for nothing else, made over
        // the output of `serialize` (`Place::write`). They are in our own memory, so they are still
        // the bytes that were checked, and wasmtime copies them.
        unsafe { Component::deserialize(engine, self.0) }
    }
}
