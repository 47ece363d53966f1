//! The accept loop: our own, because who may connect, how often and for how long is ours to say.

use std::{io, net::SocketAddr, sync::Arc};

use axum::Router;
use futures_util::future::join_all;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use super::connection::{Deadlines, OnPlainToken};
pub use super::slots::Caps;
use super::{
    certificate::{self, Certificates},
    client_address::Proxies,
    connection::{self, Shared},
    slots::Slots,
};
use crate::limits;

/// How we listen.
pub struct Options {
    pub addresses: Vec<SocketAddr>,
    /// None: plain HTTP, for trusted proxies that say `X-Forwarded-Proto: https`, and nobody else.
    pub tls: Option<Certificates>,
    pub proxies: Proxies,
    pub deadlines: Deadlines,
    pub caps: Caps,
    pub on_plain_token: OnPlainToken,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on {0}: {1}")]
    Bind(SocketAddr, io::Error),
    #[error(transparent)]
    Certificate(#[from] certificate::Error),
}

/// Bound, and not yet accepting.
pub struct Listener {
    sockets: Vec<TcpListener>,
    addresses: Vec<SocketAddr>,
    options: Options,
    tls: Option<TlsAcceptor>,
}

impl Listener {
    /// All of the addresses, or none.
    pub async fn bind(options: Options) -> Result<Self, Error> {
        let tls = options.tls.as_ref().map(Certificates::server_config).transpose()?.map(TlsAcceptor::from);
        let (mut sockets, mut addresses) = (Vec::new(), Vec::new());
        for &address in &options.addresses {
            let refused = |error| Error::Bind(address, error);
            let socket = TcpListener::bind(address).await.map_err(refused)?;
            addresses.push(socket.local_addr().map_err(refused)?);
            sockets.push(socket);
        }
        Ok(Self { sockets, addresses, options, tls })
    }

    /// In the order of the options. For port 0: the one that was picked.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Serves until `stop`, then finishes what is in flight, for as long as the deadline allows.
    pub async fn serve(self, router: Router, stop: impl Future<Output = ()>) {
        let Self { sockets, options, tls, .. } = self;
        let slots = Slots::new(options.caps);
        let shared = Arc::new(Shared {
            router,
            tls,
            proxies: options.proxies,
            deadlines: options.deadlines,
            on_plain_token: options.on_plain_token,
            stop: CancellationToken::new(),
            gone: CancellationToken::new(),
            tasks: TaskTracker::new(),
        });
        // Dropped, and so ended, with this future.
        let reloading = async {
            match options.tls {
                Some(certificates) => certificates.watch(limits::CERTIFICATE_LOOK).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stop => {}
            _ = join_all(sockets.iter().map(|socket| accept(socket, &shared, &slots))) => {}
            () = reloading => {}
        }
        drop(sockets);
        shared.stop.cancel();
        shared.tasks.close();
        if tokio::time::timeout(shared.deadlines.drain, shared.tasks.wait()).await.is_err() {
            tracing::warn!(open = shared.tasks.len(), "requests were still in flight at the end");
        }
        shared.gone.cancel();
    }
}

async fn accept(socket: &TcpListener, shared: &Arc<Shared>, slots: &Slots) {
    loop {
        let (stream, peer) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // The peer is gone again, or we are out of descriptors: one will be free.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                continue;
            }
        };
        let ip = peer.ip().to_canonical();
        // Dropping it tells the peer at once; letting it wait would fill the queue for everybody.
        let Some(slot) = slots.take(ip, shared.proxies.trusts(ip)) else {
            tracing::debug!(peer = %ip, "too many connections");
            continue;
        };
        let shared = shared.clone();
        shared.tasks.clone().spawn(async move {
            let _slot = slot;
            // Answers are small and whole: waiting to fill a packet only delays them.
            let _ = TcpStream::set_nodelay(&stream, true);
            connection::serve(shared, stream, ip).await;
        });
    }
}
