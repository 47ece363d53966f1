use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::*;
use crate::{
    barrier::testing::Unsteady,
    clock::{Hand, Timestamp},
};

mod sinks;
mod sums;
mod tampering;

/// A trail in a file of its own, and everything to break it with.
struct Trail {
    folder: tempfile::TempDir,
    storage: Arc<Unsteady>,
    barrier: Barrier,
    clock: Clock,
    hand: Hand,
    audit: Audit,
}

impl Trail {
    async fn begin() -> Self {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_767_323_045_678));
        let storage = Arc::new(Unsteady::default());
        let barrier = Barrier::for_test(storage.clone(), clock.clone());
        let folder = tempfile::tempdir().unwrap();
        let sink = Sink::File(folder.path().join("audit.log"));
        let audit = Audit::open(sink, clock.clone(), barrier.clone()).await.unwrap();
        Self { folder, storage, barrier, clock, hand, audit }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.log")
    }

    /// Another process, after this one.
    async fn restart(&mut self) {
        self.audit.close().await.unwrap();
        self.audit = self.open().await.unwrap();
    }

    async fn open(&self) -> Result<Audit, Error> {
        Audit::open(Sink::File(self.path()), self.clock.clone(), self.barrier.clone()).await
    }

    async fn record(&self, resource: &str) -> Result<(), Error> {
        self.audit.record(about(resource)).await
    }

    /// Records and seals `count` lines.
    async fn fill(&self, count: usize) {
        for at in 0..count {
            self.record(&format!("secrets/kv/{at}")).await.unwrap();
        }
        self.audit.seal_head().await.unwrap();
    }

    fn lines(&self) -> Vec<String> {
        lines_at(&self.path())
    }

    async fn verify(&self, lines: &[String]) -> Verified {
        self.audit.verify(lines, None).await.unwrap()
    }

    /// Where the first break is, the end included.
    async fn first_break(&self, lines: &[String]) -> Option<Broken> {
        let verified = self.verify(lines).await;
        match verified.broken {
            Some(broken) => Some(broken),
            None => self.audit.verify_end(verified.last.as_ref(), &verified.chains).await.unwrap().broken,
        }
    }
}

fn about(resource: &str) -> Record {
    Record { resource: Some(resource.to_owned()), ..Record::new(Phase::Decided, "secrets.read") }
}

fn lines_at(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "the file ends in a whole line");
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_record_is_one_line_that_says_what_was_recorded() {
    let trail = Trail::begin().await;
    let record = Record {
        request: Some(crate::ids::RequestId::new()),
        who: Who { user: Some(crate::ids::UserId::new()), ..Who::default() },
        address: Some("192.0.2.7".parse().unwrap()),
        cause: Some("two\nlines".to_owned()),
        status: Some(403),
        ..about("secrets/kv/a")
    };
    trail.audit.record(record.clone()).await.unwrap();
    let line: serde_json::Value = serde_json::from_str(trail.lines().last().unwrap()).unwrap();
    assert_eq!(line["seq"], 2);
    assert_eq!(line["time"], "2026-01-02T03:04:05.678Z");
    assert_eq!(line["phase"], "decided");
    assert_eq!(line["request"], record.request.unwrap().as_str());
    assert_eq!(line["user"], record.who.user.unwrap().as_str());
    assert_eq!((&line["address"], &line["status"]), (&"192.0.2.7".into(), &403.into()));
    assert_eq!((&line["resource"], &line["cause"]), (&"secrets/kv/a".into(), &"two\nlines".into()));
    assert_eq!((&line["link"], &line["key"]), (&"hmac".into(), &1.into()));
    assert!(line.get("session").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_many_at_once_make_one_chain() {
    let trail = Trail::begin().await;
    let each = (0..300).map(|at| {
        let audit = trail.audit.clone();
        tokio::spawn(async move { audit.record(about(&format!("secrets/{at}"))).await })
    });
    for task in each.collect::<Vec<_>>() {
        task.await.unwrap().unwrap();
    }
    trail.audit.seal_head().await.unwrap();
    assert_eq!(trail.lines().len(), 301);
    assert_eq!(trail.first_break(&trail.lines()).await, None);
}

#[tokio::test]
async fn a_trail_goes_on_over_restarts_and_in_any_chunks() {
    let mut trail = Trail::begin().await;
    for _ in 0..3 {
        trail.fill(3).await;
        trail.restart().await;
    }
    let lines = trail.lines();
    for size in 1..=lines.len() {
        let (mut at, mut chains) = (None, std::collections::BTreeSet::new());
        for chunk in lines.chunks(size) {
            let verified = trail.audit.verify(chunk, at).await.unwrap();
            assert_eq!((verified.broken, verified.whole), (None, chunk.len() as u64));
            at = verified.last;
            chains.extend(verified.chains);
        }
        let ending = trail.audit.verify_end(at.as_ref(), &chains).await.unwrap();
        assert_eq!(ending, Ending { broken: None, elsewhere: Vec::new() });
    }
}

#[tokio::test]
async fn a_value_is_told_only_by_its_hash() {
    let trail = Trail::begin().await;
    let hash = trail.audit.hash("hunter2").unwrap();
    assert_eq!(trail.audit.hash("hunter2").unwrap(), hash);
    assert_ne!(trail.audit.hash("hunter3").unwrap(), hash);
    assert!(hash.starts_with("hmac:1:") && !hash.contains("hunter"));
}

#[tokio::test]
async fn a_record_beyond_the_bound_is_refused_and_the_chain_goes_on() {
    let trail = Trail::begin().await;
    let error = trail.record(&"x".repeat(limits::AUDIT_LINE_BYTES)).await;
    assert!(matches!(error, Err(Error::TooLarge)));
    trail.fill(1).await;
    assert_eq!(trail.first_break(&trail.lines()).await, None);
}

#[tokio::test]
async fn after_closing_everything_is_refused() {
    let trail = Trail::begin().await;
    trail.audit.close().await.unwrap();
    assert!(matches!(trail.record("late").await, Err(Error::Ended)));
}

#[tokio::test]
async fn a_head_that_could_not_be_sealed_is_sealed_by_the_next_tick() {
    let trail = Trail::begin().await;
    trail.record("a").await.unwrap();
    trail.storage.fail_writes(true);
    assert!(trail.audit.seal_head().await.is_err());
    trail.storage.fail_writes(false);
    trail.audit.seal_head().await.unwrap();
    assert_eq!(trail.first_break(&trail.lines()[..1]).await.unwrap().seq, Some(1));
}
