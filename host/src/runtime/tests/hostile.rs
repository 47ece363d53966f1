//! Guests that mean harm. Each ends in its own fault, and the next call of another plugin works.

use std::time::Duration;

use crate::{
    clock::Clock,
    runtime::{
        Fault,
        testing::{Bench, PUT, SLEEP, engine, engine_with_realloc, sleeper, with_modules},
    },
};

/// Runs it, and then a good plugin, which must find everything as it should be.
async fn fault_of(wasm: Vec<u8>) -> String {
    fault_in(&Bench::new(), wasm).await
}

async fn fault_in(bench: &Bench, wasm: Vec<u8>) -> String {
    let fault = match bench.run_wasm(wasm).await {
        Ok(outcome) => format!("Ok({})", String::from_utf8_lossy(&outcome.value.body)),
        Err(fault) => format!("{fault:?}"),
    };
    let good = engine("", "", "(call $ok)");
    assert_eq!(&bench.run_wasm(good).await.unwrap().value.body[..], br#"{"ok":true}"#);
    assert_eq!(bench.runtime.calls_running(), 0);
    fault
}

const CPU: &str = r#"Limit("cpu")"#;
const SPIN: &str = "(loop $again (br $again)) (unreachable)";

#[tokio::test]
async fn an_endless_loop_uses_up_its_share_wherever_it_stands() {
    let spin = format!("(func $spin {SPIN})");
    assert_eq!(fault_of(engine("", "", SPIN)).await, CPU);
    assert_eq!(fault_of(engine("", &format!("{spin} (start $spin)"), "(call $ok)")).await, CPU);
    let realloc = format!(r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {SPIN})"#);
    assert_eq!(fault_of(engine_with_realloc(&realloc, "(call $ok)")).await, CPU);
    let post = format!(r#"(func (export "cabi_post_coffer:plugin/engine@1.0.0#handle") (param i32) {SPIN})"#);
    assert_eq!(fault_of(engine("", &post, "(call $ok)")).await, CPU);
}

#[tokio::test]
async fn a_loop_through_the_host_is_no_way_around_the_share() {
    let now = r#"(import "wasi:clocks/monotonic-clock@0.2.6" "now" (func $now (result i64)))"#;
    let wasm = engine(now, "", "(loop $again (drop (call $now)) (br $again)) (unreachable)");
    assert_eq!(fault_of(wasm).await, CPU);
}

#[tokio::test]
async fn others_get_their_turn_while_a_guest_spins() {
    let mut bench = Bench::new();
    bench.call.bounds.cpu = Duration::from_millis(300);
    let (spin, good) = (engine("", "", SPIN), engine("", "", "(call $ok)"));
    let (spin, good) = (bench.compile(spin).await, bench.compile(good).await);
    let mut spinning = std::pin::pin!(bench.run(&spin, "a"));
    // One thread runs both: the good call can only end first if the other one yields.
    let ended = tokio::select! {
        biased;
        ended = &mut spinning => panic!("it ended first: {ended:?}"),
        ended = bench.run(&good, "a") => ended,
    };
    assert!(ended.is_ok());
    assert!(matches!(spinning.await, Err(Fault::Limit("cpu"))));
}

#[tokio::test]
async fn memory_and_tables_end_where_the_bound_is() {
    let grow = "(loop $more (br_if $more (i32.ne (i32.const -1) (memory.grow (i32.const 16))))) (unreachable)";
    assert_eq!(fault_of(engine("", "", grow)).await, r#"Limit("memory")"#);
    let born_large = engine("", "(data (i32.const 0) \"\")", "(call $ok)");
    let mut small = Bench::new();
    small.call.bounds.memory = 64 << 10;
    assert!(matches!(small.run_wasm(born_large).await, Err(Fault::Limit("memory"))));
    let table = "(table $t 0 funcref)";
    let grow = "(loop $more (br_if $more (i32.ne (i32.const -1)
        (table.grow $t (ref.null func) (i32.const 1000))))) (unreachable)";
    assert_eq!(fault_of(engine("", table, grow)).await, r#"Limit("tables")"#);
}

#[tokio::test]
async fn what_all_memories_and_tables_of_a_call_take_together_is_bounded() {
    let bounded = async |memory: usize, module: &str, times: usize| {
        let mut bench = Bench::new();
        bench.call.bounds.memory = memory;
        fault_in(&bench, with_modules(engine("", "", "(call $ok)"), module, times)).await
    };
    // The guest's own two pages and three times five megabytes; each alone would be well within.
    let born = "(module (memory 80))";
    assert_eq!(bounded(16 << 20, born, 3).await, r#"Ok({"ok":true})"#);
    assert_eq!(bounded(12 << 20, born, 3).await, r#"Limit("memory")"#);
    let grows = "(module (memory 0) (func $grow
        (if (i32.eq (memory.grow (i32.const 80)) (i32.const -1)) (then (unreachable)))) (start $grow))";
    assert_eq!(bounded(16 << 20, grows, 3).await, r#"Ok({"ok":true})"#);
    assert_eq!(bounded(12 << 20, grows, 3).await, r#"Limit("memory")"#);
    let table = "(module (table 10000 funcref))";
    assert_eq!(bounded(512 << 10, table, 3).await, r#"Ok({"ok":true})"#);
    assert_eq!(bounded(256 << 10, table, 3).await, r#"Limit("tables")"#);
    let grows = "(module (table $t 0 funcref) (func $grow
        (if (i32.eq (table.grow $t (ref.null func) (i32.const 10000)) (i32.const -1)) (then (unreachable))))
        (start $grow))";
    assert_eq!(bounded(256 << 10, grows, 3).await, r#"Limit("tables")"#);
    // Memory and tables are one sum.
    assert_eq!(bounded(256 << 10, "(module (memory 1) (table 10000 funcref))", 1).await, r#"Limit("tables")"#);
}

#[tokio::test]
async fn a_guest_that_lives_with_less_memory_goes_on() {
    let grow = "(loop $more (br_if $more (i32.ne (i32.const -1) (memory.grow (i32.const 16))))) (call $ok)";
    assert_eq!(fault_of(engine("", "", grow)).await, r#"Ok({"ok":true})"#);
}

#[tokio::test]
async fn recursion_ends_at_the_stack() {
    let deep = "(func $deep (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))";
    assert_eq!(fault_of(engine("", deep, "(call $deep (i32.const 1))")).await, r#"Limit("stack")"#);
}

#[tokio::test]
async fn an_answer_is_bounded_and_must_lie_in_memory() {
    let grown = "(drop (memory.grow (i32.const 100)))";
    let huge = format!("{grown} (call $answer (i32.const 0) (i32.const 3000000))");
    assert_eq!(fault_of(engine("", "", &huge)).await, r#"Limit("answer")"#);
    for len in [0x7fff_ffff_u32, 0xffff_ffff] {
        let beyond = format!("(call $answer (i32.const 0) (i32.const {len}))");
        assert!(fault_of(engine("", "", &beyond)).await.starts_with("Invalid"), "{len}");
    }
}

#[tokio::test]
async fn an_answer_that_is_not_a_json_object_is_refused() {
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let bodies = ["\\ff\\fe", "nonsense", "[1]", "1", "{", "{}x", "{\\22a\\22:NaN}", &format!("{{\\22a\\22:{deep}}}")];
    for body in bodies {
        let data = format!(r#"(data (i32.const 3000) "{body}")"#);
        let bytes = body.replace("\\22", "\"").replace("\\ff", "x").replace("\\fe", "x").len();
        let answer = format!("(call $answer (i32.const 3000) (i32.const {bytes}))");
        let fault = fault_of(engine("", &data, &answer)).await;
        assert!(fault.starts_with("Invalid"), "{body}: {fault}");
        assert!(!fault.contains("nonsense"), "an answer is never quoted");
    }
}

#[tokio::test]
async fn an_error_with_text_that_is_not_utf_8_is_the_plugins_fault() {
    let data = r#"(data (i32.const 1200) "\ff\ff\ff\ff\ff\ff")"#;
    assert!(fault_of(engine("", data, "(call $refuse)")).await.starts_with("Invalid"));
}

#[tokio::test]
async fn a_trap_is_told_to_the_operator() {
    let fault = fault_of(engine("", "", "(unreachable)")).await;
    assert!(fault.starts_with("Trap") && fault.contains("unreachable"), "{fault}");
    let exit = r#"(import "wasi:cli/exit@0.2.6" "exit" (func $exit (param i32)))"#;
    assert_eq!(fault_of(engine(exit, "", "(call $exit (i32.const 0)) (call $ok)")).await, r#"Trap("it exits")"#);
}

/// Puts under keys `aaaa`, `aaab`, … so much each time.
fn flood(bytes: u32, times: u32) -> Vec<u8> {
    let body = format!(
        "(drop (memory.grow (i32.const 40)))
         (loop $more
            (i32.store (i32.const 5000) (i32.add (i32.const 0x61616161) (local.get $i)))
            (call $put (i32.const 5000) (i32.const 4) (i32.const 0) (i32.const {bytes})
                (i32.const 0) (i64.const 0) (i32.const 4096))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $i) (i32.const {times}))))
         (call $ok)"
    );
    // Keys must be UTF-8: the last byte of each stays below 128.
    engine(PUT, "", &body)
}

#[tokio::test]
async fn a_flood_of_storage_is_dammed() {
    let mut bench = Bench::new();
    bench.call.bounds.storage_operations = 16;
    bench.call.bounds.cpu = Duration::from_secs(5);
    assert_eq!(fault_in(&bench, flood(10, 17)).await, r#"Limit("storage operations")"#);
    assert_eq!(fault_in(&bench, flood(1_000_000, 10)).await, r#"Limit("storage bytes")"#);
    assert_eq!(fault_in(&bench, flood(10, 16)).await, r#"Ok({"ok":true})"#);
}

#[tokio::test]
async fn a_write_in_a_call_that_may_only_read_cannot_be_hidden() {
    let mut bench = Bench::new();
    bench.call.read_only = true;
    assert!(fault_in(&bench, flood(10, 1)).await.starts_with("Invalid"));
    let intend = r#"(import "coffer:plugin/effects@1.0.0" "intend" (func $intend (param i32 i32 i32)))"#;
    let wasm = engine(intend, "", "(call $intend (i32.const 0) (i32.const 0) (i32.const 4096)) (call $ok)");
    assert!(fault_in(&bench, wasm).await.starts_with("Invalid"));
}

#[tokio::test]
async fn sleeping_ends_at_the_deadline_and_costs_no_share() {
    let mut bench = Bench::new();
    bench.call.bounds.cpu = Duration::from_millis(50);
    assert_eq!(fault_in(&bench, sleeper(150)).await, r#"Ok({"ok":true})"#);
    bench.call.bounds.wall = Duration::from_millis(400);
    let begun = Clock::system().monotonic();
    assert_eq!(fault_in(&bench, sleeper(600_000)).await, "Deadline");
    assert!(Clock::system().monotonic() - begun < Duration::from_secs(10));
}

#[tokio::test]
async fn a_guest_remembers_nothing_from_one_call_to_the_next() {
    let bench = Bench::new();
    let remember = engine(
        "",
        "(global $calls (mut i32) (i32.const 0))",
        "(if (i32.or (global.get $calls) (i32.load (i32.const 60000))) (then (return (call $refuse))))
         (global.set $calls (i32.const 1))
         (i32.store (i32.const 60000) (i32.const 1))
         (call $ok)",
    );
    let plugin = bench.compile(remember).await;
    for _ in 0..50 {
        assert!(bench.run(&plugin, "a").await.is_ok());
    }
}

#[tokio::test]
async fn handles_are_bounded() {
    let wasm = engine(
        SLEEP,
        "",
        "(loop $more (drop (call $subscribe (i64.const 1)))
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $i) (i32.const 100000)))) (call $ok)",
    );
    assert_eq!(fault_of(wasm).await, r#"Limit("handles")"#);
}
