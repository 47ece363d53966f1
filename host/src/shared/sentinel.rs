//! Sentinels tell which server is the primary just now. They are asked anew for each connection.

use redis::{Client, Cmd, Value};

use super::{
    Error,
    connection::{self, Connection},
    target::Access,
};
use crate::limits;

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
