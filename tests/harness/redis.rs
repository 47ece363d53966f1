//! Redis servers of one test's own, that it may kill, pause and reconfigure: alone, with a replica and
//! sentinels, or as a cluster. Also read by the unit tests of the server (`host/src/shared/testing.rs`).

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// What a user of Redis' needs for Coffer, in a cluster too: the line of README.
pub const RIGHTS: &str = "~coffer:* &coffer:* -@all +hello +ping +role +info +publish +subscribe +eval +evalsha \
                          +exists +unlink +pexpire +pexpireat +pttl +hset +hget +hmget +hgetall +hdel +hlen +zadd \
                          +zrange +zrem +zremrangebyscore +cluster|slots +asking";

/// One `redis-server`. Persists nothing, and evicts nothing, unless told otherwise.
pub struct Server {
    process: Option<Child>,
    port: u16,
    folder: TempDir,
    arguments: Vec<String>,
    /// Of the user `default`, for our own questions.
    password: Option<String>,
    is_sentinel: bool,
}

impl Server {
    /// With these arguments beside our own.
    pub fn start(arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self::launch(Self::prepare(arguments, false))
    }

    /// A sentinel with these lines of configuration. One without a plain port is not waited for.
    pub fn sentinel(lines: &[String]) -> Self {
        let mut server = Self::prepare(lines.to_vec(), true);
        if lines.iter().any(|line| line == "port 0") {
            server.port = 0;
            server.restart();
            let port = lines.iter().find_map(|line| line.strip_prefix("tls-port ")?.parse().ok()).expect("a port");
            let listens = (0..500).any(|_| {
                pause();
                TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
            assert!(listens, "the sentinel does not start: {}", server.log());
            return server;
        }
        Self::launch(server)
    }

    fn prepare(arguments: Vec<String>, is_sentinel: bool) -> Self {
        let at = arguments.iter().position(|argument| argument == "--requirepass");
        let password = at.and_then(|at| arguments.get(at + 1).cloned());
        let folder = tempfile::Builder::new().prefix("coffer-redis-").tempdir().expect("a folder of its own");
        Self { process: None, port: free_port(), folder, arguments, password, is_sentinel }
    }

    /// On another port where somebody was faster.
    fn launch(mut server: Self) -> Self {
        for _ in 0..5 {
            server.restart();
            if server.answers(500) {
                return server;
            }
            server.kill();
            server.port = free_port();
        }
        panic!("redis-server does not start: {}", server.log());
    }

    /// With what it had on disk, if anything. Does not wait until it answers.
    pub fn restart(&mut self) {
        self.kill();
        let folder = self.folder.path();
        let mut command = Command::new("redis-server");
        if self.is_sentinel {
            // It rewrites its file as it learns.
            let file = folder.join("sentinel.conf");
            if !file.exists() {
                fs::write(&file, self.arguments.join("\n")).expect("a file of its own");
            }
            command.arg(file).arg("--sentinel");
        }
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir"]).arg(folder);
        command.arg("--logfile").arg(folder.join("log"));
        if !self.is_sentinel {
            command.args(["--save", "", "--appendonly", "no", "--unixsocket"]).arg(folder.join("socket"));
            command.args(["--enable-debug-command", "local"]).args(&self.arguments);
        }
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.process = Some(process.expect("redis-server is installed"));
    }

    /// Restarts it and waits until it answers.
    pub fn come_back(&mut self) {
        self.restart();
        assert!(self.answers(1000), "Redis does not come back: {}", self.log());
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("it runs");
            process.wait().expect("it ends");
        }
    }

    /// It holds its connections and says nothing, as behind a cut cable.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let process = self.process.as_ref().expect("it runs");
        let pid = Pid::from_raw(process.id().cast_signed()).expect("a process id");
        kill_process(pid, signal).expect("it runs");
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}", self.user(), self.port)
    }

    pub fn socket(&self) -> String {
        format!("unix://{}", self.folder.path().join("socket").display())
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it says of itself.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn user(&self) -> String {
        self.password.as_ref().map(|password| format!(":{password}@")).unwrap_or_default()
    }

    /// Asks with `redis-cli`, as an operator would: what it printed.
    pub fn ask(&self, command: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(command).stdin(Stdio::null());
        if let Some(password) = &self.password {
            cli.env("REDISCLI_AUTH", password);
        }
        let output = cli.output().expect("redis-cli is installed");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Asks, and fails the test if the answer is not OK.
    #[track_caller]
    pub fn tell(&self, command: &[&str]) {
        let answer = self.ask(command);
        assert_eq!(answer, "OK", "{command:?}");
    }

    /// Waits until the answer to a command holds a text.
    #[track_caller]
    pub fn until(&self, command: &[&str], text: &str) {
        let mut answer = String::new();
        for _ in 0..600 {
            answer = self.ask(command);
            if answer.contains(text) {
                return;
            }
            pause();
        }
        panic!("no {text} in the answer to {command:?}: {answer}");
    }

    fn answers(&mut self, attempts: usize) -> bool {
        for _ in 0..attempts {
            if self.process.as_mut().is_none_or(|process| !matches!(process.try_wait(), Ok(None))) {
                return false;
            }
            if self.pong() {
                return true;
            }
            pause();
        }
        false
    }

    /// Whatever it says beyond LOADING will do.
    fn pong(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let mut said = [0; 8];
        let wait = stream.set_read_timeout(Some(Duration::from_secs(1)));
        let asked = wait.and_then(|()| stream.write_all(b"PING\r\n")).and_then(|()| stream.read(&mut said));
        asked.is_ok_and(|len| len > 0 && !said.starts_with(b"-LOADING"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A primary and a replica, watched over by sentinels.
pub struct Watched {
    pub servers: [Server; 2],
    pub sentinels: Vec<Server>,
}

pub const SERVICE: &str = "sessions";

impl Watched {
    /// `arguments` are those of both servers; with them may come a password.
    pub fn start(sentinels: usize, arguments: &[&str]) -> Self {
        let primary = Server::start(arguments);
        let port = primary.port().to_string();
        let mut of_replica = vec!["--replicaof", "127.0.0.1", &port, "--repl-diskless-sync-delay", "0"];
        of_replica.extend(arguments);
        if let Some(password) = &primary.password {
            of_replica.extend(["--masterauth", password]);
            primary.tell(&["CONFIG", "SET", "masterauth", password]);
        }
        let replica = Server::start(&of_replica);
        primary.until(&["INFO", "replication"], "state=online");
        let quorum = sentinels / 2 + 1;
        let mut lines = vec![
            format!("sentinel monitor {SERVICE} 127.0.0.1 {port} {quorum}"),
            format!("sentinel down-after-milliseconds {SERVICE} 500"),
            format!("sentinel failover-timeout {SERVICE} 4000"),
        ];
        lines.extend(primary.password.iter().map(|password| format!("sentinel auth-pass {SERVICE} {password}")));
        let start = |_| Server::sentinel(&lines);
        let watched = Self { servers: [primary, replica], sentinels: (0..sentinels).map(start).collect() };
        let (others, replicas) = (format!("num-other-sentinels\n{}", sentinels - 1), "num-slaves\n1");
        for sentinel in &watched.sentinels {
            sentinel.until(&["SENTINEL", "MASTER", SERVICE], &others);
            sentinel.until(&["SENTINEL", "MASTER", SERVICE], replicas);
        }
        watched
    }

    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.sentinels.iter().map(|sentinel| format!("127.0.0.1:{}", sentinel.port())).collect();
        format!("redis+sentinel://{}{}/?service={SERVICE}", self.servers[0].user(), hosts.join(","))
    }

    pub fn primary(&self) -> &Server {
        &self.servers[0]
    }

    pub fn replica(&self) -> &Server {
        &self.servers[1]
    }

    /// Waits until the sentinels have made the replica the primary.
    #[track_caller]
    pub fn until_promoted(&self) {
        self.replica().until(&["ROLE"], "master");
        let port = self.replica().port().to_string();
        for sentinel in &self.sentinels {
            sentinel.until(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE], &port);
        }
    }
}

/// Primaries that share the slots among them.
pub struct Cluster {
    pub nodes: Vec<Server>,
}

impl Cluster {
    pub fn start(count: u16, arguments: &[&str]) -> Self {
        let nodes: Vec<Server> = (0..count)
            .map(|_| {
                let bus = free_port().to_string();
                let mut all =
                    vec!["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", &bus];
                all.extend(arguments);
                Server::start(&all)
            })
            .collect();
        let (slots, first) = (16384 / count, &nodes[0]);
        let first_bus = first.ask(&["CONFIG", "GET", "cluster-port"]).lines().last().unwrap_or_default().to_owned();
        for (at, node) in (0..count).zip(&nodes) {
            let last = if at + 1 == count { 16383 } else { (at + 1) * slots - 1 };
            node.tell(&["CLUSTER", "ADDSLOTSRANGE", &(at * slots).to_string(), &last.to_string()]);
            node.tell(&["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()]);
            if at > 0 {
                node.tell(&["CLUSTER", "MEET", "127.0.0.1", &first.port().to_string(), &first_bus]);
            }
        }
        let known = format!("cluster_known_nodes:{count}");
        for node in &nodes {
            node.until(&["CLUSTER", "INFO"], "cluster_state:ok");
            node.until(&["CLUSTER", "INFO"], &known);
        }
        Self { nodes }
    }

    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        format!("redis+cluster://{}{}", self.nodes[0].user(), hosts.join(","))
    }

    /// Which node has the slot of this key.
    pub fn node_of(&self, key: &str) -> &Server {
        let owner = self.nodes.iter().find(|node| !node.ask(&["EXISTS", key]).contains("MOVED"));
        owner.expect("every slot is somebody's")
    }
}

/// A certificate for loopback, signed by an authority that only this test knows, as PEM files.
pub struct Papers {
    pub authority: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Papers {
    pub fn make(folder: &Path, names: &[&str]) -> Self {
        use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

        let authority_key = KeyPair::generate().expect("a key pair");
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "Authority of Redis");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority_pem = authority.self_signed(&authority_key).expect("a certificate").pem();
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate().expect("a key pair");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let params = CertificateParams::new(names).expect("names");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).expect("a folder of its own");
            path
        };
        Self {
            authority: write("redis-ca.crt", &authority_pem),
            certificate: write("redis.crt", &certificate),
            key: write("redis.key", &key.serialize_pem()),
        }
    }

    /// What makes a server listen with them on this port.
    pub fn arguments(&self, port: u16) -> Vec<String> {
        let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let with = |name: &str, value: String| [format!("--{name}"), value];
        [
            with("tls-port", port.to_string()),
            with("tls-cert-file", path(&self.certificate)),
            with("tls-key-file", path(&self.key)),
            with("tls-ca-cert-file", path(&self.authority)),
            with("tls-auth-clients", "no".to_owned()),
        ]
        .concat()
    }
}

/// A port that nobody listens on. Somebody may take it before we do.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

#[expect(clippy::disallowed_methods, reason = "between two looks at another process; each has an end")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}
