//! Many calls at once.

use std::{net::IpAddr, time::Duration};

use futures_util::future::join_all;

use crate::runtime::{
    Call, Fault, Login, Options, Outcome, Plugin,
    testing::{Bench, SLEEP, auth, engine, sleeper},
    types::Step,
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
    slow = slow.for_another_mount();
    let mut bench = bench;
    bench.call.bounds.wall = Duration::from_millis(100);
    assert!(matches!(bench.run(&slow, "a").await, Err(Fault::Deadline)));
}

#[tokio::test]
async fn several_plugins_crowds_do_not_keep_another_out_however_long_they_sleep() {
    let bench = Bench::with(Options { calls: 8, calls_each: 4, queue: 10, passwords: 1 });
    let slow = bench.compile(sleeper(600_000)).await;
    let mounts = [slow.for_another_mount(), slow.for_another_mount(), slow];
    let good = bench.compile(engine("", "", "(call $ok)")).await;
    let mut crowds = Box::pin(join_all(mounts.iter().cycle().take(30).map(|mount| bench.run(mount, "a"))));
    let others = async {
        for _ in 0..20 {
            assert!(bench.run(&good, "a").await.is_ok());
        }
        assert_eq!(bench.runtime.calls_running(), 6);
    };
    tokio::select! {
        biased;
        _ = &mut crowds => panic!("they sleep"),
        () = others => {}
    }
    drop(crowds);
    assert_eq!(bench.runtime.calls_running(), 0);
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

/// Logs in from an address; a guest that sleeps does so for as long as the call may last.
async fn login(plugin: &Plugin, call: &Call, from: &str) -> Result<Outcome<Step>, Fault> {
    let mut call = call.clone();
    call.facts.client_address = from.parse::<IpAddr>().ok();
    plugin.call(Login { credentials: b"{}".to_vec().into() }, &call).await
}

#[tokio::test]
async fn an_address_block_that_floods_a_login_keeps_nobody_else_out() {
    let bench = Bench::with(Options { calls: 16, calls_each: 8, queue: 8, passwords: 1 });
    // Sleeps only with a body longer than `{}`.
    let sleep = "(if (i32.gt_u (local.get 1) (i32.const 2))
        (then (call $block (call $subscribe (i64.const 600000000000)))))";
    let plugin = bench.compile(auth(SLEEP, sleep)).await;
    let attack = |i: usize| {
        let mut call = bench.call.clone();
        call.facts.client_address = format!("2001:db8:0:7::{i}").parse().ok();
        let plugin = &plugin;
        async move { plugin.call(Login { credentials: b"{\"a\":1}".to_vec().into() }, &call).await }
    };
    let mut flood = Box::pin(join_all((1..=100).map(|i| {
        let attack = attack(i);
        async move {
            match attack.await {
                Err(Fault::Busy) => 1,
                other => panic!("{other:?}"),
            }
        }
    })));
    // Two run and two wait in the block's own queue; the rest are told at once.
    let others = async {
        for i in 0..50 {
            let ended = login(&plugin, &bench.call, &format!("192.0.2.{i}")).await;
            assert!(matches!(ended, Err(Fault::Refused(_))), "{ended:?}");
        }
        let neighbour = login(&plugin, &bench.call, "2001:db8:0:8::1").await;
        assert!(matches!(neighbour, Err(Fault::Refused(_))), "{neighbour:?}");
        assert_eq!(bench.runtime.calls_running(), 2);
        assert_eq!(plugin.stats().ended["busy"], 96);
        let same = login(&plugin, &bench.call, "2001:db8:0:7:ffff::1").await;
        assert!(matches!(same, Err(Fault::Busy)), "{same:?}");
        // The server's own work has no address, and waits for nobody.
        assert!(matches!(login(&plugin, &bench.call, "").await, Err(Fault::Refused(_))));
    };
    tokio::select! {
        biased;
        _ = &mut flood => panic!("they sleep"),
        () = others => {}
    }
    drop(flood);
    assert_eq!((bench.runtime.calls_running(), plugin.blocks_known()), (0, 0));
    let again = login(&plugin, &bench.call, "2001:db8:0:7::1").await;
    assert!(matches!(again, Err(Fault::Refused(_))));
}

#[tokio::test]
async fn a_block_may_have_all_of_an_engine() {
    let bench = Bench::with(Options { calls: 8, calls_each: 4, queue: 0, passwords: 1 });
    let mut bench = bench;
    bench.call.facts.client_address = "192.0.2.1".parse().ok();
    let plugin = bench.compile(sleeper(50)).await;
    let ended = join_all((0..4).map(|_| bench.run(&plugin, "a"))).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mounts_take_turns_however_many_calls_each_of_them_has() {
    let mut bench = Bench::with(Options { calls: 32, calls_each: 24, queue: 0, passwords: 1 });
    // Many times what a call may have before it works in turns.
    bench.call.bounds.cpu = Duration::from_millis(100);
    bench.call.bounds.wall = Duration::from_secs(60);
    let spin = "(loop $again (br $again)) (unreachable)";
    let crowd = bench.compile(engine("", "", spin)).await;
    let alone = crowd.for_another_mount();
    let mut crowd = Box::pin(join_all((0..24).map(|_| bench.run(&crowd, "a"))));
    let ended = tokio::select! {
        biased;
        _ = &mut crowd => panic!("24 have ended before one"),
        ended = bench.run(&alone, "a") => ended,
    };
    assert!(matches!(ended, Err(Fault::Limit("cpu"))), "{ended:?}");
    assert!(crowd.await.iter().all(|ended| matches!(ended, Err(Fault::Limit("cpu")))));
    assert_eq!(bench.runtime.calls_running(), 0);
}
