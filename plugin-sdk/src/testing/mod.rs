//! A host in memory: the same plugin runs natively, in a plain `cargo test`.
//!
//! ```
//! use coffer_plugin_sdk::{prelude::*, serde_json::json, testing::Host};
//!
//! #[derive(Deserialize)]
//! struct Counter;
//!
//! impl Engine for Counter {
//!     fn handle(&self, request: Request) -> Result<Response> {
//!         let count = storage::get::<u32>(&request.path)?.map_or(1, |entry| entry.value + 1);
//!         storage::put(&request.path, &count, None)?;
//!         Response::json(&json!({ "count": count }))
//!     }
//! }
//!
//! let host = Host::new();
//! // While the first call is under way, somebody else makes a second.
//! host.meanwhile(|host| drop(host.post::<Counter>("count", "a", json!({}))));
//! assert_eq!(host.post::<Counter>("count", "a", json!({})).unwrap(), json!({ "count": 2 }));
//! ```
//!
//! Writes are kept only if the call succeeds, and the call runs again if what it read has changed. What the server
//! answers with 502, because a plugin did what it may not (wrote in a call by GET, answered what is no JSON object),
//! panics here. The clock moves by hand, and password hashes cost nothing (and are worth nothing), like the keys of
//! `crypto`, which keep apart whatever real ones do.
//!
//! It is not the server. It knows nothing of `plugin.toml`: a configuration gets no defaults from its schema, bodies are
//! not checked against `[[calls]]`, and what is not asked for in `[requires]` is there all the same; also `intend`
//! without an export `leases`. Nor does it bound what a call costs: time, memory, storage operations, what is logged.
//! A real public key is told from none, but verifies nothing. For all of that there is `coffer plugin test`, which
//! runs the component in the server's own sandbox.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use serde_json::{Map, Value};

use crate::{
    Auth, Check, Credentials, Engine, Error, Leases, Maintenance, Request, Response, Result, Step, Timestamp,
    bindings::{auth, credentials, engine, leases, maintenance, plugin},
    http,
};

mod answer;
mod call;
mod json;
mod keys;

use answer::unchecked;
use call::{Call, May};
use json::{as_query, bytes, value};

/// Runs before a call that meets a conflict each time is given up.
const RUNS: usize = 5;

/// Where keys of `crypto` stand among the entries: no plugin can name a key like that.
const KEYS: &str = "\0key/";

/// A mount and everything around it. A cheap handle; each test makes its own.
#[derive(Clone)]
pub struct Host(Rc<RefCell<State>>);

type Meanwhile = Box<dyn FnOnce(&Host)>;
type Outside = Rc<dyn Fn(&http::Request) -> Result<http::Response>>;

struct State {
    config: Value,
    principal: Option<(String, String)>,
    login_user: Option<String>,
    callback: Option<(String, String)>,
    client_address: Option<String>,
    headers: BTreeMap<String, String>,
    deadline_ms: u32,
    now: u64,
    entries: BTreeMap<String, Stored>,
    storage_is_away: bool,
    meanwhile: VecDeque<Meanwhile>,
    outside: Option<Outside>,
    logged: Vec<String>,
    intents: Vec<Vec<u8>>,
    password_cost: u32,
    password_work: u32,
    drawn: u64,
    revisions: u64,
}

#[derive(Clone)]
struct Stored {
    value: Vec<u8>,
    revision: u64,
    expires_at: Option<u64>,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// An empty mount with an empty configuration, at a quarter past midnight on 1 January 2026.
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(State {
            config: Value::Object(Map::new()),
            principal: None,
            login_user: None,
            callback: None,
            client_address: None,
            headers: BTreeMap::new(),
            deadline_ms: 5000,
            now: 1_767_226_500_000,
            entries: BTreeMap::new(),
            storage_is_away: false,
            meanwhile: VecDeque::new(),
            outside: None,
            logged: Vec::new(),
            intents: Vec::new(),
            password_cost: 1,
            password_work: 0,
            drawn: 0,
            revisions: 0,
        })))
    }

    /// As the plugin gets it: the server would have filled in the defaults of the schema in `plugin.toml`.
    pub fn set_config(&self, config: Value) {
        self.0.borrow_mut().config = config;
    }

    /// On whose behalf the next calls are made: id and name.
    pub fn set_principal(&self, principal: Option<(&str, &str)>) {
        self.0.borrow_mut().principal = principal.map(|(id, name)| (id.to_owned(), name.to_owned()));
    }

    /// Whom the credentials of the next logins name.
    pub fn set_login_user(&self, id: Option<&str>) {
        self.0.borrow_mut().login_user = id.map(ToOwned::to_owned);
    }

    /// Where a browser is sent back to, and with which `state`.
    pub fn set_callback(&self, url: &str, state: &str) {
        self.0.borrow_mut().callback = Some((url.to_owned(), state.to_owned()));
    }

    pub fn set_client_address(&self, address: Option<&str>) {
        self.0.borrow_mut().client_address = address.map(ToOwned::to_owned);
    }

    pub fn set_header(&self, name: &str, value: &str) {
        self.0.borrow_mut().headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }

    pub fn set_deadline_ms(&self, left: u32) {
        self.0.borrow_mut().deadline_ms = left;
    }

    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.borrow().now)
    }

    pub fn advance_ms(&self, millis: u64) {
        self.0.borrow_mut().now += millis;
    }

    /// Storage answers `unavailable` until told otherwise.
    pub fn set_storage_away(&self, is_away: bool) {
        self.0.borrow_mut().storage_is_away = is_away;
    }

    /// Done once, after the next call has run and before it is committed: so that call meets a
    /// conflict if this changes what it read. Of several each is met by one run.
    pub fn meanwhile(&self, what: impl FnOnce(&Self) + 'static) {
        self.0.borrow_mut().meanwhile.push_back(Box::new(what));
    }

    /// Who answers HTTP. Without one every request ends in `denied`.
    pub fn set_outside(&self, answers: impl Fn(&http::Request) -> Result<http::Response> + 'static) {
        self.0.borrow_mut().outside = Some(Rc::new(answers));
    }

    /// From now on hashes made before are outdated.
    pub fn raise_password_cost(&self) {
        self.0.borrow_mut().password_cost += 1;
    }

    /// How many passwords have been hashed or compared.
    pub fn password_work(&self) -> u32 {
        self.0.borrow().password_work
    }

    /// What was said to the log, and forgets it.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().logged)
    }

    /// Intents of calls that did not commit: what `leases.revoke` would be told.
    pub fn unresolved(&self) -> Vec<Vec<u8>> {
        self.0.borrow().intents.clone()
    }

    /// What the server does about them: has each undone, and says how many are left. Those it asks about again later.
    pub fn undo<P: Leases>(&self) -> usize {
        for intent in self.unresolved() {
            if self.revoke::<P>(&intent).is_ok() {
                let mut state = self.0.borrow_mut();
                let at = state.intents.iter().position(|open| *open == intent);
                at.map(|at| state.intents.remove(at));
            }
        }
        self.unresolved().len()
    }

    /// Keys that are stored and have not expired.
    pub fn keys(&self) -> Vec<String> {
        let state = self.0.borrow();
        let alive = state.entries.iter().filter(|(_, entry)| state.is_alive(entry));
        alive.map(|(key, _)| key.clone()).filter(|key| !key.starts_with(KEYS)).collect()
    }

    /// Names of the keys that the host holds for the plugin.
    pub fn crypto_keys(&self) -> Vec<String> {
        let state = self.0.borrow();
        state.entries.keys().filter_map(|key| key.strip_prefix(KEYS)).map(ToOwned::to_owned).collect()
    }

    /// A stored value, as JSON.
    pub fn stored(&self, key: &str) -> Option<Value> {
        let state = self.0.borrow();
        state.entries.get(key).filter(|entry| state.is_alive(entry)).and_then(|e| serde_json::from_slice(&e.value).ok())
    }

    pub fn check<P: Check>(&self) -> Result<Vec<String>> {
        self.run(May::Look, || <P as plugin::exports::coffer::plugin::plugin::Guest>::check()).map(|(notes, _)| notes)
    }

    /// A call that came by GET: numbers and truth values arrive as texts, but in a `list`.
    ///
    /// # Panics
    /// If it writes: the server answers that with 502.
    pub fn get<P: Engine>(&self, operation: &str, path: &str, query: Value) -> Result<Value> {
        let query = if operation == "list" { query } else { as_query(query) };
        let (response, _) = self.handle_in::<P>(May::Read, operation, path, query)?;
        assert!(response.lease.is_none(), "a call that came by GET has lent something");
        Ok(value(&response.body))
    }

    /// A call that came by any other method.
    pub fn post<P: Engine>(&self, operation: &str, path: &str, body: Value) -> Result<Value> {
        self.handle::<P>(operation, path, body).map(|response| value(&response.body))
    }

    /// As `post`, with the whole answer.
    pub fn handle<P: Engine>(&self, operation: &str, path: &str, body: Value) -> Result<Response> {
        let (response, call) = self.handle_in::<P>(May::Act, operation, path, body)?;
        call.commit();
        Ok(response)
    }

    pub fn login<P: Auth>(&self, credentials: Value) -> Result<Step> {
        let credentials = bytes(&credentials);
        self.stepped(|| <P as auth::exports::coffer::plugin::auth::Guest>::login(credentials.clone()))
    }

    pub fn resume<P: Auth>(&self, state: &[u8], answer: Value) -> Result<Step> {
        let (state, answer) = (state.to_owned(), bytes(&answer));
        self.stepped(|| <P as auth::exports::coffer::plugin::auth::Guest>::resume(state.clone(), answer.clone()))
    }

    pub fn refresh<P: Auth>(&self, internal: &[u8]) -> Result<crate::Identity> {
        let refresh = || <P as auth::exports::coffer::plugin::auth::Guest>::refresh(internal.to_owned());
        self.kept(refresh, answer::identity)
    }

    pub fn enroll<P: Credentials>(&self, subject: &str, id: Option<&str>, credential: Value) -> Result<Value> {
        use credentials::exports::coffer::plugin::credentials::Guest;
        let (id, credential) = (id.map(ToOwned::to_owned), bytes(&credential));
        let enroll = || <P as Guest>::enroll(subject.to_owned(), id.clone(), credential.clone());
        self.kept(enroll, |made| answer::object(made)).map(|made| value(&made))
    }

    pub fn verify<P: Credentials>(&self, subject: &str, credential: Value) -> Result<bool> {
        use credentials::exports::coffer::plugin::credentials::Guest;
        let credential = bytes(&credential);
        self.kept(|| <P as Guest>::verify(subject.to_owned(), credential.clone()), unchecked)
    }

    pub fn credentials<P: Credentials>(&self, subject: &str) -> Result<Value> {
        use credentials::exports::coffer::plugin::credentials::Guest;
        self.kept(|| <P as Guest>::list(subject.to_owned()), unchecked).map(|list| value(&list))
    }

    pub fn remove<P: Credentials>(&self, subject: &str, id: Option<&str>) -> Result<()> {
        use credentials::exports::coffer::plugin::credentials::Guest;
        self.kept(|| <P as Guest>::remove(subject.to_owned(), id.map(ToOwned::to_owned)), unchecked)
    }

    pub fn renew<P: Leases>(&self, internal: &[u8], increment_seconds: u64) -> Result<crate::LeaseSpec> {
        use leases::exports::coffer::plugin::leases::Guest;
        self.kept(|| <P as Guest>::renew(internal.to_owned(), increment_seconds), answer::lease)
    }

    pub fn revoke<P: Leases>(&self, internal: &[u8]) -> Result<()> {
        let revoke = || <P as leases::exports::coffer::plugin::leases::Guest>::revoke(internal.to_owned());
        let ((), ran) = self.run(May::Write, revoke)?;
        ran.commit();
        Ok(())
    }

    pub fn tick<P: Maintenance>(&self) -> Result<Option<u32>> {
        self.kept(|| <P as maintenance::exports::coffer::plugin::maintenance::Guest>::tick(), unchecked)
    }

    pub fn migrate<P: Maintenance>(&self, from_version: &str) -> Result<bool> {
        use maintenance::exports::coffer::plugin::maintenance::Guest;
        self.kept(|| <P as Guest>::migrate(from_version.to_owned()), unchecked)
    }

    fn handle_in<P: Engine>(&self, may: May, operation: &str, path: &str, body: Value) -> Result<(Response, Call)> {
        let body = bytes(&body);
        let request = Request { operation: operation.to_owned(), path: path.to_owned(), body };
        let handle = || <P as engine::exports::coffer::plugin::engine::Guest>::handle(request.clone());
        let (response, ran) = self.run(may, handle)?;
        answer::believe(answer::response(&response));
        Ok((response, ran))
    }

    fn stepped(&self, step: impl Fn() -> Result<Step>) -> Result<Step> {
        self.kept(step, answer::step)
    }

    /// Runs a call and keeps what it wrote, if its answer is one.
    fn kept<T>(&self, call: impl Fn() -> Result<T>, check: impl Fn(&T) -> answer::Checked) -> Result<T> {
        let (value, ran) = self.run(May::Act, call)?;
        answer::believe(check(&value));
        ran.commit();
        Ok(value)
    }

    /// Runs a call, again while what it read has changed meanwhile, and leaves its writes to the caller.
    fn run<T>(&self, may: May, call: impl Fn() -> Result<T>) -> Result<(T, Call)> {
        for _ in 0..RUNS {
            let this = Call::new(self.clone(), may);
            let outcome = crate::host::with(Rc::new(this.clone()), &call);
            self.let_others_act();
            if this.is_up_to_date() {
                return outcome.map(|value| (value, this));
            }
            if !this.may_rerun() {
                return Err(Error::unavailable("a conflict after a deed outside"));
            }
        }
        Err(Error::unavailable("a conflict in every run"))
    }
}

impl Host {
    /// The calls that somebody else makes meanwhile are left alone.
    fn let_others_act(&self) {
        let mut waiting = std::mem::take(&mut self.0.borrow_mut().meanwhile);
        if let Some(act) = waiting.pop_front() {
            act(self);
        }
        self.0.borrow_mut().meanwhile = waiting;
    }
}

impl State {
    fn is_alive(&self, entry: &Stored) -> bool {
        entry.expires_at.is_none_or(|end| end > self.now)
    }
}

/// FNV-1a with a last stir, so that a test can compare. It protects nothing.
fn fingerprint(bytes: &[u8]) -> u64 {
    let hash =
        bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    let stirred = (hash ^ (hash >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    stirred ^ (stirred >> 27)
}
