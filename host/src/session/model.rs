//! A model of what a session is, and random lives lived against both stores: by owners, by thieves
//! who hold copies of tokens, and by somebody who puts back and swaps what the store holds.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    EpochOf, Error, NewSession, Session, Tokens,
    lives::{Step, steps},
    testing::{ABSOLUTE, Bench, FAMILY, IDLE, Kept},
    uses::block_size,
};
use crate::{
    clock::Timestamp,
    ids::{MountId, Scope, UserId},
    limits,
};

/// What a family is, as far as those who behave are concerned.
struct Family {
    user: usize,
    parent: Option<usize>,
    pairs: Vec<Tokens>,
    live: usize,
    last: Option<usize>,
    again: u32,
    used: bool,
    ended: bool,
    given: Timestamp,
    seen: Timestamp,
    until: Timestamp,
    end: Timestamp,
    most: Option<u32>,
    taken: u32,
    /// Somebody has touched the store behind its back: from then on this is what it may at most.
    incidents: u32,
}

struct World {
    bench: Bench,
    users: [UserId; 2],
    families: Vec<Family>,
    kept: Vec<(usize, Kept)>,
    /// All families, as they were when somebody last took a snapshot.
    snapshot: Vec<Kept>,
    /// The clock was set: what ends by itself may end earlier by somebody else's clock.
    jumped: bool,
}

impl World {
    fn now(&self) -> Timestamp {
        self.bench.clock.now()
    }

    fn is_alive(&self, at: usize) -> bool {
        let family = &self.families[at];
        !family.ended && self.now() < family.end && family.parent.is_none_or(|parent| self.is_alive(parent))
    }

    /// May this access token be used now? And must it?
    fn may_use(&self, at: usize, token: usize) -> (bool, bool) {
        let family = &self.families[at];
        let most = family.most.map(|most| match block_size(most) {
            1 => most,
            size => most + family.incidents * size,
        });
        let may = self.is_alive(at)
            && token == family.live
            && self.now() < family.until
            && most.is_none_or(|most| family.taken < most);
        let sure = family.incidents == 0 && !self.jumped;
        (may, may && sure && self.now() < family.seen.after(IDLE))
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Login { user, uses } => {
                let scope = format!("read:secrets/kv/{}", self.families.len());
                let new = self.bench.new_session(&self.users[user]).await;
                let new = NewSession { max_uses: uses, scope: Some(Scope::parse(&scope).unwrap()), ..new };
                let tokens = self.bench.sessions.create(new).await.unwrap();
                self.born(tokens, user, None);
            }
            Step::Wait { millis } => self.bench.hand.advance(Duration::from_millis(millis)),
            Step::Raise { what } => {
                let of = match what {
                    0 => EpochOf::Everything,
                    1 => EpochOf::Mount(self.bench.mount.clone()),
                    2 => EpochOf::Mount(MountId::new()),
                    user => EpochOf::User(self.users[user - 3].clone()),
                };
                self.bench.raise(of).await;
                let hit = |family: &&mut Family| matches!(what, 0 | 1) || what > 2 && family.user == what - 3;
                self.families.iter_mut().filter(hit).for_each(|family| family.ended = true);
            }
            Step::PutBack { kept } if !self.kept.is_empty() => {
                let (at, kept) = self.kept[kept % self.kept.len()].clone();
                self.bench.put_back(&kept).await;
                self.families[at].incidents += 1;
            }
            Step::Jump { millis } => {
                self.bench.hand.set(Timestamp::from_millis(self.now().millis() + millis));
                self.jumped = true;
            }
            Step::Snapshot => {
                self.snapshot.clear();
                for family in &self.families {
                    self.snapshot.push(self.bench.keep(&family.pairs[0].session.id).await);
                }
            }
            Step::Restart => {
                for at in 0..self.families.len() {
                    match self.snapshot.get(at) {
                        Some(kept) => self.bench.put_back(kept).await,
                        None => self.forget(at).await,
                    }
                    self.families[at].incidents += 1;
                }
                self.bench.forget_scripts().await;
            }
            _ if self.families.is_empty() => {}
            Step::Forget { family } => {
                let at = family % self.families.len();
                self.forget(at).await;
                self.families[at].incidents += 1;
            }
            Step::Child { of, uses } => {
                let of = of % self.families.len();
                let parent = &self.families[of].pairs[0];
                let made = self.bench.child_of(parent, |new| new.max_uses = uses).await;
                let family = &self.families[of];
                let may = self.is_alive(of) && family.most.is_none();
                match made {
                    Ok(tokens) => {
                        assert!(may, "a child of the dead");
                        self.born(tokens, self.families[of].user, Some(of));
                    }
                    Err(Error::Unknown) => assert!(!may || family.incidents > 0 || self.jumped),
                    Err(Error::Wider(_)) => assert!(!may),
                    Err(other) => panic!("{other}"),
                }
            }
            Step::Use { family, token } => {
                let family = family % self.families.len();
                self.use_once(family, token % self.families[family].pairs.len()).await;
            }
            Step::Drain { family, times } => {
                let family = family % self.families.len();
                for _ in 0..times {
                    self.use_once(family, self.families[family].live).await;
                }
            }
            Step::Renew { family, token } => {
                let family = family % self.families.len();
                self.renew(family, token % self.families[family].pairs.len()).await;
            }
            Step::End { family } => {
                let at = family % self.families.len();
                let family = &mut self.families[at];
                self.bench.sessions.end(&family.pairs[0].session.id).await.unwrap();
                family.ended = true;
            }
            Step::EndByToken { family, token } => {
                let at = family % self.families.len();
                let alive = self.is_alive(at);
                let family = &mut self.families[at];
                let token = token % family.pairs.len();
                let pair = &family.pairs[token];
                let Some(text) = pair.refresh.as_ref().or((token == family.live).then_some(&pair.access)) else {
                    return;
                };
                let ended = self.bench.sessions.end_by_token(text.reveal()).await.unwrap();
                assert!(ended.is_some() || !alive || family.incidents > 0 || self.jumped);
                family.ended |= ended.is_some();
            }
            Step::EndOthers { family } => self.end_others(family % self.families.len()).await,
            Step::Keep { family } => {
                let at = family % self.families.len();
                self.kept.push((at, self.bench.keep(&self.families[at].pairs[0].session.id).await));
            }
            Step::Swap { one, two, field } => {
                let (one, two) = (one % self.families.len(), two % self.families.len());
                self.swap(one, two, field).await;
            }
            Step::PutBack { .. } => {}
        }
    }

    fn born(&mut self, tokens: Tokens, user: usize, parent: Option<usize>) {
        let (now, session) = (self.now(), &tokens.session);
        let limit = parent.map_or(now.after(FAMILY), |parent| self.families[parent].end);
        let span = if tokens.refresh.is_some() { FAMILY } else { ABSOLUTE };
        let login = parent.map_or(now, |_| now);
        let end = login.after(span).min(limit);
        assert_eq!((session.absolute_end, session.user.clone()), (end, self.users[user].clone()));
        self.families.push(Family {
            user,
            parent,
            live: 0,
            last: None,
            again: 0,
            used: false,
            ended: false,
            given: now,
            seen: now,
            until: now.after(ABSOLUTE).min(end),
            end,
            most: session.max_uses,
            taken: 0,
            incidents: 0,
            pairs: vec![tokens],
        });
    }

    async fn use_once(&mut self, at: usize, token: usize) {
        let (may, must) = self.may_use(at, token);
        let now = self.now();
        let family = &mut self.families[at];
        match self.bench.use_once(&family.pairs[token].access).await {
            Ok(session) => {
                assert!(may, "a use that must not be: family {at}, token {token}");
                assert_eq!(rights(&session), rights(&family.pairs[0].session));
                family.taken += 1;
                // Times of use are noted to the second, where nothing is counted.
                let counted = family.most.is_some_and(|most| block_size(most) > 1);
                if counted || !family.used || now.since(family.seen) >= limits::FENCE_STALE {
                    family.seen = family.seen.max(now);
                }
                family.used = true;
            }
            Err(Error::Unknown) => assert!(!must, "a use that must be: family {at}, token {token}"),
            Err(other) => panic!("{other}"),
        }
    }

    async fn renew(&mut self, at: usize, token: usize) {
        let (alive, now) = (self.is_alive(at), self.now());
        let family = &mut self.families[at];
        if family.pairs[token].refresh.is_none() {
            return;
        }
        let live = token == family.live;
        let sure = family.incidents == 0 && !self.jumped;
        // A store that was put back may have forgotten that the pair was used; nothing else.
        let lost = Some(token) == family.last
            && family.again < limits::SESSION_SHOWN_AGAIN
            && now < family.given.after(IDLE).min(family.until);
        let again = lost && !family.used;
        match self.bench.renew(&family.pairs[token].refresh).await {
            Ok(tokens) => {
                assert!(alive && (live || if sure { again } else { lost }), "a renewal that must not be");
                assert_eq!(rights(&tokens.session), rights(&family.pairs[0].session));
                family.pairs.push(tokens);
                if live {
                    (family.last, family.again) = (Some(token), 0);
                } else {
                    family.again += 1;
                }
                (family.live, family.used) = (family.pairs.len() - 1, false);
                (family.given, family.seen) = (now, now);
                family.until = now.after(ABSOLUTE).min(family.end);
            }
            Err(Error::Reuse(session)) => {
                assert!(alive && !live && !(sure && again), "an alarm for nothing");
                assert_eq!(rights(&session), rights(&family.pairs[0].session));
                family.ended = true;
            }
            Err(Error::Unknown) => assert!(!alive || !sure, "a renewal that must be, or an alarm"),
            Err(other) => panic!("{other}"),
        }
    }

    async fn end_others(&mut self, at: usize) {
        let live = self.families[at].live;
        let Ok(session) = self.bench.find(&self.families[at].pairs[live].access).await else { return };
        let kept = self.bench.sessions.end_others(&session).await;
        // The session that asks stays, with those that it is a child of.
        let mut chain = vec![at];
        while let Some(parent) = self.families[chain[0]].parent {
            chain.insert(0, parent);
        }
        let sure = !self.jumped && chain.iter().all(|at| self.families[*at].incidents == 0);
        assert!(kept.is_ok() || !sure, "an ending of others that must be: {kept:?}");
        if let Ok(kept) = &kept {
            let ids = chain.iter().map(|at| &self.families[*at].pairs[0].session.id);
            assert!(ids.eq(kept.iter()));
        }
        let user = self.families[at].user;
        for (other, family) in self.families.iter_mut().enumerate() {
            family.ended |= family.user == user && !(kept.is_ok() && chain.contains(&other));
        }
    }

    async fn forget(&self, at: usize) {
        let gone = match self.bench.keep(&self.families[at].pairs[0].session.id).await {
            Kept::Row(key, _) => Kept::Row(key, None),
            Kept::Hash(key, _) => Kept::Hash(key, Vec::new()),
        };
        self.bench.put_back(&gone).await;
    }

    /// One field of Redis, or the whole row of the embedded store.
    async fn swap(&mut self, one: usize, two: usize, field: usize) {
        if one == two {
            return;
        }
        let kept = [one, two].map(|at| self.families[at].pairs[0].session.id.clone());
        let pair = (self.bench.keep(&kept[0]).await, self.bench.keep(&kept[1]).await);
        let swapped = match pair {
            (Kept::Row(key, row), Kept::Row(other_key, other)) => [Kept::Row(key, other), Kept::Row(other_key, row)],
            (Kept::Hash(key, mut values), Kept::Hash(other_key, mut others)) => {
                let at = field * 2;
                if values.len() != 16 || others.len() != 16 {
                    return;
                }
                let other_at = others.chunks(2).position(|pair| pair[0] == values[at]).unwrap() * 2;
                std::mem::swap(&mut values[at + 1], &mut others[other_at + 1]);
                [Kept::Hash(key, values), Kept::Hash(other_key, others)]
            }
            _ => unreachable!("one kind of store"),
        };
        for (at, kept) in [one, two].into_iter().zip(&swapped) {
            self.bench.put_back(kept).await;
            self.families[at].incidents += 1;
        }
    }

    /// Every token that was ever given out, at the end of the day; and the lists.
    async fn settle(&mut self) {
        for user in 0..2 {
            let listed = self.bench.sessions.list(&self.users[user]).await.unwrap();
            for (at, family) in self.families.iter().enumerate() {
                let shown = listed.iter().any(|summary| summary.id == family.pairs[0].session.id);
                assert!(!shown || family.user == user && self.is_alive(at));
                let must = family.user == user && self.is_alive(at) && family.incidents == 0 && !self.jumped;
                assert!(shown || !must || family.pairs[0].refresh.is_none());
            }
        }
        for at in 0..self.families.len() {
            for token in 0..self.families[at].pairs.len() {
                self.use_once(at, token).await;
            }
        }
    }
}

fn rights(session: &Session) -> String {
    let Session { id, user, scope, addresses, max_uses, groups, absolute_end, login_at, parent, .. } = session;
    format!("{id} {user} {scope:?} {addresses:?} {max_uses:?} {groups:?} {absolute_end} {login_at} {parent:?}")
}

async fn live(bench: Bench, steps: Vec<Step>) {
    let mut world = World {
        bench,
        users: [UserId::new(), UserId::new()],
        families: Vec::new(),
        kept: Vec::new(),
        snapshot: Vec::new(),
        jumped: false,
    };
    for step in steps {
        world.step(step).await;
    }
    world.settle().await;
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sessions_in_the_embedded_store_are_what_the_model_says(steps in steps()) {
        block_on(live(Bench::embedded(), steps));
    }

    #[test]
    fn sessions_in_redis_are_what_the_model_says(steps in steps()) {
        block_on(async { live(Bench::redis().await, steps).await });
    }
}
