//! Compiled plugins. What takes long to compile is compiled beside the requests: they wait for the table of mounts, and the
//! table waits for nobody.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{Error, Inner, Kind, Mounts, State, prove::why};
use crate::{
    barrier,
    catalog::{Digest, Found},
    ids::MountName,
    limits,
    runtime::{self, Exports, Plugin},
};

/// How long somebody can wait for a plugin to be compiled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// As long as it takes.
    Endless,
    /// Until this moment of monotonic time; it goes on being compiled.
    Until(Duration),
}

/// How a compilation ended: with the plugin, or why not. None: it has not yet.
type Ended = Option<Result<Plugin, Failure>>;

/// Why a plugin is not there, for all who wait for it.
#[derive(Clone, Debug)]
struct Failure {
    why: Arc<str>,
    /// It may go well the next time.
    is_passing: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let is_passing = error.is_passing();
        let why = match error {
            Error::Broken(why) | Error::Passing(why) => why.into(),
            other => other.to_string().into(),
        };
        Self { why, is_passing }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure.is_passing {
            true => Self::Passing(failure.why.to_string()),
            false => Self::Broken(failure.why.to_string()),
        }
    }
}

#[derive(Debug)]
struct UnderWay {
    ended: watch::Receiver<Ended>,
    /// Somebody has given up waiting, and is to be told.
    awaited: bool,
}

/// By digest: several mounts share one, and a reload compiles nothing again.
#[derive(Debug)]
pub(super) struct Compiled {
    plugins: Mutex<HashMap<Digest, Plugin>>,
    /// What does not compile, and why: that stays so as long as the server is the same.
    failed: Mutex<HashMap<Digest, Arc<str>>>,
    under_way: Mutex<HashMap<Digest, UnderWay>>,
    /// Something has been compiled that mounts wait for.
    news: AtomicBool,
    /// Requests that may wait for what is being compiled.
    waiting: Semaphore,
}

impl Default for Compiled {
    fn default() -> Self {
        let waiting = Semaphore::new(limits::COMPILE_WAITING);
        let (plugins, failed, under_way) = Default::default();
        Self { plugins, failed, under_way, news: AtomicBool::default(), waiting }
    }
}

impl Compiled {
    fn get(&self, digest: &Digest) -> Option<Result<Plugin, Error>> {
        if let Some(plugin) = lock(&self.plugins).get(digest) {
            return Some(Ok(plugin.for_another_mount()));
        }
        lock(&self.failed).get(digest).map(|why| Err(Error::Broken(why.to_string())))
    }

    /// But for those that somebody is about to use.
    pub(super) fn let_go(&self, used: &HashSet<Digest>) {
        lock(&self.plugins).retain(|digest, plugin| used.contains(digest) || plugin.is_shared());
    }

    pub(super) fn has_news(&self) -> bool {
        self.news.load(Ordering::Acquire)
    }

    pub(super) fn tell_news(&self) {
        self.news.store(true, Ordering::Release);
    }

    pub(super) fn take_news(&self) -> bool {
        self.news.swap(false, Ordering::AcqRel)
    }

    /// It is not tried again.
    pub(super) fn fail(&self, digest: &Digest, why: &str) {
        lock(&self.failed).insert(digest.clone(), why.into());
    }

    /// The moment between the end of a compilation and its being struck off.
    #[cfg(test)]
    pub(super) fn has_just_ended(&self, digest: &Digest, plugin: Plugin) {
        let (_, ended) = watch::channel(Some(Ok(plugin)));
        lock(&self.under_way).insert(digest.clone(), UnderWay { ended, awaited: false });
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.plugins).len()
    }
}

impl Inner {
    async fn compile(&self, found: &Found) -> Result<Plugin, Error> {
        let digest = &found.component.digest;
        if let Some(known) = self.compiled.get(digest) {
            return known;
        }
        let wasm = self.catalog.bytes(found).await?;
        let plugin = match found.shipped() {
            true => self.runtime.later(wasm, Exports::named(|name| found.component.exports.contains(name))),
            false => self.runtime.compile(wasm).await.map_err(|error| self.failed(digest, &error))?,
        };
        Ok(lock(&self.compiled.plugins).entry(digest.clone()).or_insert(plugin).for_another_mount())
    }

    fn failed(&self, digest: &Digest, error: &runtime::Error) -> Error {
        let error = why(error);
        if let Error::Broken(why) = &error {
            self.compiled.fail(digest, why);
        }
        error
    }
}

impl Mounts {
    pub(super) async fn compiled(&self, found: &Found, patience: Patience) -> Result<Plugin, Error> {
        let Patience::Until(until) = patience else { return self.0.compile(found).await };
        let digest = &found.component.digest;
        if found.shipped() {
            return self.0.compile(found).await;
        }
        if let Some(known) = self.0.compiled.get(digest) {
            return known;
        }
        let left = until.saturating_sub(self.0.clock.monotonic());
        let mut ended = self.under_way(found);
        let _: Result<_, tokio::time::error::Elapsed> = timeout(left, ended.wait_for(Option::is_some)).await.map(drop);
        // It is told before it is struck off: who sees neither here will be told of news.
        if let Some(waited_for) = lock(&self.0.compiled.under_way).get_mut(digest)
            && ended.borrow().is_none()
        {
            waited_for.awaited = true;
            return Err(Error::Compiling(digest.clone()));
        }
        let ended = ended.borrow().clone();
        match ended {
            Some(ended) => ended.map(|plugin| plugin.for_another_mount()).map_err(Error::from),
            None => Err(Error::Passing("its compilation ended early".to_owned())),
        }
    }

    /// Waits for the plugin of the mount that this path lies in, if it is being compiled here, and says whether it did:
    /// whoever asks when another node has swapped it is answered late, and not refused.
    pub async fn come_up(&self, path: &str) -> Result<bool, barrier::Error> {
        let Some(digest) = self.compiling(path) else { return Ok(false) };
        let ended = lock(&self.0.compiled.under_way).get(&digest).map(|compilation| compilation.ended.clone());
        if let Some(mut ended) = ended {
            let Ok(_place) = self.0.compiled.waiting.try_acquire() else { return Ok(false) };
            let in_time = timeout(limits::COMPILE_WAIT, ended.wait_for(Option::is_some)).await.is_ok();
            if !in_time {
                return Ok(true);
            }
        }
        // It ends before anybody is told.
        if self.compiling(path).as_ref() == Some(&digest) {
            self.0.compiled.tell_news();
        }
        self.refresh().await.map(|()| true)
    }

    fn compiling(&self, path: &str) -> Option<Digest> {
        let table = self.0.table.load();
        if !table.is_compiling() {
            return None;
        }
        let (kind, rest) = Kind::of_key(path)?;
        let name = rest.split_once('/').map_or(rest, |(name, _)| name);
        match &table.get(kind, &MountName::parse(name).ok()?)?.state {
            State::Compiling(digest) => Some(digest.clone()),
            _ => None,
        }
    }

    /// Compiles it in a task of its own, unless one is at it.
    fn under_way(&self, found: &Found) -> watch::Receiver<Ended> {
        let digest = found.component.digest.clone();
        let mut under_way = lock(&self.0.compiled.under_way);
        if let Some(known) = under_way.get(&digest) {
            return known.ended.clone();
        }
        let (tell, ended) = watch::channel(None);
        under_way.insert(digest.clone(), UnderWay { ended: ended.clone(), awaited: false });
        let (mounts, found) = (self.clone(), found.clone());
        tokio::spawn(async move {
            let compiled = mounts.0.compile(&found).await;
            tell.send_replace(Some(compiled.map_err(Failure::from)));
            // Whoever asks from now on finds it, or begins anew; who has gone away looks again.
            let waited_for = lock(&mounts.0.compiled.under_way).remove(&digest);
            if waited_for.is_some_and(|waited_for| waited_for.awaited) {
                mounts.0.compiled.tell_news();
            }
        });
        ended
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
