//! What to type next: one table, from why something was refused and what had been asked for.
//!
//! A command that knows better says so itself (`Failure::next`). One more kind of refusal, or of thing, is one more
//! line here; the first that fits is taken.

use super::exit::{Failure, Refusal};

/// Empty is whatever it is. In `next`, `{way}` is the command that was typed.
struct Line {
    /// `type` of the problem.
    kind: &'static str,
    /// What the path below `/api/v1` begins with, and its query.
    asked: &'static str,
    /// The end of `loc`.
    place: &'static str,
    next: &'static str,
}

const fn kind(kind: &'static str, next: &'static str) -> Line {
    Line { kind, asked: "", place: "", next }
}

const fn place(place: &'static str, next: &'static str) -> Line {
    Line { kind: "", asked: "", place, next }
}

const fn gone(asked: &'static str, next: &'static str) -> Line {
    Line { kind: "not_found", asked, place: "", next }
}

const TABLE: &[Line] = &[
    // Why it was refused.
    kind("unknown_role", "coffer role list"),
    kind("unknown_setting", "coffer setting list"),
    kind("last_admin", "coffer user update NAME --role admin, so that there is another"),
    kind("built_in", "coffer {way} --help"),
    kind("in_use", "coffer user list, for who has it"),
    kind("locked_out", "coffer {way} --force, if nobody shall be admin by a login any more"),
    kind("invalid_policy", "coffer policy put NAME FILE --dry-run, once it is mended"),
    kind("invalid_scope", "coffer token create --scope read:secrets/kv/apps, as an example"),
    kind("unsupported_grant_type", "coffer login --method MOUNT, with an auth mount that is there"),
    kind("unauthorized_client", "coffer login"),
    kind("expired_token", "coffer login"),
    kind("access_denied", "coffer login"),
    kind("already_initialized", "coffer status"),
    kind("plugin_in_use", "coffer plugin list, for the mounts that use it"),
    kind("reserved_name", "coffer plugin list"),
    kind("bad_plugin", "coffer plugin inspect FILE"),
    kind("unsigned", "coffer plugin sign FILE --key KEY"),
    kind("unknown_publisher", "coffer setting get security --field value.plugins.publishers"),
    kind("denied_plugin", "coffer setting get security --field value.plugins.denied"),
    kind("unknown_plugin", "coffer plugin list"),
    kind("unknown_version", "coffer plugin list"),
    kind("wrong_kind", "coffer plugin list"),
    kind("not_asked_for", "coffer plugin list"),
    kind("limited_session", "coffer login"),
    kind("wrong_address", "coffer login"),
    kind("forbidden", "coffer whoami"),
    kind("sealed", "coffer unseal"),
    kind("disabled", "coffer setting list"),
    kind("mount_disabled", "coffer setting list"),
    kind("plugin_failed", "coffer plugin top --once, for how the mounts are"),
    kind("internal", "coffer doctor --config FILE, where the server runs"),
    // What was named, and is not there.
    place("username", "coffer user list"),
    place("session_id", "coffer session list"),
    place("lease_id", "coffer lease list"),
    place("role", "coffer role list"),
    place("mount", "coffer setting list, for the mounts that are there"),
    gone("sessions?username", "coffer user list"),
    gone("sessions", "coffer session list"),
    gone("leases?username", "coffer user list"),
    gone("leases", "coffer lease list"),
    gone("users", "coffer user list"),
    gone("secrets", "coffer secret list"),
    gone("sys/setting", "coffer setting list"),
    gone("sys/roles", "coffer role list"),
    gone("sys/policies", "coffer policy list"),
    gone("sys/plugins", "coffer plugin list"),
    gone("sys/mounts", "coffer plugin top --once"),
];

/// For a refusal that nobody has said better of.
pub fn after(refusal: &Refusal, way: &str) -> String {
    let is = |pattern: &str, text: &str| pattern.is_empty() || pattern == text;
    let fits = |line: &&Line| {
        is(line.kind, &refusal.kind)
            && refusal.asked.starts_with(line.asked)
            && is(line.place, refusal.place.rsplit('.').next().unwrap_or_default())
    };
    let (status, wait) = (refusal.status, refusal.wait);
    if let (429 | 503, Some(wait), true) = (status, wait, refusal.kind != "sealed") {
        return format!("the same again, in {wait} s");
    }
    let told = match (TABLE.iter().find(fits), status) {
        (Some(line), _) => line.next,
        (None, 401) => again(),
        (None, 403) => "coffer whoami",
        (None, 500..) => "coffer status",
        (None, _) => "coffer {way} --help",
    };
    told.replace("{way} ", &if way.is_empty() { String::new() } else { format!("{way} ") })
}

/// After any failure. What is of this machine alone is told by its own words.
pub fn command(failure: &Failure, way: &str) -> Option<String> {
    let command = |text: &str| Some(text.to_owned());
    match failure {
        Failure::Sealed { initialized: true } => command("coffer unseal"),
        Failure::Sealed { initialized: false } => command("coffer init --code-file FILE"),
        Failure::Unreachable { is_untrusted: true, .. } => {
            command("coffer login --ca-cert FILE, with the certificate of the authority that the server's is from")
        }
        Failure::Unreachable { .. } if way == "status" => command("coffer status --address URL, if it is elsewhere"),
        Failure::Unreachable { .. } => command("coffer status, with --address or COFFER_ADDR if it is elsewhere"),
        Failure::Refused(refusal) => Some(refusal.next.clone().unwrap_or_else(|| after(refusal, way))),
        Failure::Usage(_) if !way.is_empty() => Some(format!("coffer {way} --help")),
        _ => None,
    }
}

/// A login changes nothing for what the environment says.
fn again() -> &'static str {
    match std::env::var("COFFER_TOKEN").is_ok_and(|token| !token.trim().is_empty()) {
        true => "coffer login, and unset COFFER_TOKEN: it goes before the session that is saved",
        false => "coffer login",
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::Arguments;

    fn next(status: u16, body: &Value, asked: &str) -> String {
        let failure = Failure::refused(status, body).asked_for(asked);
        command(&failure, "secret put").unwrap()
    }

    #[test]
    fn every_line_of_the_table_is_a_command_that_parses() {
        for line in TABLE {
            let typed = line.next.split(',').next().unwrap().replace("{way}", "setting set security a=1");
            let words: Vec<&str> = typed.split_whitespace().collect();
            let error = Arguments::command().try_get_matches_from(&words).err();
            let is_right = error.as_ref().is_none_or(|error| error.kind() == clap::error::ErrorKind::DisplayHelp);
            assert!(is_right, "{typed}: {error:?}");
        }
    }

    #[test]
    fn no_line_of_the_table_hides_behind_another() {
        for (at, line) in TABLE.iter().enumerate() {
            let hides = |before: &&Line| {
                [(before.kind, line.kind), (before.place, line.place)].iter().all(|(a, b)| a.is_empty() || a == b)
                    && line.asked.starts_with(before.asked)
            };
            assert!(!TABLE[..at].iter().any(|before| hides(&before)), "{} {} {}", line.kind, line.asked, line.place);
        }
    }

    #[test]
    fn what_was_asked_for_decides_where_the_reason_does_not() {
        let gone = json!({"detail": [{"loc": [], "msg": "x", "type": "not_found"}]});
        assert_eq!(next(404, &gone, "users/nope"), "coffer user list");
        assert_eq!(next(404, &gone, "sessions?username"), "coffer user list");
        assert_eq!(next(404, &gone, "sessions/x"), "coffer session list");
        let of = json!({"detail": [{"loc": ["body", "username"], "msg": "x", "type": "not_found"}]});
        assert_eq!(next(422, &of, "sys/policies/explain"), "coffer user list");
        assert_eq!(next(422, &Value::Null, "secrets/x"), "coffer secret put --help");
        assert_eq!(next(401, &Value::Null, "secrets/x"), "coffer login");
        assert_eq!(next(403, &Value::Null, "secrets/x"), "coffer whoami");
        let waiting = Failure::refused(503, &Value::Null).wait(Some(3));
        assert_eq!(command(&waiting, "").unwrap(), "the same again, in 3 s");
        assert_eq!(command(&Failure::refused(404, &gone).next(404, || "coffer x".into()), "").unwrap(), "coffer x");
    }
}
