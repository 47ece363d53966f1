//! A wire that can be meddled with: between a server and its Redis, or its database.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of what is sent, both ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    Through,
    /// It is lost, and nobody is told. The connections that lost something break when this is over.
    Swallow,
    /// It is kept back, and delivered when this is over: commands come late, but they come.
    Hold,
    /// Each piece takes so long.
    Late(Duration),
    /// Each piece takes up to so long, at random: of two connections the later one may be first.
    Shuffle(Duration),
}

/// Has a thread of its own: a story that waits for a process to end stops its own runtime.
pub struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
}

impl Proxy {
    /// In front of what this URL names.
    pub fn to(url: &str) -> Self {
        let target = host_of(url).to_owned();
        let (way, told) = watch::channel(Way::Through);
        let (tell, address) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                tell.send(listener.local_addr().expect("an address")).expect("somebody waits for it");
                let mut ended = told.clone();
                loop {
                    tokio::select! {
                        Ok((client, _)) = listener.accept() => drop(tokio::spawn(carry(client, target.clone(), told.clone()))),
                        // Whoever made it has let go of it.
                        () = over(&mut ended) => return,
                    }
                }
            });
        });
        Self { address: address.recv().expect("it listens"), way }
    }

    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    /// The URL that goes this way.
    pub fn url(&self, url: &str) -> String {
        url.replacen(host_of(url), &self.address.to_string(), 1)
    }
}

/// `127.0.0.1:5432` of `postgres://user:password@127.0.0.1:5432/name`.
fn host_of(url: &str) -> &str {
    let after = url.split_once('@').or_else(|| url.split_once("://")).map_or(url, |(_, after)| after);
    after.split('/').next().unwrap_or(after)
}

async fn over(way: &mut watch::Receiver<Way>) {
    while way.changed().await.is_ok() {}
}

async fn carry(client: TcpStream, target: String, way: watch::Receiver<Way>) {
    let Ok(server) = TcpStream::connect(&target).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // Whichever way ends, the other ends with it.
    tokio::select! {
        () = pump(from_client, to_server, way.clone()) => {}
        () = pump(from_server, to_client, way) => {}
    }
}

async fn pump(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut way: watch::Receiver<Way>) {
    let (mut piece, mut lost) = (vec![0; 64 * 1024], false);
    loop {
        let read = tokio::select! {
            read = from.read(&mut piece) => read.unwrap_or(0),
            changed = way.changed() => match (changed, lost) {
                (Ok(()), false) => continue,
                _ => return,
            },
        };
        if read == 0 {
            return;
        }
        let now = *way.borrow_and_update();
        match now {
            Way::Through => {}
            Way::Swallow => {
                lost = true;
                continue;
            }
            Way::Hold => {
                if way.wait_for(|way| *way != Way::Hold).await.is_err() {
                    return;
                }
            }
            Way::Late(span) => tokio::time::sleep(span).await,
            Way::Shuffle(most) => {
                let [chance] = coffer::ids::random();
                tokio::time::sleep(most.mul_f32(f32::from(chance) / 255.0)).await;
            }
        }
        if lost || to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn what_is_held_comes_late_and_what_is_swallowed_never() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let proxy = Proxy::to(&format!("redis://:x@{}/0", listener.local_addr().expect("an address")));
    let mut near = TcpStream::connect(proxy.address).await.expect("it listens");
    let (mut far, _) = listener.accept().await.expect("it connects");
    let mut heard = [0; 4];
    near.write_all(b"one.").await.expect("sent");
    far.read_exact(&mut heard).await.expect("heard");
    proxy.set(Way::Hold);
    near.write_all(b"two.").await.expect("sent");
    let early = tokio::time::timeout(Duration::from_millis(50), far.read_exact(&mut heard)).await;
    assert!(early.is_err(), "it is held");
    proxy.set(Way::Through);
    far.read_exact(&mut heard).await.expect("heard");
    assert_eq!(&heard, b"two.");
    proxy.set(Way::Swallow);
    near.write_all(b"lost").await.expect("sent");
    tokio::time::sleep(Duration::from_millis(50)).await;
    proxy.set(Way::Through);
    assert_eq!(far.read(&mut heard).await.expect("an end"), 0, "what lost something breaks");
}
