//! A mount that does not come up over what passes.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::*;
use crate::storage::{Batch, Entry, Error as Failure, Key, Page, Range};

/// A store of which some rows cannot be had for a while.
#[derive(Debug, Default)]
struct Patchy {
    memory: Arc<Memory>,
    plugins_away: AtomicBool,
    settings_away: AtomicBool,
}

impl Patchy {
    fn away(&self, keys: &[Key]) -> Result<(), Failure> {
        let is_asked = |prefix: &str| keys.iter().any(|key| key.starts_with(prefix));
        let plugins = self.plugins_away.load(Ordering::SeqCst) && is_asked("plugin-part/");
        let settings = self.settings_away.load(Ordering::SeqCst) && is_asked("setting/secrets/");
        if plugins || settings { Err(Failure::Away("the test says so".to_owned())) } else { Ok(()) }
    }
}

#[async_trait]
impl Backend for Patchy {
    async fn get(&self, keys: &[Key], now: Timestamp) -> Result<Vec<Option<Entry>>, Failure> {
        self.away(keys)?;
        self.memory.get(keys, now).await
    }

    async fn list(&self, range: Range, now: Timestamp) -> Result<Page, Failure> {
        self.memory.list(range, now).await
    }

    async fn apply(&self, batch: Batch, now: Timestamp) -> Result<(), Failure> {
        self.memory.apply(batch, now).await
    }

    async fn ping(&self) -> Result<(), Failure> {
        self.memory.ping().await
    }

    async fn sweep(&self, now: Timestamp, most: usize) -> Result<usize, Failure> {
        self.memory.sweep(now, most).await
    }

    async fn close(&self) {}
}

#[tokio::test]
async fn a_mount_whose_plugin_cannot_be_had_for_a_moment_comes_up_by_itself() {
    let patchy = Arc::new(Patchy::default());
    let house = House::over(patchy.memory.clone(), patchy.clone()).await;
    house.upload(&guest("1.0.0", "(call $ok)")).await;
    house.set("1.0.0").await.unwrap();
    let catalog = Catalog::open(Vec::new(), &house.barrier).unwrap();
    let options = Options { calls: 8, calls_each: 4, queue: 4, passwords: 1 };
    let runtime = Runtime::new(house.clock.clone(), options).unwrap();
    let parts = (&house.barrier, &house.clock, &house.fence);
    let node = Mounts::new(parts, house.documents.clone(), house.security.clone(), catalog, runtime);
    patchy.plugins_away.store(true, Ordering::SeqCst);
    let mount = || node.get(Kind::Secrets, &name()).unwrap();
    for _ in 0..2 {
        node.refresh().await.unwrap();
        assert!(matches!(mount().live(), Err(Error::Passing(_))), "{:?}", mount().live());
        assert_eq!(node.condition(&mount()).health, Health::Broken);
        house.hand.advance(limits::MOUNT_AGAIN);
    }
    // Where nothing can be read at all, what there is stays, and it is tried later.
    patchy.settings_away.store(true, Ordering::SeqCst);
    node.refresh().await.unwrap();
    assert!(matches!(mount().live(), Err(Error::Passing(_))));
    patchy.settings_away.store(false, Ordering::SeqCst);
    patchy.plugins_away.store(false, Ordering::SeqCst);
    node.refresh().await.unwrap();
    assert!(mount().live().is_err(), "not at every look");
    house.hand.advance(limits::MOUNT_AGAIN);
    node.refresh().await.unwrap();
    assert!(mount().live().is_ok(), "{:?}", mount().live());
}

#[tokio::test]
async fn what_is_wrong_with_a_plugin_does_not_pass() {
    let house = House::new().await;
    house.upload(&guest("1.0.0", "(call $ok)")).await;
    house.set("1.0.0").await.unwrap();
    let (part, mut row) = house.memory.dump().into_iter().find(|(key, _)| key.starts_with("plugin-part/")).unwrap();
    *row.value.last_mut().unwrap() ^= 1;
    house.memory.tamper(&part, Some(row));
    house.mounts.clear();
    house.mounts.0.compiled.let_go(&std::collections::HashSet::new());
    house.mounts.refresh().await.unwrap();
    assert!(matches!(house.mount().live(), Err(Error::Broken(_))), "{:?}", house.mount().live());
}
