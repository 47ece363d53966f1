//! A store that can be told to fail, for the tests of this module and those above.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    clock::Timestamp,
    storage::{Backend, Batch, Entry, Error, Key, Memory, Page, Range},
};

/// `Memory` behind a gate.
#[derive(Debug, Default)]
pub(crate) struct Unsteady {
    memory: Memory,
    gate: Mutex<()>,
    waiting: AtomicUsize,
    reads_fail: AtomicBool,
    writes_fail: AtomicBool,
    /// Batches are stored, but whoever sent them is told that nobody knows.
    answers_lost: AtomicBool,
}

impl Unsteady {
    pub(crate) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Reads read, but their answers wait until the guard is dropped.
    pub(crate) async fn hold(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().await
    }

    pub(crate) async fn somebody_waits(&self) {
        self.so_many_wait(1).await;
    }

    pub(crate) async fn so_many_wait(&self, count: usize) {
        while self.waiting.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn fail_reads(&self, fail: bool) {
        self.reads_fail.store(fail, Ordering::SeqCst);
    }

    pub(crate) fn fail_writes(&self, fail: bool) {
        self.writes_fail.store(fail, Ordering::SeqCst);
    }

    pub(crate) fn lose_answers(&self, lose: bool) {
        self.answers_lost.store(lose, Ordering::SeqCst);
    }

    async fn answer<T>(&self, answer: T) -> Result<T, Error> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(self.gate.lock().await);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        unless(&self.reads_fail)?;
        Ok(answer)
    }
}

fn unless(fail: &AtomicBool) -> Result<(), Error> {
    match fail.load(Ordering::SeqCst) {
        true => Err(Error::Away("the test says so".to_owned())),
        false => Ok(()),
    }
}

#[async_trait]
impl Backend for Unsteady {
    async fn get(&self, keys: &[Key], now: Timestamp) -> Result<Vec<Option<Entry>>, Error> {
        self.answer(self.memory.get(keys, now).await?).await
    }

    async fn list(&self, range: Range, now: Timestamp) -> Result<Page, Error> {
        self.answer(self.memory.list(range, now).await?).await
    }

    async fn apply(&self, batch: Batch, now: Timestamp) -> Result<(), Error> {
        unless(&self.writes_fail)?;
        self.memory.apply(batch, now).await?;
        match self.answers_lost.load(Ordering::SeqCst) {
            true => Err(Error::Unknown("the test says so".to_owned())),
            false => Ok(()),
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        self.answer(()).await
    }

    async fn sweep(&self, now: Timestamp, most: usize) -> Result<usize, Error> {
        self.memory.sweep(now, most).await
    }

    async fn close(&self) {}
}
