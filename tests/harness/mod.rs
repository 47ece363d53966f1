//! What a story stands on: a server of its own, clients that speak to it, and the checks that every story
//! ends with, asked for or not.
//!
//! `TestServer` starts the real binary on a free port in a folder of its own; `admin()`, `login("ada")` and
//! `anonymous()` give a `Client`. Every answer is held to what holds for all answers (`client::Answer`). When
//! the server goes out of scope it must end well, have recorded every request (`audit`) and have written
//! down no secret that went over the wire (`leaks`).

mod audit;
mod cli;
mod client;
mod config;
pub mod github;
mod guest;
#[path = "../guests.rs"]
pub mod guests;
mod leaks;
mod lender;
mod nodes;
pub mod page;
mod proxy;
pub mod raw;
#[allow(dead_code, reason = "the unit tests use other parts of it")]
pub mod redis;
mod server;
mod services;

use std::process::{Command, Output, Stdio};
use std::time::Duration;

pub use cli::{Cli, ran};
pub use client::{Answer, Call, Client};
pub use github::GitHub;
pub use guest::{Guest, append_section, reworded};
pub use leaks::{canary, unique};
pub use lender::{Lender, Outside, own_address};
pub use nodes::Nodes;
pub use proxy::Way;
pub use server::{Builder, Seal, Sessions, Shared, Storage, TestServer};
pub use services::Postgres;

/// The end of a command that must end by itself: whatever does not within `SOON` is killed, and fails the test.
pub async fn finish(mut command: Command) -> Output {
    let what = format!("{command:?}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("the program starts");
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).expect("a process id");
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    match tokio::time::timeout(SOON, output).await {
        Ok(output) => output.expect("no panic").expect("it can be waited for"),
        Err(_) => {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            panic!("does not end by itself within {SOON:?}: {what}");
        }
    }
}

/// How long anything may take that should happen soon.
pub const SOON: Duration = Duration::from_secs(20);

/// Asks until there is an answer, and fails the test after `SOON`.
#[track_caller]
pub fn eventually<T, F>(what: &str, ask: impl FnMut() -> F) -> impl Future<Output = T>
where
    F: Future<Output = Option<T>>,
{
    let place = std::panic::Location::caller();
    let mut ask = ask;
    async move {
        let asking = async {
            loop {
                if let Some(answer) = ask().await {
                    return answer;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(SOON, asking).await {
            Ok(answer) => answer,
            Err(_) => panic!("{place}: not within {SOON:?}: {what}"),
        }
    }
}
