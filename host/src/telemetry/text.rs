//! Every metric, by name.

use super::{Telemetry, Watched, process};
use crate::{
    metrics::{Counter, Text},
    mount::Health,
};

pub(super) fn of(telemetry: &Telemetry) -> String {
    let mut text = Text::default();
    server(&mut text, telemetry);
    requests(&mut text, telemetry);
    stores(&mut text, telemetry);
    let mounts: Vec<Watched> = telemetry.all().into_iter().map(|mount| telemetry.watched(mount)).collect();
    conditions(&mut text, &mounts);
    calls(&mut text, &mounts);
    troubles(&mut text, &mounts);
    process::write(&mut text);
    text.into_string()
}

fn server(text: &mut Text, telemetry: &Telemetry) {
    let parts = &telemetry.parts;
    text.gauge("coffer_build_info", "Which server this is; always 1.");
    text.sample("coffer_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    text.gauge("coffer_sealed", "1 while the store is sealed.");
    text.sample("coffer_sealed", &[], u8::from(parts.barrier.is_sealed()));
    text.gauge(
        "coffer_fence_fresh",
        "1 while this node knows what has been changed: without it, it uses nothing that it remembers.",
    );
    text.sample("coffer_fence_fresh", &[], u8::from(parts.fence.is_fresh()));
}

fn requests(text: &mut Text, telemetry: &Telemetry) {
    let operations = telemetry.requests.read();
    text.gauge("coffer_http_requests_in_flight", "Requests that are being served.");
    text.sample("coffer_http_requests_in_flight", &[], telemetry.requests.in_flight());
    text.counter(
        "coffer_http_requests_total",
        "Requests that were answered, by operation (as in the audit trail) and status.",
    );
    for (name, operation) in &operations {
        for (status, count) in operation.statuses() {
            let labels = [("operation", *name), ("status", &*status.to_string())];
            text.sample("coffer_http_requests_total", &labels, count);
        }
    }
    text.histogram("coffer_http_request_duration_seconds", "From the head of a request to the head of its answer.");
    for (name, operation) in &operations {
        text.spread("coffer_http_request_duration_seconds", &[("operation", name)], &operation.took.read());
    }
}

fn stores(text: &mut Text, telemetry: &Telemetry) {
    let parts = &telemetry.parts;
    let mut one = |name: &str, help: &str, counter: &Counter| {
        text.counter(name, help);
        text.sample(name, &[], counter.read());
    };
    let sessions = parts.sessions.counts();
    one("coffer_sessions_created_total", "Sessions made, by logins and by other sessions.", &sessions.created);
    one("coffer_sessions_renewed_total", "Pairs of tokens given for a refresh token.", &sessions.renewed);
    one("coffer_sessions_ended_total", "Sessions ended one by one.", &sessions.ended);
    one(
        "coffer_sessions_ended_all_total",
        "Endings of all sessions of a user, a mount or a plugin.",
        &sessions.ended_all,
    );
    one(
        "coffer_refresh_tokens_reused_total",
        "Spent refresh tokens that were shown again: somebody has a copy.",
        &sessions.reused,
    );
    let audit = parts.audit.counts();
    one("coffer_audit_records_total", "Records in the audit trail.", &audit.written);
    one(
        "coffer_audit_failures_total",
        "Records that could not be written: what they were to tell was not done, or its answer withheld.",
        &audit.failed,
    );
    let commits = parts.barrier.counts();
    text.counter(
        "coffer_storage_commits_total",
        "Commits, by outcome. A conflict rested on what had changed meanwhile; most are run again.",
    );
    for (outcome, counter) in
        [("committed", &commits.committed), ("conflict", &commits.conflicts), ("failed", &commits.failed)]
    {
        text.sample("coffer_storage_commits_total", &[("outcome", outcome)], counter.read());
    }
    text.histogram("coffer_storage_commit_duration_seconds", "How long commits took, the encryption left out.");
    text.spread("coffer_storage_commit_duration_seconds", &[], &commits.took.read());
}

/// Every metric of a mount has them.
fn labels(of: &Watched) -> [(&'static str, &str); 2] {
    [("kind", of.mount.kind.as_str()), ("mount", of.mount.name.as_str())]
}

fn conditions(text: &mut Text, mounts: &[Watched]) {
    text.gauge("coffer_mount_info", "Which plugin a mount has; always 1.");
    for of in mounts {
        let version = of.condition.live.as_ref().map(|(version, _)| version.to_string()).unwrap_or_default();
        let more = [("plugin", of.mount.spec.plugin.as_str()), ("version", &version)];
        text.sample("coffer_mount_info", &[&labels(of)[..], &more].concat(), 1);
    }
    text.gauge("coffer_mount_up", "1 if its plugin can be called, 0 if it cannot. A disabled mount has none.");
    for of in mounts.iter().filter(|of| of.condition.health != Health::Disabled) {
        let up = of.condition.health == Health::Ok && !of.stats.resting;
        text.sample("coffer_mount_up", &labels(of), u8::from(up));
    }
}

fn calls(text: &mut Text, mounts: &[Watched]) {
    text.counter("coffer_plugin_calls_total", "Calls of a mount's plugin, by how they ended.");
    for of in mounts {
        let ended = of.stats.ended.iter().map(|(result, count)| (*result, *count));
        for (result, count) in std::iter::once(("ok", of.stats.succeeded)).chain(ended) {
            text.sample("coffer_plugin_calls_total", &[&labels(of)[..], &[("result", result)]].concat(), count);
        }
    }
    text.gauge("coffer_plugin_calls_in_flight", "Calls that run or wait for their turn.");
    for of in mounts {
        text.sample("coffer_plugin_calls_in_flight", &labels(of), of.stats.running);
    }
    text.histogram("coffer_plugin_call_duration_seconds", "How long calls took, the queue included.");
    for of in mounts {
        text.spread("coffer_plugin_call_duration_seconds", &labels(of), &of.stats.spread);
    }
    text.counter(
        "coffer_plugin_time_seconds_total",
        "Where the time of calls went: waiting for their turn, making an instance, in the guest, in the host.",
    );
    for of in mounts {
        let time = of.stats.time;
        let phases =
            [("queue", time.queue), ("instantiate", time.instantiate), ("guest", time.guest), ("host", time.host)];
        for (phase, spent) in phases {
            let labels = [&labels(of)[..], &[("phase", phase)]].concat();
            text.sample("coffer_plugin_time_seconds_total", &labels, spent.as_secs_f64());
        }
    }
}

fn troubles(text: &mut Text, mounts: &[Watched]) {
    text.counter("coffer_plugin_traps_total", "Traps, by kind.");
    for of in mounts {
        for (kind, count) in &of.stats.traps {
            text.sample("coffer_plugin_traps_total", &[&labels(of)[..], &[("trap", kind)]].concat(), count);
        }
    }
    text.counter("coffer_plugin_limits_hit_total", "Calls that were ended by a limit, by its name.");
    for of in mounts {
        for (limit, count) in &of.stats.limits {
            text.sample("coffer_plugin_limits_hit_total", &[&labels(of)[..], &[("limit", limit)]].concat(), count);
        }
    }
    text.gauge("coffer_plugin_memory_peak_bytes", "What the largest call took.");
    for of in mounts {
        text.sample("coffer_plugin_memory_peak_bytes", &labels(of), of.stats.memory);
    }
    text.gauge("coffer_plugin_breaker_open", "1 while no instance can be made, so that calls are turned away.");
    for of in mounts {
        text.sample("coffer_plugin_breaker_open", &labels(of), u8::from(of.stats.resting));
    }
}
