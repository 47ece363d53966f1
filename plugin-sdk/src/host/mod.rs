//! The one door to the host. In a component it leads straight to the imports; anywhere else to
//! the host in memory that a test has set up.

use crate::Result;
#[cfg(not(target_arch = "wasm32"))]
use crate::{
    Field,
    bindings::coffer::plugin::{
        http,
        log::Level,
        storage::{Entry, Page},
    },
};

#[cfg(target_arch = "wasm32")]
mod component;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(target_arch = "wasm32")]
pub(crate) use component::current;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{current, with};

/// The imports of a plugin: see `plugin.wit` for what each promises.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) trait Host {
    fn mount_path(&self) -> String;
    fn request_id(&self) -> String;
    fn principal(&self) -> Option<String>;
    fn principal_name(&self) -> Option<String>;
    fn login_user(&self) -> Option<String>;
    fn callback_url(&self) -> Option<String>;
    fn callback_state(&self) -> Option<String>;
    fn client_address(&self) -> Option<String>;
    fn header(&self, name: &str) -> Option<String>;
    fn deadline_ms(&self) -> u32;

    fn config(&self) -> Vec<u8>;

    fn get(&self, key: &str) -> Result<Option<Entry>>;
    fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Entry>>>;
    fn list(&self, prefix: &str, delimiter: Option<&str>, after: Option<&str>, limit: u32) -> Result<Page>;
    fn put(&self, key: &str, value: &[u8], expires_at_ms: Option<u64>) -> Result<()>;
    fn delete(&self, key: &str) -> Result<()>;
    fn expire(&self, key: &str, expires_at_ms: Option<u64>) -> Result<()>;

    fn create_key(&self, name: &str, algorithm: &str) -> Result<Box<dyn KeyHandle>>;
    fn open_key(&self, name: &str, version: Option<u32>) -> Result<Box<dyn KeyHandle>>;
    fn rotate_key(&self, name: &str) -> Result<u32>;
    fn destroy_key(&self, name: &str) -> Result<()>;
    fn verify_with(&self, public_key: &[u8], message: &[u8], signature: &[u8], scheme: &str) -> Result<bool>;
    fn hash(&self, algorithm: &str, data: &[u8]) -> Result<Vec<u8>>;
    fn password_hash(&self, password: &str) -> Result<String>;
    fn password_verify(&self, password: &str, phc: Option<&str>) -> Result<bool>;
    fn password_outdated(&self, phc: &str) -> bool;
    fn constant_time_eq(&self, a: &[u8], b: &[u8]) -> bool;
    fn random(&self, len: u32) -> Vec<u8>;

    fn send(&self, request: &http::Request) -> Result<http::Response>;
    fn send_many(&self, requests: &[http::Request]) -> Vec<Result<http::Response>>;

    fn now_ms(&self) -> u64;
    fn emit(&self, level: Level, message: &str, fields: &[Field]);
    fn intend(&self, undo: &[u8]) -> Result<()>;
}

/// The resource `crypto.key`.
pub(crate) trait KeyHandle {
    fn version(&self) -> u32;
    fn algorithm(&self) -> String;
    fn encrypt(&self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>>;
    fn decrypt(&self, ciphertext: &[u8], aad: &[u8]) -> Result<Vec<u8>>;
    fn sign(&self, message: &[u8], scheme: &str) -> Result<Vec<u8>>;
    fn verify(&self, message: &[u8], signature: &[u8], scheme: &str) -> Result<bool>;
    fn hmac(&self, message: &[u8]) -> Result<Vec<u8>>;
    fn public_key(&self) -> Result<Vec<u8>>;
}
