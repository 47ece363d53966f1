//! From a configuration to a server that answers.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use super::{
    certificate::Certificates,
    client_address::Proxies,
    dev_certificate,
    layers::{self, Bounds},
    listen::{Caps, Deadlines, Error, Listener, OnPlainToken, Options},
    routes,
    running::{self, Untrusted},
};
use crate::{
    app::App,
    config::{Config, Transport},
};

/// Listening, not yet answering.
pub struct Server {
    listener: Listener,
    app: App,
    data_dir: PathBuf,
    untrusted: Untrusted,
    /// What a client is to trust, where we made the certificate ourselves.
    pub ca: Option<PathBuf>,
}

impl Server {
    pub async fn bind(config: &Config, app: App) -> Result<Self, Error> {
        let (tls, ca) = match &config.listener.transport {
            Transport::Tls { cert, key } => (Some(Certificates::load(cert, key)?), None),
            Transport::SelfSigned => {
                let files = dev_certificate::ensure(&config.data_dir.join("tls"), &app.clock)?;
                (Some(Certificates::load(&files.pair, &files.pair)?), Some(files.ca))
            }
            Transport::Plaintext => (None, None),
        };
        let listener = &config.listener;
        let proxies = Proxies::new(listener.trusted_proxies.iter().copied(), listener.client_address_header);
        let untrusted = proxies.untrusted().clone();
        let options = Options {
            addresses: config.listener.addresses.clone(),
            tls,
            proxies,
            deadlines: Deadlines::default(),
            caps: Caps::default(),
            on_plain_token: end_plain_token(&app),
        };
        let listener = Listener::bind(options).await?;
        Ok(Self { listener, app, data_dir: config.data_dir.clone(), untrusted, ca })
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        self.listener.addresses()
    }

    /// Answers until `stop`, then finishes what is in flight.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let requests = self.app.telemetry.requests().clone();
        let bounds = Bounds { requests, ..Bounds::new(self.app.clock.clone(), Some(self.app.audit.clone())) };
        let (clock, addresses) = (self.app.clock.clone(), self.listener.addresses().to_vec());
        let routes = routes::routes().with_state(self.app);
        let router = layers::around(routes, bounds);
        tokio::select! {
            () = self.listener.serve(router, stop) => {}
            () = running::keep(&self.data_dir, &addresses, self.untrusted, &clock) => {}
        }
    }
}

/// A token that was sent in the clear is anybody's: its session ends.
fn end_plain_token(app: &App) -> OnPlainToken {
    let login = app.login.clone();
    Arc::new(move |token| {
        let login = login.clone();
        Box::pin(async move {
            match login.end_by_token(token.reveal()).await {
                Ok(Some(session)) => tracing::warn!(%session, "a token came in the clear: its session has ended"),
                Ok(None) => {}
                Err(error) => tracing::error!(%error, "a token came in the clear and could not be ended"),
            }
        })
    })
}
