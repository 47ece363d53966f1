//! `cargo test -p coffer --lib runtime::tests::bench -- --ignored --nocapture`, with the path of
//! a component in `COFFER_BENCH_PLUGIN` to measure another guest.

use std::{io::Write, time::Duration};

use crate::{
    clock::Clock,
    runtime::{
        Check, Options,
        testing::{Bench, engine},
    },
};

const CALLS: u32 = 20_000;

/// `check` of a plugin that does nothing, in a fresh sandbox each time.
#[tokio::test]
#[ignore = "a measurement"]
async fn an_empty_call_takes_this_long() {
    let clock = Clock::system();
    let wasm = match std::env::var_os("COFFER_BENCH_PLUGIN") {
        Some(path) => std::fs::read(path).unwrap(),
        None => engine("", "", "(call $ok)"),
    };
    let begun = clock.monotonic();
    let bench = Bench::with(Options::default());
    let started = clock.monotonic() - begun;
    let begun = clock.monotonic();
    let plugin = bench.compile(wasm).await;
    let compiled = clock.monotonic() - begun;
    for _ in 0..1000 {
        plugin.call(Check, &bench.call).await.unwrap();
    }
    let (begun, busy) = (clock.monotonic(), processor_time());
    for _ in 0..CALLS {
        plugin.call(Check, &bench.call).await.unwrap();
    }
    let (each, busy) = ((clock.monotonic() - begun) / CALLS, (processor_time() - busy) / CALLS);
    let told = format!("started in {started:?}, compiled in {compiled:?}, a call takes {each:?}, of it busy {busy:?}");
    writeln!(std::io::stderr(), "{told}").unwrap();
}

/// Of this thread, user and system, in ticks of 10 ms: on a busy machine it says more than a
/// clock on the wall. Nothing where there is no `/proc`.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
