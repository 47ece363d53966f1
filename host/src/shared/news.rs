//! What others say on a channel, for as long as somebody listens.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use redis::{Client, PushInfo, PushKind, Value};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{sleep, timeout},
};

use super::{
    Error, Inner,
    connection::Connection,
    live::command,
    target::{Kind, Target},
};
use crate::limits;

/// One thing that a listener hears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// Listening begins here, or begins anew: what was said before may have been missed.
    Anew,
    /// What was published. Whoever can write to Redis can say anything: it is a hint, not a fact.
    Said(Vec<u8>),
}

/// A subscription. It mends itself, and ends when it is dropped.
#[derive(Debug)]
pub struct News(mpsc::Receiver<Heard>);

impl News {
    /// Waits for as long as nothing is said.
    pub async fn next(&mut self) -> Heard {
        match self.0.recv().await {
            Some(heard) => heard,
            // The listening task ends after this only.
            None => std::future::pending().await,
        }
    }
}

pub(super) fn subscribe(link: Arc<Inner>, channel: String) -> News {
    let (tell, news) = mpsc::channel(limits::REDIS_NEWS);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tell.closed() => return,
                ended = listen(&link, &channel, &tell) => {
                    if let Err(why) = ended {
                        tracing::debug!(redis = %link.target, %why, "the news from Redis begin anew");
                    }
                }
            }
            sleep(limits::REDIS_PAUSE).await;
        }
    });
    News(news)
}

/// Until the connection is of no more use, or the link has gone to another server.
async fn listen(link: &Inner, channel: &str, tell: &mpsc::Sender<Heard>) -> Result<(), Error> {
    let mut moves = link.state.subscribe();
    let before = moves.borrow_and_update().live.clone();
    let (lost, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(tokio::sync::Notify::new()));
    let hear = {
        let (tell, lost, ended) = (tell.clone(), lost.clone(), ended.clone());
        move |push: PushInfo| match push.kind {
            PushKind::Disconnection => ended.notify_one(),
            PushKind::Message => {
                if let Some(Value::BulkString(said)) = push.data.into_iter().nth(1)
                    && let Err(TrySendError::Full(_)) = tell.try_send(Heard::Said(said))
                {
                    lost.store(true, Ordering::Release);
                }
            }
            _ => {}
        }
    };
    let connecting = timeout(limits::REDIS_CONNECT, connect(&link.target, channel, hear));
    let connection = connecting.await.map_err(|_| super::slow())??;
    if tell.send(Heard::Anew).await.is_err() {
        return Ok(());
    }
    let mut missed = 0;
    loop {
        tokio::select! {
            () = ended.notified() => return Ok(()),
            _ = moves.changed() => {
                let now = moves.borrow_and_update().live.clone();
                let same = before.as_ref().zip(now.as_ref()).is_some_and(|(before, now)| Arc::ptr_eq(before, now));
                if now.is_some() && !same {
                    return Ok(());
                }
            }
            () = sleep(limits::REDIS_LOOK) => {
                // A peer that swallows what it is sent would be silent for ever.
                match timeout(limits::REDIS_WAIT, connection.send(&command(&[b"PING"]))).await {
                    Ok(answer) => drop(answer.map_err(|error| super::connection::meaning(&error))?),
                    Err(_) => missed += 1,
                }
                if missed >= limits::REDIS_MISSED {
                    return Err(super::slow());
                }
                if lost.swap(false, Ordering::AcqRel) && tell.try_send(Heard::Anew).is_err() {
                    lost.store(true, Ordering::Release);
                }
            }
        }
    }
}

async fn connect(
    target: &Target,
    channel: &str,
    hear: impl Fn(PushInfo) + Clone + Send + Sync + 'static,
) -> Result<Connection, Error> {
    let one = async |client: &Client| {
        let connection = Connection::one(client, &target.resolver, hear.clone()).await?;
        if let Connection::One(one) = &connection {
            one.clone().subscribe(channel).await.map_err(|error| super::connection::meaning(&error))?;
        }
        Ok(connection)
    };
    match &target.kind {
        Kind::Single(client) => one(client).await,
        Kind::Sentinel(sentinels) => one(&sentinels.client(&sentinels.primary().await?)?).await,
        // In a cluster each node passes on what is said to any other.
        Kind::Cluster { nodes, .. } => {
            let mut why = super::slow();
            for node in nodes {
                match timeout(limits::REDIS_CONNECT / 3, one(node)).await {
                    Ok(Ok(connection)) => return Ok(connection),
                    Ok(Err(error)) => why = error,
                    Err(_) => {}
                }
            }
            Err(why)
        }
    }
}
