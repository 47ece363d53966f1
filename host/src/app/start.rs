use std::{fs, os::unix::fs::DirBuilderExt, path::Path, sync::Arc};

use super::{App, Error};
use crate::{
    audit::{self, Audit},
    barrier::{Barrier, InitCode, Mark},
    catalog::{self, Catalog},
    clock::Clock,
    config::{AuditSink, Config, SessionStore},
    directory::Directory,
    document::Documents,
    fence::{Fence, Peers},
    lease::{self, Leases},
    login::{self, Login},
    mount::Mounts,
    operate::{self, Operate},
    plugins::{self, Plugins},
    policy::Policies,
    runtime::{self, Runtime},
    secrets::Secrets,
    security::Security,
    session::{self, Sessions},
    settings::{self, Settings},
    shared::{self, Link},
    storage,
    telemetry::{self, Telemetry},
    throttle::Throttle,
    users::{self, Users},
};

impl App {
    /// Opens everything; leaves the store unsealed where a key is at hand, sealed otherwise.
    pub async fn start(config: &Config) -> Result<Self, Error> {
        folder(&config.data_dir).map_err(Error::DataDir)?;
        let clock = Clock::system();
        let storage = storage::open(config.storage.url.reveal(), clock.clone()).await?;
        let barrier = Barrier::new(storage.clone(), clock.clone());
        let mark = if config.dev.is_some() { Mark::Dev } else { Mark::Production };
        barrier.require(mark).await?;
        let sink = match &config.audit {
            AuditSink::File(path) => audit::Sink::File(path.clone()),
            AuditSink::Stdout => audit::Sink::Stdout,
        };
        let audit = Audit::open(sink, clock.clone(), barrier.clone()).await?;
        let fence = Fence::among(peers(config), barrier.clone(), clock.clone());
        let documents = Documents::new(&barrier);
        let security = Security::new(documents.clone(), fence.clone());
        let shipped = catalog::shipped();
        let catalog = Catalog::open(shipped, &barrier)?;
        let compiled = runtime::Cache::new(config.data_dir.join("compiled"), barrier.clone(), clock.clone());
        let (store, link) = store(config, &barrier).await?;
        let egress = super::egress::open(config, &audit, link.as_ref())?;
        let runtime = Runtime::with(clock.clone(), runtime::Options::default(), Some(compiled), Some(egress))?;
        let reservations = lease::Reservations::default();
        let runtime = runtime.noting(lease::journal(&barrier, &clock, &reservations));
        let parts = (&barrier, &clock, &fence);
        let mounts = Mounts::new(parts, documents.clone(), security.clone(), catalog.clone(), runtime);
        let directory = Directory::new(barrier.clone(), clock.clone());
        let sessions = Sessions::new(store, barrier.clone(), fence.clone(), clock.clone());
        let throttle = Throttle::new(link.clone(), barrier.clone(), security.clone(), clock.clone());
        let policies = Policies::open(&barrier, fence.clone(), clock.clone());
        let leases = Leases::new(lease::Parts {
            audit: audit.clone(),
            barrier: barrier.clone(),
            clock: clock.clone(),
            directory: directory.clone(),
            mounts: mounts.clone(),
            policies: policies.clone(),
            reservations,
            sessions: sessions.clone(),
        });
        let login = Login::new(login::Parts {
            barrier: barrier.clone(),
            mounts: mounts.clone(),
            directory: directory.clone(),
            sessions: sessions.clone(),
            security: security.clone(),
            throttle: throttle.clone(),
            policies: policies.clone(),
            fence: fence.clone(),
            clock: clock.clone(),
            public_url: config.listener.public_url.clone(),
        });
        let users = Users::new(users::Parts {
            audit: audit.clone(),
            barrier: barrier.clone(),
            clock: clock.clone(),
            directory: directory.clone(),
            documents: documents.clone(),
            fence: fence.clone(),
            mounts: mounts.clone(),
            policies: policies.clone(),
            security: security.clone(),
            sessions: sessions.clone(),
            throttle,
            dev: config.dev.is_some(),
        });
        let settings = Settings::new(settings::Parts {
            barrier: barrier.clone(),
            clock: clock.clone(),
            directory: directory.clone(),
            documents: documents.clone(),
            fence: fence.clone(),
            leases: leases.clone(),
            mounts: mounts.clone(),
            policies: policies.clone(),
            security: security.clone(),
            sessions: sessions.clone(),
        });
        let plugins = Plugins::new(plugins::Parts {
            barrier: barrier.clone(),
            catalog,
            clock: clock.clone(),
            fence: fence.clone(),
            leases: leases.clone(),
            mounts: mounts.clone(),
            policies: policies.clone(),
        });
        let secrets = Secrets::new(barrier.clone(), leases.clone(), mounts.clone(), policies.clone());
        let telemetry = Telemetry::new(telemetry::Parts {
            audit: audit.clone(),
            barrier: barrier.clone(),
            fence: fence.clone(),
            mounts: mounts.clone(),
            policies: policies.clone(),
            sessions: sessions.clone(),
        });
        let initialised = barrier.status().await?.initialized;
        let code = match initialised || config.dev.is_some() {
            true => None,
            false => Some(InitCode::write(&config.data_dir).map_err(Error::DataDir)?),
        };
        let operate = Operate::new(operate::Parts {
            audit: audit.clone(),
            barrier: barrier.clone(),
            clock: clock.clone(),
            code: tokio::sync::Mutex::new(code),
            data_dir: config.data_dir.clone(),
            directory,
            documents,
            fence: fence.clone(),
            leases: leases.clone(),
            mounts,
            seal: config.seal.clone(),
            security,
            sessions: sessions.clone(),
        });
        operate.open_with_key().await?;
        Ok(Self {
            audit,
            barrier,
            clock,
            fence,
            leases,
            link,
            login,
            operate,
            plugins,
            policies,
            secrets,
            sessions,
            settings,
            storage,
            telemetry,
            users,
        })
    }
}

/// SQLite lets one process in. Sessions beside the data are for one node, wherever the data is.
fn peers(config: &Config) -> Peers {
    let shared = config.storage.url.reveal().starts_with("postgres");
    match (&config.sessions.store, shared) {
        (_, false) => Peers::Impossible,
        (SessionStore::Embedded, true) => Peers::Forbidden,
        (SessionStore::Redis(_), true) => Peers::Allowed,
    }
}

/// Where sessions are kept, and the link to Redis if it is there.
async fn store(config: &Config, barrier: &Barrier) -> Result<(Arc<dyn session::Store>, Option<Link>), Error> {
    match &config.sessions.store {
        SessionStore::Embedded => Ok((Arc::new(session::embedded::Embedded::new(barrier.clone())), None)),
        SessionStore::Redis(url) => {
            let sessions = &config.sessions;
            let root_certificates = sessions.ca.as_ref().map(fs::read).transpose().map_err(Error::Ca)?;
            let options = shared::Options {
                namespace: sessions.namespace.clone(),
                allow_plaintext: sessions.allow_plaintext,
                assume_noeviction: sessions.assume_noeviction,
                root_certificates,
            };
            let link = Link::open(url.reveal(), options).await?;
            Ok((Arc::new(session::redis::Redis::new(link.clone(), barrier.clone())), Some(link)))
        }
    }
}

/// For the owner alone: keys and codes stand in it.
fn folder(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
