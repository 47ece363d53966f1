//! One connection, from the handshake to its end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use redis::{Cmd, ErrorKind, PushKind, RedisError, ServerErrorKind, Value};

use super::{
    Answer, Error, Options, Script,
    connection::{Connection, meaning},
    sentinel::Address,
    target::{Kind, Target},
};
use crate::limits;

pub(super) struct Live {
    connection: Connection,
    /// It is of no more use; the next caller makes another.
    pub(super) broken: Arc<AtomicBool>,
    missed: AtomicU32,
    /// Where sentinels said that the primary is.
    address: Option<Address>,
}

impl Live {
    /// Connects, and makes sure that this is a primary that evicts nothing.
    pub(super) async fn connect(target: &Target, options: &Options) -> Result<Self, Error> {
        let broken = Arc::new(AtomicBool::new(false));
        let told = broken.clone();
        let hear = move |push: redis::PushInfo| {
            if push.kind == PushKind::Disconnection {
                told.store(true, Ordering::Release);
            }
        };
        let (connection, address) = open(target, hear).await?;
        let live = Self { connection, broken, missed: AtomicU32::new(0), address };
        live.is_fit(options).await?;
        Ok(live)
    }

    pub(super) async fn command(&self, parts: &[&[u8]]) -> Result<Answer, Error> {
        self.send(&command(parts)).await.map_err(|error| self.judge(&error))
    }

    pub(super) async fn script(&self, script: &Script, key: &str, arguments: &[&[u8]]) -> Result<Answer, Error> {
        let call = |how: &str, what: &str| {
            let mut call = Cmd::new();
            call.arg(how).arg(what).arg(1).arg(key);
            arguments.iter().for_each(|argument| {
                call.arg(*argument);
            });
            call
        };
        match self.send(&call("EVALSHA", script.hash())).await {
            // It was restarted, or its scripts were flushed. This one is remembered from now on.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.send(&call("EVAL", script.source())).await
            }
            other => other,
        }
        .map_err(|error| self.judge(&error))
    }

    /// Still the primary, and still what we can use? An answer that says no ends this connection.
    pub(super) async fn look(&self, target: &Target, options: &Options) -> Result<(), Error> {
        if let (Kind::Sentinel(sentinels), Some(ours)) = (&target.kind, &self.address)
            && let Ok(named) = sentinels.primary().await
            && named != *ours
        {
            self.broken.store(true, Ordering::Release);
            return Err(Error::Away("the sentinels have made another one the primary".to_owned()));
        }
        match tokio::time::timeout(limits::REDIS_WAIT, self.is_fit(options)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.broken.store(true, Ordering::Release);
                Err(error)
            }
            Err(_) => {
                self.missed();
                Ok(())
            }
        }
    }

    /// An answer did not come in time.
    pub(super) fn missed(&self) {
        if self.missed.fetch_add(1, Ordering::AcqRel) + 1 >= limits::REDIS_MISSED {
            self.broken.store(true, Ordering::Release);
        }
    }

    async fn send(&self, command: &Cmd) -> Result<Answer, RedisError> {
        let value = self.connection.send(command).await?;
        self.missed.store(0, Ordering::Release);
        Ok(answer(value))
    }

    /// What an error means for the connection, and for the caller.
    fn judge(&self, error: &RedisError) -> Error {
        use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly};
        let demoted = matches!(error.kind(), ErrorKind::Server(ReadOnly | BusyLoading | MasterDown | ClusterDown));
        match demoted || error.is_io_error() || error.is_unrecoverable_error() {
            // The crate looks after the connections to the nodes; what it cannot mend we begin anew.
            true if self.connection.is_cluster() => self.missed(),
            true => self.broken.store(true, Ordering::Release),
            false => {}
        }
        meaning(error)
    }

    async fn is_fit(&self, options: &Options) -> Result<(), Error> {
        if !self.connection.is_cluster() {
            match self.command(&[b"ROLE"]).await? {
                Answer::List(role) if role.first() == Some(&Answer::Bytes(b"master".to_vec())) => {}
                _ => return Err(Error::Away("it is not the primary".to_owned())),
            }
        }
        self.evicts_nothing(options).await
    }

    /// A Redis that evicts would log people out, silently and at random.
    async fn evicts_nothing(&self, options: &Options) -> Result<(), Error> {
        let told = match self.connection.send_to_primaries(&command(&[b"INFO", b"memory"])).await {
            Ok(told) => told.into_iter().map(answer).collect(),
            // Not told, as far as it says.
            Err(error) if matches!(error.code(), Some("NOPERM" | "ERR")) => vec![Answer::Nil],
            // The others serve on without the one that is away; it is looked at when it is back.
            Err(_) if self.connection.is_cluster() => return Ok(()),
            Err(error) => return Err(self.judge(&error)),
        };
        told.iter().try_for_each(|told| {
            let told = match told {
                Answer::Bytes(info) => String::from_utf8_lossy(info),
                _ => "".into(),
            };
            match told.lines().find_map(|line| line.strip_prefix("maxmemory_policy:")).map(str::trim) {
                Some("noeviction") => Ok(()),
                Some(_) => Err(Error::Unusable("its maxmemory-policy must be noeviction".to_owned())),
                None if options.assume_noeviction => Ok(()),
                None => Err(Error::Unusable(
                    "it does not tell its maxmemory-policy: see to it that it is noeviction, and set assume_noeviction"
                        .to_owned(),
                )),
            }
        })
    }
}

/// To the server that answers for all, and where sentinels said it is.
pub(super) async fn open(
    target: &Target,
    hear: impl Fn(redis::PushInfo) + Send + Sync + 'static,
) -> Result<(Connection, Option<Address>), Error> {
    match &target.kind {
        Kind::Single(client) => Ok((Connection::one(client, &target.resolver, hear).await?, None)),
        Kind::Sentinel(sentinels) => {
            let primary = sentinels.primary().await?;
            let client = sentinels.client(&primary)?;
            Ok((Connection::one(&client, &target.resolver, hear).await?, Some(primary)))
        }
        Kind::Cluster { client, .. } => Ok((Connection::cluster(client).await?, None)),
    }
}

pub(super) fn command(parts: &[&[u8]]) -> Cmd {
    let mut command = Cmd::new();
    parts.iter().for_each(|part| {
        command.arg(*part);
    });
    command
}

pub(super) fn answer(value: Value) -> Answer {
    match value {
        Value::Nil => Answer::Nil,
        Value::Int(number) => Answer::Int(number),
        Value::BulkString(bytes) => Answer::Bytes(bytes),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Answer::Bytes(text.into_bytes()),
        Value::Okay => Answer::Bytes(b"OK".to_vec()),
        Value::Array(values) | Value::Set(values) => Answer::List(values.into_iter().map(answer).collect()),
        Value::Map(pairs) => {
            Answer::List(pairs.into_iter().flat_map(|(key, value)| [answer(key), answer(value)]).collect())
        }
        Value::Boolean(yes) => Answer::Int(yes.into()),
        // Nothing that we ask is answered so.
        _ => Answer::Nil,
    }
}
