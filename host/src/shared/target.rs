//! Where Redis is, as its URL says it. Holds the passwords of the URL, so it prints itself without.

use std::fmt;

use percent_encoding::percent_decode_str;
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, RedisConnectionInfo, TlsCertificates,
    cluster::{ClusterClient, ClusterClientBuilder},
    io::tcp::TcpSettings,
};

use super::{Error, Options, near::Resolver, sentinel::Sentinels};
use crate::{address::is_loopback_host, limits};

pub(super) struct Target {
    pub(super) kind: Kind,
    /// Where not a word goes to another machine in the clear, it leads to none.
    pub(super) resolver: Resolver,
    /// It may, and by its URL it does.
    pub(super) far_and_plain: bool,
    shown: String,
}

pub(super) enum Kind {
    Single(Client),
    Sentinel(Sentinels),
    /// The nodes of the URL stand by themselves as well: any of them tells the news.
    Cluster {
        client: Box<ClusterClient>,
        nodes: Vec<Client>,
    },
}

/// How one connects to each of the servers that a URL names or leads to.
#[derive(Clone)]
pub(super) struct Access {
    redis: RedisConnectionInfo,
    roots: Option<Vec<u8>>,
    is_encrypted: bool,
    is_far_and_plain: bool,
}

const SENTINEL_PORT: u16 = 26379;
const KINDS: &str = "its URL is not redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://";
const FAR: &str = "redis:// to another machine is in the clear: use rediss://, or allow_plaintext";

impl Target {
    pub(super) fn parse(url: &str, options: &Options) -> Result<Self, Error> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| unusable(KINDS))?;
        let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        match (base, kind) {
            ("redis" | "rediss" | "unix", "") | ("redis", "unix") => Self::single(url, options),
            ("redis" | "rediss", "sentinel") => Self::sentinel(base, &Parts::of(rest)?, options),
            ("redis" | "rediss", "cluster") => Self::cluster(base, &Parts::of(rest)?, options),
            _ => Err(unusable(KINDS)),
        }
    }

    fn single(url: &str, options: &Options) -> Result<Self, Error> {
        let (info, access) = read(url, options)?;
        let shown = match info.addr() {
            ConnectionAddr::Unix(path) => format!("unix://{}", path.display()),
            other => format!("{}://{other}", access.scheme()),
        };
        let resolver = access.resolver(options);
        let client = access.client(info.addr().clone())?;
        Ok(Self { kind: Kind::Single(client), resolver, far_and_plain: access.is_far_and_plain, shown })
    }

    fn sentinel(base: &str, parts: &Parts, options: &Options) -> Result<Self, Error> {
        let (mut service, mut user, mut password) = (None, None, None);
        for (name, value) in &parts.query {
            match name.as_str() {
                "service" => service = Some(value.clone()),
                "sentinel_user" => user = Some(value),
                "sentinel_password" => password = Some(value),
                _ => return Err(unusable("its URL has an option that is not known")),
            }
        }
        let service = service.filter(|service| !service.is_empty());
        let service = service.ok_or_else(|| unusable("its URL names no ?service= for the sentinels"))?;
        let mut sentinels = Vec::new();
        let (mut access, mut far_and_plain) = (None, false);
        for host in &parts.hosts {
            let (info, of_redis) = read(&parts.url(base, &with_port(host)), options)?;
            // Sentinels have no databases, and users of their own.
            let mut redis = settings(RedisConnectionInfo::default());
            redis = user.into_iter().fold(redis, |redis, user| redis.set_username(user));
            redis = password.into_iter().fold(redis, |redis, password| redis.set_password(password));
            sentinels.push(Access { redis, ..of_redis.clone() }.client(info.addr().clone())?);
            far_and_plain |= of_redis.is_far_and_plain;
            access = Some(of_redis);
        }
        let access = access.ok_or_else(|| unusable(KINDS))?;
        let shown = format!("{base}+sentinel://{}/?service={service}", parts.hosts.join(","));
        let resolver = access.resolver(options);
        let kind = Kind::Sentinel(Sentinels { sentinels, service, access, resolver: resolver.clone() });
        Ok(Self { kind, resolver, far_and_plain, shown })
    }

    fn cluster(base: &str, parts: &Parts, options: &Options) -> Result<Self, Error> {
        if !parts.query.is_empty() {
            return Err(unusable("its URL has an option that is not known"));
        }
        let read: Result<Vec<_>, Error> =
            parts.hosts.iter().map(|host| read(&parts.url(base, host), options)).collect();
        let (infos, accesses): (Vec<_>, Vec<_>) = read?.into_iter().unzip();
        let access = accesses.first().ok_or_else(|| unusable(KINDS))?;
        if infos.iter().any(|info| info.redis_settings().db() != 0) {
            return Err(unusable("a cluster has no databases to choose from"));
        }
        let resolver = access.resolver(options);
        let nodes: Result<Vec<_>, Error> = infos.iter().map(|info| access.client(info.addr().clone())).collect();
        // What was sent and not answered is not sent again behind our back: it may have been done.
        let mut builder = ClusterClientBuilder::new(infos)
            .retries(0)
            .connection_timeout(limits::REDIS_CONNECT)
            .response_timeout(limits::REDIS_CONNECT)
            .tcp_settings(tcp())
            .async_dns_resolver(resolver.clone());
        if let Some(roots) = access.roots.clone() {
            builder = builder.certs(TlsCertificates { client_tls: None, root_cert: Some(roots) });
        }
        let client = builder.build().map_err(|_| unusable("its nodes do not go together, or its CA is no PEM"))?;
        let shown = format!("{base}+cluster://{}", parts.hosts.join(","));
        let far_and_plain = accesses.iter().any(|access| access.is_far_and_plain);
        Ok(Self { kind: Kind::Cluster { client: Box::new(client), nodes: nodes? }, resolver, far_and_plain, shown })
    }
}

impl Access {
    pub(super) fn client(&self, address: ConnectionAddr) -> Result<Client, Error> {
        let info = address.into_connection_info().map_err(|_| unusable(KINDS))?;
        let info = info.set_tcp_settings(tcp()).set_redis_settings(self.redis.clone());
        let client = match &self.roots {
            Some(roots) => {
                Client::build_with_tls(info, TlsCertificates { client_tls: None, root_cert: Some(roots.clone()) })
            }
            None => Client::open(info),
        };
        client.map_err(|_| unusable("its certificates are not PEM"))
    }

    /// Of a server that a sentinel names.
    pub(super) fn address(&self, host: String, port: u16) -> ConnectionAddr {
        match self.is_encrypted {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        }
    }

    fn resolver(&self, options: &Options) -> Resolver {
        Resolver { near_only: !self.is_encrypted && !options.allow_plaintext, ..Resolver::default() }
    }

    fn scheme(&self) -> &'static str {
        if self.is_encrypted { "rediss" } else { "redis" }
    }
}

/// A URL of one server.
fn read(url: &str, options: &Options) -> Result<(ConnectionInfo, Access), Error> {
    // The crate's message would quote the URL, and with it the password.
    let info: ConnectionInfo = url.into_connection_info().map_err(|_| unusable(KINDS))?;
    let is_encrypted = match info.addr() {
        ConnectionAddr::Tcp(host, _) if !is_loopback_host(host) && !options.allow_plaintext => {
            return Err(unusable(FAR));
        }
        ConnectionAddr::TcpTls { insecure: true, .. } => {
            return Err(unusable("its certificate must be checked: no #insecure"));
        }
        ConnectionAddr::TcpTls { .. } => true,
        _ => false,
    };
    let is_far_and_plain = matches!(info.addr(), ConnectionAddr::Tcp(host, _) if !is_loopback_host(host));
    let redis = settings(info.redis_settings().clone());
    let roots = options.root_certificates.clone().filter(|_| is_encrypted);
    let info = info.set_redis_settings(redis.clone());
    Ok((info, Access { redis, roots, is_encrypted, is_far_and_plain }))
}

fn settings(redis: RedisConnectionInfo) -> RedisConnectionInfo {
    redis.set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name()
}

/// The kernel gives up on a peer that acknowledges nothing, long before its own default.
fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true).set_user_timeout(limits::REDIS_CONNECT)
}

/// `[user:password@]host[:port],…[/database][?option=value&…]`.
struct Parts {
    user: Option<String>,
    hosts: Vec<String>,
    path: String,
    query: Vec<(String, String)>,
}

impl Parts {
    fn of(rest: &str) -> Result<Self, Error> {
        if rest.contains('#') {
            return Err(unusable("its certificate must be checked: no #insecure"));
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user.to_owned()), hosts),
            None => (None, authority),
        };
        let query = query.split('&').filter(|part| !part.is_empty()).map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            Ok((name.to_owned(), percent_decode_str(value).decode_utf8().map_err(|_| unusable(KINDS))?.into_owned()))
        });
        let hosts = hosts.split(',').map(str::to_owned).collect();
        Ok(Self { user, hosts, path: path.to_owned(), query: query.collect::<Result<_, Error>>()? })
    }

    /// The URL of one of the hosts, as the crate reads it.
    fn url(&self, base: &str, host: &str) -> String {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        format!("{base}://{user}{host}{}", self.path)
    }
}

fn with_port(host: &str) -> String {
    let after_brackets = host.rsplit(']').next().unwrap_or(host);
    if after_brackets.contains(':') { host.to_owned() } else { format!("{host}:{SENTINEL_PORT}") }
}

pub(super) fn unusable(why: &str) -> Error {
    Error::Unusable(why.to_owned())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}
