//! Plugins that take long to compile, on a node that did not ask for them.

use super::*;
use crate::runtime::testing::slow_to_compile;

/// Another node, which knows nothing of what others have compiled.
fn starting(house: &House) -> Mounts {
    let runtime =
        Runtime::new(house.clock.clone(), Options { calls: 8, calls_each: 4, queue: 4, passwords: 1 }).unwrap();
    let parts = (&house.barrier, &house.clock, &house.fence);
    Mounts::new(parts, house.documents.clone(), house.security.clone(), house.catalog.clone(), runtime)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_compiles_waits_for_nothing_and_takes_the_plugin_up_when_it_is_done() {
    let house = House::new().await;
    let node = starting(&house);
    node.refresh().await.unwrap();
    house.upload(&slow_to_compile(&section("1.0.0"), 8_000)).await;
    house.set("1.0.0").await.unwrap();
    // Who has enabled it has compiled it.
    assert_eq!(house.live(), "1.0.0");
    node.refresh().await.unwrap();
    let mount = || node.get(Kind::Secrets, &name()).unwrap();
    assert!(matches!(mount().live(), Err(Error::Compiling(_))), "{:?}", mount().live());
    let condition = node.condition(&mount());
    assert_eq!((condition.health.as_str(), condition.nodes.0), ("compiling", 0));
    // Nothing that is asked of others meanwhile waits, or begins it once more.
    for path in ["secrets/other/x", "auth/mine", "secrets", "sys/setting"] {
        node.refresh().await.unwrap();
        assert!(!node.come_up(path).await.unwrap(), "{path}");
    }
    // Whoever asks it waits.
    let path = format!("secrets/{}/x", name());
    assert!(node.come_up(&path).await.unwrap());
    assert!(!node.come_up(&path).await.unwrap());
    assert_eq!(mount().live().unwrap().manifest().version.to_string(), "1.0.0");
}

#[tokio::test]
async fn what_has_just_been_compiled_is_not_waited_for() {
    let house = House::new().await;
    house.upload(&guest("1.0.0", "(call $ok)")).await;
    house.set("1.0.0").await.unwrap();
    let (mount, node) = (house.mount(), starting(&house));
    let live = mount.live().unwrap();
    node.0.compiled.has_just_ended(live.digest(), live.plugin.clone());
    node.refresh().await.unwrap();
    let there = node.get(Kind::Secrets, &name()).unwrap();
    assert!(there.live().is_ok(), "{:?}", there.live());
}

#[tokio::test]
async fn what_does_not_compile_is_not_compiled_again() {
    let house = House::new().await;
    let wasm = guest("1.0.0", "(call $ok)");
    house.upload(&wasm).await;
    house.set("1.0.0").await.unwrap();
    let node = starting(&house);
    let digest = house.mount().live().unwrap().digest().clone();
    node.0.compiled.fail(&digest, "it does not compile");
    node.refresh().await.unwrap();
    let condition = node.condition(&node.get(Kind::Secrets, &name()).unwrap());
    assert_eq!(condition.reason.as_deref(), Some("the mount is broken: it does not compile"));
    assert_eq!(node.0.compiled.len(), 0);
}
