//! The process and the system around it: limits, swap, and what a running server says.

use rustix::process::{Pid, Resource, getrlimit, test_kill_process};

use crate::{
    config::Config,
    finding::Finding,
    http::running::{self, Running},
    limits,
};

pub fn examine(config: &Config) -> Vec<Finding> {
    let running = running::read(&config.data_dir).filter(is_there);
    let mut found = vec![match &running {
        Some(Running { pid, version, since, .. }) => {
            Finding::ok("server", format!("{version} runs as process {pid} since {since}"))
        }
        None => Finding::ok("server", "does not run here, or not as who asks"),
    }];
    found.extend(running.map(|running| forwarding(&running)));
    found.push(open_files());
    found.push(swap(std::fs::read_to_string("/proc/swaps").ok().as_deref()));
    found
}

/// A file of one that was killed is no sign of life.
fn is_there(running: &Running) -> bool {
    let pid = i32::try_from(running.pid).ok().and_then(Pid::from_raw);
    // Somebody else's process is one too.
    pid.is_some_and(|pid| !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH)))
}

fn forwarding(running: &Running) -> Finding {
    const PROXIES: &str = "listener.proxies";
    let seen = &running.untrusted_forwarding;
    match (seen.count, seen.peer) {
        (0, _) => Finding::ok(PROXIES, "no forwarding header came from an untrusted peer"),
        (count, peer) => Finding::warn(
            PROXIES,
            format!(
                "{count} requests came with a forwarding header from peers that are no trusted proxies, the last from {}",
                peer.map(|peer| peer.to_string()).unwrap_or_default()
            ),
            "if that is your proxy, name it in listener.trusted_proxies: now its address is taken for the client's",
        ),
    }
}

/// Of who asks; the server raises its own soft limit to the hard one.
fn open_files() -> Finding {
    const FILES: &str = "limits.open_files";
    let needed = limits::CONNECTIONS as u64 + 256;
    match getrlimit(Resource::Nofile).maximum {
        Some(most) if most < needed => Finding::warn(
            FILES,
            format!("at most {most}, and {} connections may be open", limits::CONNECTIONS),
            "raise the hard limit (LimitNOFILE=, ulimit -Hn)",
        ),
        _ => Finding::ok(FILES, "enough for every connection"),
    }
}

/// Keys are wiped from memory when they are done with, not from where the system puts memory meanwhile.
fn swap(swaps: Option<&str>) -> Finding {
    const SWAP: &str = "limits.memory";
    match swaps.map(|text| text.lines().skip(1).filter(|line| !line.trim().is_empty()).count()) {
        Some(0) => Finding::ok(SWAP, "there is no swap that keys could be written to"),
        None => Finding::ok(SWAP, "not told on this system whether memory, and keys in it, may be swapped"),
        Some(_) => Finding::warn(
            SWAP,
            "memory, and keys in it, may be written to swap",
            "swapoff, or encrypt it, or keep the server off it (MemorySwapMax=0)",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;

    #[test]
    fn swap_is_warned_of() {
        let head = "Filename\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        let swaps = format!("{head}/dev/sda2 partition 8388604 0 -2\n");
        for (text, verdict) in [(Some(head), Verdict::Ok), (Some(&swaps), Verdict::Warn), (None, Verdict::Ok)] {
            assert_eq!(swap(text).verdict, verdict);
        }
    }
}
