//! The audit trail: who asked for what, what was decided, what was answered. No sink, no work.
//!
//! Owns the records, their chain, the sinks and the sealed heads. Must never hold a value, token
//! or credential: a `Record` has no field for one, and what must be told apart goes through
//! `hash`. One more thing to tell is one more field of `Record`; one more sink is one more `Out`.
//!
//! Each line carries the MAC of the line before it. While the barrier is sealed there is no key
//! and the link is SHA-256; the first keyed line after it anchors those. The head of the chain is
//! sealed in the store every second: who holds the machine cannot change what is before it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::{
    barrier::{Barrier, Purpose, View, Writes, layout::Prefix},
    clock::Clock,
    limits,
    metrics::Counter,
};

mod anonymous;
mod error;
mod file;
mod line;
mod record;
mod sink;
mod stream;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use error::Error;
pub use record::{Phase, Record, Who};
pub use sink::Sink;
pub use verify::{Broken, Elsewhere, Ending, Link, Verified};

use anonymous::Anonymous;
use line::Head;
use sink::Opened;
use writer::{Command, Writer};

/// One node's trail. Cheap to clone; the sink is let go when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Audit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    to_writer: mpsc::Sender<Command>,
    barrier: Barrier,
    heads: View,
    clock: Clock,
    anonymous: Mutex<Anonymous>,
    /// What is with the sink, as the writer tells.
    head: Arc<Mutex<Head>>,
    counts: Counts,
    /// Which sequence number was sealed last.
    sealed: tokio::sync::Mutex<u64>,
}

/// Records, as counted by one node.
#[derive(Debug, Default)]
pub struct Counts {
    pub written: Counter,
    /// Each of them an answer that was withheld or a thing that was not done.
    pub failed: Counter,
}

impl Audit {
    /// What this node has done so far.
    pub fn counts(&self) -> &Counts {
        &self.0.counts
    }

    /// Begins a chain: its first line is with the sink when this returns.
    pub async fn open(sink: Sink, clock: Clock, barrier: Barrier) -> Result<Self, Error> {
        Self::begin(move || sink.open(), clock, barrier).await
    }

    async fn begin(
        open: impl FnOnce() -> std::io::Result<Opened> + Send + 'static,
        clock: Clock,
        barrier: Barrier,
    ) -> Result<Self, Error> {
        let (to_writer, commands) = mpsc::channel(limits::AUDIT_QUEUE);
        let (opened, outcome) = oneshot::channel();
        let (of_writer, time) = (barrier.clone(), clock.clone());
        // A thread of its own: it spends its life in write(2) and fdatasync(2).
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let work = move || match open().map_err(Error::from).and_then(|opened| Writer::begin(opened, time, of_writer)) {
            Ok(writer) => {
                let _ = opened.send(Ok(writer.head()));
                writer.run(commands);
            }
            Err(error) => drop(opened.send(Err(error))),
        };
        thread.spawn(work).map_err(Error::from)?;
        let head = outcome.await.map_err(|_| Error::Ended)??;
        Ok(Self(Arc::new(Inner {
            to_writer,
            heads: barrier.view(Prefix::AuditHead),
            barrier,
            clock,
            anonymous: Mutex::default(),
            head,
            counts: Counts::default(),
            sealed: tokio::sync::Mutex::new(0),
        })))
    }

    /// Returns when the line is with the sink. An error means: do not do it, or withhold the answer.
    ///
    /// Refusals of nobody in particular are recorded one by one up to `limits::ANONYMOUS_RECORDS`
    /// a second; beyond that they are summed until the next `seal_head`.
    pub async fn record(&self, record: Record) -> Result<(), Error> {
        if record.is_anonymous_refusal() && !self.anonymous().admit(&record, self.0.clock.monotonic()) {
            return Ok(());
        }
        self.write(record).await
    }

    /// For values in records: equal values are equal, and that is all they tell. None while sealed.
    pub fn hash(&self, value: &str) -> Option<String> {
        let mac = self.0.barrier.mac(Purpose::Audit).ok()?;
        let digest = mac.sign(&[b"coffer audit value", value.as_bytes()]);
        Some(format!("hmac:{}:{}", mac.version(), hex::encode(digest)))
    }

    /// Each second: records what was summed, and seals the head in the store. While the barrier
    /// is sealed there is nothing to seal it with.
    pub async fn seal_head(&self) -> Result<(), Error> {
        let summed = self.anonymous().take();
        if let Some(record) = summed.record()
            && let Err(error) = self.write(record).await
        {
            self.anonymous().put_back(summed);
            return Err(error);
        }
        let mut sealed = self.0.sealed.lock().await;
        let head = self.0.head.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if self.0.barrier.is_sealed() || head.seq == *sealed {
            return Ok(());
        }
        let mut writes = Writes::default();
        self.0.heads.put(&mut writes, &head.chain, &head, None);
        self.0.barrier.commit(writes).await?;
        *sealed = head.seq;
        Ok(())
    }

    /// Lets go of the file and opens what is at its path now: for whoever rotates it.
    pub async fn reopen(&self) -> Result<(), Error> {
        self.command(Command::Reopen).await
    }

    /// Ends the chain once all that waits is written, and lets go of the sink. Later records are refused.
    pub async fn close(&self) -> Result<(), Error> {
        self.command(Command::Close).await
    }

    async fn write(&self, record: Record) -> Result<(), Error> {
        let written = self.command(|answer| Command::Record(Box::new(record), answer)).await;
        let counts = &self.0.counts;
        if written.is_ok() {
            counts.written.add()
        } else {
            counts.failed.add()
        }
        written
    }

    async fn command(&self, make: impl FnOnce(oneshot::Sender<Result<(), Error>>) -> Command) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let work = async {
            self.0.to_writer.send(make(answer)).await.map_err(|_| Error::Ended)?;
            answered.await.map_err(|_| Error::Ended)?
        };
        tokio::time::timeout(limits::AUDIT_WAIT, work).await.map_err(|_| Error::Slow)?
    }

    fn anonymous(&self) -> std::sync::MutexGuard<'_, Anonymous> {
        self.0.anonymous.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
