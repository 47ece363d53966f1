//! The store of leases against a model of it, by two nodes at once: whatever they do and whenever one of them
//! dies, nothing is lost, nothing is revoked by two at a time, and the indexes never disagree.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::{
    Borrower, Filter, GrantedAction, Leases, Requester, Selection,
    record::Record,
    testing::{Bench, NODES, admin, spec},
};
use crate::{
    barrier::{Error, Stored, Writes},
    clock::Timestamp,
    ids::{Folder, LeaseId, MountId, SecretPath, SessionId, UserId},
    limits, policy,
    runtime::{Intent, Origin},
};

#[derive(Clone, Debug)]
enum Step {
    Lend {
        user: usize,
        path: usize,
        seconds: u64,
    },
    Announce {
        user: usize,
    },
    /// The call of what was announced commits, at last.
    Commit {
        which: usize,
    },
    /// A node looks at one; what it sees it keeps in mind.
    Look {
        node: usize,
        which: usize,
    },
    /// … claims what it has seen, be it still so or not, …
    Claim {
        node: usize,
    },
    /// … and has it taken back, or not. It may also never be heard of again.
    Finish {
        node: usize,
    },
    Fail {
        node: usize,
    },
    RevokeAll {
        node: usize,
        user: usize,
    },
    Wait {
        millis: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (node, which, user) = (0..NODES, 0..64_usize, 0..2_usize);
    let step = prop_oneof![
        4 => (user.clone(), 0..3_usize, 1..200_u64).prop_map(|(user, path, seconds)| Step::Lend { user, path, seconds }),
        1 => user.clone().prop_map(|user| Step::Announce { user }),
        1 => which.clone().prop_map(|which| Step::Commit { which }),
        6 => (node.clone(), which).prop_map(|(node, which)| Step::Look { node, which }),
        6 => node.clone().prop_map(|node| Step::Claim { node }),
        3 => node.clone().prop_map(|node| Step::Finish { node }),
        2 => node.clone().prop_map(|node| Step::Fail { node }),
        1 => (node, user).prop_map(|(node, user)| Step::RevokeAll { node, user }),
        4 => prop::sample::select(vec![1, 999, 1_000, 30_000, 70_000, 71_000]).prop_map(|millis| Step::Wait { millis }),
    ];
    prop::collection::vec(step, 1..60)
}

#[derive(Clone, Debug)]
struct Known {
    path: String,
    user: UserId,
    session: Option<SessionId>,
    due: Timestamp,
    ending: bool,
    failures: u32,
    /// Whose claim is good, and until when.
    claim: Option<(usize, Timestamp)>,
    drops: Option<Writes>,
}

struct World {
    bench: Bench,
    mount: MountId,
    users: [UserId; 2],
    sessions: [SessionId; 2],
    known: BTreeMap<LeaseId, Known>,
    /// What each node has seen, and what it has claimed.
    seen: Vec<Option<(LeaseId, Stored<Record>)>>,
    claimed: Vec<Option<(LeaseId, Stored<Record>)>>,
}

const CLAIM: Duration = Duration::from_secs(70);
const PATHS: [&str; 3] = ["db/a", "db/a/b", "db/ab"];

impl World {
    async fn new() -> Self {
        let bench = Bench::new().await;
        let users = [UserId::new(), UserId::new()];
        let sessions = [SessionId::new(), SessionId::new()];
        let none = || vec![None; NODES];
        let (known, mount) = (BTreeMap::new(), MountId::new());
        Self { bench, mount, users, sessions, known, seen: none(), claimed: none() }
    }

    fn node(&self, node: usize) -> &Leases {
        &self.bench.nodes[node]
    }

    fn nth(&self, which: usize) -> Option<LeaseId> {
        (!self.known.is_empty()).then(|| self.known.keys().nth(which % self.known.len()).cloned()).flatten()
    }

    async fn take(&mut self, step: Step) {
        let now = self.bench.clock.now();
        match step {
            Step::Lend { user, path, seconds } => self.lend(user, path, seconds, now).await,
            Step::Announce { user } => self.announce(user, now).await,
            Step::Commit { which } => {
                let Some(id) = self.nth(which) else { return };
                let Some(drops) = self.known.get_mut(&id).and_then(|known| known.drops.take()) else { return };
                // Dropped together with the call's own writes, or the call fails: never both.
                let untouched = !self.known[&id].ending && self.known[&id].failures == 0;
                match self.bench.barrier.commit(drops).await {
                    Ok(()) => assert!(untouched && self.known.remove(&id).is_some()),
                    Err(Error::Conflict) => assert!(!untouched),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Look { node, which } => {
                let Some(id) = self.nth(which) else { return };
                let stored = self.node(node).store().get(&id).await.unwrap().expect("what is known is there");
                self.seen[node] = (stored.value.due <= now).then_some((id, stored));
            }
            Step::Claim { node } => {
                let Some((id, seen)) = self.seen[node].take() else { return };
                let claimed = self.node(node).claim(&id, &seen, CLAIM).await.unwrap();
                let Some(claimed) = claimed else { return };
                let known = self.known.get_mut(&id).expect("what is gone cannot be claimed");
                assert!(known.claim.is_none_or(|(_, until)| until <= now), "two nodes have it at once");
                known.due = now.after(CLAIM);
                (known.claim, known.ending) = (Some((node, known.due)), true);
                self.claimed[node] = Some((id, claimed));
            }
            Step::Finish { node } => {
                let Some((id, claimed)) = self.claimed[node].take() else { return };
                let mut writes = Writes::default();
                self.node(node).store().remove(&mut writes, &id, &claimed);
                match self.bench.barrier.commit(writes).await {
                    Ok(()) => {
                        let known = self.known.remove(&id).expect("it is removed once");
                        assert_eq!(known.claim.map(|(by, _)| by), Some(node), "by whoever had it");
                    }
                    Err(Error::Conflict) => assert!(self.is_lost(&id, node), "a good claim is of no use"),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Fail { node } => {
                let Some((id, claimed)) = self.claimed[node].take() else { return };
                let is_lost = self.is_lost(&id, node);
                self.node(node).postpone(&id, &claimed, "a test").await;
                if let (false, Some(known)) = (is_lost, self.known.get_mut(&id)) {
                    known.failures += 1;
                    known.claim = None;
                    let due = self.bench.nodes[node].store().get(&id).await.unwrap().unwrap().value.due;
                    let most = limits::LEASE_RETRY_FIRST * 2u32.pow(known.failures - 1);
                    assert!(due >= now.after(most / 2) && due <= now.after(most.min(limits::LEASE_RETRY_LONGEST)));
                    known.due = due;
                }
            }
            Step::RevokeAll { node, user } => {
                self.node(node)
                    .revoke_all(&Selection::User(self.users[user].clone()), Requester::other(&admin()))
                    .await
                    .unwrap();
                let of = |known: &&mut Known| known.user == self.users[user];
                for known in self.known.values_mut().filter(of) {
                    let is_claimed = known.claim.is_some_and(|(_, until)| until > now);
                    let is_announced = known.session.is_none() && known.failures == 0;
                    if !is_claimed && !is_announced {
                        (known.ending, known.due, known.claim) = (true, known.due.min(now), None);
                    }
                }
            }
            Step::Wait { millis } => self.bench.hand.advance(Duration::from_millis(millis)),
        }
    }

    /// Somebody else has it, or it has been given back to all.
    fn is_lost(&self, id: &LeaseId, node: usize) -> bool {
        self.known.get(id).is_none_or(|known| known.claim.map(|(by, _)| by) != Some(node))
    }

    async fn lend(&mut self, user: usize, path: usize, seconds: u64, now: Timestamp) {
        let mut writes = Writes::default();
        let borrower = Borrower {
            user: self.users[user].clone(),
            session: self.sessions[user].clone(),
            ends_at: now.after(Duration::from_secs(100)),
            request: crate::ids::RequestId::new(),
            granted: GrantedAction::of(&policy::Use),
        };
        let path = SecretPath::parse(PATHS[path]).unwrap();
        let spec = spec(seconds, 150.max(seconds));
        let lease = self.node(0).issue(&mut writes, &self.mount, &path, &borrower, spec);
        assert!(lease.expires_at <= borrower.ends_at && lease.max_expires_at <= borrower.ends_at);
        self.bench.barrier.commit(writes).await.unwrap();
        let known = Known {
            path: lease.path.clone(),
            user: borrower.user,
            session: Some(borrower.session),
            due: now.after(Duration::from_secs(seconds.min(100))),
            ending: false,
            failures: 0,
            claim: None,
            drops: None,
        };
        self.known.insert(lease.id, known);
    }

    async fn announce(&mut self, user: usize, now: Timestamp) {
        let before: Vec<_> = self.known.keys().cloned().collect();
        let user = self.users[user].clone();
        if self.known.values().filter(|known| known.user == user).count() >= limits::LEASES_PER_USER {
            return;
        }
        let origin = Origin { mount: self.mount.clone(), path: "secrets/db/a".to_owned() };
        let intent = Intent {
            origin,
            principal: Some(user.to_string()),
            request: "r".to_owned(),
            undo: vec![1].into(),
            until: now.after(Duration::from_secs(5)),
        };
        let drops = self.bench.journal.note(intent).await.unwrap();
        let all = self.node(0).store().all_ids(&self.node(0).store().paths, "").await.unwrap();
        let id = all.into_iter().find(|id| !before.contains(id)).expect("it is noted");
        let due = now.after(Duration::from_secs(5) + limits::LEASE_INTENT_GRACE);
        let path = "secrets/db/a".to_owned();
        let known =
            Known { path, user, session: None, due, ending: false, failures: 0, claim: None, drops: Some(drops) };
        self.known.insert(id, known);
    }

    async fn compare(&self) {
        let (store, now) = (self.node(1).store(), self.bench.clock.now());
        for (id, known) in &self.known {
            let record = store.get(id).await.unwrap().unwrap_or_else(|| panic!("{id} is lost: {known:?}")).value;
            let told = (record.due, record.ending, record.failures, &record.path, record.session.clone());
            let expected = (known.due, known.ending, known.failures, &known.path, known.session.clone());
            assert_eq!(told, expected, "{id}");
        }
        let due = store.due(&self.mount, now).await.unwrap();
        let mut expected: Vec<_> =
            self.known.iter().filter(|(_, known)| known.due <= now).map(|(id, known)| (known.due, id)).collect();
        expected.sort();
        let expected: Vec<_> = expected.into_iter().take(limits::LEASES_DUE).map(|(_, id)| id.clone()).collect();
        assert_eq!(due, expected, "the longest due first");
        let admin = admin();
        let all = Requester::other(&admin);
        for user in &self.users {
            let found =
                self.node(1).list(&Selection::User(user.clone()), &Filter::default(), all, None, 1000).await.unwrap();
            let expected: Vec<_> =
                self.known.iter().filter(|(_, known)| known.user == *user).map(|(id, _)| id).collect();
            assert_eq!(found.leases.iter().map(|lease| &lease.id).collect::<Vec<_>>(), expected);
        }
        let below = Selection::Below(Some(Folder::parse("db/a").unwrap()));
        let found = self.node(1).list(&below, &Filter::default(), all, None, 1000).await.unwrap().leases.len();
        let is_below = |known: &&Known| format!("{}/", known.path).starts_with("secrets/db/a/");
        assert_eq!(found, self.known.values().filter(is_below).count());
        // Record, due, path, mount and user; and the session, until it is ending.
        let of_session = self.known.values().filter(|known| known.session.is_some() && !known.ending).count();
        let keys = self.bench.keys("lease").await.len();
        assert_eq!(keys, self.known.len() * 5 + of_session, "an index leads to nothing");
    }
}

#[test]
fn nothing_lent_is_lost_and_no_two_nodes_revoke_it_at_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(steps in steps())| {
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.take(step).await;
                world.compare().await;
            }
        });
    });
}
