//! What somebody else's mount has of it when a plugin means harm: its latency alone, and under each attack.

use std::future::Future;
use std::time::Duration;

use coffer::{clock::Clock, ids::random_base62};
use serde_json::json;

use crate::harness::guests::{engine, sleeper};
use crate::harness::{Client, TestServer};
use crate::stories::hostile::{BOUNDS, flood, greedy, mount, plugin, upload};

/// So long each attack is measured, and the quiet before it.
const SPAN: Duration = Duration::from_secs(2);

/// So many times its own latency a mount has at most, at the median, beside two that attack.
const MOST: f64 = 2.0;

/// Who attacks: one for each processor of a small machine. With many more, the line `as-good` says what any crowd costs.
fn attackers() -> usize {
    std::env::var("COFFER_BENCH_ATTACKERS").ok().and_then(|text| text.parse().ok()).unwrap_or(2)
}

/// Median and 95th percentile of calls one after the other, in milliseconds.
async fn latency(call: impl AsyncFn()) -> (f64, f64) {
    let clock = Clock::system();
    let begun = clock.monotonic();
    let mut times = Vec::new();
    while clock.monotonic() - begun < SPAN {
        let before = clock.monotonic();
        call().await;
        times.push((clock.monotonic() - before).as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    (times[times.len() / 2], times[times.len() * 95 / 100])
}

/// While several do this without end.
async fn under<F: Future<Output = ()> + Send>(
    attack: impl Fn(usize) -> F + Clone + Send + 'static,
    good: &Client,
) -> (f64, f64) {
    let attackers: Vec<_> = (0..attackers())
        .map(|at| {
            let attack = attack.clone();
            tokio::spawn(async move {
                loop {
                    attack(at).await;
                }
            })
        })
        .collect();
    // Until they are at it.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let measured = latency(async || drop(good.get("/secrets/good/x").await.expect(200))).await;
    attackers.iter().for_each(|attacker| attacker.abort());
    // What has begun may take as long as its bounds let it.
    tokio::time::sleep(Duration::from_secs(1)).await;
    measured
}

/// Says as much to the log as it is let, and then some, in each call.
fn talks() -> Vec<u8> {
    let imports = r#"(import "coffer:plugin/log@1.0.0" "emit" (func $emit (param i32 i32 i32 i32 i32)))"#;
    let body = "(loop $more
        (call $emit (i32.const 2) (i32.const 8192) (i32.const 2000) (i32.const 0) (i32.const 0))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $more (i32.lt_u (local.get $i) (i32.const 10000))))
        (call $ok)";
    engine(imports, "", &format!("(memory.fill (i32.const 8192) (i32.const 0x78) (i32.const 2000)) {body}"))
}

/// Never gets as far as to be asked.
fn starting_for_ever() -> Vec<u8> {
    engine("", "(func $spin (loop $again (br $again))) (start $spin)", "(call $ok)")
}

/// Answers `{"a":"xxx…"}`, so long.
fn much(bytes: u32) -> String {
    format!(
        "(drop (memory.grow (i32.const 40)))
         (memory.fill (i32.const 8192) (i32.const 0x78) (i32.const {bytes}))
         (i64.store (i32.const 8192) (i64.const 0x7878223a2261227b))
         (i32.store16 (i32.add (i32.const 8190) (i32.const {bytes})) (i32.const 0x7d22))
         (call $answer (i32.const 8192) (i32.const {bytes}))"
    )
}

/// One that takes long to compile.
fn compile_bomb() -> Vec<u8> {
    let body = "(local.set 0 (i32.mul (i32.add (local.get 0) (i32.const 77)) (i32.const 3)))".repeat(1_000);
    engine("", &format!("(func (param i32) (result i32) {body} (local.get 0))").repeat(30), "(call $ok)")
}

#[tokio::test]
#[ignore = "make bench"]
#[expect(clippy::print_stdout, reason = "the numbers are the point")]
async fn another_mount_under_each_attack() {
    let server = TestServer::start().await;
    let admin = server.admin().await;
    mount(&admin, ("secrets", "good"), BOUNDS, &engine("", "", "(call $ok)"), json!({})).await.expect(200);
    let call = async || drop(admin.get("/secrets/good/x").await.expect(200));
    latency(call).await;
    // Against the quiet just before: a machine is not the same all the time.
    let mut slow = Vec::new();
    let mut tell = |what: &str, alone: (f64, f64), (median, late): (f64, f64)| {
        let ratios = (median / alone.0, late / alone.1);
        println!("{what:<28} median {median:7.2} ms ({:5.2})   95% {late:7.2} ms ({:5.2})", ratios.0, ratios.1);
        if ratios.0 > MOST {
            slow.push(format!("{what} {:.2}", ratios.0));
        }
    };
    let alone = latency(call).await;
    tell("alone", alone, alone);
    let mut guests = greedy();
    // No attack: as many calls of a plugin that does as it should, and of one that only waits.
    guests.insert(0, ("as-good", engine("", "", "(call $ok)")));
    guests.insert(1, ("waits", sleeper(20)));
    // As much as it may, and all of it to be looked at.
    guests.insert(2, ("answers-much", engine("", "", &much(1_990_000))));
    guests.push(("floods-the-log", talks()));
    for (name, wasm) in guests {
        mount(&admin, ("secrets", name), BOUNDS, &wasm, json!({})).await.expect(200);
        let (client, path) = (admin.clone(), format!("/secrets/{name}/x"));
        let attack = move |_| {
            let call = client.get(&path);
            async move { drop(call.await) }
        };
        let alone = latency(call).await;
        tell(name, alone, under(attack, &admin).await);
    }
    // What is stored, and so everybody's: as much in one call as may be, and calls that are always refused for it.
    for (name, wasm) in [("stores-much", flood(900_000, 8)), ("stores-too-much", flood(1_000_000, 100))] {
        mount(&admin, ("secrets", name), BOUNDS, &wasm, json!({})).await.expect(200);
        let (client, path) = (admin.clone(), format!("/secrets/{name}/x"));
        let attack = move |_| {
            let call = client.put(&path, json!({ "value": "v" }));
            async move { drop(call.await) }
        };
        let alone = latency(call).await;
        tell(name, alone, under(attack, &admin).await);
    }
    // What is tried before it is mounted: nothing of it ever is, and it is tried all the same.
    let client = admin.clone();
    upload(&admin, "loops-at-start", plugin("loops-at-start", "secrets", BOUNDS, &starting_for_ever()))
        .await
        .expect(200);
    let attack = move |_| {
        let value = json!({ "plugin": "loops-at-start", "version": "1.0.0" });
        let call = client.post("/sys/setting", json!({ "key": "secrets/loops-at-start", "value": value }));
        async move { drop(call.await) }
    };
    let alone = latency(call).await;
    tell("loops-at-start", alone, under(attack, &admin).await);
    let (client, bomb) = (admin.clone(), compile_bomb());
    let attack = move |at: usize| {
        let (client, name) = (client.clone(), format!("bomb-{at}"));
        // Never twice the same: what has been compiled once is kept.
        let wasm = plugin(&name, "secrets", &format!("# {}\n{BOUNDS}", random_base62(8)), &bomb);
        async move {
            drop(upload(&client, &name, wasm).await);
            drop(client.delete(&format!("/sys/plugins/{name}/1.0.0")).await);
        }
    };
    let alone = latency(call).await;
    tell("compiles", alone, under(attack, &admin).await);
    assert!(slow.is_empty() || attackers() > 2, "more than {MOST} times its own latency under {slow:?}");
}
