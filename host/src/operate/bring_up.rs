use serde_json::json;

use super::{Error, Operate};
use crate::{
    barrier::{Writes, layout::Prefix},
    config::Seal,
    document::Author,
    fence::Counter,
    ids::MountName,
    mount::{Kind, PASSWORD},
    security,
};

/// What a new store has mounted: kind, mount, plugin.
const SHIPPED: [(Kind, &str, &str); 6] = [
    (Kind::Auth, PASSWORD, PASSWORD),
    (Kind::Auth, "clients", "clients"),
    (Kind::Auth, "totp", "authenticator"),
    (Kind::Secrets, "kv", "kv"),
    (Kind::Secrets, "transit", "transit"),
    (Kind::Secrets, "totp", "totp"),
];

const SEEDED: &str = "seeded";

impl Operate {
    /// After each unsealing: what access rests on is read before anybody is served.
    pub async fn bring_up(&self) -> Result<(), Error> {
        let parts = &self.0;
        parts.fence.join().await?;
        parts.security.refresh().await?;
        parts.mounts.refresh().await?;
        Ok(())
    }

    /// Reads anew whatever another node has changed. The server calls it all the time.
    pub async fn keep_up(&self) -> Result<(), Error> {
        if self.0.barrier.is_sealed() {
            self.0.mounts.clear();
            self.0.directory.forget();
            return Ok(());
        }
        self.bring_up().await?;
        self.roll_back().await
    }

    /// Mounts the shipped plugins in a store that has just been made; once in its life, so that
    /// what an admin has removed stays so.
    pub(super) async fn seed(&self) -> Result<(), Error> {
        let parts = &self.0;
        let boot = parts.barrier.view(Prefix::Boot);
        if boot.get_bytes(SEEDED).await?.is_some() {
            return Ok(());
        }
        for (kind, mount, plugin) in SHIPPED {
            let key = format!("{}/{mount}", kind.as_str());
            let current = parts.documents.read(&key).await?;
            if current.document().is_some() {
                continue;
            }
            let name = MountName::parse(mount).expect("a constant");
            let value = json!({"plugin": plugin});
            let change = parts.mounts.prepare_shipped(kind, name, &value).await.map_err(Error::Shipped)?;
            let mut writes = Writes::default();
            let by = Author::server(parts.clock.now());
            let document = parts.documents.write(&mut writes, &key, &current, Some(value), by);
            parts.mounts.propose(&mut writes, &change, document.number);
            parts.barrier.commit(writes).await?;
        }
        if matches!(parts.seal, Seal::Dev) {
            self.seed_dev_rules().await?;
        }
        let mut writes = Writes::default();
        boot.put(&mut writes, SEEDED, &parts.clock.now(), None);
        parts.barrier.commit(writes).await?;
        parts.fence.settle(&[Counter::Settings, Counter::Mounts]).await;
        self.bring_up().await
    }
    /// Whoever tries a plugin out has no key to sign it with yet.
    async fn seed_dev_rules(&self) -> Result<(), Error> {
        let parts = &self.0;
        let current = parts.documents.read(security::KEY).await?;
        if current.document().is_some() {
            return Ok(());
        }
        let rules = json!({"plugins": {"require_signature": false}});
        let mut writes = Writes::default();
        parts.documents.write(&mut writes, security::KEY, &current, Some(rules), Author::server(parts.clock.now()));
        parts.fence.raise(&mut writes, Counter::Settings);
        Ok(parts.barrier.commit(writes).await?)
    }
}
