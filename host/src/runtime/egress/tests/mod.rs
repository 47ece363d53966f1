use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use ipnet::IpNet;

use super::*;

mod addresses;
mod credentials;
mod sending;
mod server;

use server::Server;

/// Answers from a list, one after the other, the last one for ever.
#[derive(Clone, Default)]
struct Names {
    answers: Arc<Mutex<HashMap<String, Vec<Vec<IpAddr>>>>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    fn set(&self, name: &str, answers: &[&[&str]]) {
        let parse = |all: &&[&str]| all.iter().map(|text| text.parse().unwrap()).collect();
        self.answers.lock().unwrap().insert(name.to_owned(), answers.iter().map(parse).collect());
    }
}

#[async_trait]
impl Resolve for Names {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, SeqCst);
        let mut all = self.answers.lock().unwrap();
        let answers = all.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() })
    }
}

/// What was recorded; refuses once it is full.
#[derive(Clone)]
struct Book {
    lines: Arc<Mutex<Vec<String>>>,
    most: usize,
}

#[async_trait]
impl Trail for Book {
    async fn record(&self, outgoing: &OutgoingRequest) -> Result<(), Unrecorded> {
        let mut lines = self.lines.lock().unwrap();
        if lines.len() >= self.most {
            return Err(Unrecorded);
        }
        let credential = outgoing.credential.as_ref().map_or(String::new(), |name| format!(" with {name}"));
        lines.push(format!("{} {} {}{credential}: {:?}", outgoing.mount, outgoing.method, outgoing.to, outgoing.stage));
        Ok(())
    }
}

/// A gateway that knows `api.example` and `other.example`, both at `server`.
struct Gate {
    egress: Egress,
    server: Server,
    names: Names,
    book: Book,
    grants: Vec<HostGrant>,
    credentials: Credentials,
    acted: AtomicBool,
    hidden: bool,
}

impl Gate {
    async fn new() -> Self {
        Self::with(|_, _| {}).await
    }

    async fn with(change: impl FnOnce(&mut Options, &mut Book)) -> Self {
        let (server, names) = (Server::start(&["api.example", "other.example"]).await, Names::default());
        let mut options =
            Options { loopback: true, extra_ca: Some(server.ca.clone().into_bytes()), ..Options::default() };
        let mut book = Book { lines: Arc::default(), most: usize::MAX };
        change(&mut options, &mut book);
        for name in ["api.example", "other.example"] {
            names.set(name, &[&["127.0.0.1"]]);
        }
        let grants = vec![grant("api.example", server.port), grant("other.example", server.port)];
        Self {
            egress: Egress::with(options, Arc::new(book.clone()), Box::new(names.clone())),
            server,
            names,
            book,
            grants,
            credentials: Credentials::default(),
            acted: AtomicBool::new(false),
            hidden: false,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://api.example:{}{path}", self.server.port)
    }

    async fn get(&self, url: &str) -> Result<Answer, Refusal> {
        self.send(wanted("GET", url)).await
    }

    async fn send(&self, wanted: Wanted) -> Result<Answer, Refusal> {
        let order = Order {
            mount: "github",
            request: "r1",
            grants: &self.grants,
            credentials: &self.credentials,
            wanted,
            left: Duration::from_secs(20),
            hidden: self.hidden,
            acted: &self.acted,
        };
        self.egress.send(&order).await
    }

    fn lines(&self) -> Vec<String> {
        self.book.lines.lock().unwrap().clone()
    }
}

fn grant(host: &str, port: u16) -> HostGrant {
    let networks: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap()];
    HostGrant { host: host.to_owned(), port, plain: false, networks }
}

fn wanted(method: &str, url: &str) -> Wanted {
    Wanted { method: method.to_owned(), url: url.to_owned(), ..Wanted::default() }
}
