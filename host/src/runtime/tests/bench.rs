//! `make bench`, or `cargo test -p coffer --lib runtime::tests::bench -- --ignored --nocapture`, with
//! the path of a component in `COFFER_BENCH_PLUGIN` to measure another guest.

use std::{io::Write, time::Duration};

use crate::{
    catalog,
    clock::Clock,
    runtime::{
        Cache, Check, Options, Runtime, Stats,
        testing::{Bench, engine},
    },
};

const CALLS: u32 = 20_000;

fn tell(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap();
}

/// `check` of a plugin that does next to nothing, in a fresh sandbox each time.
#[tokio::test]
#[ignore = "a measurement"]
async fn an_empty_call_takes_this_long() {
    let mut guests = vec![("a guest without a language".to_owned(), engine("", "", "(call $ok)"))];
    guests.extend(catalog::shipped().iter().map(|(name, wasm)| (format!("{name}, in Rust"), wasm.to_vec())));
    if let Some(path) = std::env::var_os("COFFER_BENCH_PLUGIN") {
        guests = vec![(path.to_string_lossy().into_owned(), std::fs::read(path).unwrap())];
    }
    for (name, wasm) in guests {
        measure(&name, &wasm).await;
    }
}

async fn measure(name: &str, wasm: &[u8]) {
    let (clock, folder) = (Clock::system(), tempfile::tempdir().unwrap());
    let bench = Bench::with(Options::default());
    let cache = Cache::new(folder.path().to_owned(), bench.barrier.clone(), bench.clock.clone());
    let begun = clock.monotonic();
    let runtime = Runtime::with(bench.clock.clone(), Options::default(), Some(cache), None).unwrap();
    let started = clock.monotonic() - begun;
    let mut compiled = Vec::new();
    for _ in 0..2 {
        let begun = clock.monotonic();
        runtime.compile(wasm.into()).await.unwrap();
        compiled.push(clock.monotonic() - begun);
    }
    let plugin = runtime.compile(wasm.into()).await.unwrap();
    for _ in 0..1000 {
        plugin.call(Check, &bench.call).await.unwrap();
    }
    let (plugin, busy) = (plugin.apart(), processor_time());
    let mut each = Vec::new();
    for _ in 0..CALLS {
        let begun = clock.monotonic();
        plugin.call(Check, &bench.call).await.unwrap();
        each.push(clock.monotonic() - begun);
    }
    each.sort_unstable();
    let (median, most) = (each[each.len() / 2], each[each.len() * 99 / 100]);
    let busy = (processor_time() - busy) / CALLS;
    let Stats { time, .. } = plugin.stats();
    let [queue, instantiate, guest, host] =
        [time.queue, time.instantiate, time.guest, time.host].map(|span| span / CALLS);
    let [first, again] = [compiled[0], compiled[1]];
    tell(&format!("{name}: started in {started:.1?}, compiled in {first:.1?}, found compiled in {again:.1?}"));
    tell(&format!(
        "  a call: {median:.1?} in the median, 99 % within {most:.1?}, {busy:.1?} of a processor\n  on average: \
         queue {queue:.1?}, instantiate {instantiate:.1?}, guest {guest:.1?}, host {host:.1?}"
    ));
}

/// Of this thread, user and system, in ticks of 10 ms: on a busy machine it says more than a
/// clock on the wall. Nothing where there is no `/proc`.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
