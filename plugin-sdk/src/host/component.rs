use super::KeyHandle;
use crate::{
    Field, Result,
    bindings::coffer::plugin::{
        clock, config, context, crypto, effects, http, log,
        log::Level,
        storage,
        storage::{Entry, Page},
    },
};

/// The imports themselves: what `Host` promises, without a table in between, so that what a
/// plugin does not call is not in its component.
pub(crate) struct Component;

pub(crate) fn current() -> Component {
    Component
}

impl Component {
    pub(crate) fn mount_path(&self) -> String {
        context::mount_path()
    }

    pub(crate) fn request_id(&self) -> String {
        context::request_id()
    }

    pub(crate) fn principal(&self) -> Option<String> {
        context::principal()
    }

    pub(crate) fn principal_name(&self) -> Option<String> {
        context::principal_name()
    }

    pub(crate) fn login_user(&self) -> Option<String> {
        context::login_user()
    }

    pub(crate) fn callback_url(&self) -> Option<String> {
        context::callback_url()
    }

    pub(crate) fn callback_state(&self) -> Option<String> {
        context::callback_state()
    }

    pub(crate) fn client_address(&self) -> Option<String> {
        context::client_address()
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        context::header(name)
    }

    pub(crate) fn deadline_ms(&self) -> u32 {
        context::deadline_ms()
    }

    pub(crate) fn config(&self) -> Vec<u8> {
        config::get()
    }

    pub(crate) fn get(&self, key: &str) -> Result<Option<Entry>> {
        storage::get(key)
    }

    pub(crate) fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Entry>>> {
        storage::get_many(keys)
    }

    pub(crate) fn list(&self, prefix: &str, delimiter: Option<&str>, after: Option<&str>, limit: u32) -> Result<Page> {
        storage::list(prefix, delimiter, after, limit)
    }

    pub(crate) fn put(&self, key: &str, value: &[u8], expires_at_ms: Option<u64>) -> Result<()> {
        storage::put(key, value, expires_at_ms)
    }

    pub(crate) fn delete(&self, key: &str) -> Result<()> {
        storage::delete(key)
    }

    pub(crate) fn expire(&self, key: &str, expires_at_ms: Option<u64>) -> Result<()> {
        storage::expire(key, expires_at_ms)
    }

    pub(crate) fn create_key(&self, name: &str, algorithm: &str) -> Result<Box<dyn KeyHandle>> {
        crypto::create_key(name, algorithm).map(|key| Box::new(key) as Box<dyn KeyHandle>)
    }

    pub(crate) fn open_key(&self, name: &str, version: Option<u32>) -> Result<Box<dyn KeyHandle>> {
        crypto::open_key(name, version).map(|key| Box::new(key) as Box<dyn KeyHandle>)
    }

    pub(crate) fn rotate_key(&self, name: &str) -> Result<u32> {
        crypto::rotate_key(name)
    }

    pub(crate) fn destroy_key(&self, name: &str) -> Result<()> {
        crypto::destroy_key(name)
    }

    pub(crate) fn verify_with(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
        scheme: &str,
    ) -> Result<bool> {
        crypto::verify_with(public_key, message, signature, scheme)
    }

    pub(crate) fn hash(&self, algorithm: &str, data: &[u8]) -> Result<Vec<u8>> {
        crypto::hash(algorithm, data)
    }

    pub(crate) fn password_hash(&self, password: &str) -> Result<String> {
        crypto::password_hash(password)
    }

    pub(crate) fn password_verify(&self, password: &str, phc: Option<&str>) -> Result<bool> {
        crypto::password_verify(password, phc)
    }

    pub(crate) fn password_outdated(&self, phc: &str) -> bool {
        crypto::password_outdated(phc)
    }

    pub(crate) fn constant_time_eq(&self, a: &[u8], b: &[u8]) -> bool {
        crypto::constant_time_eq(a, b)
    }

    pub(crate) fn random(&self, len: u32) -> Vec<u8> {
        crypto::random(len)
    }

    pub(crate) fn send(&self, request: &http::Request) -> Result<http::Response> {
        http::send(request)
    }

    pub(crate) fn send_many(&self, requests: &[http::Request]) -> Vec<Result<http::Response>> {
        http::send_many(requests)
    }

    pub(crate) fn now_ms(&self) -> u64 {
        clock::now_ms()
    }

    pub(crate) fn emit(&self, level: Level, message: &str, fields: &[Field]) {
        log::emit(level, message, fields);
    }

    pub(crate) fn intend(&self, undo: &[u8]) -> Result<()> {
        effects::intend(undo)
    }
}

impl KeyHandle for crypto::Key {
    fn version(&self) -> u32 {
        Self::version(self)
    }

    fn algorithm(&self) -> String {
        Self::algorithm(self)
    }

    fn encrypt(&self, plaintext: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        Self::encrypt(self, plaintext, aad)
    }

    fn decrypt(&self, ciphertext: &[u8], aad: &[u8]) -> Result<Vec<u8>> {
        Self::decrypt(self, ciphertext, aad)
    }

    fn sign(&self, message: &[u8], scheme: &str) -> Result<Vec<u8>> {
        Self::sign(self, message, scheme)
    }

    fn verify(&self, message: &[u8], signature: &[u8], scheme: &str) -> Result<bool> {
        Self::verify(self, message, signature, scheme)
    }

    fn hmac(&self, message: &[u8]) -> Result<Vec<u8>> {
        Self::hmac(self, message)
    }

    fn public_key(&self) -> Result<Vec<u8>> {
        Self::public_key(self)
    }
}
