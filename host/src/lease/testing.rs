//! Leases without a server: two nodes on one store, and a clock that is moved by hand.

use std::{sync::Arc, time::Duration};

use super::{Asker, Borrower, GrantedAction, Leases, Parts, Reservations, journal};
use crate::{
    audit::{Audit, Sink},
    barrier::{Barrier, Writes},
    catalog::{self, Catalog},
    clock::{Clock, Hand, Timestamp},
    directory::Directory,
    document::{Author, Documents},
    fence::{Counter, Fence},
    ids::{MountId, MountName, RequestId, RoleName, SecretPath, SessionId, UserId},
    mount::{Kind, Mount, Mounts},
    policy::{self, Caller, Policies},
    runtime::{Intent, Journal, Options, Origin, Runtime, types::LeaseSpec},
    security::Security,
    session::{EpochsOf, Lifetimes, NewSession, Session, Sessions, embedded::Embedded},
    storage::{Backend, Memory, Range},
};

pub(super) const NODES: usize = 2;

pub(super) struct Bench {
    /// Each with its own reservations.
    pub(super) nodes: Vec<Leases>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) policies: Policies,
    pub(super) sessions: Sessions,
    pub(super) barrier: Barrier,
    pub(super) clock: Clock,
    pub(super) hand: Hand,
    pub(super) memory: Arc<Memory>,
    documents: Documents,
    security: Security,
    catalog: Catalog,
    fence: Fence,
    _folder: tempfile::TempDir,
}

impl Bench {
    pub(super) async fn new() -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_000_000));
        let memory = Arc::new(Memory::default());
        let barrier = Barrier::for_test(memory.clone(), clock.clone());
        Self::over(memory, barrier, (clock, hand)).await
    }

    /// All that is kept in mind is forgotten.
    pub(super) async fn restarted(self) -> Self {
        let bench = Self::over(self.memory, self.barrier, (self.clock, self.hand)).await;
        bench.refresh().await;
        bench
    }

    async fn over(memory: Arc<Memory>, barrier: Barrier, (clock, hand): (Clock, Hand)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sink = Sink::File(folder.path().join("audit.log"));
        let audit = Audit::open(sink, clock.clone(), barrier.clone()).await.unwrap();
        let fence = Fence::new(barrier.clone(), clock.clone());
        let documents = Documents::new(&barrier);
        let security = Security::new(documents.clone(), fence.clone());
        let catalog = Catalog::open(Vec::new(), &barrier).unwrap();
        let runtime = Runtime::new(clock.clone(), Options { calls: 4, calls_each: 2, queue: 2, passwords: 1 }).unwrap();
        let reservations: [Reservations; NODES] = Default::default();
        let journal = journal(&barrier, &clock, &reservations[0]);
        let runtime = runtime.noting(journal.clone());
        let parts = (&barrier, &clock, &fence);
        let mounts = Mounts::new(parts, documents.clone(), security.clone(), catalog.clone(), runtime);
        let store = Arc::new(Embedded::new(barrier.clone()));
        let sessions = Sessions::new(store, barrier.clone(), fence.clone(), clock.clone());
        let policies = Policies::new(clock.clone(), || 0);
        let node = |reservations| {
            Leases::new(Parts {
                audit: audit.clone(),
                barrier: barrier.clone(),
                clock: clock.clone(),
                directory: Directory::new(barrier.clone(), clock.clone()),
                mounts: mounts.clone(),
                policies: policies.clone(),
                reservations,
                sessions: sessions.clone(),
            })
        };
        Self {
            nodes: reservations.map(node).into(),
            journal,
            policies,
            sessions,
            barrier,
            clock,
            hand,
            memory,
            documents,
            security,
            catalog,
            fence,
            _folder: folder,
        }
    }

    async fn refresh(&self) {
        self.fence.ask().await.unwrap();
        self.security.refresh().await.unwrap();
        self.nodes[0].0.mounts.refresh().await.unwrap();
    }

    async fn store(&self, mut writes: Writes) {
        [Counter::Mounts, Counter::Settings].iter().for_each(|counter| self.fence.raise(&mut writes, *counter));
        self.barrier.commit(writes).await.unwrap();
        self.refresh().await;
    }

    async fn set(&self, to: &mut Writes, key: &str, value: serde_json::Value) -> u64 {
        let current = self.documents.read(key).await.unwrap();
        self.documents.write(to, key, &current, Some(value), Author::server(self.clock.now())).number
    }

    /// The plugin stands at `secrets/db`.
    pub(super) async fn mount(&self, wasm: &[u8]) -> Arc<Mount> {
        let mut writes = Writes::default();
        let rules = serde_json::json!({"plugins": {"require_signature": false}});
        self.set(&mut writes, "security", rules).await;
        let component = catalog::inspect(wasm).unwrap();
        let upload = catalog::Upload { component: &component, bytes: wasm, staged: None };
        let by = catalog::Author { user: UserId::new(), at: self.clock.now() };
        self.catalog.propose(&mut writes, None, upload, by);
        self.store(writes).await;
        let grant = serde_json::json!({"headers": component.manifest.requires.headers});
        let value = serde_json::json!({"plugin": "lender", "version": "1.0.0", "grant": grant});
        let (mounts, name) = (&self.nodes[0].0.mounts, MountName::parse("db").unwrap());
        let change = mounts.prepare(Kind::Secrets, name.clone(), &value, false).await.unwrap();
        let mut writes = Writes::default();
        let number = self.set(&mut writes, "secrets/db", value).await;
        mounts.propose(&mut writes, &change, number);
        self.store(writes).await;
        mounts.get(Kind::Secrets, &name).unwrap()
    }

    /// As they stand in the store.
    pub(super) async fn keys(&self, prefix: &str) -> Vec<String> {
        let range = Range { prefix: prefix.to_owned(), delimiter: None, after: None, limit: 10_000 };
        self.memory.list(range, self.clock.now()).await.unwrap().keys
    }

    pub(super) fn borrower(&self, seconds: u64) -> Borrower {
        Borrower {
            user: UserId::new(),
            session: SessionId::new(),
            ends_at: self.clock.now().after(Duration::from_secs(seconds)),
            request: RequestId::new(),
            granted: GrantedAction::of(&policy::Create),
        }
    }

    /// With a session that there is.
    pub(super) async fn borrower_in_session(&self, user: &UserId, span: Duration) -> Borrower {
        let session = self.session(user, span).await;
        let (id, ends_at) = (session.id.clone(), session.absolute_end);
        Borrower { user: user.clone(), session: id, ends_at, ..self.borrower(0) }
    }

    async fn session(&self, user: &UserId, span: Duration) -> Arc<Session> {
        let (mount, plugin) = (MountId::new(), "ab".repeat(32));
        let (of_user, of_mount, digest) = (Some(user.clone()), Some(mount.clone()), Some(plugin.clone()));
        let of = EpochsOf { user: of_user, mount: of_mount, digest, client: None };
        let new = NewSession {
            user: user.clone(),
            mount,
            method: MountName::parse("password").unwrap(),
            subject: "ada".to_owned(),
            groups: Vec::new(),
            plugin,
            client: None,
            scope: None,
            addresses: None,
            max_uses: None,
            lifetimes: Lifetimes { idle: span, absolute: span, family: span },
            renewable: false,
            internal: Vec::new(),
            epochs: self.sessions.epochs(&of).await.unwrap(),
            parent: None,
            address: None,
            device: String::new(),
            login_at: self.clock.now(),
            by_device_flow: false,
            per_user: None,
        };
        self.sessions.create(new).await.unwrap().session
    }

    pub(super) async fn lend(&self, borrower: &Borrower, seconds: u64) -> super::Lease {
        self.lend_of((&MountId::new(), "db/a"), borrower, seconds).await
    }

    pub(super) async fn lend_of(
        &self,
        (mount, path): (&MountId, &str),
        borrower: &Borrower,
        seconds: u64,
    ) -> super::Lease {
        let (mut writes, path) = (Writes::default(), SecretPath::parse(path).unwrap());
        let lease = self.nodes[0].issue(&mut writes, mount, &path, borrower, spec(seconds, 2 * seconds));
        self.barrier.commit(writes).await.unwrap();
        lease
    }

    pub(super) fn intent(&self, user: Option<&UserId>, mount: &MountId) -> Intent {
        Intent {
            origin: Origin { mount: mount.clone(), path: "secrets/db/a".to_owned() },
            principal: user.map(UserId::to_string),
            request: "r".to_owned(),
            undo: vec![7].into(),
            until: self.clock.now(),
        }
    }
}

pub(super) fn spec(seconds: u64, most: u64) -> LeaseSpec {
    LeaseSpec {
        ttl: Duration::from_secs(seconds),
        max_ttl: Duration::from_secs(most),
        renewable: true,
        internal: b"canary-internal".to_vec().into(),
    }
}

/// Of whom a plugin learns nothing but this.
pub(super) fn asker() -> Asker {
    Asker { request: RequestId::new(), name: None, address: None, headers: Arc::default() }
}

pub(super) fn caller(user: &UserId, role: &str) -> Caller {
    Caller {
        session: SessionId::new(),
        user: user.clone(),
        roles: vec![RoleName::parse(role).unwrap()],
        groups: Vec::new(),
        scope: None,
        method: MountName::parse("password").unwrap(),
        login_at: Timestamp::from_millis(0),
        address: None,
        root: false,
    }
}

/// Somebody who may do everything.
pub(super) fn admin() -> Caller {
    caller(&UserId::new(), "admin")
}
