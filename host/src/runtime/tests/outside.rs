//! Requests of guests to a host that takes them and never answers.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::{
    clock::Clock,
    runtime::{
        Fault, Grant, HostGrant, Options, Outcome, Plugin, Runtime,
        egress::{Egress, Options as Gateway, OutgoingRequest, Stage, Trail, Unrecorded},
        testing::{Bench, fetcher, request},
        types::Response,
    },
};

#[derive(Clone, Default)]
struct Book(Arc<Mutex<Vec<Stage>>>);

#[async_trait::async_trait]
impl Trail for Book {
    async fn record(&self, outgoing: &OutgoingRequest) -> Result<(), Unrecorded> {
        self.0.lock().unwrap().push(outgoing.stage);
        Ok(())
    }
}

impl Book {
    fn begun_and_failed(&self) -> (usize, usize) {
        let lines = self.0.lock().unwrap();
        let begun = lines.iter().filter(|stage| **stage == Stage::Begun).count();
        (begun, lines.iter().filter(|stage| matches!(stage, Stage::Failed(_))).count())
    }

    async fn until(&self, count: (usize, usize)) {
        let clock = Clock::system();
        let begun = clock.monotonic();
        while self.begun_and_failed() != count {
            assert!(clock.monotonic() - begun < Duration::from_secs(20), "{:?}", self.0);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Of which one call runs at a time.
struct Hanging {
    bench: Bench,
    book: Book,
    plugin: Plugin,
    url: String,
    _host: tokio::net::TcpListener,
}

impl Hanging {
    async fn new() -> Self {
        let host = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (mut bench, book, port) = (Bench::new(), Book::default(), host.local_addr().unwrap().port());
        let networks = vec!["127.0.0.0/8".parse().unwrap()];
        let granted = HostGrant { host: "127.0.0.1".to_owned(), port, plain: true, networks };
        bench.call.grant = Arc::new(Grant { http: vec![granted], ..Grant::default() });
        let egress = Egress::new(Gateway { loopback: true, ..Gateway::default() }, Arc::new(book.clone()));
        let options = Options { calls: 8, calls_each: 1, queue: 4, passwords: 2 };
        bench.runtime = Runtime::with(bench.clock.clone(), options, None, Some(egress)).unwrap();
        let plugin = bench.compile(fetcher(false)).await;
        Self { bench, book, plugin, url: format!(r#"{{"u":"http://127.0.0.1:{port}/"}}"#), _host: host }
    }

    async fn call(&self) -> Result<Outcome<Response>, Fault> {
        self.plugin.call(request("read", "a", &self.url), &self.bench.call).await
    }
}

#[tokio::test]
async fn a_plugin_is_told_that_a_host_does_not_answer_before_its_own_time_is_over() {
    let mut hanging = Hanging::new().await;
    hanging.bench.call.bounds.wall = Duration::from_secs(2);
    let told = hanging.call().await.unwrap();
    assert_eq!(&told.value.body[..], br#"{"code":"unavailable"}"#);
    assert_eq!(hanging.book.begun_and_failed(), (1, 1));
    // The time in the queue counts: the second call has what the first has left of it.
    let (first, _second) = tokio::join!(hanging.call(), hanging.call());
    assert_eq!(&first.unwrap().value.body[..], br#"{"code":"unavailable"}"#);
    let (begun, failed) = hanging.book.begun_and_failed();
    assert_eq!((begun, failed), (failed, begun));
    assert!(begun >= 2, "{begun}");
}

#[tokio::test]
async fn the_end_of_a_request_is_written_down_even_if_nobody_waits_for_it() {
    let hanging = Hanging::new().await;
    let book = hanging.book.clone();
    tokio::select! {
        ended = hanging.call() => panic!("{ended:?}"),
        () = book.until((1, 0)) => {}
    }
    book.until((1, 1)).await;
}
