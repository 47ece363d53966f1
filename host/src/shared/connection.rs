//! One connection of the crate's, to one server or to a cluster.

use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, PushInfo, RedisError, RedisResult, ServerErrorKind, Value,
    aio::{ConnectionLike as _, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo, SingleNodeRoutingInfo},
};

use super::{
    Error,
    near::{self, Resolver},
};
use crate::limits;

#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// `hear` is told what the server says unasked, and when the connection ends.
    pub(super) async fn one(
        client: &Client,
        resolver: &Resolver,
        hear: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let hear = move |push: PushInfo| -> Result<(), redis::aio::SendError> {
            hear(push);
            Ok(())
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(limits::REDIS_CONNECT))
            .set_response_timeout(None)
            .set_push_sender(hear)
            .set_dns_resolver(resolver.clone());
        let made = client.get_multiplexed_async_connection_with_config(&config).await;
        made.map(Self::One).map_err(|error| meaning(&error))
    }

    pub(super) async fn cluster(client: &ClusterClient) -> Result<Self, Error> {
        client.get_async_connection().await.map(Self::Cluster).map_err(|error| meaning(&error))
    }

    pub(super) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }

    pub(super) async fn send(&self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::One(one) => one.clone().send_packed_command(command).await?.extract_error(),
            Self::Cluster(cluster) => redirected(cluster, command).await?.extract_error(),
        }
    }

    /// To each server that holds keys: one answer of each.
    pub(super) async fn send_to_primaries(&self, command: &Cmd) -> RedisResult<Vec<Value>> {
        match self {
            Self::One(_) => Ok(vec![self.send(command).await?]),
            Self::Cluster(cluster) => {
                let all = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                match cluster.clone().route_command(command.clone(), all).await? {
                    Value::Map(answers) => answers.into_iter().map(|(_, answer)| answer.extract_error()).collect(),
                    Value::Array(answers) => answers.into_iter().map(Value::extract_error).collect(),
                    other => Ok(vec![other]),
                }
            }
        }
    }
}

/// The crate's own retries would repeat what may have been done already. Ours repeat only what a
/// node has refused to do because it is another's.
async fn redirected(cluster: &ClusterConnection, command: &Cmd) -> RedisResult<Value> {
    use ServerErrorKind::{Ask, Moved, TryAgain};
    let mut cluster = cluster.clone();
    let mut left = limits::REDIS_REDIRECTS;
    loop {
        let sent = cluster.req_packed_command(command).await.and_then(Value::extract_error);
        let Err(error) = sent else { return sent };
        left -= 1;
        match error.kind() {
            _ if left == 0 => return Err(error),
            ErrorKind::Server(Moved | TryAgain) | ErrorKind::ClusterConnectionNotFound => {
                tokio::time::sleep(limits::REDIS_REDIRECT_PAUSE).await;
            }
            ErrorKind::Server(Ask) => match asked(&mut cluster, command, &error).await {
                Some(answer) => return answer,
                None => return Err(error),
            },
            _ => return Err(error),
        }
    }
}

/// While a slot moves, a key that has moved is had from its new node by those who say ASKING.
async fn asked(cluster: &mut ClusterConnection, command: &Cmd, error: &RedisError) -> Option<RedisResult<Value>> {
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let node = SingleNodeRoutingInfo::ByAddress { host: host.to_owned(), port: port.parse().ok()? };
    let mut both = Pipeline::new();
    both.cmd("ASKING").add_command(command.clone());
    match cluster.route_pipeline(both, 0, 2, node).await {
        Ok(answers) => answers.into_iter().nth(1).map(Value::extract_error),
        Err(error) => Some(Err(error)),
    }
}

/// Only the kind of an error: its text may quote what was sent.
pub(super) fn meaning(error: &RedisError) -> Error {
    let unusable = |why: &str| Error::Unusable(why.to_owned());
    match (error.kind(), error.code()) {
        (_, Some("WRONGTYPE")) => Error::Foreign,
        (ErrorKind::AuthenticationFailed, _) | (_, Some("WRONGPASS" | "NOAUTH")) => {
            unusable("it refuses the name or password of its URL")
        }
        (_, Some("NOPERM")) => unusable("its user may not do what is needed there: see README for its rights"),
        _ if near::is_far(error) => unusable("it is on another machine, in the clear: use TLS, or allow_plaintext"),
        (_, code) => Error::Away(code.unwrap_or_else(|| error.category()).to_owned()),
    }
}
