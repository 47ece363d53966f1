use crate::runtime::{
    Fault,
    testing::{Bench, engine, request},
};

#[tokio::test]
async fn a_mount_tells_how_its_calls_went_and_where_a_trap_stood() {
    let bench = Bench::new();
    // Does as it is told: `0` works, `1` traps, `2` spins, `3` refuses.
    let boom = "(func $boom (unreachable)) (func $outer (call $boom))";
    let body = "(local.set $i (i32.load8_u (local.get $path)))
        (if (i32.eq (local.get $i) (i32.const 49)) (then (call $outer)))
        (if (i32.eq (local.get $i) (i32.const 50)) (then (loop $again (br $again))))
        (if (i32.eq (local.get $i) (i32.const 51)) (then (return (call $refuse))))
        (call $ok)";
    let plugin = bench.compile(engine("", boom, body)).await;
    for what in ["0", "0", "1", "2", "3"] {
        let _: Result<_, Fault> = plugin.call(request("read", what, ""), &bench.call).await;
    }
    let stats = plugin.stats();
    assert_eq!((stats.calls, stats.succeeded, stats.running), (5, 2, 0));
    assert_eq!(stats.spread.counts.iter().sum::<u64>(), 5);
    assert_eq!(stats.ended.into_iter().collect::<Vec<_>>(), [("limit", 1), ("refused", 1), ("trap", 1)]);
    assert_eq!(stats.traps.into_iter().collect::<Vec<_>>(), [("unreachable", 1)]);
    assert_eq!(stats.limits.into_iter().collect::<Vec<_>>(), [("cpu", 1)]);
    assert!(stats.memory >= 128 << 10, "{}", stats.memory);
    let time = stats.time;
    assert!(time.guest >= bench.call.bounds.cpu && !time.instantiate.is_zero(), "{time:?}");
    let failures = plugin.tally().failures();
    let [trap, limit] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!((trap.request.as_str(), trap.export, trap.at), ("r1", "engine.handle", bench.clock.now()));
    assert_eq!(trap.frames[..2], ["boom", "outer"], "{trap:?}");
    assert!(trap.why.contains("unreachable") && limit.why.contains("cpu"));
    assert_eq!(plugin.for_another_mount().stats(), Default::default());
}

#[tokio::test]
async fn a_refusal_that_is_the_plugins_own_fault_is_a_failure_and_tells_the_operator_why() {
    let bench = Bench::new();
    let data = r#"(data (i32.const 3000) "internal") (data (i32.const 3100) "no table hunter22")"#;
    let body = "(drop (call $refuse))
        (if (i32.eq (i32.load8_u (local.get $path)) (i32.const 49)) (then (return (i32.const 1088))))
        (i32.store offset=8 (i32.const 1088) (i32.const 3000))
        (i32.store offset=12 (i32.const 1088) (i32.const 8))
        (i32.store offset=16 (i32.const 1088) (i32.const 3100))
        (i32.store offset=20 (i32.const 1088) (i32.const 17))
        (i32.const 1088)";
    let plugin = bench.compile(engine("", data, body)).await;
    for path in ["1", "2"] {
        let refused = plugin.call(request("read", path, r#"{"name":"hunter22"}"#), &bench.call).await;
        assert!(matches!(refused, Err(Fault::Refused(_))));
    }
    assert_eq!(plugin.stats().ended.into_iter().collect::<Vec<_>>(), [("internal", 1), ("refused", 1)]);
    let failures = plugin.tally().failures();
    let [failed] = &failures[..] else { panic!("{failures:?}") };
    assert_eq!(failed.why, "the plugin refuses: internal: no table [secret]");
}

#[tokio::test]
async fn whatever_a_call_has_used_too_much_of_where_it_stood_is_told() {
    let bench = Bench::new();
    let frames = async |function: &str, body: &str| {
        let plugin = bench.compile(engine("", function, body)).await;
        let _: Result<_, Fault> = plugin.call(request("read", "a", ""), &bench.call).await;
        let (stats, failures) = (plugin.stats(), plugin.tally().failures());
        let [failed] = &failures[..] else { panic!("{failures:?}") };
        assert!(stats.traps.is_empty() && stats.limits.len() == 1, "{stats:?}");
        (failed.why.clone(), failed.frames.first().cloned().unwrap_or_default())
    };
    let told =
        |what: &str, function: &str| (format!("the plugin used more than its bound: {what}"), function.to_owned());
    let spin = "(func $spin (loop $again (br $again)))";
    assert_eq!(frames(spin, "(call $spin) (unreachable)").await, told("cpu", "spin"));
    let deep = "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))";
    assert_eq!(frames(deep, "(call $deep (i32.const 1))").await, told("stack", "deep"));
    let grow = "(func $grow
        (if (i32.eq (i32.const -1) (memory.grow (i32.const 60000))) (then (unreachable))))";
    assert_eq!(frames(grow, "(call $grow) (unreachable)").await, told("memory", "grow"));
}

#[tokio::test]
async fn what_is_kept_of_failures_and_of_the_log_is_bounded() {
    let bench = Bench::new();
    let emit = r#"(import "coffer:plugin/log@1.0.0" "emit" (func $emit (param i32 i32 i32 i32 i32)))"#;
    let body = "(call $emit (i32.const 1) (local.get $body) (local.get $body-len) (i32.const 0) (i32.const 0))
        (unreachable)";
    let plugin = bench.compile(engine(emit, "", body)).await;
    for _ in 0..300 {
        let _: Result<_, Fault> = plugin.call(request("read", "a", r#"{"pin":"hunter22"}"#), &bench.call).await;
    }
    let (stats, log) = (plugin.stats(), plugin.tally().log());
    assert_eq!((plugin.tally().failures().len(), log.len(), stats.traps["unreachable"]), (16, 256, 300));
    assert_eq!(log[0].text, r#"{"pin":"[secret]"}"#);
    assert_eq!((log[0].level, log[0].request.as_str()), ("info", "r1"));
    assert_eq!((log[0].number, log[255].number), (45, 300));
    // Too short to be secrets, each of them.
    let long = format!("[{}0]", "1,2,".repeat(500));
    for _ in 0..300 {
        let _: Result<_, Fault> = plugin.call(request("read", "a", &long), &bench.call).await;
    }
    let log = plugin.tally().log();
    assert!(log.len() < 256 && log.iter().map(|line| line.text.len()).sum::<usize>() <= 256 << 10, "{}", log.len());
}

#[tokio::test]
async fn counters_go_on_with_the_next_plugin_and_who_goes_away_is_counted() {
    let bench = Bench::new();
    let body =
        "(if (i32.eq (i32.load8_u (local.get $path)) (i32.const 49)) (then (loop $again (br $again)))) (call $ok)";
    let plugin = bench.compile(engine("", "", body)).await;
    let tally = std::sync::Arc::<crate::runtime::Tally>::default();
    for version in ["1.0.0", "1.1.0"] {
        let plugin = plugin.counted(tally.clone(), version);
        let _: Result<_, Fault> = plugin.call(request("read", "0", ""), &bench.call).await;
        let _: Result<_, Fault> = plugin.call(request("read", "1", ""), &bench.call).await;
    }
    let versions: Vec<String> = tally.failures().iter().map(|failed| failed.version.to_string()).collect();
    assert_eq!((tally.read().succeeded, versions), (2, vec!["1.0.0".to_owned(), "1.1.0".to_owned()]));
    let call = plugin.counted(tally.clone(), "");
    drop(tokio::time::timeout(std::time::Duration::ZERO, call.call(request("read", "1", ""), &bench.call)).await);
    let stats = tally.read();
    assert_eq!((stats.ended["abandoned"], stats.running, stats.calls), (1, 0, 5));
}
