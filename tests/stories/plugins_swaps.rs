//! Upgraded and brought back, again and again, while it is called. `COFFER_SWAPS` says how often: 10, or
//! `COFFER_SWAPS=100 bash tests/services.sh cargo nextest run -p coffer --test stories -E 'test(plugins_swaps)'`,
//! which `make swaps` does.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;

use crate::harness::{Guest, TestServer};

#[tokio::test]
#[expect(clippy::print_stdout, reason = "what was measured")]
async fn swaps_under_load_lose_no_request() {
    let swaps: usize = std::env::var("COFFER_SWAPS").ok().and_then(|text| text.parse().ok()).unwrap_or(10);
    let server = TestServer::start().await;
    let admin = server.admin().await;
    for version in ["1.0.0", "2.0.0"] {
        let wasm = Guest::new("hello", version).build();
        let call = admin.call(reqwest::Method::PUT, &format!("/sys/plugins/hello/{version}"));
        call.header("content-type", "application/wasm").body(wasm).await.expect(200);
    }
    let set = async |version: &str| {
        let value = json!({ "plugin": "hello", "version": version });
        admin.post("/sys/setting", json!({ "key": "secrets/hello", "value": value })).await.expect(200)
    };
    set("1.0.0").await;
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = futures_util::future::join_all((0..8).map(|_| async {
        while !over.load(Ordering::Relaxed) {
            let version = admin.get("/secrets/hello/x").await.expect(200)["version"].clone();
            assert!(version == "1.0.0" || version == "2.0.0", "{version}");
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let swapping = async {
        let mut grown = Vec::new();
        for _ in 0..swaps {
            set("2.0.0").await;
            // Whoever asks after the answer gets what was asked for.
            assert_eq!(admin.get("/secrets/hello/x").await.expect(200)["version"], "2.0.0");
            set("1.0.0").await;
            assert_eq!(admin.get("/secrets/hello/x").await.expect(200)["version"], "1.0.0");
            grown.push(resident(server.pid()));
        }
        over.store(true, Ordering::Relaxed);
        grown
    };
    let (_, grown) = tokio::join!(load, swapping);
    assert!(answered.load(Ordering::Relaxed) > swaps, "there was load");
    // The first third fills what is kept; from then on nothing is added. What is kept of each swap would be, at least,
    // the code of two versions and all that is around it.
    let settled = &grown[swaps / 3..];
    let (early, late) = settled.split_at(settled.len() / 2);
    let mean = |samples: &[u64]| samples.iter().sum::<u64>() / samples.len().max(1) as u64;
    println!("KiB in memory: {} to {} after {swaps} swaps", mean(early), mean(late));
    assert!(swaps >= 6, "so few show nothing");
    assert!(mean(early) > 0 && mean(late) < mean(early) + mean(early) / 10, "it grows: {grown:?} KiB");
}

/// KiB of memory that the process has at this moment.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)).and_then(|text| text.parse().ok()).unwrap_or_default()
}
