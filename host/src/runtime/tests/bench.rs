//! `cargo test -p coffer --lib runtime::tests::bench -- --ignored --nocapture`, with the path of
//! a component in `COFFER_BENCH_PLUGIN` to measure another guest.

use std::io::Write;

use crate::runtime::testing::{Bench, engine, request};
use crate::{clock::Clock, runtime::Options};

const CALLS: u32 = 20_000;

#[tokio::test]
#[ignore = "a measurement"]
async fn an_empty_call_takes_this_long() {
    let bench = Bench::with(Options::default());
    let wasm = match std::env::var_os("COFFER_BENCH_PLUGIN") {
        Some(path) => std::fs::read(path).unwrap(),
        None => engine("", "", "(call $answer (i32.const 0) (i32.const 0))"),
    };
    let clock = Clock::system();
    let begun = clock.monotonic();
    let plugin = bench.compile(wasm).await;
    let compiled = clock.monotonic() - begun;
    for _ in 0..1000 {
        plugin.call(request("empty", "", ""), &bench.call).await.unwrap();
    }
    let begun = clock.monotonic();
    for _ in 0..CALLS {
        plugin.call(request("empty", "", ""), &bench.call).await.unwrap();
    }
    let each = (clock.monotonic() - begun) / CALLS;
    writeln!(std::io::stderr(), "compiled in {compiled:?}, {each:?} a call").unwrap();
}
