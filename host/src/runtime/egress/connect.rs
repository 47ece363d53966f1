use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{
    Egress, Refusal,
    address::{is_permitted, unwrapped},
    refusal,
    target::{Host, Target},
};
use crate::limits;

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

const UNREACHABLE: Refusal = refusal("unavailable", "the host cannot be reached");
/// The same words whatever the address is: where names lead inside is not for a guest.
const FORBIDDEN: Refusal = refusal("denied", "the host is at an address that plugins do not reach");

impl Egress {
    /// To the host of the target, at an address that was checked.
    pub(super) async fn connect(&self, target: &Target, networks: &[IpNet]) -> Result<Box<dyn Stream>, Refusal> {
        let found = match &target.host {
            Host::Address(address) => vec![*address],
            Host::Name(name) => self.addresses(name).await.ok_or(UNREACHABLE)?,
        };
        if found.is_empty() {
            return Err(UNREACHABLE);
        }
        let services = self.services_on(target.port).await?;
        let reachable = |address: &IpAddr| {
            is_permitted(*address, networks, self.0.options.loopback) && !services.contains(&unwrapped(*address))
        };
        let permitted: Vec<IpAddr> = found.into_iter().filter(reachable).collect();
        if permitted.is_empty() {
            return Err(FORBIDDEN);
        }
        let stream = self.first_of(&permitted, target.port).await?;
        if target.plain {
            return Ok(Box::new(stream));
        }
        let name = match &target.host {
            Host::Address(address) => ServerName::IpAddress((*address).into()),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| UNREACHABLE)?,
        };
        let secured = TlsConnector::from(self.tls()?).connect(name, stream).await;
        let untrusted = refusal("unavailable", "no trustworthy connection to the host can be made");
        Ok(Box::new(secured.map_err(|_| untrusted)?))
    }

    async fn first_of(&self, addresses: &[IpAddr], port: u16) -> Result<TcpStream, Refusal> {
        for address in addresses {
            let connecting = TcpStream::connect(SocketAddr::new(*address, port));
            let Ok(Ok(stream)) = tokio::time::timeout(limits::EGRESS_CONNECT, connecting).await else { continue };
            let _: std::io::Result<()> = stream.set_nodelay(true);
            return match self.is_own_listener(&stream, port) {
                false => Ok(stream),
                true => Err(FORBIDDEN),
            };
        }
        Err(UNREACHABLE)
    }

    /// A connection from an address to itself has not left this machine.
    fn is_own_listener(&self, stream: &TcpStream, port: u16) -> bool {
        if !self.0.options.listeners.contains(&port) {
            return false;
        }
        match (stream.local_addr(), stream.peer_addr()) {
            (Ok(local), Ok(peer)) => {
                let (local, peer) = (unwrapped(local.ip()), unwrapped(peer.ip()));
                local == peer || peer.is_loopback()
            }
            _ => true,
        }
    }

    /// Addresses of the database and of Redis, where one of them is on this port. Who cannot say where it is lets
    /// nobody through: it may be there.
    async fn services_on(&self, port: u16) -> Result<Vec<IpAddr>, Refusal> {
        let mut addresses = self.0.options.reached.on(port);
        for (host, _) in self.0.options.services.iter().filter(|(_, of_service)| *of_service == port) {
            match Host::parse(host) {
                Some(Host::Address(address)) => addresses.push(address),
                _ => {
                    let found = self.addresses(host).await.filter(|found| !found.is_empty());
                    addresses.extend(found.ok_or(UNREACHABLE)?);
                }
            }
        }
        Ok(addresses.into_iter().map(unwrapped).collect())
    }

    async fn addresses(&self, name: &str) -> Option<Vec<IpAddr>> {
        let resolving = self.0.resolver.addresses(name);
        tokio::time::timeout(limits::EGRESS_CONNECT, resolving).await.ok()?.ok()
    }
}
