use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use super::{Host, KEYS, State, Stored, fingerprint, keys};
use crate::{
    Error, Field, Result,
    bindings::coffer::plugin::storage::{Entry, Page},
    host::{Host as Imports, KeyHandle},
    http,
    log::Level,
};

const KEY_BYTES: usize = 1200;
const KEYS_AT_ONCE: usize = 128;
const VALUE_BYTES: usize = 2 * 1024 * 1024 - 1024;
/// Names that a list tells at once.
const LIST_MOST: u32 = 1000;
const RANDOM_BYTES: u32 = 64 * 1024;
const INTENTS: usize = 16;
const INTERNAL_BYTES: usize = 64 * 1024;

/// What a call may do besides answering.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    /// Write and intend.
    Act,
    /// It undoes what was intended.
    Write,
    /// It came by GET.
    Read,
    /// What it writes is dropped.
    Look,
}

/// One run of one call: what it has read and what it wants to write. A cheap handle.
#[derive(Clone)]
pub(super) struct Call(Rc<Run>);

struct Run {
    host: Host,
    may: May,
    /// What it was told of each key that it got.
    read: RefCell<BTreeMap<String, Option<Stored>>>,
    writes: RefCell<BTreeMap<String, Option<Stored>>>,
    intents: RefCell<Vec<Vec<u8>>>,
    sent: RefCell<bool>,
}

impl Call {
    pub(super) fn new(host: Host, may: May) -> Self {
        let (read, writes) = (RefCell::default(), RefCell::default());
        Self(Rc::new(Run { host, may, read, writes, intents: RefCell::default(), sent: RefCell::new(false) }))
    }

    /// Is everything that it got still so?
    pub(super) fn is_up_to_date(&self) -> bool {
        let revision = |entry: Option<&Stored>| entry.map(|entry| entry.revision);
        let state = self.0.host.0.borrow();
        let read = self.0.read.borrow();
        read.iter().all(|(key, entry)| revision(state.alive(key).as_ref()) == revision(entry.as_ref()))
    }

    pub(super) fn may_rerun(&self) -> bool {
        !*self.0.sent.borrow() && self.0.intents.borrow().is_empty()
    }

    pub(super) fn commit(&self) {
        let mut state = self.0.host.0.borrow_mut();
        for (key, entry) in self.0.writes.take() {
            match entry {
                Some(entry) => drop(state.entries.insert(key, entry)),
                None => drop(state.entries.remove(&key)),
            }
        }
        let done = self.0.intents.take();
        state.intents.retain(|intent| !done.contains(intent));
    }

    fn storage_is_there(&self) -> Result<()> {
        match self.0.host.0.borrow().storage_is_away {
            true => Err(Error::unavailable("the storage is away")),
            false => Ok(()),
        }
    }

    fn look(&self, key: &str) -> Result<Option<Stored>> {
        check_key(key)?;
        self.look_raw(key)
    }

    fn look_raw(&self, key: &str) -> Result<Option<Stored>> {
        self.storage_is_there()?;
        if let Some(written) = self.0.writes.borrow().get(key) {
            let state = self.0.host.0.borrow();
            return Ok(written.clone().filter(|entry| state.is_alive(entry)));
        }
        let committed = || self.0.host.0.borrow().alive(key);
        Ok(self.0.read.borrow_mut().entry(key.to_owned()).or_insert_with(committed).clone())
    }

    fn write(&self, key: &str, value: Option<(Vec<u8>, Option<u64>)>) -> Result<()> {
        check_key(key)?;
        self.put_raw(key, value)
    }

    fn put_raw(&self, key: &str, value: Option<(Vec<u8>, Option<u64>)>) -> Result<()> {
        assert!(self.0.may != May::Read, "a call that came by GET has written");
        self.storage_is_there()?;
        let revision = self.0.host.0.borrow_mut().next_revision();
        let entry = value.map(|(value, expires_at)| Stored { value, revision, expires_at });
        self.0.writes.borrow_mut().insert(key.to_owned(), entry);
        Ok(())
    }

    fn key_record(&self, name: &str) -> Result<Option<keys::Record>> {
        check_key(name)?;
        let entry = self.look_raw(&format!("{KEYS}{name}"))?;
        Ok(entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()))
    }

    fn known_key(&self, name: &str) -> Result<keys::Record> {
        self.key_record(name)?.ok_or_else(|| Error::new("not-found", "there is no such key"))
    }

    fn put_key_record(&self, name: &str, record: &keys::Record) -> Result<()> {
        let bytes = serde_json::to_vec(record).map_err(|_| Error::internal("a key that does not serialise"))?;
        self.put_raw(&format!("{KEYS}{name}"), Some((bytes, None)))
    }

    fn work(&self) -> u32 {
        let mut state = self.0.host.0.borrow_mut();
        state.password_work += 1;
        state.password_cost
    }
}

impl State {
    fn alive(&self, key: &str) -> Option<Stored> {
        self.entries.get(key).filter(|entry| self.is_alive(entry)).cloned()
    }

    fn next_revision(&mut self) -> u64 {
        self.revisions += 1;
        self.revisions
    }
}

impl From<Stored> for Entry {
    fn from(stored: Stored) -> Self {
        Self { value: stored.value, revision: stored.revision, expires_at_ms: stored.expires_at }
    }
}

fn check_key(key: &str) -> Result<()> {
    match key.is_empty() || key.len() > KEY_BYTES || key.contains('\0') {
        true => Err(Error::new("invalid", "a key must be 1 to 1200 bytes without NUL")),
        false => Ok(()),
    }
}

impl Imports for Call {
    fn mount_path(&self) -> String {
        "test".into()
    }

    fn request_id(&self) -> String {
        "req_test".into()
    }

    fn principal(&self) -> Option<String> {
        self.0.host.0.borrow().principal.as_ref().map(|(id, _)| id.clone())
    }

    fn principal_name(&self) -> Option<String> {
        self.0.host.0.borrow().principal.as_ref().map(|(_, name)| name.clone())
    }

    fn login_user(&self) -> Option<String> {
        self.0.host.0.borrow().login_user.clone()
    }

    fn callback_url(&self) -> Option<String> {
        self.0.host.0.borrow().callback.as_ref().map(|(url, _)| url.clone())
    }

    fn callback_state(&self) -> Option<String> {
        self.0.host.0.borrow().callback.as_ref().map(|(_, state)| state.clone())
    }

    fn client_address(&self) -> Option<String> {
        self.0.host.0.borrow().client_address.clone()
    }

    fn header(&self, name: &str) -> Option<String> {
        self.0.host.0.borrow().headers.get(&name.to_ascii_lowercase()).cloned()
    }

    fn deadline_ms(&self) -> u32 {
        self.0.host.0.borrow().deadline_ms
    }

    fn config(&self) -> Vec<u8> {
        self.0.host.0.borrow().config.to_string().into_bytes()
    }

    fn get(&self, key: &str) -> Result<Option<Entry>> {
        Ok(self.look(key)?.map(Entry::from))
    }

    fn get_many(&self, keys: &[String]) -> Result<Vec<Option<Entry>>> {
        match keys.len() > KEYS_AT_ONCE {
            true => Err(Error::too_large("at most 128 keys at once")),
            false => keys.iter().map(|key| self.get(key)).collect(),
        }
    }

    fn list(&self, prefix: &str, delimiter: Option<&str>, after: Option<&str>, limit: u32) -> Result<Page> {
        let is_too_long = |text: &str| text.len() > KEY_BYTES || text.contains('\0');
        if is_too_long(prefix) || after.is_some_and(is_too_long) {
            return Err(Error::new("invalid", "a prefix must be at most 1200 bytes without NUL"));
        }
        if delimiter.is_some_and(|text| text.chars().count() != 1 || text == "\0") {
            return Err(Error::new("invalid", "a delimiter must be one character"));
        }
        self.storage_is_there()?;
        let state = self.0.host.0.borrow();
        let mut keys: BTreeMap<&String, &Stored> = state.entries.iter().collect();
        let writes = self.0.writes.borrow();
        for (key, entry) in &*writes {
            match entry {
                Some(entry) => drop(keys.insert(key, entry)),
                None => drop(keys.remove(key)),
            }
        }
        let cut = |key: &str| match delimiter.and_then(|d| key[prefix.len()..].find(d).map(|at| at + d.len())) {
            Some(end) => key[..prefix.len() + end].to_owned(),
            None => key.to_owned(),
        };
        let told = |key: &str| key.starts_with(prefix) && !key.starts_with(KEYS);
        let comes_after = |key: &str| after.is_none_or(|after| key > after && cut(key) != after);
        let alive = keys.into_iter().filter(|(key, entry)| told(key) && comes_after(key) && state.is_alive(entry));
        let mut told: Vec<String> = alive.map(|(key, _)| cut(key)).collect();
        told.dedup();
        let limit = limit.clamp(1, LIST_MOST) as usize;
        let next = (told.len() > limit).then(|| told[limit - 1].clone());
        told.truncate(limit);
        Ok(Page { keys: told, next })
    }

    fn put(&self, key: &str, value: &[u8], expires_at_ms: Option<u64>) -> Result<()> {
        if value.len() > VALUE_BYTES {
            return Err(Error::too_large("a value must be smaller than 2 MiB"));
        }
        self.write(key, Some((value.to_owned(), expires_at_ms)))
    }

    fn delete(&self, key: &str) -> Result<()> {
        self.write(key, None)
    }

    fn expire(&self, key: &str, expires_at_ms: Option<u64>) -> Result<()> {
        match self.look(key)? {
            Some(entry) => self.write(key, Some((entry.value, expires_at_ms))),
            None => Err(Error::not_found()),
        }
    }

    fn create_key(&self, name: &str, algorithm: &str) -> Result<Box<dyn KeyHandle>> {
        if self.key_record(name)?.is_some() {
            return Err(Error::new("exists", "there is a key of this name"));
        }
        let record = keys::Record::new(self, algorithm)?;
        self.put_key_record(name, &record)?;
        record.key(self, None)
    }

    fn open_key(&self, name: &str, version: Option<u32>) -> Result<Box<dyn KeyHandle>> {
        self.known_key(name)?.key(self, version)
    }

    fn rotate_key(&self, name: &str) -> Result<u32> {
        let mut record = self.known_key(name)?;
        let version = record.add(self)?;
        self.put_key_record(name, &record)?;
        Ok(version)
    }

    fn destroy_key(&self, name: &str) -> Result<()> {
        check_key(name)?;
        self.put_raw(&format!("{KEYS}{name}"), None)
    }

    fn verify_with(&self, public_key: &[u8], message: &[u8], signature: &[u8], scheme: &str) -> Result<bool> {
        keys::verify_with(public_key, message, signature, scheme)
    }

    fn hash(&self, algorithm: &str, data: &[u8]) -> Result<Vec<u8>> {
        keys::hash(algorithm, data)
    }

    fn password_hash(&self, password: &str) -> Result<String> {
        let cost = self.work();
        Ok(format!("$stub$cost={cost}${:016x}", fingerprint(password.as_bytes())))
    }

    fn password_verify(&self, password: &str, phc: Option<&str>) -> Result<bool> {
        self.work();
        let made = format!("${:016x}", fingerprint(password.as_bytes()));
        Ok(phc.is_some_and(|phc| phc.starts_with("$stub$cost=") && phc.ends_with(&made)))
    }

    fn password_outdated(&self, phc: &str) -> bool {
        let cost = self.0.host.0.borrow().password_cost;
        !phc.starts_with(&format!("$stub$cost={cost}$"))
    }

    fn constant_time_eq(&self, a: &[u8], b: &[u8]) -> bool {
        a == b
    }

    /// The same in every test run, and never twice in one.
    fn random(&self, len: u32) -> Vec<u8> {
        assert!(len <= RANDOM_BYTES, "more than 64 KiB of randomness at once");
        let mut state = self.0.host.0.borrow_mut();
        let byte = |_| {
            state.drawn += 1;
            fingerprint(state.drawn.to_string().as_bytes()).to_be_bytes()[0]
        };
        (0..len).map(byte).collect()
    }

    fn send(&self, request: &http::Request) -> Result<http::Response> {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            // By GET too: a question may be a POST, as those of GraphQL are.
            *self.0.sent.borrow_mut() = true;
        }
        let outside = self.0.host.0.borrow().outside.clone();
        outside.ok_or_else(Error::denied)?(request)
    }

    fn send_many(&self, requests: &[http::Request]) -> Vec<Result<http::Response>> {
        requests.iter().map(|request| self.send(request)).collect()
    }

    fn now_ms(&self) -> u64 {
        self.0.host.0.borrow().now
    }

    fn emit(&self, level: Level, message: &str, fields: &[Field]) {
        let fields: String = fields.iter().map(|field| format!(" {}={}", field.name, field.value)).collect();
        let level = match level {
            Level::Debug => "debug",
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        self.0.host.0.borrow_mut().logged.push(format!("{level}: {message}{fields}"));
    }

    fn intend(&self, undo: &[u8]) -> Result<()> {
        assert!(self.0.may == May::Act, "only a call that may write, and undoes nothing, may intend");
        if undo.len() > INTERNAL_BYTES {
            return Err(Error::too_large("at most 64 KiB"));
        }
        assert!(self.0.intents.borrow().len() < INTENTS, "a call may intend at most 16 times");
        self.0.intents.borrow_mut().push(undo.to_owned());
        self.0.host.0.borrow_mut().intents.push(undo.to_owned());
        Ok(())
    }
}
