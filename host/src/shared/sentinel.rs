//! Sentinels tell which server is the primary just now. They are asked anew for each connection.

use redis::{Client, Cmd, Value};

use super::{
    Error,
    connection::{self, Connection},
    target::Access,
};
use crate::{finding::Finding, limits};

pub(super) struct Sentinels {
    pub(super) sentinels: Vec<Client>,
    pub(super) service: String,
    /// To the servers that they name.
    pub(super) access: Access,
    pub(super) near_only: bool,
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
                let connection = Connection::one(sentinel, self.near_only, |_| {}).await.ok()?;
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
        let connection = Connection::one(sentinel, self.near_only, |_| {}).await?;
        let mut question = Cmd::new();
        question.arg("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg(&self.service);
        match connection.send(&question).await.map_err(|error| connection::meaning(&error))? {
            Value::Array(parts) => address(&parts),
            _ => Err(Error::Away("the sentinels know no such service".to_owned())),
        }
    }
}

fn address(parts: &[Value]) -> Result<Address, Error> {
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    };
    let found = match parts {
        [host, port] => text(host).zip(text(port).and_then(|port| port.parse().ok())),
        _ => None,
    };
    let (host, port) = found.ok_or_else(|| Error::Away("a sentinel names no address".to_owned()))?;
    Ok(Address { host, port })
}
