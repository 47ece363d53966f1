//! Many calls at once.

use std::time::Duration;

use futures_util::future::join_all;

use super::hostile::sleeper;
use crate::runtime::{
    Fault, Options,
    testing::{Bench, engine},
};

#[tokio::test]
async fn a_call_beyond_the_queue_is_told_that_it_is_busy_and_the_others_come_in_turn() {
    let bench = Bench::with(Options { calls: 8, calls_each: 2, queue: 3, passwords: 1 });
    let plugin = bench.compile(sleeper(50)).await;
    let ended = join_all((0..8).map(|_| bench.run(&plugin, "a"))).await;
    let busy = ended.iter().filter(|ended| matches!(ended, Err(Fault::Busy))).count();
    assert_eq!((busy, ended.iter().filter(|ended| ended.is_ok()).count()), (3, 5));
    assert!(bench.run(&plugin, "a").await.is_ok());
}

#[tokio::test]
async fn one_plugins_crowd_does_not_keep_another_out() {
    let bench = Bench::with(Options { calls: 4, calls_each: 2, queue: 10, passwords: 1 });
    let mut slow = bench.compile(sleeper(600_000)).await;
    let good = bench.compile(engine("", "", "(call $ok)")).await;
    let mut crowd = Box::pin(join_all((0..10).map(|_| bench.run(&slow, "a"))));
    let ended = tokio::select! {
        biased;
        _ = &mut crowd => panic!("they sleep"),
        ended = bench.run(&good, "a") => ended,
    };
    assert!(ended.is_ok());
    // Given up by their callers: their places are free at once.
    drop(crowd);
    assert_eq!(bench.runtime.calls_running(), 0);
    slow = slow.apart();
    let mut bench = bench;
    bench.call.bounds.wall = Duration::from_millis(100);
    assert!(matches!(bench.run(&slow, "a").await, Err(Fault::Deadline)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_pool_has_room_for_as_many_calls_as_there_may_be() {
    let bench = Bench::with(Options { calls: 16, calls_each: 16, queue: 1000, passwords: 1 });
    let (slow, trap) = (bench.compile(sleeper(5)).await, bench.compile(engine("", "", "(unreachable)")).await);
    let (slow, trap) = (&slow, &trap);
    let calls = (0..400).map(|i| bench.run(if i % 3 == 0 { trap } else { slow }, "a"));
    for (i, ended) in join_all(calls).await.into_iter().enumerate() {
        match ended {
            Ok(_) => assert_ne!(i % 3, 0),
            Err(fault) => assert!(i % 3 == 0 && matches!(fault, Fault::Trap(_)), "{i}: {fault:?}"),
        }
    }
    assert_eq!(bench.runtime.calls_running(), 0);
}

#[tokio::test]
async fn a_plugin_outlives_the_handle_of_its_runtime_and_the_ticker_goes_with_the_last_of_them() {
    let bench = Bench::new();
    let plugin = bench.compile(engine("", "", "(loop $again (br $again)) (unreachable)")).await;
    let Bench { runtime, call, .. } = bench;
    drop(runtime);
    let ended = plugin.call(crate::runtime::testing::request("read", "a", ""), &call).await;
    assert!(matches!(ended, Err(Fault::Limit("cpu"))));
}
