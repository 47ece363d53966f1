//! The real binary, in a folder of its own, on a port of its own.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use reqwest::Certificate as Trusted;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::audit::Trail;
use super::client::{Client, Link};
use super::config::{Certificate, Config, write};
use super::leaks::{Secrets, canary, unique};
use super::services::{Postgres, Redis, Services, free_port};
use super::{SOON, eventually};

/// A server that was told to stop has this long to do so.
const STOP: Duration = Duration::from_secs(40);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Storage {
    Sqlite,
    Postgres,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sessions {
    Embedded,
    Redis,
}

/// How the server is started and unsealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seal {
    /// `--dev`.
    Dev,
    /// `--config`, with a key file: it unseals itself.
    KeyFile,
    /// `--config`, with shares: sealed until told them.
    Shamir,
}

pub struct Builder {
    storage: Storage,
    sessions: Sessions,
    redis: Option<String>,
    seal: Seal,
    listen: Option<String>,
    env: Vec<(String, String)>,
    config: Vec<(String, toml::Value)>,
    shared: Option<Shared>,
}

/// What several servers have in common.
pub struct Shared {
    pub postgres: String,
    /// Or `embedded`.
    pub sessions: String,
    /// Of the seal, in hex.
    pub key: String,
    pub secrets: Arc<Secrets>,
}

impl Builder {
    /// One of several servers: nothing is made for it alone but its folder, and key files are the same.
    pub fn shared(mut self, shared: Shared) -> Self {
        (self.seal, self.shared) = (Seal::KeyFile, Some(shared));
        self
    }

    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    pub fn sessions(mut self, sessions: Sessions) -> Self {
        self.sessions = sessions;
        self
    }

    /// Sessions in a Redis that the story has made itself.
    pub fn redis(mut self, url: &str) -> Self {
        self.redis = Some(url.to_owned());
        self
    }

    pub fn seal(mut self, seal: Seal) -> Self {
        self.seal = seal;
        self
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A member of the configuration file, `section.member`. Not for a dev server.
    pub fn config(mut self, name: &str, value: impl Into<toml::Value>) -> Self {
        self.config.push((name.to_owned(), value.into()));
        self
    }

    pub async fn start(self) -> TestServer {
        let mut server = self.prepare().await;
        server.launch();
        server.wait_ready().await;
        server
    }

    /// Everything but the process itself: for stories about starting.
    pub async fn prepare(self) -> TestServer {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| {
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        });
        let dir = tempfile::Builder::new().prefix("coffer-story-").tempdir().expect("a folder of its own");
        let data = dir.path().join("data");
        std::fs::create_dir(&data).expect("a folder of its own");
        let mut services = Services::default();
        if self.storage == Storage::Postgres && self.shared.is_none() {
            services.postgres = Some(Postgres::create().await);
        }
        if self.sessions == Sessions::Redis && self.shared.is_none() {
            services.redis = Some(Redis::create().await);
        }
        let listen = match (&self.listen, self.seal) {
            (Some(listen), _) => listen.clone(),
            (None, Seal::Dev) => "127.0.0.1:0".to_owned(),
            (None, _) => format!("127.0.0.1:{}", free_port()),
        };
        let scheme = if self.config.iter().any(|(name, _)| name == "listener.plaintext") { "http" } else { "https" };
        let mut link = Link::new(reqwest::Client::new(), format!("{scheme}://{listen}"));
        let mut env = self.env;
        let mut redis = self.redis.or_else(|| services.redis.as_ref().map(|redis| redis.url.clone()));
        let mut postgres = services.postgres.as_ref().map(|postgres| postgres.url.clone());
        let mut key = None;
        if let Some(shared) = self.shared {
            (redis, postgres, key) = (Some(shared.sessions), Some(shared.postgres), Some(shared.key));
            link.secrets = shared.secrets;
        }
        let link = Arc::new(link);
        for url in [&redis, &postgres].into_iter().flatten() {
            // The password of a URL is a secret too.
            let password = url.split_once('@').and_then(|(before, _)| before.rsplit_once(':'));
            link.secrets.add(password.map_or("", |(_, password)| password));
        }
        let mut arguments = Vec::new();
        let ready_file = dir.path().join("ready.json");
        let text = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let mut authority = None;
        if self.seal == Seal::Dev {
            env.extend(postgres.map(|url| ("COFFER_STORAGE__URL".to_owned(), url)));
            env.extend(redis.map(|url| ("COFFER_SESSIONS__URL".to_owned(), url)));
            arguments.extend(["--dev", "--listen", &listen].map(str::to_owned));
            arguments.extend(["--data-dir".to_owned(), text(&data), "--ready-file".to_owned(), text(&ready_file)]);
        } else {
            let key_file = (self.seal == Seal::KeyFile).then(|| dir.path().join("seal.key"));
            if let Some(file) = &key_file {
                let key = key.unwrap_or_else(|| hex::encode(coffer::ids::random::<32>()));
                link.secrets.add(&key);
                write(file, key.as_bytes());
            }
            let tls = Certificate::make(dir.path());
            authority = Some(tls.authority.clone());
            let config = Config {
                listen,
                data_dir: data.clone(),
                storage: postgres.unwrap_or_else(|| format!("sqlite://{}", text(&data.join("coffer.db")))),
                sessions: redis.unwrap_or_else(|| "embedded".to_owned()),
                key_file,
                tls,
                more: self.config,
            };
            let file = dir.path().join("coffer.toml");
            write(&file, config.text().as_bytes());
            arguments.extend(["--config".to_owned(), text(&file)]);
        }
        TestServer {
            child: None,
            seal: self.seal,
            arguments,
            env,
            data,
            ready_file,
            authority,
            ready: Value::Null,
            link,
            users: Mutex::default(),
            services,
            dir,
        }
    }
}

pub struct TestServer {
    child: Option<Child>,
    seal: Seal,
    arguments: Vec<String>,
    env: Vec<(String, String)>,
    data: PathBuf,
    ready_file: PathBuf,
    authority: Option<PathBuf>,
    /// What the server wrote into its ready file.
    pub ready: Value,
    link: Arc<Link>,
    /// Passwords of the users made here.
    users: Mutex<HashMap<String, String>>,
    pub services: Services,
    dir: TempDir,
}

impl TestServer {
    /// A dev server on SQLite with embedded sessions, unless told otherwise.
    pub fn builder() -> Builder {
        let (storage, sessions, seal) = (Storage::Sqlite, Sessions::Embedded, Seal::Dev);
        let (listen, redis, shared) = (None, None, None);
        Builder { storage, sessions, redis, seal, listen, env: Vec::new(), config: Vec::new(), shared }
    }

    pub async fn start() -> Self {
        Self::builder().start().await
    }

    pub fn url(&self) -> String {
        self.link.url()
    }

    /// `127.0.0.1:8200`.
    pub fn address(&self) -> String {
        let url = self.url();
        url.split_once("://").map_or(url.clone(), |(_, address)| address.to_owned())
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    pub fn ready_file(&self) -> &Path {
        &self.ready_file
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// What the server wrote for whoever may initialise it.
    pub fn init_code(&self) -> String {
        let mut files = std::fs::read_dir(&self.data).expect("the data folder is there").flatten();
        let file = files.find(|entry| entry.file_name().to_string_lossy().contains("code")).expect("a code");
        let code = std::fs::read_to_string(file.path()).expect("a code is text").trim().to_owned();
        self.keep_secret(&code);
        code
    }

    pub fn trail(&self) -> Trail {
        Trail::read(&self.data)
    }

    /// What the server said on stdout and stderr, in all its lives.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Registers a secret that no client sends or receives.
    pub fn keep_secret(&self, secret: &str) {
        self.link.secrets.add(secret);
    }

    // --- callers ---

    pub fn anonymous(&self) -> Client {
        Client::anonymous(self.link.clone())
    }

    /// The same caller, at this server.
    pub fn here(&self, client: &Client) -> Client {
        client.through(self.link.clone())
    }

    /// The admin of a dev server, logged in just now.
    pub async fn admin(&self) -> Client {
        let member = |name: &str| self.ready[name].as_str().unwrap_or_else(|| panic!("{name} is told")).to_owned();
        self.log_in(&member("admin_username"), &member("admin_password")).await
    }

    /// A user of role `user`, made if there is none of that name yet, logged in just now.
    pub async fn login(&self, name: &str) -> Client {
        let known = self.users.lock().expect("nobody panics here").get(name).cloned();
        let password = match known {
            Some(password) => password,
            None => self.create_user(name, "user").await,
        };
        self.log_in(name, &password).await
    }

    /// Answers the password.
    pub async fn create_user(&self, name: &str, role: &str) -> String {
        let password = canary("password");
        let email = format!("{}@example.com", unique("mail"));
        let body = json!({ "username": name, "email": email, "role": role, "password": password });
        self.admin().await.post("/users/create", body).await.expect(200);
        self.users.lock().expect("nobody panics here").insert(name.to_owned(), password.clone());
        password
    }

    /// A user that was made by somebody else, to be logged in by name.
    pub fn keep_password(&self, name: &str, password: &str) {
        self.users.lock().expect("nobody panics here").insert(name.to_owned(), password.to_owned());
    }

    pub async fn log_in(&self, username: &str, password: &str) -> Client {
        let body = json!({ "grant_type": "password", "username": username, "password": password });
        let session = self.anonymous().post("/token/create", body).await.expect(200);
        let mut client = self.anonymous().with_session(session);
        (client.username, client.password) = (username.to_owned(), password.to_owned());
        client.id = client.get("/users/me").await.expect(200)["id"].as_str().expect("a user's id").to_owned();
        client
    }

    // --- life ---

    pub fn launch(&mut self) {
        let log = OpenOptions::new().append(true).create(true).open(self.log_file()).expect("a log file");
        let mut command = self.command();
        command.stdout(log.try_clone().expect("one file, two streams")).stderr(log);
        self.child = Some(command.spawn().expect("the binary starts"));
    }

    /// The command line, with nobody's environment but ours.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_coffer"));
        command.arg("server").args(&self.arguments).stdin(Stdio::null()).current_dir(self.dir.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COFFER_")) {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    pub async fn wait_ready(&mut self) {
        let file = self.ready_file.clone();
        let log = self.log_file();
        if self.seal == Seal::Dev {
            let child = self.child.as_mut().expect("it was launched");
            let mut ended = None;
            let read = async {
                loop {
                    if let Ok(Some(status)) = child.try_wait() {
                        ended = Some(status);
                        return Value::Null;
                    }
                    if let Ok(text) = std::fs::read_to_string(&file) {
                        return serde_json::from_str(&text).expect("the ready file is complete at once");
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let ready = tokio::time::timeout(SOON, read).await.unwrap_or(Value::Null);
            let said = || std::fs::read_to_string(&log).unwrap_or_default();
            assert!(!ready.is_null(), "the server is not ready, {ended:?}: {}", said());
            self.link.secrets.note("/", &ready);
            self.authority = ready["ca_cert"].as_str().map(PathBuf::from);
            let url = ready["url"].as_str().expect("the ready file tells the URL").trim_end_matches('/').to_owned();
            self.link.moved(self.http(), url);
            self.ready = ready;
        } else {
            self.link.moved(self.http(), self.url());
            let anonymous = self.anonymous();
            eventually("the server answers", || anonymous.get("/sys/seal-status").attempt()).await;
        }
    }

    /// Nobody, at this address of the loopback network.
    pub fn anonymous_at(&self, address: &str) -> Client {
        let address: std::net::IpAddr = address.parse().expect("an address");
        let http = self.http_builder().local_address(address).build().expect("a client");
        self.anonymous().by(http)
    }

    /// A client that trusts this server's authority and nobody else.
    pub fn http(&self) -> reqwest::Client {
        self.http_builder().build().expect("a client")
    }

    fn http_builder(&self) -> reqwest::ClientBuilder {
        let pem = std::fs::read(self.authority.as_ref().expect("an authority")).expect("a certificate to trust");
        let trusted = Trusted::from_pem_bundle(&pem).expect("a certificate in PEM");
        let builder = reqwest::Client::builder().tls_certs_only(trusted).no_proxy();
        builder.redirect(reqwest::redirect::Policy::none()).timeout(SOON)
    }

    /// Puts another certificate, of another authority, where the configuration says.
    pub fn renew_certificate(&self) {
        Certificate::make(self.dir.path());
    }

    pub fn authority(&self) -> &Path {
        self.authority.as_ref().expect("an authority")
    }

    /// As a power cut would: no warning, no clearing up.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
        let _ = std::fs::remove_file(&self.ready_file);
    }

    /// Tells the server to stop and waits until it has.
    pub fn sigterm(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid().cast_signed()).expect("a process id");
        kill_process(pid, signal).expect("the server runs");
    }

    /// Waits until the server has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        let (tell, told) = std::sync::mpsc::channel();
        let pid = child.id();
        std::thread::spawn(move || tell.send(child.wait()));
        let Ok(status) = told.recv_timeout(STOP) else {
            let pid = Pid::from_raw(pid.cast_signed()).expect("a process id");
            let _ = kill_process(pid, Signal::KILL);
            panic!("the server does not end within {STOP:?}: {}", self.log());
        };
        let _ = std::fs::remove_file(&self.ready_file);
        status.expect("it ends")
    }

    pub async fn restart(&mut self) {
        if self.child.is_some() {
            let status = self.sigterm();
            assert!(status.success(), "SIGTERM ends in {status}: {}", self.log());
        }
        self.launch();
        self.wait_ready().await;
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    // --- the end ---

    fn assert_trail(&self) {
        let trail = self.trail();
        trail.assert_chained();
        trail.assert_complete(&self.link.seen.lock().expect("nobody panics here"));
    }

    /// No secret of this story stands in a file of the server's or in its services.
    fn assert_tight(&self, kept: Vec<(String, Vec<u8>)>) {
        let mut places = vec![("the log".to_owned(), self.log().into_bytes())];
        for entry in std::fs::read_dir(&self.data).expect("the data folder is there").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_file() && !is_key(&name) {
                places.push((name, std::fs::read(entry.path()).expect("a file of the server's")));
            }
        }
        places.extend(kept);
        for (name, bytes) in places {
            let found = self.link.secrets.find_in(&bytes);
            assert!(found.is_none(), "{name} holds {}", found.unwrap_or_default());
        }
    }
}

/// Files that are there to hold a secret: mode 0600, and their name says so.
fn is_key(name: &str) -> bool {
    ["key", "code", "ready", "dev"].iter().any(|word| name.contains(word))
}

impl Drop for TestServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            if let Some(mut child) = self.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
            show_end_of(&self.log());
            return;
        }
        if self.child.is_some() {
            let status = self.sigterm();
            assert!(status.success(), "SIGTERM ends in {status}: {}", self.log());
        }
        let log = self.log();
        assert!(!log.contains("panicked at"), "the server panicked: {log}");
        let kept = self.services.dump_and_remove();
        self.assert_trail();
        self.assert_tight(kept);
    }
}

#[expect(clippy::print_stderr, reason = "whoever reads of a failed test wants to know what the server said")]
fn show_end_of(log: &str) {
    let lines: Vec<&str> = log.lines().collect();
    eprintln!("--- the server's last words ---\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
}
