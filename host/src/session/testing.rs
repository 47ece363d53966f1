//! Both stores for the tests, with what only somebody who can write to them can do.

use std::{sync::Arc, time::Duration};

use super::{
    AccessToken, EpochOf, EpochsOf, Error, Lifetimes, NewSession, RefreshToken, Renewal, Session, Sessions, Store,
    Tokens, embedded::Embedded, redis::Redis,
};
use crate::{
    barrier::{Barrier, Writes},
    clock::{Clock, Hand, Timestamp},
    fence::Fence,
    ids::{MountId, MountName, SessionId, UserId},
    sensitive::Secret,
    shared::{self, Answer, Link},
    storage::{Entry, Memory},
};

/// A story told once and run on each store.
macro_rules! on_both_stores {
    ($($(#[$doc:meta])* async fn $name:ident($bench:ident) $story:block)*) => {$(
        $(#[$doc])*
        #[tokio::test]
        async fn $name() {
            for $bench in Bench::both().await $story
        }
    )*};
}
pub(super) use on_both_stores;

pub(super) const IDLE: Duration = Duration::from_secs(60);
pub(super) const ABSOLUTE: Duration = Duration::from_secs(600);
pub(super) const FAMILY: Duration = Duration::from_secs(6000);

/// One node with a store under it.
pub(super) struct Bench {
    pub(super) sessions: Sessions,
    pub(super) barrier: Barrier,
    pub(super) memory: Arc<Memory>,
    pub(super) fence: Fence,
    pub(super) clock: Clock,
    pub(super) hand: Hand,
    pub(super) link: Option<Link>,
    pub(super) mount: MountId,
}

/// A family as the store has it, to be put back.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    Row(String, Option<Entry>),
    Hash(String, Vec<Vec<u8>>),
}

impl Bench {
    pub(super) async fn both() -> [Self; 2] {
        [Self::embedded(), Self::redis().await]
    }

    pub(super) fn embedded() -> Self {
        Self::new(None)
    }

    pub(super) async fn redis() -> Self {
        Self::new(Some(shared::testing::link().await))
    }

    fn new(link: Option<Link>) -> Self {
        // Redis has a clock of its own.
        let (clock, hand) = Clock::manual(Clock::system().now());
        let memory = Arc::new(Memory::default());
        let barrier = Barrier::for_test(memory.clone(), clock.clone());
        let fence = Fence::new(barrier.clone(), clock.clone());
        let store: Arc<dyn Store> = match &link {
            Some(link) => Arc::new(Redis::new(link.clone(), barrier.clone())),
            None => Arc::new(Embedded::new(barrier.clone())),
        };
        let sessions = Sessions::new(store, barrier.clone(), fence.clone(), clock.clone());
        Self { sessions, barrier, memory, fence, clock, hand, link, mount: MountId::new() }
    }

    /// Another node on the same stores.
    pub(super) fn node(&self) -> Sessions {
        let store: Arc<dyn Store> = match &self.link {
            Some(link) => Arc::new(Redis::new(link.clone(), self.barrier.clone())),
            None => Arc::new(Embedded::new(self.barrier.clone())),
        };
        let fence = Fence::new(self.barrier.clone(), self.clock.clone());
        Sessions::new(store, self.barrier.clone(), fence, self.clock.clone())
    }

    pub(super) async fn new_session(&self, user: &UserId) -> NewSession {
        let plugin = "ab".repeat(32);
        let of = EpochsOf {
            user: Some(user.clone()),
            mount: Some(self.mount.clone()),
            digest: Some(plugin.clone()),
            client: None,
        };
        NewSession {
            user: user.clone(),
            mount: self.mount.clone(),
            method: MountName::parse("password").unwrap(),
            subject: "ada-the-subject".to_owned(),
            groups: vec!["canary-group".to_owned()],
            plugin,
            client: None,
            scope: None,
            addresses: None,
            max_uses: None,
            lifetimes: Lifetimes { idle: IDLE, absolute: ABSOLUTE, family: FAMILY },
            renewable: true,
            internal: b"canary-internal".to_vec(),
            epochs: self.sessions.epochs(&of).await.unwrap(),
            parent: None,
            address: Some("192.0.2.77".parse().unwrap()),
            device: "canary-device".to_owned(),
            login_at: self.clock.now(),
            by_device_flow: false,
            per_user: None,
        }
    }

    pub(super) async fn login(&self) -> Tokens {
        self.login_with(|_| {}).await
    }

    pub(super) async fn login_with(&self, change: impl FnOnce(&mut NewSession)) -> Tokens {
        let mut new = self.new_session(&UserId::new()).await;
        change(&mut new);
        self.sessions.create(new).await.unwrap()
    }

    pub(super) async fn child_of(
        &self,
        parent: &Tokens,
        change: impl FnOnce(&mut NewSession),
    ) -> Result<Tokens, Error> {
        let mut new = self.new_session(&parent.session.user).await;
        new.parent = Some(parent.session.id.clone());
        change(&mut new);
        self.sessions.create(new).await
    }

    pub(super) async fn find(&self, access: &Secret<String>) -> Result<Arc<Session>, Error> {
        self.sessions.find(&AccessToken::parse(access.reveal()).unwrap(), None).await
    }

    /// As a request does it.
    pub(super) async fn use_once(&self, access: &Secret<String>) -> Result<Arc<Session>, Error> {
        let session = self.find(access).await?;
        self.sessions.spend(&session).await.map(|()| session)
    }

    pub(super) async fn renew(&self, refresh: &Option<Secret<String>>) -> Result<Tokens, Error> {
        self.sessions.renew(&refresh_token(refresh), Renewal::default(), None).await
    }

    pub(super) async fn keep(&self, id: &SessionId) -> Kept {
        match &self.link {
            None => {
                let key = format!("session/family/{id}");
                let row = self.memory.dump().into_iter().find(|(found, _)| *found == key);
                Kept::Row(key, row.map(|(_, entry)| entry))
            }
            Some(link) => {
                let key = format!("{}:{{{id}}}", link.namespace());
                let Answer::List(values) = link.command(&[b"EVAL", HGETALL, b"1", key.as_bytes()]).await.unwrap()
                else {
                    panic!("a list");
                };
                Kept::Hash(key, values.into_iter().map(bytes).collect())
            }
        }
    }

    pub(super) async fn put_back(&self, kept: &Kept) {
        match kept {
            Kept::Row(key, entry) => self.memory.tamper(key, entry.clone()),
            Kept::Hash(key, values) => {
                let link = self.link.as_ref().unwrap();
                link.command(&[b"DEL", key.as_bytes()]).await.unwrap();
                if !values.is_empty() {
                    let mut command: Vec<&[u8]> = vec![b"HSET", key.as_bytes()];
                    command.extend(values.iter().map(Vec::as_slice));
                    link.command(&command).await.unwrap();
                }
            }
        }
    }

    /// As a restart does it.
    pub(super) async fn forget_scripts(&self) {
        if let Some(link) = &self.link {
            link.command(&[b"SCRIPT", b"FLUSH"]).await.unwrap();
        }
    }

    /// Everything that a thief of Redis and of the disk would see.
    pub(super) async fn dump(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for (key, entry) in self.memory.dump() {
            all.extend(key.into_bytes());
            all.extend(entry.value);
        }
        if let Some(link) = &self.link {
            let pattern = format!("{}:*", link.namespace());
            let Answer::List(keys) = link.command(&[b"KEYS", pattern.as_bytes()]).await.unwrap() else { panic!() };
            for key in keys.into_iter().map(bytes) {
                all.extend(&key);
                let Answer::Bytes(value) = link.command(&[b"DUMP", &key]).await.unwrap() else { panic!() };
                all.extend(value);
                // As it is, besides: DUMP may compress.
                if let Ok(Answer::List(values)) = link.command(&[b"HVALS", &key]).await {
                    values.into_iter().for_each(|value| all.extend(bytes(value)));
                }
            }
        }
        all
    }

    /// Ends all of something, as a use case does it.
    pub(super) async fn raise(&self, of: EpochOf) {
        let mut writes = Writes::default();
        self.sessions.end_all(&mut writes, of);
        self.barrier.commit(writes).await.unwrap();
        self.sessions.settled().await;
    }

    pub(super) fn after(&self, span: Duration) -> Timestamp {
        self.clock.now().after(span)
    }
}

/// As a list, where RESP3 would have a map.
const HGETALL: &[u8] = b"return redis.call('HGETALL', KEYS[1])";

pub(super) fn refresh_token(refresh: &Option<Secret<String>>) -> RefreshToken {
    RefreshToken::parse(refresh.as_ref().expect("it is renewable").reveal()).unwrap()
}

pub(super) fn bytes(answer: Answer) -> Vec<u8> {
    match answer {
        Answer::Bytes(bytes) => bytes,
        other => panic!("bytes, not {other:?}"),
    }
}
