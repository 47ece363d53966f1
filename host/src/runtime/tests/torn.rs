//! What a call reads is of one state, whether it writes or not.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use async_trait::async_trait;

use crate::{
    barrier::{Barrier, Writes, layout::Prefix},
    clock::Timestamp,
    ids::MountId,
    runtime::{
        Fault,
        testing::{Bench, GET, PUT, engine, request},
    },
    storage::{Backend, Batch, Entry, Error, Key, Memory, Page, Range, Write},
};

/// Deletes what was read first just before something else is read.
#[derive(Debug, Default)]
struct Meddled {
    inner: Memory,
    reads: AtomicUsize,
    first: Mutex<Option<Key>>,
    meddles: bool,
}

#[async_trait]
impl Backend for Meddled {
    async fn get(&self, keys: &[Key], now: Timestamp) -> Result<Vec<Option<Entry>>, Error> {
        if self.reads.fetch_add(1, SeqCst) == 0 {
            *self.first.lock().unwrap() = Some(keys[0].clone());
        } else if let (true, Some(key)) = (self.meddles, self.first.lock().unwrap().take()) {
            let batch = Batch { expects: vec![], writes: vec![(key, Write::Delete)] };
            futures_util::FutureExt::now_or_never(self.inner.apply(batch, now)).unwrap()?;
        }
        self.inner.get(keys, now).await
    }

    async fn list(&self, range: Range, now: Timestamp) -> Result<Page, Error> {
        self.inner.list(range, now).await
    }

    async fn apply(&self, batch: Batch, now: Timestamp) -> Result<(), Error> {
        self.inner.apply(batch, now).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.inner.ping().await
    }

    async fn sweep(&self, now: Timestamp, most: usize) -> Result<usize, Error> {
        self.inner.sweep(now, most).await
    }

    async fn close(&self) {}
}

/// A store with the entries `a` and `b`, and a mount on it.
async fn meddled(meddles: bool) -> (Bench, Arc<Meddled>) {
    let mut bench = Bench::new();
    let storage = Arc::new(Meddled { meddles, ..Meddled::default() });
    let barrier = Barrier::for_test(storage.clone(), bench.clock.clone());
    bench.call.storage = barrier.view(Prefix::Data(MountId::new()));
    let mut writes = Writes::default();
    for key in ["a", "b"] {
        bench.call.storage.put_bytes(&mut writes, key, b"{}".to_vec().into(), None);
    }
    barrier.commit(writes).await.unwrap();
    (bench, storage)
}

const READ_TWO: &str = r#"
    (call $get (i32.const 3000) (i32.const 1) (i32.const 4096))
    (call $get (i32.const 3001) (i32.const 1) (i32.const 4096))"#;
const KEYS: &str = r#"(data (i32.const 3000) "ab")"#;

#[tokio::test]
async fn a_reader_that_saw_two_states_is_to_run_again_and_one_that_saw_one_is_not_asked() {
    let wasm = engine(GET, KEYS, &format!("{READ_TWO} (call $ok)"));
    let (bench, storage) = meddled(true).await;
    let plugin = bench.compile(wasm.clone()).await;
    let failure = plugin.attempt(request("read", "x", ""), &bench.call).await.unwrap_err();
    assert!(failure.stale && failure.may_rerun && matches!(failure.fault, Fault::Busy), "{failure:?}");
    assert_eq!(storage.reads.load(SeqCst), 3, "what it read is looked at once more");
    assert!(plugin.attempt(request("read", "x", ""), &bench.call).await.is_ok());

    let (bench, storage) = meddled(false).await;
    let plugin = bench.compile(wasm).await;
    assert!(plugin.attempt(request("read", "x", ""), &bench.call).await.is_ok());
    assert_eq!(storage.reads.load(SeqCst), 3);

    let (bench, storage) = meddled(true).await;
    let once = "(call $get (i32.const 3000) (i32.const 1) (i32.const 4096)) (call $ok)";
    let plugin = bench.compile(engine(GET, KEYS, once)).await;
    assert!(plugin.attempt(request("read", "x", ""), &bench.call).await.is_ok());
    assert_eq!(storage.reads.load(SeqCst), 1);
}

#[tokio::test]
async fn who_writes_is_told_by_the_commit() {
    let body = format!(
        "{READ_TWO} (call $put (i32.const 3001) (i32.const 1) (local.get $body) (local.get $body-len)
            (i32.const 0) (i64.const 0) (i32.const 4096)) (call $ok)"
    );
    let (bench, storage) = meddled(true).await;
    let plugin = bench.compile(engine(&format!("{PUT} {GET}"), KEYS, &body)).await;
    let outcome = plugin.attempt(request("update", "x", "{}"), &bench.call).await.unwrap();
    assert_eq!(storage.reads.load(SeqCst), 2);
    assert!(bench.call.storage.commit(outcome.writes).await.is_err());
}
