//! A server for a group of rows: who calls it, and what they call it about.

use std::collections::BTreeMap;
use std::sync::Mutex;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::super::leases::{borrow, mount};
use super::document::Document;
use crate::harness::{Client, Lender, Outside, Seal, TestServer, canary, eventually, unique};

/// Who asks. A row has one cell for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Actor {
    Anonymous,
    /// Somebody of role `user`, who owns what the rows on secrets and sessions are about.
    User,
    /// Somebody else of that role, who owns nothing of it.
    Other,
    /// A session of the user's with a number of uses.
    Limited,
    /// A session of the user's for something else.
    Scoped,
    LimitedAdmin,
    ScopedAdmin,
    /// An admin whose login is too long ago for what needs a recent one.
    Stale,
    Admin,
}

impl Actor {
    pub const ALL: [Self; 9] = [
        Self::Anonymous,
        Self::User,
        Self::Other,
        Self::Limited,
        Self::Scoped,
        Self::LimitedAdmin,
        Self::ScopedAdmin,
        Self::Stale,
        Self::Admin,
    ];
}

/// What there is while one cell is filled: `$names` and what they stand for.
pub type Things = BTreeMap<String, String>;

pub struct World {
    pub server: TestServer,
    pub document: Document,
    actors: Mutex<BTreeMap<Actor, Client>>,
    /// Makes what is acted on, whatever the actors may.
    maker: Client,
    admin: (String, String),
    /// Of users that rows are about.
    passwords: Mutex<BTreeMap<String, String>>,
    /// Of a store that shares open.
    shares: Vec<String>,
    code: String,
    /// Where there is something to be lent.
    _outside: Option<Outside>,
}

const ELSEWHERE: &str = "read:secrets/kv/elsewhere list:secrets/kv/elsewhere";

impl World {
    /// A dev server, whose root token makes what is needed.
    pub async fn dev() -> Self {
        let server = TestServer::start().await;
        let text = |name: &str| server.ready[name].as_str().expect("it is told").to_owned();
        let maker = server.anonymous().with_token(&text("root_token"));
        let admin = (text("admin_username"), text("admin_password"));
        Self::of(server, maker, admin, Vec::new(), String::new()).await
    }

    /// A dev server with an engine `db` that lends to everybody.
    pub async fn with_leases() -> Self {
        let (mut world, outside) = (Self::dev().await, Outside::start().await);
        mount(&world.maker, "db", &Lender::default(), &outside).await;
        let text =
            r#"permit (principal in Role::"user", action == Action::"create", resource in Resource::"secrets/db");"#;
        world.maker.put("/sys/policies/borrow", json!({ "text": text })).await.expect(200);
        world._outside = Some(outside);
        world
    }

    /// A server whose store shares open.
    pub async fn with_shares() -> Self {
        let server = TestServer::builder().seal(Seal::Shamir).start().await;
        let code = server.init_code();
        let body = json!({ "code": code, "shares": 3, "threshold": 2 });
        let made = server.anonymous().post("/sys/init", body).await.expect(200);
        let root = server.anonymous().with_token(made["root_token"].as_str().expect("a root token"));
        for (key, plugin) in [("auth/password", "password"), ("secrets/kv", "kv")] {
            root.post("/sys/setting", json!({ "key": key, "value": { "plugin": plugin } })).await.expect(200);
        }
        let admin = ("grace".to_owned(), canary("grace"));
        let first = json!({ "username": admin.0, "password": admin.1, "email": "grace@example.com", "role": "admin" });
        root.post("/users/create", first).await.expect(200);
        let maker = server.log_in(&admin.0, &admin.1).await;
        let shares = serde_json::from_value(made["shares"].clone()).expect("shares");
        Self::of(server, maker, admin, shares, code).await
    }

    async fn of(server: TestServer, maker: Client, admin: (String, String), shares: Vec<String>, code: String) -> Self {
        let document = Document::read(server.anonymous().get("/openapi.json").await.expect(200));
        maker.post("/sys/security", json!({ "sessions": { "max_per_user": 1000 }, "logins": { "failures": 1000, "failures_per_address": 10_000 } })).await.expect(200);
        for name in ["ada", "bob"] {
            let password = canary("password");
            let body = json!({ "username": name, "email": format!("{name}@example.com"), "role": "user", "password": password });
            maker.post("/users/create", body).await.expect(200);
            server.keep_password(name, &password);
        }
        let (actors, passwords) = (Mutex::default(), Mutex::default());
        let world = Self { server, document, actors, maker, admin, passwords, shares, code, _outside: None };
        world.log_in().await;
        world
    }

    /// Everybody anew, but whoever logged in too long ago.
    pub async fn log_in(&self) {
        let (ada, bob) = (self.server.login("ada").await, self.server.login("bob").await);
        let admin = self.log_in_admin().await;
        let narrow = async |of: &Client, scope: Option<&str>, session: Value| {
            of.with_session(of.child(scope, session).await.expect(200))
        };
        let limits = json!({ "max_uses": 10_000 });
        let actors = BTreeMap::from([
            (Actor::Anonymous, self.server.anonymous()),
            (Actor::Limited, narrow(&ada, None, limits.clone()).await),
            (Actor::Scoped, narrow(&ada, Some(ELSEWHERE), json!({})).await),
            (Actor::LimitedAdmin, narrow(&admin, None, limits).await),
            (Actor::ScopedAdmin, narrow(&admin, Some(ELSEWHERE), json!({})).await),
            (Actor::User, ada),
            (Actor::Other, bob),
            (Actor::Admin, admin),
        ]);
        self.actors.lock().expect("nobody panics here").extend(actors);
    }

    async fn log_in_admin(&self) -> Client {
        self.server.log_in(&self.admin.0, &self.admin.1).await
    }

    /// From here on every login is too long ago, but the maker's. It is for the last.
    pub async fn grow_stale(&self) {
        let admin = self.log_in_admin().await;
        admin.post("/sys/security", json!({ "step_up": { "max_age": "1s" } })).await.expect(200);
        let body = json!({ "key": "custom/stale", "value": 1, "dry_run": true });
        eventually("the login is too long ago", || {
            let call = admin.post("/sys/setting", body.clone());
            async { (call.await.status == 401).then_some(()) }
        })
        .await;
        self.actors.lock().expect("nobody panics here").insert(Actor::Stale, admin);
    }

    pub fn actor(&self, actor: Actor) -> Client {
        self.actors.lock().expect("nobody panics here")[&actor].clone()
    }

    /// Opens the store again.
    pub async fn unseal(&self) {
        for share in &self.shares[..2] {
            self.server.anonymous().post("/sys/unseal", json!({ "share": share })).await.expect(200);
        }
    }

    // --- what rows are about ---

    /// Puts what `$names` stand for into a path, percent-encoded.
    pub async fn path(&self, template: &str, things: &mut Things) -> String {
        let mut path = String::new();
        for (at, part) in template.split('$').enumerate() {
            if at == 0 {
                path.push_str(part);
                continue;
            }
            let end = part.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(part.len());
            let thing = self.thing(&part[..end], things).await;
            path.push_str(&utf8_percent_encode(&thing, NON_ALPHANUMERIC).to_string());
            path.push_str(&part[end..]);
        }
        path
    }

    /// The same for each text of a body that is a `$name`.
    pub async fn body(&self, template: &Value, things: &mut Things) -> Value {
        match template {
            Value::String(text) if text.starts_with('$') => self.thing(&text[1..], things).await.into(),
            Value::Array(values) => {
                let mut made = Vec::new();
                for value in values {
                    made.push(Box::pin(self.body(value, things)).await);
                }
                made.into()
            }
            Value::Object(members) => {
                let mut made = serde_json::Map::new();
                for (name, value) in members {
                    made.insert(name.clone(), Box::pin(self.body(value, things)).await);
                }
                made.into()
            }
            other => other.clone(),
        }
    }

    /// What a `$name` stands for: made when it is first asked for. One more kind of thing is one more arm here.
    async fn thing(&self, name: &str, things: &mut Things) -> String {
        if let Some(thing) = things.get(name) {
            return thing.clone();
        }
        let thing = Box::pin(self.make(name, things)).await;
        things.insert(name.to_owned(), thing.clone());
        thing
    }

    /// The user that the row is about, logged in.
    async fn somebody(&self, things: &mut Things) -> Client {
        let user = self.thing("user", things).await;
        let password = self.passwords.lock().expect("nobody panics here")[&user].clone();
        self.server.log_in(&user, &password).await
    }

    async fn make(&self, name: &str, things: &mut Things) -> String {
        let ada = self.actor(Actor::User);
        match name {
            // A name that nothing has, of the shape that everything takes.
            "none" | "new" => unique(name),
            "canary" => canary("grid"),
            "ada" => "ada".to_owned(),
            "ada_password" => ada.password,
            "no_session" => "0".repeat(ada.session_id().len()),
            "user" => {
                let name = unique("user");
                let email = format!("{name}@example.com");
                let password = canary("user");
                let body = json!({ "username": name, "email": email, "role": "user", "password": password });
                self.maker.post("/users/create", body).await.expect(200);
                self.passwords.lock().expect("nobody panics here").insert(name.clone(), password);
                name
            }
            "machine" => {
                let name = unique("machine");
                let body = json!({ "username": name, "role": "user", "kind": "machine" });
                self.maker.post("/users/create", body).await.expect(200);
                name
            }
            "credential" => {
                let machine = self.thing("machine", things).await;
                let path = format!("/users/{machine}/credentials/clients");
                let made = self.maker.post(&path, json!({})).await.expect(200);
                made["id"].as_str().expect("an id").to_owned()
            }
            // A mount that proves people of elsewhere, whom the host links.
            "hub" => {
                let value =
                    json!({ "plugin": "github", "grant": { "http": ["api.github.com:443", "github.com:443"] } });
                self.maker.post("/sys/setting", json!({ "key": "auth/github", "value": value })).await.expect(200);
                "github".to_owned()
            }
            "link" => {
                let (user, hub) = (self.thing("user", things).await, self.thing("hub", things).await);
                let body = json!({ "subject": unique("subject") });
                let made = self.maker.post(&format!("/users/{user}/credentials/{hub}"), body).await.expect(200);
                made["id"].as_str().expect("an id").to_owned()
            }
            "others_session" => self.somebody(things).await.session_id(),
            "lease" => leased(&ada).await,
            "others_lease" => leased(&self.somebody(things).await).await,
            "no_lease" => {
                let lease = leased(&ada).await;
                lease.chars().rev().collect()
            }
            "session" => ada.child(None, json!({})).await.expect(200)["session_id"].as_str().expect("an id").to_owned(),
            "refresh" => self.server.login("ada").await.refresh_token(),
            "token" => self.server.login("ada").await.token().to_owned(),
            "secret" | "folder" => {
                let name = unique("secret");
                let body = json!({ "secret_id": format!("kv/~/{name}/x"), "value": canary("grid") });
                let id = ada.post("/secrets/create", body).await.expect(200)["secret_id"].clone();
                let id = id.as_str().expect("an id");
                if name == "folder" { id.trim_end_matches("/x").to_owned() } else { id.to_owned() }
            }
            "no_secret" => format!("kv/users/{}/{}", ada.id, unique("none")),
            "deleted" => {
                let id = Box::pin(self.make("secret", things)).await;
                ada.delete(&format!("/secrets/{id}")).await.expect(200);
                id
            }
            "folder_of_users" => format!("kv/users/{}", ada.id),
            "key" | "signing" | "mac" | "authenticator" => {
                let (mount, body) = match name {
                    "key" => ("transit", json!({ "algorithm": "aes256-gcm" })),
                    "mac" => ("transit", json!({ "algorithm": "hmac-sha256" })),
                    "signing" => ("transit", json!({ "algorithm": "ed25519" })),
                    _ => ("totp", json!({})),
                };
                let id = format!("{mount}/{}", unique(name));
                let body = json!({ "secret_id": id, "data": body });
                self.maker.post("/secrets/create", body).await.expect(200);
                id
            }
            "no_key" => format!("transit/{}", unique("none")),
            "ciphertext" => {
                let key = self.thing("key", things).await;
                let body = json!({ "plaintext": "c2VjcmV0IGVub3VnaA==" });
                let made = self.maker.post(&format!("/secrets/{key}:encrypt"), body).await.expect(200);
                made["ciphertext"].as_str().expect("a text").to_owned()
            }
            "signature" => {
                let key = self.thing("signing", things).await;
                let body = json!({ "input": "c2VjcmV0IGVub3VnaA==" });
                let made = self.maker.post(&format!("/secrets/{key}:sign"), body).await.expect(200);
                made["signature"].as_str().expect("a text").to_owned()
            }
            "setting" => {
                let key = format!("custom/{}", unique("setting"));
                self.maker
                    .put(&format!("/sys/setting/{}", encoded(&key)), json!({ "value": { "a": 1 } }))
                    .await
                    .expect(200);
                key
            }
            "no_setting" => format!("custom/{}", unique("none")),
            "kv_version" => {
                let plugins = self.maker.get("/sys/plugins").await.expect(200)["plugins"].clone();
                let kv = plugins.as_array().and_then(|all| all.iter().find(|plugin| plugin["name"] == "kv"));
                kv.and_then(|kv| kv["version"].as_str()).expect("it is shipped").to_owned()
            }
            "role" => {
                let name = unique("role");
                self.maker.put(&format!("/sys/roles/{name}"), json!({})).await.expect(200);
                name
            }
            "policy" => {
                let name = unique("policy");
                let text = r#"permit (principal in Role::"nobody", action, resource in Resource::"secrets/kv/none");"#;
                self.maker.put(&format!("/sys/policies/{name}"), json!({ "text": text })).await.expect(200);
                name
            }
            "share" => self.shares.first().cloned().unwrap_or_else(|| canary("share")),
            "code" => self.code.clone(),
            other => panic!("no row can be about ${other}"),
        }
    }
}

async fn leased(client: &Client) -> String {
    let lease = borrow(client, &unique("role")).await;
    lease["lease_id"].as_str().expect("an id").to_owned()
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
