//! An owner, and a thief who at some moment copies everything that the owner holds. After both
//! have acted once more, either no live branch is shared or there is an alarm.

use proptest::prelude::*;

use super::{Error, testing::Bench};
use crate::sensitive::Secret;

#[derive(Clone, Debug)]
struct Holder {
    pairs: Vec<(Secret<String>, Secret<String>)>,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    /// The newest access token; where it is refused, the newest refresh token.
    Use,
    Renew,
    /// Any refresh token that it ever held, as a thief may.
    Old(usize),
    /// Renews, and the answer is lost.
    Lose,
}

fn acts() -> impl Strategy<Value = Vec<(bool, Act)>> {
    let act = prop_oneof![
        3 => Just(Act::Use), 3 => Just(Act::Renew), 1 => (0..8_usize).prop_map(Act::Old), 1 => Just(Act::Lose)
    ];
    prop::collection::vec((any::<bool>(), act), 0..10)
}

impl Holder {
    /// True is the alarm.
    async fn act(&mut self, bench: &Bench, act: Act) -> bool {
        let newest = self.pairs.last().unwrap().clone();
        let shown = match act {
            Act::Use => match bench.use_once(&newest.0).await {
                Ok(_) => return false,
                Err(_) => newest.1,
            },
            Act::Renew | Act::Lose => newest.1,
            Act::Old(at) => self.pairs[at % self.pairs.len()].1.clone(),
        };
        match bench.renew(&Some(shown)).await {
            Ok(next) if !matches!(act, Act::Lose) => self.pairs.push((next.access, next.refresh.unwrap())),
            Ok(_) | Err(Error::Unknown) => {}
            Err(Error::Reuse(_)) => return true,
            Err(other) => panic!("{other}"),
        }
        false
    }

    async fn is_live(&self, bench: &Bench) -> bool {
        bench.find(&self.pairs.last().unwrap().0).await.is_ok()
    }
}

async fn live(bench: Bench, before: Vec<(bool, Act)>, after: Vec<(bool, Act)>, thief_first: bool) {
    let tokens = bench.login().await;
    let mut owner = Holder { pairs: vec![(tokens.access, tokens.refresh.unwrap())] };
    for (_, act) in before {
        if owner.act(&bench, act).await {
            return;
        }
    }
    let mut thief = owner.clone();
    let mut alarm = false;
    for (is_thief, act) in after {
        let who = if is_thief { &mut thief } else { &mut owner };
        alarm |= who.act(&bench, act).await;
    }
    // Each goes on once more, by renewing what it has.
    for is_thief in [thief_first, !thief_first] {
        let who = if is_thief { &mut thief } else { &mut owner };
        alarm |= who.act(&bench, Act::Renew).await;
    }
    let (of_owner, of_thief) = (owner.is_live(&bench).await, thief.is_live(&bench).await);
    assert!(!(of_owner && of_thief), "a branch is shared");
    if alarm {
        assert!(!of_owner && !of_thief, "an alarm that leaves a branch");
        return;
    }
    // Whoever was left behind notices at its next step, and so does the server.
    if of_owner || of_thief {
        let (ahead, behind) = if of_thief { (&thief, &mut owner) } else { (&owner, &mut thief) };
        bench.use_once(&ahead.pairs.last().unwrap().0).await.unwrap();
        assert!(behind.act(&bench, Act::Use).await, "nobody noticed");
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stolen_token_is_noticed_in_both_stores(before in acts(), after in acts(), thief_first: bool, in_redis: bool) {
        block_on(async {
            let bench = if in_redis { Bench::redis().await } else { Bench::embedded() };
            live(bench, before, after, thief_first).await;
        });
    }
}
