use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub use crate::problem::Problem;
use crate::{ids::PublisherKey, limits, span::Span};

/// The whole document. A member that is left out has its default.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[schema(as = Security)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    pub sessions: Sessions,
    pub passwords: Passwords,
    pub logins: Logins,
    pub step_up: StepUp,
    pub plugins: Plugins,
    pub mounts: Mounts,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = SessionRules)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    pub idle: Span,
    pub absolute: Span,
    pub refresh: Span,
    pub max_ttl: Span,
    #[schema(minimum = 1, maximum = 1000)]
    pub max_per_user: u32,
    pub over_limit: OverLimit,
    pub bind: Bind,
    #[schema(minimum = 1, maximum = 128)]
    pub bind_ipv6_prefix: u8,
    #[schema(minimum = 1)]
    pub default_max_uses: Option<u32>,
    pub one_time_ttl: Span,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OverLimit {
    EndOldest,
    Refuse,
}

/// To which addresses a session is bound that asks for nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = BindDefault)]
#[serde(rename_all = "snake_case")]
pub enum Bind {
    None,
    Caller,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PasswordRules)]
#[serde(default, deny_unknown_fields)]
pub struct Passwords {
    /// Characters.
    #[schema(minimum = 8, maximum = 128)]
    pub min_length: u32,
    /// Bytes.
    #[schema(minimum = 64, maximum = 4096)]
    pub max_length: u32,
    pub refuse_common: bool,
    pub argon2: Argon2,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Argon2Cost)]
#[serde(default, deny_unknown_fields)]
pub struct Argon2 {
    #[schema(minimum = 8192, maximum = 1_048_576)]
    pub memory_kib: u32,
    #[schema(minimum = 1, maximum = 16)]
    pub iterations: u32,
    #[schema(minimum = 1, maximum = 4)]
    pub parallelism: u32,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = LoginRules)]
#[serde(default, deny_unknown_fields)]
pub struct Logins {
    #[schema(minimum = 1, maximum = 1000)]
    pub failures: u32,
    pub window: Span,
    #[schema(minimum = 1, maximum = 100_000)]
    pub failures_per_address: u32,
    /// Which roles a login by a mount may give; `*` is all. A mount that is not named may give none.
    pub roles: BTreeMap<String, Vec<String>>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = StepUpRules)]
#[serde(default, deny_unknown_fields)]
pub struct StepUp {
    pub max_age: Span,
    /// Names of `OPERATIONS`.
    #[schema(schema_with = super::schema::operations)]
    pub operations: Vec<String>,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = PluginRules)]
#[serde(default, deny_unknown_fields)]
pub struct Plugins {
    pub require_signature: bool,
    /// Keys whose signature is good enough: `ed25519:` and base64.
    #[schema(schema_with = super::schema::publishers)]
    pub publishers: Vec<PublisherKey>,
    /// SHA-256 of plugins that may not run, in hex, whatever signature they bear.
    #[schema(schema_with = super::schema::denied)]
    pub denied: Vec<String>,
    /// Between `1MiB` and `1GiB`: a whole number of KiB, MiB or GiB.
    #[schema(pattern = "^[0-9]+(KiB|MiB|GiB)$")]
    pub max_memory: String,
    #[schema(minimum = 1, maximum = 10_000)]
    pub max_cpu_ms: u32,
    #[schema(minimum = 10, maximum = 60_000)]
    pub max_wall_ms: u32,
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = MountRules)]
#[serde(default, deny_unknown_fields)]
pub struct Mounts {
    pub keep_removed: Span,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            idle: Span::minutes(30),
            absolute: Span::hours(12),
            refresh: Span::days(30),
            max_ttl: Span::days(32),
            max_per_user: 50,
            over_limit: OverLimit::EndOldest,
            bind: Bind::None,
            bind_ipv6_prefix: 64,
            default_max_uses: None,
            one_time_ttl: Span::minutes(10),
        }
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self { min_length: 12, max_length: 1024, refuse_common: true, argon2: Argon2::default() }
    }
}

/// The first choice of OWASP's cheat sheet for a server without much memory to spare.
impl Default for Argon2 {
    fn default() -> Self {
        Self { memory_kib: 19_456, iterations: 2, parallelism: 1 }
    }
}

impl Default for Logins {
    fn default() -> Self {
        let roles = [("password", "*"), ("clients", "user"), ("github", "user")];
        Self {
            failures: 10,
            window: Span::minutes(15),
            failures_per_address: 100,
            roles: roles.into_iter().map(|(mount, role)| (mount.to_owned(), vec![role.to_owned()])).collect(),
        }
    }
}

impl Default for StepUp {
    fn default() -> Self {
        Self { max_age: Span::minutes(10), operations: Vec::new() }
    }
}

impl Default for Plugins {
    fn default() -> Self {
        Self {
            require_signature: true,
            publishers: Vec::new(),
            denied: Vec::new(),
            max_memory: "64MiB".to_owned(),
            max_cpu_ms: 500,
            max_wall_ms: 30_000,
        }
    }
}

impl Default for Mounts {
    fn default() -> Self {
        Self { keep_removed: Span::days(30) }
    }
}

impl Rules {
    /// Checks a whole document and every bound in it.
    pub fn parse(value: &Value) -> Result<Self, Vec<Problem>> {
        let rules: Self = crate::problem::decode(value)?;
        let problems = rules.check();
        if problems.is_empty() { Ok(rules) } else { Err(problems) }
    }

    /// May a login by this mount give this role?
    pub fn may_give(&self, mount: &str, role: &str) -> bool {
        self.logins.roles.get(mount).is_some_and(|roles| roles.iter().any(|given| given == "*" || given == role))
    }

    fn check(&self) -> Vec<Problem> {
        let mut found = Vec::new();
        let sessions = &self.sessions;
        let year = Duration::from_secs(366 * 86_400);
        for (at, span) in [
            ("/sessions/idle", sessions.idle),
            ("/sessions/absolute", sessions.absolute),
            ("/sessions/refresh", sessions.refresh),
            ("/sessions/max_ttl", sessions.max_ttl),
            ("/sessions/one_time_ttl", sessions.one_time_ttl),
            ("/logins/window", self.logins.window),
            ("/step_up/max_age", self.step_up.max_age),
        ] {
            range(
                &mut found,
                at,
                span.duration(),
                Duration::from_secs(1),
                year,
                "must be between 1 second and 366 days",
            );
        }
        if sessions.refresh > sessions.max_ttl {
            found.push(Problem::new("/sessions/refresh", "out_of_range", "must not be more than max_ttl"));
        }
        let (passwords, logins, plugins) = (&self.passwords, &self.logins, &self.plugins);
        range(&mut found, "/sessions/max_per_user", sessions.max_per_user, 1, 1000, "must be between 1 and 1000");
        range(&mut found, "/sessions/bind_ipv6_prefix", sessions.bind_ipv6_prefix, 1, 128, "must be between 1 and 128");
        if sessions.default_max_uses == Some(0) {
            found.push(Problem::new("/sessions/default_max_uses", "out_of_range", "must be at least 1, or null"));
        }
        range(&mut found, "/passwords/min_length", passwords.min_length, 8, 128, "must be between 8 and 128");
        if passwords.min_length > passwords.max_length {
            found.push(Problem::new("/passwords/min_length", "out_of_range", "must not be more than max_length"));
        }
        range(&mut found, "/passwords/max_length", passwords.max_length, 64, 4096, "must be between 64 and 4096");
        let cost = &passwords.argon2;
        range(
            &mut found,
            "/passwords/argon2/memory_kib",
            cost.memory_kib,
            8192,
            1_048_576,
            "must be between 8192 and 1048576",
        );
        range(&mut found, "/passwords/argon2/iterations", cost.iterations, 1, 16, "must be between 1 and 16");
        range(&mut found, "/passwords/argon2/parallelism", cost.parallelism, 1, 4, "must be between 1 and 4");
        range(&mut found, "/logins/failures", logins.failures, 1, 1000, "must be between 1 and 1000");
        range(
            &mut found,
            "/logins/failures_per_address",
            logins.failures_per_address,
            1,
            100_000,
            "must be between 1 and 100000",
        );
        range(&mut found, "/plugins/max_cpu_ms", plugins.max_cpu_ms, 1, 10_000, "must be between 1 and 10000");
        range(&mut found, "/plugins/max_wall_ms", plugins.max_wall_ms, 10, 60_000, "must be between 10 and 60000");
        if plugins.publishers.len() > limits::PUBLISHERS {
            found.push(Problem::new("/plugins/publishers", "out_of_range", "must be at most 64"));
        }
        if plugins.denied.len() > limits::DENIED_PLUGINS {
            found.push(Problem::new("/plugins/denied", "out_of_range", "must be at most 1000"));
        }
        let is_digest =
            |text: &String| text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if let Some(at) = plugins.denied.iter().position(|text| !is_digest(text)) {
            found.push(Problem::new(format!("/plugins/denied/{at}"), "invalid_value", "must be 64 hex digits"));
        }
        if bytes(&plugins.max_memory).is_none_or(|bytes| !(1 << 20..=1 << 30).contains(&bytes)) {
            found.push(Problem::new(
                "/plugins/max_memory",
                "invalid_value",
                "must be between 1MiB and 1GiB, as in 64MiB",
            ));
        }
        found
    }
}

/// `64MiB` in bytes: a whole number of KiB, MiB or GiB.
pub fn bytes(text: &str) -> Option<usize> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let (digits, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    digits.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    digits.parse::<usize>().ok()?.checked_mul(unit)
}

fn range<T: PartialOrd>(found: &mut Vec<Problem>, at: &str, value: T, least: T, most: T, message: &'static str) {
    if value < least || value > most {
        found.push(Problem::new(at, "out_of_range", message));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_said_is_the_documented_default() {
        assert_eq!(Rules::parse(&json!({})).unwrap(), Rules::default());
        let told = serde_json::to_value(Rules::default()).unwrap();
        assert_eq!(told["sessions"]["absolute"], "12h");
        assert_eq!(Rules::parse(&told).unwrap(), Rules::default());
    }

    #[test]
    fn each_bound_is_told_with_its_place() {
        let cases = [
            (json!({"sessions": {"idle": 0}}), "/sessions/idle"),
            (json!({"sessions": {"refresh": "40d"}}), "/sessions/refresh"),
            (json!({"sessions": {"bind": "list"}}), "/sessions/bind"),
            (json!({"sessions": {"bind": "house"}}), "/sessions/bind"),
            (json!({"sessions": {"idle": "soon"}}), "/sessions/idle"),
            (json!({"passwords": {"min_length": 7}}), "/passwords/min_length"),
            (json!({"passwords": {"argon2": {"memory_kib": 1}}}), "/passwords/argon2/memory_kib"),
            (json!({"plugins": {"max_memory": "64MB"}}), "/plugins/max_memory"),
            (json!({"sessions": {"surprise": 1}}), "/sessions/surprise"),
            (json!({"surprise": 1}), "/surprise"),
        ];
        for (document, at) in cases {
            let problems = Rules::parse(&document).unwrap_err();
            assert_eq!(problems[0].at, at, "{document}");
        }
    }

    #[test]
    fn only_named_mounts_give_roles() {
        let rules = Rules::default();
        assert!(rules.may_give("password", "admin") && rules.may_give("github", "user"));
        assert!(!rules.may_give("github", "admin") && !rules.may_give("ldap", "user"));
    }
}
