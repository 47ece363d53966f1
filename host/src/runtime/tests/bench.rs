//! `make bench`, or `cargo test -p coffer --lib runtime::tests::bench -- --ignored --nocapture`, with
//! the path of a component in `COFFER_BENCH_PLUGIN` to measure another guest. `make bench-plugins` builds the same
//! plugin in each language and makes the table of `docs/9-plugins-costs.md` of them.

use std::{io::Write, sync::Arc, time::Duration};

use crate::{
    catalog,
    clock::Clock,
    runtime::{
        Cache, Check, Options, Runtime, Stats,
        testing::{Bench, engine, request},
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

/// One line for each component in the folder `COFFER_BENCH_PLUGINS`: what `coffer plugin new` makes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn a_plugin_of_each_language_costs_this_much() {
    let Some(folder) = std::env::var_os("COFFER_BENCH_PLUGINS") else { return };
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    tell("| | size | compile | empty call | a read | reads a second | memory | queue | instantiate | guest | host |");
    tell("|---|---|---|---|---|---|---|---|---|---|---|");
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        tell(&row(&name, std::fs::read(&file).unwrap().into()).await);
    }
}

async fn row(name: &str, wasm: Arc<[u8]>) -> String {
    let (clock, size) = (Clock::system(), wasm.len() / 1024);
    let mut bench = Bench::with(Options::default());
    bench.call.config = Arc::from(&br#"{"greeting":"hello"}"#[..]);
    // How long it takes is what is asked.
    bench.call.bounds.cpu = bench.call.bounds.wall;
    let begun = clock.monotonic();
    let plugin = bench.runtime.compile(wasm).await.unwrap();
    let compiled = clock.monotonic() - begun;
    let empty = median(&clock, async || drop(plugin.call(Check, &bench.call).await.unwrap())).await;
    let plugin = plugin.for_another_mount();
    let read =
        median(&clock, async || drop(plugin.call(request("read", "world", ""), &bench.call).await.unwrap())).await;
    let Stats { time, memory, calls, .. } = plugin.stats();
    let calls = u32::try_from(calls).unwrap();
    let [queue, instantiate, guest, host] =
        [time.queue, time.instantiate, time.guest, time.host].map(|span| span / calls);
    let each = (CALLS / 4).min(2_000_000_000 / u32::try_from(read.as_nanos()).unwrap().max(1)).max(10);
    let begun = clock.monotonic();
    let crowd = (0..8).map(|_| {
        let (plugin, call) = (plugin.clone(), bench.call.clone());
        tokio::spawn(async move {
            for _ in 0..each {
                plugin.call(request("read", "world", ""), &call).await.unwrap();
            }
        })
    });
    futures_util::future::join_all(crowd).await.into_iter().for_each(Result::unwrap);
    let rate = f64::from(each * 8) / (clock.monotonic() - begun).as_secs_f64();
    format!(
        "| {name} | {size} KiB | {compiled:.0?} | {empty:.1?} | {read:.1?} | {rate:.0} | {} KiB | {queue:.1?} | {instantiate:.1?} | \
         {guest:.1?} | {host:.1?} |",
        memory / 1024
    )
}

/// Of as many as fit into some seconds.
async fn median(clock: &Clock, mut call: impl AsyncFnMut()) -> Duration {
    let (mut each, first) = (Vec::new(), clock.monotonic());
    while each.len() < CALLS as usize && (each.len() < 20 || clock.monotonic() - first < Duration::from_secs(3)) {
        let begun = clock.monotonic();
        call().await;
        each.push(clock.monotonic() - begun);
    }
    each.sort_unstable();
    each[each.len() / 2]
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
    let (plugin, busy) = (plugin.for_another_mount(), processor_time());
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
