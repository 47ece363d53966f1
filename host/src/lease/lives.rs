//! Lives of leases against a model of them: they are lent, prolonged and given back, their sessions end, their plugin
//! fails, nodes die and start anew, and time passes or jumps. Nothing goes before its time, nothing stays beyond it.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{
    Borrower, Error, Lease, Requester, State,
    error::OVER,
    testing::{Bench, NODES, admin, asker},
};
use crate::{
    barrier::{Writes, layout::Prefix},
    clock::Timestamp,
    ids::{LeaseId, MountId, RequestId, UserId},
    limits,
    runtime::testing::{GET, lender_that},
};

#[derive(Clone, Debug)]
enum Step {
    Lend {
        session: usize,
        seconds: u64,
    },
    Renew {
        node: usize,
        which: usize,
        seconds: Option<u64>,
    },
    Revoke {
        node: usize,
        which: usize,
    },
    EndSession {
        session: usize,
    },
    /// The plugin traps from now on, or does its work again.
    Break(bool),
    /// A node claims one, and is never heard of again.
    Die {
        node: usize,
        which: usize,
    },
    Restart,
    SweepDue {
        node: usize,
    },
    SweepEnded {
        node: usize,
    },
    Wait {
        seconds: u64,
    },
    /// Of the time of day alone.
    Jump {
        seconds: i64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (node, which, session) = (0..NODES, 0..64_usize, 0..SESSIONS.len());
    let step = prop_oneof![
        8 => (session.clone(), 1..200_u64).prop_map(|(session, seconds)| Step::Lend { session, seconds }),
        5 => (node.clone(), which.clone(), prop::option::of(1..400_u64))
            .prop_map(|(node, which, seconds)| Step::Renew { node, which, seconds }),
        2 => (node.clone(), which.clone()).prop_map(|(node, which)| Step::Revoke { node, which }),
        1 => session.prop_map(|session| Step::EndSession { session }),
        2 => prop::bool::ANY.prop_map(Step::Break),
        1 => (node.clone(), which).prop_map(|(node, which)| Step::Die { node, which }),
        1 => Just(Step::Restart),
        5 => node.clone().prop_map(|node| Step::SweepDue { node }),
        3 => node.prop_map(|node| Step::SweepEnded { node }),
        5 => prop::sample::select(vec![1, 2, 3, 30, 69, 70, 100]).prop_map(|seconds| Step::Wait { seconds }),
        1 => prop::sample::select(vec![-40, -1, 1, 60]).prop_map(|seconds| Step::Jump { seconds }),
    ];
    prop::collection::vec(step, 1..50)
}

/// How long sessions last, in seconds.
const SESSIONS: [u64; 3] = [90, 300, 10_000];
/// More than a node looks at at once is another test's.
const MOST: usize = limits::LEASES_DUE - 5;
const CLAIM: Duration = Duration::from_secs(70);

const MANIFEST: &str = r#"(@custom "coffer:manifest"
    "[plugin]\nname = \"lender\"\nversion = \"1.0.0\"\nkind = \"secrets\"\napi = \"1.0\"\n")
    (data (i32.const 3000) "broken")"#;

/// What `renew` answers: as much longer as was asked, a year at most.
pub(super) const PROLONGED: &str = "
        (i32.store (i32.const 8192) (i32.const 0))
        (i64.store offset=8 (i32.const 8192) (local.get $by))
        (i64.store offset=16 (i32.const 8192) (i64.const 31536000))
        (i32.store offset=24 (i32.const 8192) (i32.const 1))
        (i32.store offset=28 (i32.const 8192) (local.get $p))
        (i32.store offset=32 (i32.const 8192) (local.get $n))
        (i32.const 8192)";

/// Prolongs and takes back, unless it has stored that it is broken.
pub(super) fn lender() -> Vec<u8> {
    let look = r#"(call $get (i32.const 3000) (i32.const 6) (i32.const 4096))
        (if (i32.load8_u offset=8 (i32.const 4096)) (then (unreachable)))"#;
    let renew = format!("{look} {PROLONGED}");
    lender_that(GET, MANIFEST, (&renew, &format!("{look} (i32.const 2048)")), "(call $ok)")
}

#[derive(Clone, Debug)]
struct Held {
    session: usize,
    span: u64,
    expires: Timestamp,
    most: Timestamp,
    due: Timestamp,
    ending: bool,
    failures: u32,
    claimed: bool,
}

struct World {
    bench: Bench,
    mount: MountId,
    sessions: Vec<(Borrower, bool)>,
    held: BTreeMap<LeaseId, Held>,
    is_broken: bool,
    /// Until then nobody looks for sessions that have ended.
    looked: Timestamp,
}

impl World {
    async fn new(wasm: &[u8]) -> Self {
        let bench = Bench::new().await;
        let mount = bench.mount(wasm).await.id.clone();
        let (user, mut sessions) = (UserId::new(), Vec::new());
        for seconds in SESSIONS {
            sessions.push((bench.borrower_in_session(&user, Duration::from_secs(seconds)).await, false));
        }
        let looked = Timestamp::from_millis(0);
        Self { bench, mount, sessions, held: BTreeMap::new(), is_broken: false, looked }
    }

    fn now(&self) -> Timestamp {
        self.bench.clock.now()
    }

    fn has_ended(&self, session: usize) -> bool {
        let (borrower, ended) = &self.sessions[session];
        *ended || borrower.ends_at <= self.now()
    }

    fn nth(&self, which: usize) -> Option<LeaseId> {
        self.held.keys().nth(which % self.held.len().max(1)).cloned()
    }

    async fn take(mut self, step: Step) -> Self {
        let now = self.now();
        match step {
            Step::Lend { session, seconds } => {
                if self.held.len() < MOST && !self.has_ended(session) {
                    self.lend(session, seconds, now).await;
                }
            }
            Step::Renew { node, which, seconds } => {
                if let Some(id) = self.nth(which) {
                    self.renew(node, &id, seconds, now).await;
                }
            }
            Step::Revoke { node, which } => {
                let Some(id) = self.nth(which) else { return self };
                let admin = admin();
                let done = self.bench.nodes[node].revoke(&id, Requester::other(&admin), &RequestId::new()).await;
                let held = &self.held[&id];
                match (held.claimed && held.due > now, self.is_broken) {
                    (true, _) => assert!(matches!(done, Err(Error::Busy)), "{done:?}"),
                    (_, true) => {
                        assert!(matches!(done, Err(Error::Mount(_))), "{done:?}");
                        self.failed(&id).await;
                    }
                    (_, false) => {
                        done.unwrap();
                        self.held.remove(&id);
                    }
                }
            }
            Step::EndSession { session } => {
                self.bench.sessions.end(&self.sessions[session].0.session).await.unwrap();
                self.sessions[session].1 = true;
            }
            Step::Break(is_broken) => {
                let (view, mut writes) = (self.bench.barrier.view(Prefix::Data(self.mount.clone())), Writes::default());
                match is_broken {
                    true => _ = view.put_bytes(&mut writes, "broken", b"1".to_vec().into(), None),
                    false => view.delete(&mut writes, "broken"),
                }
                self.bench.barrier.commit(writes).await.unwrap();
                self.is_broken = is_broken;
            }
            Step::Die { node, which } => {
                let Some(id) = self.nth(which) else { return self };
                let stored = self.bench.nodes[node].store().get(&id).await.unwrap().unwrap();
                if !stored.value.is_claimed(now) {
                    self.bench.nodes[node].claim(&id, &stored, CLAIM).await.unwrap().unwrap();
                    let held = self.held.get_mut(&id).unwrap();
                    (held.claimed, held.ending, held.due) = (true, true, now.after(CLAIM));
                }
            }
            Step::Restart => self.bench = self.bench.restarted().await,
            Step::SweepDue { node } => {
                self.bench.nodes[node].sweep_due().await.unwrap();
                let due = self.held.iter().filter(|(_, held)| held.due <= now).map(|(id, _)| id.clone());
                for id in due.collect::<Vec<_>>() {
                    match self.is_broken {
                        true => self.failed(&id).await,
                        false => _ = self.held.remove(&id),
                    }
                }
            }
            Step::SweepEnded { node } => {
                self.bench.nodes[node].sweep_ended().await.unwrap();
                if now >= self.looked && !self.held.is_empty() {
                    self.looked = now.after(limits::LEASE_SESSIONS_EVERY);
                    let ended: Vec<_> = (0..self.sessions.len()).map(|session| self.has_ended(session)).collect();
                    for held in self.held.values_mut().filter(|held| !held.ending && ended[held.session]) {
                        (held.ending, held.due) = (true, held.due.min(now));
                    }
                }
            }
            Step::Wait { seconds } => self.bench.hand.advance(Duration::from_secs(seconds)),
            Step::Jump { seconds } => self.bench.hand.set(Timestamp::from_millis(now.millis() + 1000 * seconds)),
        }
        self
    }

    async fn lend(&mut self, session: usize, seconds: u64, now: Timestamp) {
        let borrower = &self.sessions[session].0;
        let Lease { id, expires_at, max_expires_at, .. } =
            self.bench.lend_of((&self.mount, "db/a"), borrower, seconds).await;
        let most = now.after(Duration::from_secs(2 * seconds)).min(borrower.ends_at);
        let expires = now.after(Duration::from_secs(seconds)).min(most);
        assert_eq!((expires_at, max_expires_at), (expires, most));
        let (due, ending, failures, claimed) = (expires, false, 0, false);
        self.held.insert(id, Held { session, span: seconds, expires, most, due, ending, failures, claimed });
    }

    async fn renew(&mut self, node: usize, id: &LeaseId, seconds: Option<u64>, now: Timestamp) {
        let admin = admin();
        let (by, span) = (Requester::other(&admin), seconds.map(Duration::from_secs));
        let renewed = self.bench.nodes[node].renew(id, span, by, &asker()).await;
        let is_over = |held: &Held| held.ending || held.failures > 0 || held.expires <= now;
        let is_over = is_over(&self.held[id]) || self.has_ended(self.held[id].session);
        let held = self.held.get_mut(id).unwrap();
        match (is_over, self.is_broken) {
            (true, _) => assert!(matches!(renewed, Err(Error::Unfit(OVER))), "{renewed:?} {held:?}"),
            (_, true) => assert!(matches!(renewed, Err(Error::Mount(_))), "{renewed:?}"),
            (_, false) => {
                let by = seconds.unwrap_or(held.span).min(held.most.since(now).as_secs()).max(1);
                held.expires = now.after(Duration::from_secs(by)).min(held.most);
                held.due = held.expires;
                let renewed = renewed.unwrap();
                assert_eq!((renewed.expires_at, renewed.max_expires_at), (held.expires, held.most));
            }
        }
    }

    /// It has been tried, and stands there to be tried again.
    async fn failed(&mut self, id: &LeaseId) {
        let now = self.now();
        let held = self.held.get_mut(id).unwrap();
        held.failures += 1;
        (held.ending, held.claimed) = (true, false);
        held.due = self.bench.nodes[0].store().get(id).await.unwrap().unwrap().value.due;
        let most = (limits::LEASE_RETRY_FIRST * 2u32.pow(held.failures - 1)).min(limits::LEASE_RETRY_LONGEST);
        assert!(held.due >= now.after(most / 2) && held.due <= now.after(most), "{held:?}");
    }

    async fn compare(&self) {
        let now = self.now();
        for (id, held) in &self.held {
            let record = self.bench.nodes[1].store().get(id).await.unwrap();
            let record = record.unwrap_or_else(|| panic!("it went before its time: {held:?}")).value;
            let told = (record.expires_at, record.max_expires_at, record.due, record.ending, record.failures);
            assert_eq!(told, (held.expires, held.most, held.due, held.ending, held.failures), "{id}");
            let state = match held {
                Held { failures: 1.., .. } => State::Failing,
                Held { ending: false, due, .. } if *due > now => State::Active,
                _ => State::Revoking,
            };
            assert_eq!(record.state(now), state);
        }
        for index in ["lease", "lease-due", "lease-path", "lease-mount", "lease-user"] {
            assert_eq!(self.bench.keys(&format!("{index}/")).await.len(), self.held.len(), "{index}");
        }
        let asked_about = self.held.values().filter(|held| !held.ending).count();
        assert_eq!(self.bench.keys("lease-session/").await.len(), asked_about);
    }
}

#[test]
fn leases_go_with_their_time_or_session_or_when_told_and_not_before() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() };
    let wasm = lender();
    proptest!(config, |(steps in steps())| {
        runtime.block_on(async {
            let mut world = World::new(&wasm).await;
            for step in steps {
                world = world.take(step).await;
                world.compare().await;
            }
            // However it went: once the plugin works again, what is to go goes.
            let longest = limits::LEASE_RETRY_LONGEST.as_secs() + 60;
            let end = [Step::Break(false), Step::Wait { seconds: longest }, Step::SweepEnded { node: 0 }];
            for step in end.into_iter().chain([Step::SweepDue { node: 1 }]) {
                world = world.take(step).await;
                world.compare().await;
            }
            assert!(world.held.values().all(|held| !held.ending && !world.has_ended(held.session)));
        });
    });
}
