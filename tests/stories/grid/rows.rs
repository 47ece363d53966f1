//! The table: every operation, and who is answered what.
//!
//! A new operation is one line below: `row(GROUP, "operation_id", "/path/$thing").cells(WHO)`, with
//! `.body(json!({…}))` where it takes one. That row says: `WHO` are answered 200, as the document describes it,
//! everybody else as `WHO` has it. Where that is not all:
//!
//! - `.answers("422 built_in")`: what those who may are told, instead of 200;
//! - `.missing("/path/$none", "404 not_found")`, `.missing_body(json!({…}), …)`: the same call on what is not
//!   there, and what those who may are told; everybody else must see no difference;
//! - `.also("/other/path/$thing")`: another way to write the same call;
//! - `.then(After::…)`: what the call breaks for the rows after it.
//!
//! A `$name` in a path or a body is a thing that is made for the call: `World::make` lists them. An operation
//! may have several rows. A test fails for one that has none.

use serde_json::{Value, json};

use super::world::Actor;

/// Rows that share a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    People,
    Secrets,
    Leases,
    System,
    /// The store is one that shares open.
    Seal,
}
use Group::{Leases, People, Seal, Secrets, System};

/// What has to be put right after a call that was obeyed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    Nothing,
    LogIn,
    Unseal,
}

/// What each actor is answered, in their order; `-` is what those are told who may.
pub type Cells = [&'static str; Actor::ALL.len()];

const N: &str = "401 unauthenticated";
const F: &str = "403 forbidden";
const L: &str = "403 limited_session";
const S: &str = "401 insufficient_user_authentication";
const T: &str = "400 two_credentials";

/// Everybody.
const OPEN: Cells = ["-", "-", "-", "-", "-", "-", "-", "-", "-"];
/// Whoever sends no token: what stands in the body proves who it is.
const LOGIN: Cells = ["-", T, T, T, T, T, T, T, T];
/// Everybody who is somebody, for themselves.
const OWN: Cells = [N, "-", "-", "-", "-", "-", "-", "-", "-"];
/// The same, but no session that is narrower than its user.
const WHOLE: Cells = [N, "-", "-", L, F, L, F, "-", "-"];
/// The same soon after a login.
const WHOLE_RECENT: Cells = [N, "-", "-", L, F, L, F, S, "-"];
/// The user whose it is, and who may do everything.
const OWNERS: Cells = [N, "-", F, "-", F, "-", F, "-", "-"];
/// Who may do everything.
const ADMINS: Cells = [N, F, F, F, F, "-", F, "-", "-"];
/// The same soon after a login, by a session of unlimited uses.
const RULERS: Cells = [N, F, F, F, F, L, F, S, "-"];

/// One way to make a call, and what those who may are told.
#[derive(Clone)]
pub struct Call {
    pub path: &'static str,
    pub body: Value,
    pub answer: &'static str,
}

pub struct Row {
    pub group: Group,
    /// `operationId`.
    pub id: &'static str,
    pub cells: Cells,
    /// The first is the one that the document describes.
    pub calls: Vec<Call>,
    /// A body that is no JSON.
    pub file: Option<(&'static str, &'static [u8])>,
    pub after: After,
}

fn row(group: Group, id: &'static str, path: &'static str) -> Row {
    let calls = vec![Call { path, body: Value::Null, answer: "200" }];
    Row { group, id, cells: OPEN, calls, file: None, after: After::Nothing }
}

impl Row {
    fn cells(mut self, cells: Cells) -> Self {
        self.cells = cells;
        self
    }

    fn body(mut self, body: Value) -> Self {
        self.calls[0].body = body;
        self
    }

    fn file(mut self, media: &'static str, bytes: &'static [u8]) -> Self {
        self.file = Some((media, bytes));
        self
    }

    fn answers(mut self, answer: &'static str) -> Self {
        self.calls[0].answer = answer;
        self
    }

    fn also(mut self, path: &'static str) -> Self {
        self.calls.push(Call { path, ..self.calls[0].clone() });
        self
    }

    fn also_by(mut self, path: &'static str, body: Value) -> Self {
        self.calls.push(Call { path, body, ..self.calls[0].clone() });
        self
    }

    fn missing(mut self, path: &'static str, answer: &'static str) -> Self {
        self.calls.push(Call { path, answer, ..self.calls[0].clone() });
        self
    }

    fn missing_body(mut self, body: Value, answer: &'static str) -> Self {
        self.calls.push(Call { body, answer, ..self.calls[0].clone() });
        self
    }

    fn then(mut self, after: After) -> Self {
        self.after = after;
        self
    }
}

pub fn rows() -> Vec<Row> {
    [people(), secrets(), engines(), leases(), system(), seal()].into_iter().flatten().collect()
}

fn people() -> Vec<Row> {
    let login = |password: &str| json!({ "grant_type": "password", "username": "$ada", "password": password });
    let new =
        |name: &str| json!({ "username": name, "email": "new@example.com", "role": "user", "password": "$canary" });
    vec![
        row(People, "create_token", "/auth/token/create")
            .body(login("$ada_password"))
            .cells(LOGIN)
            .also("/token/create")
            .missing_body(login("$canary"), "400 invalid_grant"),
        row(People, "create_token", "/auth/token/create")
            .body(json!({ "grant_type": "session" }))
            .cells([N, "-", "-", L, "-", L, "-", "-", "-"])
            .also("/token/create"),
        row(People, "create_token", "/auth/token/create")
            .body(json!({ "grant_type": "refresh_token", "refresh_token": "$refresh" })),
        row(People, "resume_token", "/auth/token/resume")
            .body(json!({ "challenge_id": "$canary", "code": "123456" }))
            .cells(LOGIN)
            .answers("400 expired_token"),
        row(People, "browser_page", "/auth/github/browser?code=BCDF-GHJK").cells(LOGIN).answers("400 expired_token"),
        row(People, "browser_click", "/auth/github/browser")
            .body(json!({ "code": "BCDF-GHJK" }))
            .cells(LOGIN)
            .answers("400 expired_token"),
        row(People, "browser_callback", "/auth/github/callback?state=none&code=none")
            .cells(LOGIN)
            .answers("400 expired_token"),
        row(System, "get_auth_groups", "/auth/password/groups").cells(ADMINS).answers("404 not_found"),
        row(People, "renew_token", "/token/renew")
            .body(json!({ "refresh_token": "$refresh" }))
            .cells(OPEN)
            .also("/auth/token/renew")
            .missing_body(json!({ "refresh_token": "$canary" }), "400 invalid_grant"),
        row(People, "revoke_token", "/token/revoke")
            .body(json!({ "revoke_token": "$token" }))
            .cells(OPEN)
            .also("/auth/token/revoke")
            .missing_body(json!({ "token": "$canary" }), "200"),
        row(People, "introspect_token", "/token/introspect")
            .body(json!({ "token": "$token" }))
            .cells(OWN)
            .missing_body(json!({ "token": "$canary" }), "200"),
        row(People, "current_session", "/sessions/current").cells(OWN),
        row(People, "list_sessions", "/sessions").cells(WHOLE),
        row(People, "list_sessions", "/sessions?username=$user")
            .cells(ADMINS)
            .missing("/sessions?username=$none", "404 not_found"),
        row(People, "revoke_session", "/sessions/$session/revoke").cells([N, "-", F, L, F, L, F, S, "-"]),
        row(People, "revoke_session", "/sessions/$others_session/revoke")
            .cells(RULERS)
            .missing("/sessions/$no_session/revoke", "404 not_found"),
        row(People, "revoke_sessions", "/sessions/revoke")
            .body(json!({ "others": true }))
            .cells(WHOLE)
            .then(After::LogIn),
        row(People, "revoke_sessions", "/sessions/revoke")
            .body(json!({ "username": "$user" }))
            .cells(RULERS)
            .missing_body(json!({ "username": "$none" }), "422 not_found"),
        row(People, "list_users", "/users").cells(ADMINS),
        row(People, "current_user", "/users/me").cells(OWN),
        row(People, "get_user", "/users/$user").cells(ADMINS).missing("/users/$none", "404 not_found"),
        row(People, "create_user", "/users/create")
            .body(new("$new"))
            .cells(RULERS)
            .missing_body(new("$user"), "422 already_exists"),
        row(People, "update_user", "/users/$user/update")
            .body(json!({ "disabled": true }))
            .cells(RULERS)
            .missing("/users/$none/update", "422 not_found"),
        row(People, "delete_user", "/users/$user/delete")
            .body(json!({}))
            .cells(RULERS)
            .also_by("/users/delete", json!({ "username": "$user" }))
            .missing("/users/$none/delete", "422 not_found"),
        row(People, "change_password", "/users/$user/password")
            .body(json!({ "new": "$canary" }))
            .cells(RULERS)
            .missing("/users/$none/password", "422 not_found"),
        row(People, "change_password", "/users/me/password")
            .body(json!({ "current": "$canary", "new": "$canary" }))
            .cells(WHOLE)
            .answers("422 invalid_value"),
        row(People, "list_credentials", "/users/$machine/credentials/clients")
            .cells(ADMINS)
            .missing("/users/$none/credentials/clients", "404 not_found"),
        row(People, "list_credentials", "/users/me/credentials/totp").cells(WHOLE),
        row(People, "enroll_credential", "/users/$machine/credentials/clients")
            .body(json!({}))
            .cells(RULERS)
            .missing("/users/$none/credentials/clients", "422 not_found"),
        row(People, "list_credentials", "/users/$user/credentials/$hub")
            .cells(ADMINS)
            .missing("/users/$none/credentials/$hub", "404 not_found"),
        row(People, "enroll_credential", "/users/$user/credentials/$hub")
            .body(json!({ "subject": "$new" }))
            .cells(RULERS)
            .missing("/users/$none/credentials/$hub", "422 not_found"),
        row(People, "enroll_credential", "/users/me/credentials/$hub")
            .body(json!({ "subject": "$new" }))
            .cells(WHOLE_RECENT)
            .answers("422 invalid_value"),
        row(People, "remove_credential", "/users/$user/credentials/$hub/$link")
            .cells(RULERS)
            .missing("/users/$user/credentials/$hub/none", "404 not_found"),
        row(People, "enroll_credential", "/users/me/credentials/totp")
            .body(json!({ "label": "phone" }))
            .cells(WHOLE_RECENT),
        row(People, "remove_credential", "/users/$machine/credentials/clients/$credential")
            .cells(RULERS)
            .missing("/users/$none/credentials/clients/x", "404 not_found"),
        row(People, "remove_credential", "/users/me/credentials/totp/none")
            .cells(WHOLE_RECENT)
            .answers("404 not_found"),
    ]
}

fn secrets() -> Vec<Row> {
    let put = || json!({ "data": { "pass": "$canary" } });
    let create = |id: &str| json!({ "secret_id": id, "data": { "pass": "$canary" } });
    // Both ways to write each call, and the same on what is not there.
    let both = |id, path, second, missing, answer: &'static str| {
        move |body: Value| row(Secrets, id, path).body(body).cells(OWNERS).also(second).missing(missing, answer)
    };
    vec![
        row(Secrets, "list_secrets", "/secrets").cells(OWN),
        row(Secrets, "list_secrets", "/secrets?prefix=$folder")
            .cells(OWNERS)
            .missing("/secrets?prefix=$no_secret&recursive=true", "200"),
        row(Secrets, "list_secrets", "/secrets?prefix=nowhere").cells(ADMINS).answers("404 not_found"),
        row(Secrets, "create_secret", "/secrets/create")
            .body(create("$no_secret"))
            .cells(OWNERS)
            .missing_body(create("$secret"), "422 already_exists"),
        both("read_secret", "/secrets/$secret", "/secrets?secret_id=$secret", "/secrets/$no_secret", "404 not_found")(
            Value::Null,
        ),
        both("put_secret", "/secrets/$secret", "/secrets?secret_id=$secret", "/secrets/$no_secret", "200")(put()),
        both("patch_secret", "/secrets/$secret", "/secrets?secret_id=$secret", "/secrets/$no_secret", "404 not_found")(
            json!({ "data": { "more": "$canary" } }),
        ),
        both("delete_secret", "/secrets/$secret", "/secrets?secret_id=$secret", "/secrets/$no_secret", "404 not_found")(
            Value::Null,
        ),
        both(
            "get_secret_history",
            "/secrets/$secret:history",
            "/secrets:history?secret_id=$secret",
            "/secrets/$no_secret:history",
            "404 not_found",
        )(Value::Null),
        both(
            "get_secret_metadata",
            "/secrets/$secret:metadata",
            "/secrets:metadata?secret_id=$secret",
            "/secrets/$no_secret:metadata",
            "404 not_found",
        )(Value::Null),
        both(
            "post_secret_metadata",
            "/secrets/$secret:metadata",
            "/secrets:metadata?secret_id=$secret",
            "/secrets/$no_secret:metadata",
            "404 not_found",
        )(json!({ "metadata": { "owner": "web" } })),
        both(
            "post_secret_restore",
            "/secrets/$secret:restore",
            "/secrets:restore?secret_id=$secret",
            "/secrets/$no_secret:restore",
            "404 not_found",
        )(json!({ "version": 1 })),
        both(
            "post_secret_undelete",
            "/secrets/$deleted:undelete",
            "/secrets:undelete?secret_id=$deleted",
            "/secrets/$no_secret:undelete",
            "404 not_found",
        )(json!({})),
        both(
            "post_secret_destroy",
            "/secrets/$secret:destroy",
            "/secrets:destroy?secret_id=$secret",
            "/secrets/$no_secret:destroy",
            "404 not_found",
        )(json!({ "versions": [1] })),
        both(
            "post_secret_purge",
            "/secrets/$secret:purge",
            "/secrets:purge?secret_id=$secret",
            "/secrets/$no_secret:purge",
            "404 not_found",
        )(json!({})),
    ]
}

/// The verbs of engines whose keys belong to nobody in particular.
fn engines() -> Vec<Row> {
    let key = |id, path, missing, body: Value| {
        row(Secrets, id, path).body(body).cells(ADMINS).missing(missing, "404 not_found")
    };
    let text = "c2VjcmV0IGVub3VnaA==";
    let code = json!({ "code": "123456" });
    vec![
        key("post_secret_encrypt", "/secrets/$key:encrypt", "/secrets/$no_key:encrypt", json!({ "plaintext": text })),
        key(
            "post_secret_decrypt",
            "/secrets/$key:decrypt",
            "/secrets/$no_key:decrypt",
            json!({ "ciphertext": "$ciphertext" }),
        ),
        key(
            "post_secret_rewrap",
            "/secrets/$key:rewrap",
            "/secrets/$no_key:rewrap",
            json!({ "ciphertext": "$ciphertext" }),
        ),
        key("post_secret_datakey", "/secrets/$key:datakey", "/secrets/$no_key:datakey", json!({})),
        key(
            "post_secret_wrapped_datakey",
            "/secrets/$key:wrapped-datakey",
            "/secrets/$no_key:wrapped-datakey",
            json!({}),
        ),
        key("post_secret_sign", "/secrets/$signing:sign", "/secrets/$no_key:sign", json!({ "input": text })),
        key(
            "post_secret_verify",
            "/secrets/$signing:verify",
            "/secrets/$no_key:verify",
            json!({ "input": text, "signature": "$signature" }),
        ),
        key("post_secret_hmac", "/secrets/$mac:hmac", "/secrets/$no_key:hmac", json!({ "input": text })),
        key("post_secret_rotate", "/secrets/$key:rotate", "/secrets/$no_key:rotate", json!({})),
        key(
            "post_secret_configure",
            "/secrets/$key:configure",
            "/secrets/$no_key:configure",
            json!({ "deletable": true }),
        ),
        key("get_secret_code", "/secrets/$authenticator:code", "/secrets/totp%2Fnone:code", Value::Null),
        key("post_secret_validate", "/secrets/$authenticator:validate", "/secrets/totp%2Fnone:validate", code),
    ]
}

fn leases() -> Vec<Row> {
    let own = [N, "-", F, F, F, L, F, S, "-"];
    vec![
        row(Leases, "list_leases", "/leases").cells(OWN),
        row(Leases, "list_leases", "/leases?username=$user")
            .cells(ADMINS)
            .missing("/leases?username=$none", "404 not_found"),
        row(Leases, "list_leases", "/leases?prefix=db").cells(ADMINS),
        row(Leases, "read_lease", "/leases/$lease").cells([N, "-", F, F, F, "-", F, "-", "-"]),
        row(Leases, "read_lease", "/leases/$others_lease").cells(ADMINS).missing("/leases/$no_lease", "404 not_found"),
        row(Leases, "renew_lease", "/leases/$lease/renew").body(json!({ "increment": "5m" })).cells(own),
        row(Leases, "renew_lease", "/leases/$others_lease/renew")
            .body(json!({}))
            .cells(RULERS)
            .missing("/leases/$no_lease/renew", "404 not_found"),
        row(Leases, "revoke_lease", "/leases/$lease/revoke").body(json!({})).cells(own),
        row(Leases, "revoke_lease", "/leases/$others_lease/revoke")
            .body(json!({}))
            .cells(RULERS)
            .missing("/leases/$no_lease/revoke", "404 not_found"),
        row(Leases, "forget_lease", "/leases/$others_lease/forget")
            .body(json!({}))
            .cells(RULERS)
            .answers("422 invalid_value")
            .missing("/leases/$no_lease/forget", "404 not_found"),
        row(Leases, "revoke_leases", "/leases/revoke").body(json!({ "prefix": "db" })).cells(RULERS),
        row(Leases, "revoke_leases", "/leases/revoke")
            .body(json!({ "username": "$user" }))
            .cells(RULERS)
            .missing_body(json!({ "username": "$none" }), "422 not_found"),
    ]
}

fn system() -> Vec<Row> {
    let policy = || json!({ "text": "forbid (principal, action, resource in Resource::\"secrets/kv/none\");" });
    vec![
        row(System, "openapi", "/openapi.json").cells(OPEN),
        row(System, "health", "/sys/health").cells(OPEN),
        row(System, "seal_status", "/sys/seal-status").cells(OPEN),
        row(System, "list_settings", "/sys/settings").cells(ADMINS).also("/settings"),
        row(System, "get_setting", "/sys/setting/$setting")
            .cells(ADMINS)
            .missing("/sys/setting/$no_setting", "404 not_found")
            .missing("/sys/setting/auth%2Fnone", "404 not_found"),
        row(System, "get_setting", "/sys/setting/auth%2Fpassword").cells(ADMINS),
        row(System, "get_setting_history", "/sys/setting/$setting:history")
            .cells(ADMINS)
            .missing("/sys/setting/$no_setting:history", "404 not_found"),
        row(System, "set_setting", "/sys/setting")
            .body(json!({ "key": "$setting", "value": { "b": 2 } }))
            .cells(RULERS)
            .missing_body(json!({ "key": "$no_setting", "value": 1 }), "200"),
        row(System, "put_setting", "/sys/setting/$setting")
            .body(json!({ "value": [1] }))
            .cells(RULERS)
            .missing("/sys/setting/$no_setting", "200"),
        row(System, "delete_setting", "/sys/setting/$setting")
            .cells(RULERS)
            .missing("/sys/setting/$no_setting", "404 not_found"),
        row(System, "get_security", "/sys/security").cells(ADMINS),
        row(System, "set_security", "/sys/security").body(json!({ "passwords": { "min_length": 13 } })).cells(RULERS),
        row(System, "list_plugins", "/sys/plugins").cells(ADMINS),
        row(System, "get_plugin", "/sys/plugins/kv/$kv_version")
            .cells(ADMINS)
            .missing("/sys/plugins/none/1.0.0", "404 not_found"),
        row(System, "upload_plugin", "/sys/plugins/$new/1.0.0")
            .file("application/wasm", b"\0asm nothing")
            .cells(RULERS)
            .answers("422 bad_plugin")
            .missing("/sys/plugins/kv/$kv_version", "422 reserved_name"),
        row(System, "delete_plugin", "/sys/plugins/kv/$kv_version")
            .cells(RULERS)
            .answers("422 reserved_name")
            .missing("/sys/plugins/none/1.0.0", "404 not_found"),
        row(System, "list_mounts", "/sys/mounts").cells(ADMINS),
        row(System, "get_mount", "/sys/mounts/secrets/kv")
            .cells(ADMINS)
            .missing("/sys/mounts/secrets/none", "404 not_found"),
        row(System, "get_mount_log", "/sys/mounts/auth/password/log")
            .cells(ADMINS)
            .missing("/sys/mounts/auth/none/log", "404 not_found"),
        row(System, "get_mount_failures", "/sys/mounts/secrets/kv/failures")
            .cells(ADMINS)
            .missing("/sys/mounts/secrets/none/failures", "404 not_found"),
        row(System, "metrics", "/metrics").cells(ADMINS),
        row(System, "list_roles", "/sys/roles").cells(ADMINS),
        row(System, "get_role", "/sys/roles/$role").cells(ADMINS).missing("/sys/roles/$none", "404 not_found"),
        row(System, "put_role", "/sys/roles/$new")
            .body(json!({ "description": "those" }))
            .cells(RULERS)
            .missing("/sys/roles/$role", "200")
            .missing("/sys/roles/admin", "422 built_in"),
        row(System, "delete_role", "/sys/roles/$role").cells(RULERS).missing("/sys/roles/$none", "404 not_found"),
        row(System, "list_policies", "/sys/policies").cells(ADMINS),
        row(System, "get_policy", "/sys/policies/$policy")
            .cells(ADMINS)
            .missing("/sys/policies/$none", "404 not_found")
            .missing("/sys/policies/coffer", "200"),
        row(System, "put_policy", "/sys/policies/$new")
            .body(policy())
            .cells(RULERS)
            .missing("/sys/policies/$policy", "200")
            .missing("/sys/policies/coffer", "422 built_in"),
        row(System, "delete_policy", "/sys/policies/$policy")
            .cells(RULERS)
            .missing("/sys/policies/$none", "404 not_found"),
        row(System, "explain_policies", "/sys/policies/explain")
            .cells(ADMINS)
            .body(json!({ "action": "read", "path": "secrets/kv/x", "username": "$ada" })),
        row(System, "verify_audit", "/sys/audit/verify")
            .body(json!({ "lines": [] }))
            .cells(ADMINS)
            .missing_body(json!({ "end": true }), "200"),
    ]
}

fn seal() -> Vec<Row> {
    vec![
        row(Seal, "init", "/sys/init").body(json!({ "code": "$code" })).cells(OPEN).answers("422 already_initialized"),
        row(Seal, "unseal", "/sys/unseal")
            .body(json!({ "share": "$share" }))
            .cells(OPEN)
            .missing_body(json!({ "share": "$canary" }), "422 invalid_value"),
        row(Seal, "generate_root", "/sys/generate-root")
            .body(json!({ "share": "$canary" }))
            .cells(OPEN)
            .answers("422 invalid_value"),
        row(Seal, "rekey", "/sys/rekey")
            .body(json!({ "share": "$share", "shares": 3, "threshold": 2 }))
            .cells(RULERS)
            .missing_body(json!({ "share": "$canary" }), "422 invalid_value"),
        row(Seal, "rotate", "/sys/rotate").body(json!({})).cells(RULERS),
        row(Seal, "seal", "/sys/seal").body(json!({})).cells(RULERS).then(After::Unseal),
    ]
}
