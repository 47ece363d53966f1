//! Families that an earlier release wrote are what they were: alive, renewed, limited, ended, spent.
//! `tests/fixtures` has them as both stores kept them, and the time when they were so.

use std::{path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{AccessToken, Error, RefreshToken, Renewal, Session, Sessions, Store, embedded::Embedded, redis::Redis};
use crate::{
    barrier::{Barrier, parse_key},
    clock::{Clock, Timestamp},
    fence::Fence,
    sensitive::Secret,
    shared, storage,
};

struct Kept {
    folder: tempfile::TempDir,
    told: Value,
    hashes: Value,
}

impl Kept {
    fn copy(name: &str) -> Self {
        let from = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures").join(name);
        let read = |file: &str| serde_json::from_slice(&std::fs::read(from.join(file)).unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(from.join("data/coffer.db"), folder.path().join("coffer.db")).unwrap();
        Self { folder, told: read("kept.json"), hashes: read("redis.json") }
    }

    /// The node of that time, a minute later.
    async fn sessions(&self, store: &str, link: Option<shared::Link>) -> Sessions {
        let at = Timestamp::from_millis(self.told[store]["at"].as_i64().unwrap());
        let (clock, _) = Clock::manual(at.after(Duration::from_secs(60)));
        let url = format!("sqlite://{}", self.folder.path().join("coffer.db").display());
        let barrier = Barrier::new(storage::open(&url, clock.clone()).await.unwrap(), clock.clone());
        let key = Secret::new(self.told["key"].as_str().unwrap().to_owned());
        barrier.unseal_key(&parse_key(&key).unwrap()).await.unwrap();
        let fence = Fence::new(barrier.clone(), clock.clone());
        fence.ask().await.unwrap();
        let store: Arc<dyn Store> = match link {
            Some(link) => Arc::new(Redis::new(link, barrier.clone())),
            None => Arc::new(Embedded::new(barrier.clone())),
        };
        Sessions::new(store, barrier, fence, clock)
    }

    /// What stood in Redis, in one that has nothing else.
    async fn put_back(&self, link: &shared::Link) {
        for (key, fields) in self.hashes.as_object().unwrap() {
            let mut command = vec![b"HSET".to_vec(), key.clone().into_bytes()];
            for (name, value) in fields.as_object().unwrap() {
                command.extend([name.clone().into_bytes(), STANDARD.decode(value.as_str().unwrap()).unwrap()]);
            }
            link.command(&command.iter().map(Vec::as_slice).collect::<Vec<_>>()).await.unwrap();
        }
    }
}

async fn are_what_they_were(sessions: &Sessions, told: &Value) {
    let find = async |name: &str| -> Result<Arc<Session>, Error> {
        sessions.find(&AccessToken::parse(told[name]["access"].as_str().unwrap()).unwrap(), None).await
    };
    let refresh = |name: &str| RefreshToken::parse(told[name]["refresh"].as_str().unwrap()).unwrap();
    for name in ["replaced", "revoked", "once"] {
        assert!(matches!(find(name).await, Err(Error::Unknown)), "{name}");
    }
    for name in ["live", "renewed"] {
        let session = find(name).await.unwrap();
        assert_eq!((session.user.as_str(), session.max_uses), (told["user"].as_str().unwrap(), None), "{name}");
        sessions.spend(&session).await.unwrap();
        sessions.renew(&refresh(name), Renewal::default(), None).await.unwrap();
        assert!(matches!(find(name).await, Err(Error::Unknown)), "{name} has been renewed");
    }
    for _ in 0..told["limited_left"].as_u64().unwrap() {
        sessions.spend(&find("limited").await.unwrap()).await.unwrap();
    }
    assert!(matches!(find("limited").await, Err(Error::Unknown)), "all its uses are spent");
    // A refresh token of long ago raises the alarm still.
    assert!(sessions.renew(&refresh("replaced"), Renewal::default(), None).await.is_err());
}

#[tokio::test]
async fn families_of_the_first_store_are_what_they_were() {
    open("store-1").await;
}

#[tokio::test]
async fn families_of_the_second_store_are_what_they_were() {
    open("store-2").await;
}

#[tokio::test]
async fn families_of_the_third_store_are_what_they_were() {
    open("store-3").await;
}

#[tokio::test]
async fn families_of_the_fourth_store_are_what_they_were() {
    open("store-4").await;
}

async fn open(name: &str) {
    let kept = Kept::copy(name);
    are_what_they_were(&kept.sessions("embedded", None).await, &kept.told["embedded"]).await;
    let server = shared::testing::Server::start(&[]);
    let link = shared::testing::until_open(&server.url(), shared::testing::options("coffer")).await.unwrap();
    // The first may still be letting go of its file.
    let kept = Kept::copy(name);
    kept.put_back(&link).await;
    are_what_they_were(&kept.sessions("redis", Some(link)).await, &kept.told["redis"]).await;
}
