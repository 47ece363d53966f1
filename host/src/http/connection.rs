//! One connection, from its first byte to its last.
//!
//! `axum::serve` waits for ever for headers, bodies and the next request; here everything that a
//! peer can keep us waiting for has a deadline.

use std::{convert::Infallible, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, Version, header},
    response::{IntoResponse as _, Response},
};
use futures_util::future::BoxFuture;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt as _;

use super::{
    activity::{Activity, State, Watched},
    answer, bearer,
    client_address::{Proxies, Told},
    error::{ApiError, Kind},
    intake,
    unasked::Shaped,
};
use crate::{ids::RequestId, limits, sensitive::Secret};

/// Everything that a peer can keep us waiting for. The whole request has its own in `layers`.
#[derive(Clone, Copy, Debug)]
pub struct Deadlines {
    pub handshake: Duration,
    pub headers: Duration,
    pub body: Duration,
    pub idle: Duration,
    /// How long one that is told to close may take.
    pub close: Duration,
    /// The same when the server stops: nothing is under way on it, and the client has been told.
    pub stop: Duration,
    /// How long requests in flight may take when the server stops.
    pub drain: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            handshake: limits::TLS_HANDSHAKE,
            headers: limits::HEADERS_WAIT,
            body: limits::BODY_WAIT,
            idle: limits::IDLE_WAIT,
            close: limits::CLOSE_WAIT,
            stop: limits::STOP_WAIT,
            drain: limits::DRAIN_WAIT,
        }
    }
}

/// Is handed each token that came in the clear, to end it; awaited before the answer.
pub type OnPlainToken = Arc<dyn Fn(Secret<String>) -> BoxFuture<'static, ()> + Send + Sync>;

/// What all connections of a listener share.
pub struct Shared {
    pub router: Router,
    /// None: behind a proxy that does TLS for us.
    pub tls: Option<TlsAcceptor>,
    pub proxies: Proxies,
    pub deadlines: Deadlines,
    pub on_plain_token: OnPlainToken,
    /// Take nothing new.
    pub stop: CancellationToken,
    /// Whatever still runs has had its time.
    pub gone: CancellationToken,
    pub tasks: TaskTracker,
}

/// How requests of one connection are met.
#[derive(Clone)]
struct Host {
    shared: Arc<Shared>,
    peer: IpAddr,
    transport: Transport,
    activity: Activity,
    /// Requests that run. One that was reset still runs to its end, so hyper's own count is not enough.
    running: Arc<Semaphore>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Transport {
    Tls,
    /// By configuration: a proxy does TLS.
    Proxied,
    /// Somebody speaks HTTP where TLS is spoken.
    Plain,
}

/// The first byte of a TLS record that begins a handshake.
const HANDSHAKE: u8 = 0x16;

pub async fn serve(shared: Arc<Shared>, stream: TcpStream, peer: IpAddr) {
    let Some(tls) = shared.tls.clone() else { return shared.host(peer, Transport::Proxied).run(stream, false).await };
    let wait = shared.deadlines.handshake;
    let greeting = timeout(wait, async {
        let mut first = [0];
        match stream.peek(&mut first).await {
            Ok(1) if first[0] == HANDSHAKE => Some(Ok(tls.accept(stream).await.ok()?)),
            // The first letter of a method.
            Ok(1) if first[0].is_ascii_alphabetic() => Some(Err(stream)),
            _ => None,
        }
    });
    match greeting.await {
        Ok(Some(Ok(stream))) => {
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            shared.host(peer, Transport::Tls).run(stream, is_http2).await;
        }
        Ok(Some(Err(stream))) => shared.host(peer, Transport::Plain).run(stream, false).await,
        Ok(None) | Err(_) => tracing::debug!(%peer, "a connection ended before TLS was agreed on"),
    }
}

impl Shared {
    fn host(self: &Arc<Self>, peer: IpAddr, transport: Transport) -> Host {
        let running = Arc::new(Semaphore::new(limits::STREAMS as usize));
        Host { shared: self.clone(), peer, transport, activity: Activity::default(), running }
    }

    fn builder(&self, is_http2: bool) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // Ours, below, is exact; this one also runs while nothing is asked.
        let headers = self.deadlines.idle + self.deadlines.headers;
        builder.http1().timer(TokioTimer::new()).header_read_timeout(headers);
        builder.http1().max_headers(limits::HEADER_COUNT_RAW).max_buf_size(limits::HEADER_BYTES_RAW);
        let mut http2 = builder.http2();
        http2.timer(TokioTimer::new()).max_concurrent_streams(limits::STREAMS);
        http2.max_header_list_size(limits::HEADER_BYTES_RAW as u32);
        http2.max_pending_accept_reset_streams(limits::RESET_STREAMS);
        http2.max_local_error_reset_streams(limits::RESET_STREAMS);
        http2.keep_alive_interval(self.deadlines.idle / 2).keep_alive_timeout(self.deadlines.close);
        if is_http2 { builder.http2_only() } else { builder.http1_only() }
    }
}

impl Host {
    async fn run<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, is_http2: bool) {
        let (shared, activity) = (self.shared.clone(), self.activity.clone());
        let mut watch = activity.watch();
        let io = TokioIo::new(Shaped::new(Watched { stream, activity }));
        let builder = shared.builder(is_http2);
        let service = service_fn(move |request| {
            let host = self.clone();
            async move { Ok::<_, Infallible>(host.answer(request).await) }
        });
        let mut connection = std::pin::pin!(builder.serve_connection(io, service));
        let mut is_closing = false;
        loop {
            let state = *watch.borrow_and_update();
            let wait = match shared.stop.is_cancelled() {
                true => shared.deadlines.stop,
                false => shared.deadlines.waits(state, is_http2, is_closing),
            };
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(error, "a connection broke");
                    }
                    return;
                }
                () = shared.gone.cancelled() => return,
                () = shared.stop.cancelled(), if !is_closing => {
                    connection.as_mut().graceful_shutdown();
                    is_closing = true;
                }
                _ = watch.changed() => {}
                () = tokio::time::sleep(wait), if state.in_flight == 0 => {
                    // The head of a request that does not end cannot be waited for politely.
                    if is_closing || (state.is_reading && !is_http2) || !state.has_served {
                        return;
                    }
                    connection.as_mut().graceful_shutdown();
                    is_closing = true;
                }
            }
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Response {
        let _in_flight = self.activity.begin();
        let (mut parts, body) = request.into_parts();
        let waits = parts.headers.contains_key(header::EXPECT);
        let is_http1 = parts.version < Version::HTTP_2;
        parts.extensions.insert(self.shared.proxies.client(self.peer, &parts.headers));
        let (body, rest) = intake::split(body, self.shared.deadlines.body);
        let is_secure = self.is_secure(&parts.headers);
        let mut response = match is_secure {
            true => self.dispatch(Request::from_parts(parts, Body::new(body))).await,
            false => {
                drop(body);
                self.refuse_plain(&parts).await
            }
        };
        let is_drained = rest.drain(waits, limits::DRAIN_BYTES).await;
        if is_http1 && !(is_drained && is_secure) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    /// To its end, even if the client hangs up: what was begun is finished and recorded.
    async fn dispatch(&self, request: Request<Body>) -> Response {
        let Ok(permit) = self.running.clone().acquire_owned().await else { return failed("closed") };
        let router = self.shared.router.clone();
        let running = self.shared.tasks.spawn(async move {
            let answer = router.oneshot(request).await;
            drop(permit);
            answer
        });
        match running.await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => failed("the task of a request ended early"),
        }
    }

    fn is_secure(&self, headers: &axum::http::HeaderMap) -> bool {
        match (self.transport, self.shared.proxies.told(self.peer, headers)) {
            (Transport::Tls, Told::Https | Told::Nothing) | (Transport::Proxied, Told::Https) => true,
            // A proxy that speaks TLS with us and says that its client did not.
            (Transport::Tls, Told::NotHttps) => false,
            (Transport::Proxied, Told::NotHttps | Told::Nothing) | (Transport::Plain, _) => false,
        }
    }

    /// 400, after the token that came in the clear has been ended. No redirect: the next request
    /// would send it in the clear again.
    async fn refuse_plain(&self, parts: &axum::http::request::Parts) -> Response {
        for token in bearer::every(parts) {
            let ended = (self.shared.on_plain_token)(token);
            if timeout(self.shared.deadlines.body, ended).await.is_err() {
                tracing::error!("a token that came in the clear could not be ended in time");
            }
        }
        answer::finish(ApiError::new(Kind::PlainHttp).into_response(), &RequestId::new())
    }
}

impl Deadlines {
    fn waits(&self, state: State, is_http2: bool, is_closing: bool) -> Duration {
        match state {
            _ if is_closing => self.close,
            State { has_served: false, .. } => self.headers,
            State { is_reading: true, .. } if !is_http2 => self.headers,
            _ => self.idle,
        }
    }
}

fn failed(cause: &'static str) -> Response {
    answer::finish(ApiError::internal(cause).into_response(), &RequestId::new())
}
