//! What one node at a time does: work by the clock, and moving data on.

use super::*;
use crate::{
    ids::RequestId,
    mount::Due,
    runtime::testing::{ticker, ticking},
};

impl House {
    async fn mounted(wasm: &[u8]) -> Self {
        let house = Self::new().await;
        house.upload(wasm).await;
        house.set("1.0.0").await.unwrap();
        house
    }

    /// Another node on the same store.
    async fn node(&self) -> Mounts {
        let options = Options { calls: 8, calls_each: 4, queue: 4, passwords: 1 };
        let runtime = Runtime::new(self.clock.clone(), options).unwrap();
        let (documents, security) = (self.documents.clone(), self.security.clone());
        let parts = (&self.barrier, &self.clock, &self.fence);
        let mounts = Mounts::new(parts, documents, security, self.catalog.clone(), runtime);
        eventually_up(&mounts).await;
        mounts
    }

    async fn counted(&self) -> Option<String> {
        let data = self.barrier.view(Prefix::Data(self.mount().id.clone()));
        data.get::<Value>("t").await.unwrap().map(|stored| stored.value["ticks"].as_str().unwrap().to_owned())
    }
}

async fn eventually_up(mounts: &Mounts) {
    for _ in 0..1000 {
        mounts.refresh().await.unwrap();
        if mounts.get(Kind::Secrets, &name()).is_some_and(|mount| mount.live().is_ok()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the mount does not come up");
}

async fn due(mounts: &Mounts) -> usize {
    mounts.due_ticks().await.unwrap().len()
}

async fn claimed(mounts: &Mounts) -> Option<Due> {
    let mount = mounts.get(Kind::Secrets, &name()).unwrap();
    mounts.claim_tick(&mount).await.unwrap()
}

async fn tick(mounts: &Mounts) -> Result<(), Error> {
    mounts.tick(claimed(mounts).await.expect("it is due and nobody's"), &RequestId::new()).await
}

#[tokio::test]
async fn one_node_calls_a_plugin_by_the_clock_when_it_wants_to_be_called() {
    let house = House::mounted(&ticker(&section("1.0.0"))).await;
    let (one, other) = (&house.mounts, house.node().await);
    assert_eq!((due(one).await, due(&other).await), (1, 1));
    let mine = claimed(one).await.expect("nobody else's");
    assert!(claimed(&other).await.is_none(), "one at a time");
    one.tick(mine, &RequestId::new()).await.unwrap();
    assert_eq!(house.counted().await.as_deref(), Some("A"));
    assert_eq!((due(one).await, due(&other).await), (0, 0));
    assert!(claimed(&other).await.is_none(), "it has been called");
    house.hand.advance(Duration::from_secs(9));
    assert_eq!(due(&other).await, 0);
    house.hand.advance(Duration::from_secs(1));
    tick(&other).await.unwrap();
    assert_eq!(house.counted().await.as_deref(), Some("B"));
    assert_eq!((due(one).await, due(&other).await), (0, 0));
}

#[tokio::test]
async fn who_has_lost_a_claim_stores_nothing_and_takes_it_from_nobody() {
    let house = House::mounted(&ticker(&section("1.0.0"))).await;
    let (slow, other) = (&house.mounts, house.node().await);
    let late = claimed(slow).await.unwrap();
    assert!(claimed(&other).await.is_none());
    house.hand.advance(limits::MOUNT_CLAIM);
    let held = claimed(&other).await.expect("the slow one's has lapsed");
    slow.tick(late, &RequestId::new()).await.unwrap();
    assert_eq!(house.counted().await, None, "what it did is dropped");
    assert!(claimed(slow).await.is_none(), "it is the other's still");
    other.tick(held, &RequestId::new()).await.unwrap();
    assert_eq!(house.counted().await.as_deref(), Some("A"));
}

#[tokio::test]
async fn work_that_fails_is_told_and_is_done_again_later_and_later() {
    let house = House::mounted(&ticking("", &section("1.0.0"), "(unreachable)", "(call $ok)")).await;
    for wait in [30, 60, 120] {
        assert!(matches!(tick(&house.mounts).await, Err(Error::Fault(Fault::Trap(_)))));
        house.hand.advance(Duration::from_secs(wait - 1));
        assert_eq!(due(&house.mounts).await, 0);
        house.hand.advance(Duration::from_secs(1));
        assert_eq!(due(&house.mounts).await, 1);
    }
    let failures = house.mount().tally().failures();
    assert_eq!(failures.len(), 3, "{failures:?}");
    assert!(house.mounts.failing().is_empty(), "an upgrade is judged by its users");
}

#[tokio::test]
async fn who_asks_for_no_further_call_gets_none_until_something_is_changed() {
    let house = House::mounted(&ticking("", &section("1.0.0"), "(i32.const 2048)", "(call $ok)")).await;
    tick(&house.mounts).await.unwrap();
    house.hand.advance(Duration::from_secs(400 * 24 * 3600));
    assert_eq!(due(&house.mounts).await, 0);
    house.set_to(json!({"plugin": "hello", "version": "1.0.0", "provision": true})).await.unwrap();
    assert_eq!(due(&house.mounts).await, 1);
}

#[tokio::test]
async fn a_disabled_mount_is_not_called_and_what_was_under_way_is_dropped() {
    let house = House::mounted(&ticker(&section("1.0.0"))).await;
    let under_way = claimed(&house.mounts).await.unwrap();
    house.set_to(json!({"plugin": "hello", "version": "1.0.0", "enabled": false})).await.unwrap();
    assert_eq!(due(&house.mounts).await, 0);
    house.mounts.tick(under_way, &RequestId::new()).await.unwrap();
    assert_eq!(house.counted().await, None);
    house.set("1.0.0").await.unwrap();
    tick(&house.mounts).await.unwrap();
    assert_eq!(house.counted().await.as_deref(), Some("A"));
}

#[tokio::test]
async fn data_is_moved_on_by_one_node_and_a_late_one_takes_nothing_from_it() {
    let house = House::new().await;
    house.upload(&guest("1.0.0", "(call $ok)")).await;
    house.upload(&migrating("2.0.0")).await;
    house.set("1.0.0").await.unwrap();
    house.set("2.0.0").await.unwrap();
    house.hand.advance(limits::ROLLBACK_WINDOW);
    let [mount] = &house.mounts.unmigrated()[..] else { panic!("one mount is due") };
    let claim = || house.mounts.claim(format!("migrating/{}", mount.id));
    let late = claim().await.unwrap().expect("nobody else's");
    assert!(!house.migrate(mount).await.unwrap(), "another node is at it");
    house.hand.advance(limits::MOUNT_CLAIM);
    let held = claim().await.unwrap().expect("it has lapsed");
    house.mounts.release(late).await.unwrap();
    assert!(!house.migrate(mount).await.unwrap(), "it is the other's still");
    house.mounts.release(held).await.unwrap();
    assert!(house.migrate(mount).await.unwrap());
    assert!(house.mounts.unmigrated().is_empty());
    // Who has not seen yet that it is done finds nothing to begin, and lets others claim it.
    for _ in 0..2 {
        assert!(house.mounts.claim_migration(mount).await.unwrap().is_none());
    }
    assert!(claim().await.unwrap().is_some());
}
