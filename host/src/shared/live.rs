//! One connection, from the handshake to its end.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, PushInfo, PushKind, RedisError, ServerErrorKind, Value,
    aio::MultiplexedConnection,
};

use super::{Answer, Error, Options, Script, Target};
use crate::limits;

pub(super) struct Live {
    connection: MultiplexedConnection,
    /// It is of no more use; the next caller makes another.
    pub(super) broken: Arc<AtomicBool>,
    missed: AtomicU32,
}

impl Live {
    /// Connects, and makes sure that this is a primary that evicts nothing.
    pub(super) async fn connect(target: &Target, options: &Options) -> Result<Self, Error> {
        let broken = Arc::new(AtomicBool::new(false));
        let told = broken.clone();
        let hear = move |push: PushInfo| -> Result<(), redis::aio::SendError> {
            if push.kind == PushKind::Disconnection {
                told.store(true, Ordering::Release);
            }
            Ok(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limits::REDIS_CONNECT))
            .set_response_timeout(None)
            .set_push_sender(hear);
        let made = target.client().get_multiplexed_async_connection_with_config(&config).await;
        let connection = made.map_err(|error| away(&error))?;
        let live = Self { connection, broken, missed: AtomicU32::new(0) };
        live.is_primary().await?;
        live.evicts_nothing(options).await?;
        Ok(live)
    }

    pub(super) async fn command(&self, parts: &[&[u8]]) -> Result<Answer, Error> {
        let mut command = Cmd::new();
        parts.iter().for_each(|part| {
            command.arg(*part);
        });
        self.send(&command).await.map_err(|error| self.judge(&error))
    }

    pub(super) async fn script(&self, script: &Script, key: &str, arguments: &[&[u8]]) -> Result<Answer, Error> {
        let mut call = Cmd::new();
        call.arg("EVALSHA").arg(script.hash()).arg(1).arg(key);
        arguments.iter().for_each(|argument| {
            call.arg(*argument);
        });
        match self.send(&call).await {
            // It was restarted, or its scripts were flushed.
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.command(&[b"SCRIPT", b"LOAD", script.source().as_bytes()]).await?;
                self.send(&call).await
            }
            other => other,
        }
        .map_err(|error| self.judge(&error))
    }

    /// An answer did not come in time.
    pub(super) fn missed(&self) {
        if self.missed.fetch_add(1, Ordering::AcqRel) + 1 >= limits::REDIS_MISSED {
            self.broken.store(true, Ordering::Release);
        }
    }

    async fn send(&self, command: &Cmd) -> Result<Answer, RedisError> {
        let value = self.connection.clone().send_packed_command(command).await?.extract_error()?;
        self.missed.store(0, Ordering::Release);
        Ok(answer(value))
    }

    /// What an error means for the connection, and for the caller.
    fn judge(&self, error: &RedisError) -> Error {
        use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly};
        if error.code() == Some("WRONGTYPE") {
            return Error::Foreign;
        }
        let demoted = matches!(error.kind(), ErrorKind::Server(ReadOnly | BusyLoading | MasterDown | ClusterDown));
        if demoted || error.is_io_error() || error.is_unrecoverable_error() {
            self.broken.store(true, Ordering::Release);
        }
        away(error)
    }

    async fn is_primary(&self) -> Result<(), Error> {
        match self.command(&[b"ROLE"]).await? {
            Answer::List(role) if role.first() == Some(&Answer::Bytes(b"master".to_vec())) => Ok(()),
            _ => Err(Error::Away("it is not the primary".to_owned())),
        }
    }

    /// A Redis that evicts would log people out, silently and at random.
    async fn evicts_nothing(&self, options: &Options) -> Result<(), Error> {
        let told = match self.command(&[b"INFO", b"memory"]).await {
            Ok(Answer::Bytes(info)) => String::from_utf8_lossy(&info).into_owned(),
            _ => String::new(),
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
    }
}

fn answer(value: Value) -> Answer {
    match value {
        Value::Nil => Answer::Nil,
        Value::Int(number) => Answer::Int(number),
        Value::BulkString(bytes) => Answer::Bytes(bytes),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Answer::Bytes(text.into_bytes()),
        Value::Okay => Answer::Bytes(b"OK".to_vec()),
        Value::Array(values) | Value::Set(values) => Answer::List(values.into_iter().map(answer).collect()),
        Value::Boolean(yes) => Answer::Int(yes.into()),
        // Nothing that we ask is answered so.
        _ => Answer::Nil,
    }
}

/// Only the kind of an error: its text may quote what was sent.
fn away(error: &RedisError) -> Error {
    match (error.kind(), error.code()) {
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH")) => {
            Error::Unusable("it refuses the name or password of its URL".to_owned())
        }
        (_, code) => Error::Away(code.unwrap_or_else(|| error.category()).to_owned()),
    }
}
