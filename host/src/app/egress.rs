//! Requests of plugins: what they never reach here, and how they get into the trail.

use std::fs;

use async_trait::async_trait;

use super::Error;
use crate::{
    audit::{Audit, Phase, Record},
    config::{Config, SessionStore, Url},
    ids::RequestId,
    runtime::egress::{Egress, Options, OutgoingRequest, Stage, Trail, Unrecorded},
    shared::Link,
};

pub(super) fn open(config: &Config, audit: &Audit, link: Option<&Link>) -> Result<Egress, Error> {
    let is_postgres = config.storage.url.scheme().is_some_and(|scheme| scheme.starts_with("postgres"));
    let mut services: Vec<_> = services(&config.storage.url, 5432).filter(|_| is_postgres).collect();
    if let SessionStore::Redis(url) = &config.sessions.store {
        let is_sentinel = url.scheme().is_some_and(|scheme| scheme.ends_with("+sentinel"));
        services.extend(self::services(url, if is_sentinel { 26379 } else { 6379 }));
    }
    let unreadable = |error: std::io::Error| Error::Plugins(format!("plugins.ca cannot be read: {error}"));
    let options = Options {
        loopback: config.dev.is_some(),
        listeners: config.listener.addresses.iter().map(std::net::SocketAddr::port).collect(),
        services,
        reached: link.map(Link::reached).unwrap_or_default(),
        extra_ca: config.plugins.ca.as_ref().map(fs::read).transpose().map_err(unreadable)?,
    };
    Ok(Egress::new(options, std::sync::Arc::new(Recorded(audit.clone()))))
}

/// Where it listens, by its URL; a file and a socket do not.
fn services(url: &Url, port: u16) -> impl Iterator<Item = (String, u16)> {
    let is_path = |host: &str| host.is_empty() || host.starts_with('/') || host.to_lowercase().starts_with("%2f");
    let named = url.hosts().filter(move |(host, _)| !is_path(host));
    named.map(move |(host, own)| (host.to_owned(), own.unwrap_or(port)))
}

struct Recorded(Audit);

#[async_trait]
impl Trail for Recorded {
    async fn record(&self, outgoing: &OutgoingRequest) -> Result<(), Unrecorded> {
        let mut record = Record::new(Phase::Work, "plugin.http");
        record.request = RequestId::parse(&outgoing.request).ok();
        record.resource = Some(format!("{}/{}", outgoing.mount, outgoing.to));
        record.action = Some(outgoing.method.to_owned());
        record.values.extend(outgoing.credential.clone().map(|name| ("credential".to_owned(), name)));
        match outgoing.stage {
            Stage::Begun => {}
            Stage::Answered(status) => record.status = Some(status),
            Stage::Failed(why) => record.cause = Some(why.to_owned()),
        }
        self.0.record(record).await.map_err(|_| Unrecorded)
    }
}
