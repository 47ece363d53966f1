//! Several servers on one PostgreSQL and one Redis, each with wires of its own to both.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::leaks::{canary, unique};
use super::proxy::{Proxy, Way};
use super::server::{Builder, Shared, TestServer};
use super::services::{Postgres, Redis};
use super::{Client, eventually};

/// The wires of one node.
pub struct Wires {
    pub redis: Proxy,
    pub postgres: Proxy,
}

pub struct Nodes {
    /// They end in this order; the last one knows the services, and has them searched and removed.
    pub servers: Vec<TestServer>,
    pub wires: Vec<Wires>,
    chief: (String, String),
    users: Mutex<HashMap<String, String>>,
}

impl Nodes {
    pub async fn start(count: usize) -> Self {
        Self::build(count, |builder| builder).await
    }

    pub async fn build(count: usize, change: impl Fn(Builder) -> Builder) -> Self {
        let (postgres, redis) = (Postgres::create().await, Redis::create().await);
        let (key, secrets) = (hex::encode(coffer::ids::random::<32>()), Arc::default());
        let (mut servers, mut wires) = (Vec::new(), Vec::new());
        let mut root = None;
        for _ in 0..count {
            let wire = Wires { redis: Proxy::to(&redis.url), postgres: Proxy::to(&postgres.url) };
            let shared = Shared {
                postgres: wire.postgres.url(&postgres.url),
                sessions: wire.redis.url(&redis.url),
                key: key.clone(),
                secrets: Arc::clone(&secrets),
            };
            let server = change(TestServer::builder().shared(shared)).start().await;
            if root.is_none() {
                let code = server.init_code();
                let made = server.anonymous().post("/sys/init", json!({ "code": code })).await.expect(200);
                let token = made["root_token"].as_str().expect("a root token").to_owned();
                root = Some(server.anonymous().with_token(&token));
            }
            let anonymous = server.anonymous();
            eventually("the node is ready", || async {
                anonymous.get("/sys/health").attempt().await.filter(|answer| answer.status == 200)
            })
            .await;
            servers.push(server);
            wires.push(wire);
        }
        let last = servers.last_mut().expect("at least one");
        (last.services.postgres, last.services.redis) = (Some(postgres), Some(redis));
        let (name, password) = (unique("chief"), canary("password"));
        let chief = json!({ "username": name, "email": "chief@example.com", "role": "admin", "password": password });
        root.expect("it was made").post("/users/create", chief).await.expect(200);
        Self { servers, wires, chief: (name, password), users: Mutex::default() }
    }

    /// The same caller at each of the servers.
    pub fn everywhere(&self, client: &Client) -> Vec<Client> {
        self.servers.iter().map(|server| server.here(client)).collect()
    }

    /// At the first node, logged in just now.
    pub async fn admin(&self) -> Client {
        self.servers[0].log_in(&self.chief.0, &self.chief.1).await
    }

    /// Logged in at this node just now; made, if there is nobody of that name.
    pub async fn login(&self, node: usize, name: &str, role: &str) -> Client {
        let known = self.users.lock().expect("nobody panics here").get(name).cloned();
        let password = match known {
            Some(password) => password,
            None => {
                let password = canary("password");
                let email = format!("{}@example.com", unique("mail"));
                let body = json!({ "username": name, "email": email, "role": role, "password": password });
                self.admin().await.post("/users/create", body).await.expect(200);
                self.users.lock().expect("nobody panics here").insert(name.to_owned(), password.clone());
                password
            }
        };
        self.servers[node].log_in(name, &password).await
    }

    pub fn heal(&self) {
        for Wires { redis, postgres } in &self.wires {
            redis.set(Way::Through);
            postgres.set(Way::Through);
        }
    }
}

/// A server that cannot reach anything does not end well.
impl Drop for Nodes {
    fn drop(&mut self) {
        self.heal();
    }
}
