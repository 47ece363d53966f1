//! Leases without a server: two nodes on one store, and a clock that is moved by hand.

use std::{sync::Arc, time::Duration};

use super::{Borrower, Error, Filter, Leases, Of, Parts, State, journal, revoke::backoff};
use crate::{
    audit::{Audit, Sink},
    barrier::{Barrier, Writes},
    catalog::{self, Catalog},
    clock::{Clock, Hand, Timestamp},
    directory::Directory,
    document::Documents,
    fence::{Counter, Fence},
    ids::{MountId, MountName, RequestId, SecretPath, SessionId, UserId},
    limits,
    mount::{self, Kind, Mount, Mounts},
    runtime::{
        Facts, Fault, Handle, Intent, Journal, Options, Origin, Runtime, Unnoted,
        testing::{GET, INTEND, PUT, lender, request},
        types::LeaseSpec,
    },
    security::Security,
    session::{Sessions, embedded::Embedded},
    storage::{Backend, Memory, Range},
};

pub(super) const NODES: usize = 2;

pub(super) struct Bench {
    pub(super) nodes: Vec<Leases>,
    pub(super) journal: Arc<dyn Journal>,
    pub(super) barrier: Barrier,
    pub(super) clock: Clock,
    pub(super) hand: Hand,
    memory: Arc<Memory>,
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
        let folder = tempfile::tempdir().unwrap();
        let sink = Sink::File(folder.path().join("audit.log"));
        let audit = Audit::open(sink, clock.clone(), barrier.clone()).await.unwrap();
        let fence = Fence::new(barrier.clone(), clock.clone());
        let documents = Documents::new(&barrier);
        let security = Security::new(documents.clone(), fence.clone());
        let catalog = Catalog::open(Vec::new(), &barrier).unwrap();
        let runtime = Runtime::new(clock.clone(), Options { calls: 4, calls_each: 2, queue: 2, passwords: 1 }).unwrap();
        let journal = journal(&barrier, &clock);
        let runtime = runtime.noting(journal.clone());
        let parts = (&barrier, &clock, &fence);
        let mounts = Mounts::new(parts, documents.clone(), security.clone(), catalog.clone(), runtime);
        let store = Arc::new(Embedded::new(barrier.clone()));
        let sessions = Sessions::new(store, barrier.clone(), fence.clone(), clock.clone());
        let node = || {
            Leases::new(Parts {
                audit: audit.clone(),
                barrier: barrier.clone(),
                clock: clock.clone(),
                directory: Directory::new(barrier.clone(), clock.clone()),
                mounts: mounts.clone(),
                sessions: sessions.clone(),
            })
        };
        let nodes = (0..NODES).map(|_| node()).collect();
        Self { nodes, journal, barrier, clock, hand, memory, documents, security, catalog, fence, _folder: folder }
    }

    async fn store(&self, mut writes: Writes) {
        [Counter::Mounts, Counter::Settings].iter().for_each(|counter| self.fence.raise(&mut writes, *counter));
        self.barrier.commit(writes).await.unwrap();
        self.fence.ask().await.unwrap();
        self.security.refresh().await.unwrap();
        self.nodes[0].mounts.refresh().await.unwrap();
    }

    async fn set(&self, to: &mut Writes, key: &str, value: serde_json::Value) -> u64 {
        let current = self.documents.read(key).await.unwrap();
        self.documents.write(to, key, &current, Some(value), (None, self.clock.now())).number
    }

    /// The plugin stands at `secrets/db`.
    async fn mount(&self, wasm: &[u8]) -> Arc<Mount> {
        let mut writes = Writes::default();
        let rules = serde_json::json!({"plugins": {"require_signature": false}});
        self.set(&mut writes, "security", rules).await;
        let component = catalog::inspect(wasm).unwrap();
        self.catalog.propose(&mut writes, None, (&component, wasm), (UserId::new(), self.clock.now()));
        self.store(writes).await;
        let value = serde_json::json!({"plugin": "lender", "version": "1.0.0"});
        let (mounts, name) = (&self.nodes[0].mounts, MountName::parse("db").unwrap());
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

    fn borrower(&self, seconds: u64) -> Borrower {
        Borrower {
            user: UserId::new(),
            session: SessionId::new(),
            ends_at: self.clock.now().after(Duration::from_secs(seconds)),
            request: RequestId::new(),
        }
    }

    async fn lend(&self, borrower: &Borrower, seconds: u64) -> super::Lease {
        let mut writes = Writes::default();
        let path = SecretPath::parse("db/a").unwrap();
        let lease = self.nodes[0].issue(&mut writes, (&MountId::new(), &path), borrower, spec(seconds, 2 * seconds));
        self.barrier.commit(writes).await.unwrap();
        lease
    }

    fn intent(&self, user: Option<&UserId>, mount: &MountId) -> Intent {
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

#[tokio::test]
async fn no_lease_outlives_its_session() {
    let bench = Bench::new().await;
    let borrower = bench.borrower(100);
    let lease = bench.lend(&borrower, 600).await;
    assert_eq!((lease.expires_at, lease.max_expires_at), (borrower.ends_at, borrower.ends_at));
    let lease = bench.lend(&borrower, 60).await;
    assert_eq!(lease.expires_at.since(bench.clock.now()), Duration::from_secs(60));
    assert_eq!(lease.max_expires_at, borrower.ends_at);
}

#[tokio::test]
async fn what_cannot_be_revoked_is_failing_and_tried_ever_less_often_and_never_given_up() {
    let bench = Bench::new().await;
    // Its mount is nowhere.
    let lease = bench.lend(&bench.borrower(100), 60).await;
    assert_eq!(lease.state, State::Active);
    bench.hand.advance(Duration::from_secs(60));
    let mut waits = Vec::new();
    for failures in 1..=14 {
        bench.nodes[failures as usize % NODES].sweep_one(&lease.id).await.unwrap();
        let seen = bench.nodes[0].get(&lease.id).await.unwrap().expect("it is not given up");
        assert_eq!((seen.state, seen.failures), (State::Failing, failures));
        assert_eq!(seen.reason.as_deref(), Some("the mount is broken"));
        let wait = seen.again_at.unwrap().since(bench.clock.now());
        // Before that nobody tries.
        bench.nodes[0].sweep_one(&lease.id).await.unwrap();
        assert_eq!(bench.nodes[0].get(&lease.id).await.unwrap().unwrap().failures, failures);
        waits.push(wait);
        bench.hand.advance(wait);
    }
    assert!(waits[0] <= limits::LEASE_RETRY_FIRST && waits[13] >= limits::LEASE_RETRY_LONGEST / 2, "{waits:?}");
    assert!(waits.iter().all(|wait| *wait <= limits::LEASE_RETRY_LONGEST));
}

#[tokio::test]
async fn a_session_that_nobody_knows_takes_its_leases_with_it() {
    let bench = Bench::new().await;
    let borrower = bench.borrower(1000);
    let lease = bench.lend(&borrower, 600).await;
    bench.nodes[0].sweep_ended().await.unwrap();
    let state = async || bench.nodes[0].get(&lease.id).await.unwrap().unwrap().state;
    assert_eq!(state().await, State::Revoking);
    let asker = (&borrower.user, &borrower.request);
    assert!(matches!(bench.nodes[1].renew(&lease.id, None, asker).await, Err(Error::Over)));
    // One node at a time looks.
    let other = bench.lend(&borrower, 600).await;
    bench.nodes[1].sweep_ended().await.unwrap();
    assert_eq!(bench.nodes[0].get(&other.id).await.unwrap().unwrap().state, State::Active);
    // And who has not seen it yet does not prolong it either.
    assert!(matches!(bench.nodes[1].renew(&other.id, None, asker).await, Err(Error::Over)));
    bench.hand.advance(limits::LEASE_SESSIONS_EVERY);
    bench.nodes[1].sweep_ended().await.unwrap();
    assert_eq!(bench.nodes[0].get(&other.id).await.unwrap().unwrap().state, State::Revoking);
}

#[tokio::test]
async fn a_user_holds_so_many_leases_and_no_more() {
    let bench = Bench::new().await;
    let (borrower, mount) = (bench.borrower(1000), MountId::new());
    for _ in 0..limits::LEASES_PER_USER {
        bench.nodes[0].room(&mount, &borrower.user).await.unwrap();
        bench.lend(&borrower, 600).await;
    }
    assert!(matches!(bench.nodes[0].room(&mount, &borrower.user).await, Err(Error::TooMany)));
    // Nor does a call that announces deeds, and never ends well, get around it.
    let noted = bench.journal.note(bench.intent(Some(&borrower.user), &mount)).await;
    assert!(matches!(noted, Err(Unnoted::TooMany)));
    bench.nodes[0].room(&mount, &UserId::new()).await.unwrap();
    // What nobody has asked for is the mount's own.
    for _ in 0..limits::LEASES_PER_USER {
        bench.journal.note(bench.intent(None, &mount)).await.unwrap();
    }
    assert!(matches!(bench.journal.note(bench.intent(None, &mount)).await, Err(Unnoted::TooMany)));
    bench.journal.note(bench.intent(None, &MountId::new())).await.unwrap();
}

#[tokio::test]
async fn what_was_announced_is_dropped_with_the_call_or_undone_and_never_both() {
    let bench = Bench::new().await;
    let (user, mount) = (UserId::new(), MountId::new());
    let dropped = bench.journal.note(bench.intent(Some(&user), &mount)).await.unwrap();
    bench.barrier.commit(dropped).await.unwrap();
    assert_eq!(bench.keys("lease").await, Vec::<String>::new());
    let late = bench.journal.note(bench.intent(Some(&user), &mount)).await.unwrap();
    let of = Of::User(user);
    let all = bench.nodes[0].list(&of, &Filter::default(), None, 10).await.unwrap().leases;
    let [noted] = &all[..] else { panic!("one: {all:?}") };
    assert_eq!((noted.state, noted.session.is_none()), (State::Unresolved, true));
    // Its call may be under way.
    bench.nodes[0].sweep_one(&noted.id).await.unwrap();
    assert!(matches!(bench.nodes[0].revoke(&noted.id, &RequestId::new()).await, Err(Error::Busy)));
    bench.nodes[0].revoke_all(&of).await.unwrap();
    assert_eq!(bench.nodes[0].get(&noted.id).await.unwrap().unwrap().state, State::Unresolved);
    bench.hand.advance(limits::LEASE_INTENT_GRACE);
    bench.nodes[1].sweep_one(&noted.id).await.unwrap();
    assert!(bench.barrier.commit(late).await.is_err(), "it is being undone");
    assert_eq!(bench.nodes[0].get(&noted.id).await.unwrap().unwrap().state, State::Failing);
}

const MANIFEST: &str = r#"(@custom "coffer:manifest"
    "[plugin]\nname = \"lender\"\nversion = \"1.0.0\"\nkind = \"secrets\"\napi = \"1.0\"\n")"#;

/// Gets its path, says what it will do, and puts it.
fn deed() -> Vec<u8> {
    let imports = [GET, PUT, INTEND].join(" ");
    let body = r#"
        (call $get (local.get $path) (local.get $path-len) (i32.const 4096))
        (call $intend (local.get $path) (local.get $path-len) (i32.const 4200))
        (call $put (local.get $path) (local.get $path-len) (local.get $path) (local.get $path-len)
            (i32.const 0) (i64.const 0) (i32.const 4300))
        (call $ok)"#;
    lender(&imports, MANIFEST, body)
}

#[tokio::test]
async fn a_call_that_has_announced_a_deed_is_not_run_again_and_is_undone_by_its_intent() {
    let bench = Bench::new().await;
    let mount = bench.mount(&deed()).await;
    let leases = &bench.nodes[0];
    let call = || leases.mounts.call(&mount, Facts::default(), "a").unwrap();
    // Well.
    let mut attempts = call();
    let outcome = attempts.run(request("create", "a", "")).await.unwrap();
    assert!(!outcome.may_rerun);
    assert_eq!(bench.keys("lease/").await.len(), 1, "it stands there before the call is over");
    assert!(attempts.commit(outcome.writes, outcome.may_rerun).await.unwrap());
    assert_eq!(bench.keys("lease").await, Vec::<String>::new(), "with the commit it is dropped");
    // Two at once: one of them comes too late.
    let (mut one, mut two) = (call(), call());
    let first = one.run(request("create", "a", "")).await.unwrap();
    let second = two.run(request("create", "a", "")).await.unwrap();
    assert_eq!(bench.keys("lease/").await.len(), 2);
    assert!(one.commit(first.writes, first.may_rerun).await.unwrap());
    let refused = two.commit(second.writes, second.may_rerun).await;
    assert!(matches!(refused, Err(mount::Error::Fault(Fault::Busy))));
    assert_eq!(bench.keys("lease/").await.len(), 1, "the other's is still to be undone");
    leases.sweep().await.unwrap();
    assert_eq!(bench.keys("lease/").await.len(), 1, "not before its deadline");
    bench.hand.advance(Duration::from_secs(60));
    leases.sweep().await.unwrap();
    assert_eq!([bench.keys("lease/").await, bench.keys("lease-due/").await], [Vec::<String>::new(), Vec::new()]);
}

#[tokio::test]
async fn by_get_nothing_is_announced() {
    let bench = Bench::new().await;
    let mount = bench.mount(&deed()).await;
    let attempts = bench.nodes[0].mounts.call(&mount, Facts::default(), "a").unwrap();
    let Handle(asked) = request("read", "a", "");
    let done = attempts.read_only(true).run(Handle(asked)).await;
    assert!(matches!(done, Err(mount::Error::Fault(Fault::Invalid(_)))));
    assert_eq!(bench.keys("lease").await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_due_is_revoked_once_whichever_node_looks() {
    let bench = Bench::new().await;
    let mount = bench.mount(&deed()).await;
    let borrower = bench.borrower(1000);
    let lend = async |seconds, internal: &[u8]| {
        let mut writes = Writes::default();
        let path = SecretPath::parse("db/a").unwrap();
        let spec = LeaseSpec { internal: internal.to_vec().into(), ..spec(seconds, 500) };
        let lease = bench.nodes[0].issue(&mut writes, (&mount.id, &path), &borrower, spec);
        bench.barrier.commit(writes).await.unwrap();
        lease
    };
    for _ in 0..5 {
        lend(60, b"x").await;
    }
    // The plugin traps over this one.
    let (bad, later) = (lend(60, b"").await, lend(400, b"x").await);
    bench.hand.advance(Duration::from_secs(60));
    let (one, two) = tokio::join!(bench.nodes[0].sweep_due(), bench.nodes[1].sweep_due());
    one.and(two).unwrap();
    let left = bench.nodes[0].list(&Of::Below(None), &Filter::default(), None, 10).await.unwrap().leases;
    let mut ids: Vec<_> = left.iter().map(|lease| lease.id.clone()).collect();
    ids.sort();
    let mut expected = [bad.id.clone(), later.id];
    expected.sort();
    assert_eq!(ids, expected);
    let bad = bench.nodes[0].get(&bad.id).await.unwrap().unwrap();
    assert_eq!((bad.failures, bad.reason.as_deref()), (1, Some("the plugin trapped")), "it was tried once");
}

#[test]
fn what_failed_together_does_not_come_back_together() {
    let waits: std::collections::HashSet<_> = (0..20).map(|_| backoff(8)).collect();
    assert!(waits.len() > 10, "{waits:?}");
    assert!((0..u32::MAX).step_by(1 << 28).all(|failures| backoff(failures) <= limits::LEASE_RETRY_LONGEST));
}
