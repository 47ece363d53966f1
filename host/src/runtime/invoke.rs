//! How each kind of input is asked of a guest.

use std::future::Future;

use wasmtime::{
    Store,
    component::{Instance, InstancePre},
};
use zeroize::Zeroize;

use super::{
    Fault, answer,
    bindings::{coffer::plugin::types as wit, exports::coffer::plugin as exports},
    fault::{answered, filtered, stopped},
    input::{
        Check, Credentials, Enroll, Handle, Login, Migrate, Refresh, Remove, RenewLease, Resume, RevokeLease, Tick,
        Verify,
    },
    plugin::Exports,
    sandbox::Sandbox,
    types::{Bytes, Identity, LeaseSpec, Response, Step},
};

/// Where the exports of a component are, looked up once.
pub(super) struct Indices {
    plugin: exports::plugin::GuestIndices,
    engine: Option<exports::engine::GuestIndices>,
    auth: Option<exports::auth::GuestIndices>,
    leases: Option<exports::leases::GuestIndices>,
    credentials: Option<exports::credentials::GuestIndices>,
    maintenance: Option<exports::maintenance::GuestIndices>,
}

impl Indices {
    pub(super) fn find(pre: &InstancePre<Sandbox>, exports: Exports) -> wasmtime::Result<Self> {
        Ok(Self {
            plugin: exports::plugin::GuestIndices::new(pre)?,
            engine: exports.engine.then(|| exports::engine::GuestIndices::new(pre)).transpose()?,
            auth: exports.auth.then(|| exports::auth::GuestIndices::new(pre)).transpose()?,
            leases: exports.leases.then(|| exports::leases::GuestIndices::new(pre)).transpose()?,
            credentials: exports.credentials.then(|| exports::credentials::GuestIndices::new(pre)).transpose()?,
            maintenance: exports.maintenance.then(|| exports::maintenance::GuestIndices::new(pre)).transpose()?,
        })
    }
}

/// An instance, about to be asked one thing.
pub struct Guest<'a> {
    pub(super) indices: &'a Indices,
    pub(super) instance: Instance,
    pub(super) store: &'a mut Store<Sandbox>,
    /// Bytes of the answer.
    pub(super) most: usize,
}

/// Keeps `Input` closed: what can be asked is what the contract has.
pub trait Invoke: Send + Sized + 'static {
    type Answer: Send + 'static;

    /// What is asked, as the contract calls it.
    const EXPORT: &'static str;

    /// What it writes is proposed; otherwise dropped.
    const WRITES: bool = true;

    /// It may intend deeds outside.
    const INTENDS: bool = Self::WRITES;

    /// What of the input must not stand in a log.
    fn secrets(&self) -> Vec<Bytes>;

    fn invoke(self, guest: Guest<'_>) -> impl Future<Output = Result<Self::Answer, Fault>> + Send;
}

/// Finds the export, asks it, and tells apart what may come back.
macro_rules! ask {
    ($guest:ident.$interface:ident, $function:ident($($argument:expr),*)) => {{
        let index = ask!(@index $guest, $interface);
        let export = match index.load(&mut *$guest.store, &$guest.instance) {
            Ok(export) => export,
            Err(error) => return Err(stopped($guest.store, error)),
        };
        let answer = export.$function(&mut *$guest.store $(, $argument)*).await;
        answered($guest.store, answer)
    }};
    (@index $guest:ident, plugin) => { &$guest.indices.plugin };
    (@index $guest:ident, $interface:ident) => {
        match &$guest.indices.$interface {
            Some(index) => index,
            None => return Err(Fault::Invalid(concat!("it does not export ", stringify!($interface)).to_owned())),
        }
    };
}

impl Invoke for Check {
    type Answer = Vec<String>;

    const EXPORT: &'static str = "plugin.check";
    const WRITES: bool = false;

    fn secrets(&self) -> Vec<Bytes> {
        Vec::new()
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<Vec<String>, Fault> {
        answer::notes(ask!(guest.plugin, call_check())?)
    }
}

impl Invoke for Handle {
    type Answer = Response;

    const EXPORT: &'static str = "engine.handle";

    fn secrets(&self) -> Vec<Bytes> {
        vec![self.0.body.clone()]
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<Response, Fault> {
        let mut body = self.0.body;
        let body = std::mem::take(&mut *body.0);
        let mut request = wit::Request { operation: self.0.operation, path: self.0.path, body };
        let answered = ask!(guest.engine, call_handle(&request));
        request.body.zeroize();
        let mut answered = answered?;
        answered.warnings = filtered(guest.store, answered.warnings);
        answer::response(answered, guest.most)
    }
}

impl Invoke for Login {
    type Answer = Step;

    const EXPORT: &'static str = "auth.login";

    fn secrets(&self) -> Vec<Bytes> {
        vec![self.credentials.clone()]
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<Step, Fault> {
        answer::step(ask!(guest.auth, call_login(&self.credentials))?, guest.most)
    }
}

impl Invoke for Resume {
    type Answer = Step;

    const EXPORT: &'static str = "auth.resume";

    fn secrets(&self) -> Vec<Bytes> {
        vec![self.state.clone(), self.answer.clone()]
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<Step, Fault> {
        answer::step(ask!(guest.auth, call_resume(&self.state, &self.answer))?, guest.most)
    }
}

impl Invoke for Refresh {
    type Answer = Identity;

    const EXPORT: &'static str = "auth.refresh";

    fn secrets(&self) -> Vec<Bytes> {
        vec![self.internal.clone()]
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<Identity, Fault> {
        answer::identity(ask!(guest.auth, call_refresh(&self.internal))?)
    }
}

impl Invoke for Enroll {
    type Answer = Bytes;

    const EXPORT: &'static str = "credentials.enroll";

    fn secrets(&self) -> Vec<Bytes> {
        vec![self.credential.clone()]
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<Bytes, Fault> {
        let id = self.id.as_deref();
        answer::object(ask!(guest.credentials, call_enroll(&self.subject, id, &self.credential))?, guest.most)
    }
}

impl Invoke for Verify {
    type Answer = bool;

    const EXPORT: &'static str = "credentials.verify";

    fn secrets(&self) -> Vec<Bytes> {
        vec![self.credential.clone()]
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<bool, Fault> {
        ask!(guest.credentials, call_verify(&self.subject, &self.credential))
    }
}

impl Invoke for Credentials {
    type Answer = Bytes;

    const EXPORT: &'static str = "credentials.list";

    fn secrets(&self) -> Vec<Bytes> {
        Vec::new()
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<Bytes, Fault> {
        answer::array(ask!(guest.credentials, call_list(&self.subject))?, guest.most)
    }
}

impl Invoke for Remove {
    type Answer = ();

    const EXPORT: &'static str = "credentials.remove";

    fn secrets(&self) -> Vec<Bytes> {
        Vec::new()
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<(), Fault> {
        ask!(guest.credentials, call_remove(&self.subject, self.id.as_deref()))
    }
}

impl Invoke for RenewLease {
    type Answer = LeaseSpec;

    const EXPORT: &'static str = "leases.renew";

    fn secrets(&self) -> Vec<Bytes> {
        vec![self.internal.clone()]
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<LeaseSpec, Fault> {
        answer::lease(ask!(guest.leases, call_renew(&self.internal, self.increment_seconds))?)
    }
}

impl Invoke for RevokeLease {
    type Answer = ();

    const EXPORT: &'static str = "leases.revoke";
    /// What undoes is done again until it succeeds: if each time left something to undo, it would never end.
    const INTENDS: bool = false;

    fn secrets(&self) -> Vec<Bytes> {
        vec![self.internal.clone()]
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<(), Fault> {
        ask!(guest.leases, call_revoke(&self.internal))
    }
}

impl Invoke for Tick {
    type Answer = Option<u32>;

    const EXPORT: &'static str = "maintenance.tick";

    fn secrets(&self) -> Vec<Bytes> {
        Vec::new()
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<Option<u32>, Fault> {
        ask!(guest.maintenance, call_tick())
    }
}

impl Invoke for Migrate {
    type Answer = bool;

    const EXPORT: &'static str = "maintenance.migrate";

    fn secrets(&self) -> Vec<Bytes> {
        Vec::new()
    }

    async fn invoke(self, guest: Guest<'_>) -> Result<bool, Fault> {
        ask!(guest.maintenance, call_migrate(&self.from))
    }
}
