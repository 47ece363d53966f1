//! Sentinels tell which server is the primary just now. They are asked anew for each connection.

use redis::{Client, Cmd, Value, io::AsyncDNSResolver};

use super::{
    Error,
    connection::{self, Connection},
    near::Resolver,
    target::Access,
};
use crate::{finding::Finding, limits};

pub(super) struct Sentinels {
    pub(super) sentinels: Vec<Client>,
    pub(super) service: String,
    /// To the servers that they name.
    pub(super) access: Access,
    pub(super) resolver: Resolver,
}

/// Where a server listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
}

impl Sentinels {
    /// What the first of them that answers says.
    pub(super) async fn primary(&self) -> Result<Address, Error> {
        let mut why = Error::Away("no sentinel answers".to_owned());
        for sentinel in &self.sentinels {
            match tokio::time::timeout(limits::REDIS_CONNECT / 3, self.ask(sentinel)).await {
                Ok(Ok(address)) => return Ok(address),
                Ok(Err(error)) => why = error,
                Err(_) => {}
            }
        }
        Err(why)
    }

    /// Are they there, enough of them, and of one mind?
    pub(super) async fn examine(&self) -> Finding {
        const SENTINELS: &str = "redis.sentinels";
        let (count, mut answering, mut quorum) = (self.sentinels.len(), 0, false);
        for sentinel in &self.sentinels {
            let asking = async {
                let connection = Connection::one(sentinel, &self.resolver, |_| {}).await.ok()?;
                let mut question = Cmd::new();
                question.arg("SENTINEL").arg("CKQUORUM").arg(&self.service);
                Some(
                    matches!(connection.send(&question).await, Ok(Value::SimpleString(text)) if text.starts_with("OK")),
                )
            };
            if let Ok(Some(agreed)) = tokio::time::timeout(limits::REDIS_CONNECT / 3, asking).await {
                answering += 1;
                quorum |= agreed;
            }
        }
        let said = format!("{answering} of {count} answer");
        match (answering, quorum) {
            (0, _) => Finding::fail(SENTINELS, said, "start them, or mend sessions.url"),
            (_, false) => Finding::fail(
                SENTINELS,
                format!("{said}, and they cannot agree on a failover of this service"),
                "see that they watch it, reach each other, and are more than half",
            ),
            _ if answering < count => Finding::warn(SENTINELS, said, "start the others"),
            _ if count < 3 => Finding::warn(SENTINELS, said, "name at least three of them"),
            _ => Finding::ok(SENTINELS, said),
        }
    }

    pub(super) fn client(&self, address: &Address) -> Result<Client, Error> {
        self.access.client(self.access.address(address.host.clone(), address.port))
    }

    async fn ask(&self, sentinel: &Client) -> Result<Address, Error> {
        let connection = Connection::one(sentinel, &self.resolver, |_| {}).await?;
        let mut question = Cmd::new();
        question.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service);
        let primary = match connection.send(&question).await.map_err(|error| connection::meaning(&error))? {
            Value::Array(parts) => address(&parts)?,
            _ => return Err(Error::Away("the sentinels know no such service".to_owned())),
        };
        self.note_others(&connection).await;
        Ok(primary)
    }

    /// The replicas and the other sentinels: nobody connects to them as yet. One that does not tell them is believed all
    /// the same.
    async fn note_others(&self, connection: &Connection) {
        for what in ["REPLICAS", "SENTINELS"] {
            let mut question = Cmd::new();
            question.arg("SENTINEL").arg(what).arg(&self.service);
            let Ok(Value::Array(all)) = connection.send(&question).await else { continue };
            for Address { host, port } in all.iter().filter_map(named) {
                // What it finds is noted there.
                drop(self.resolver.resolve(&host, port).await);
            }
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

/// In what is told of one server: names and values.
fn named(told: &Value) -> Option<Address> {
    let pairs: Vec<(String, String)> = match told {
        Value::Map(pairs) => pairs.iter().filter_map(|(name, value)| text(name).zip(text(value))).collect(),
        Value::Array(all) => all.chunks_exact(2).filter_map(|pair| text(&pair[0]).zip(text(&pair[1]))).collect(),
        _ => return None,
    };
    let find = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted).map(|(_, value)| value);
    Some(Address { host: find("ip")?.clone(), port: find("port")?.parse().ok()? })
}

fn address(parts: &[Value]) -> Result<Address, Error> {
    let found = match parts {
        [host, port] => text(host).zip(text(port).and_then(|port| port.parse().ok())),
        _ => None,
    };
    let (host, port) = found.ok_or_else(|| Error::Away("a sentinel names no address".to_owned()))?;
    Ok(Address { host, port })
}
