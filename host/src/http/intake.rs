//! The body as it comes in: with one deadline for all of it, and given back when it was not read
//! to its end.
//!
//! A server that answers and closes while the client still sends makes the client's system drop
//! the answer (RFC 9112 section 9.6). So whatever a handler leaves is read and dropped first.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::Sleep;

/// Why a body has no end.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("the body broke off")]
    Broken(#[from] hyper::Error),
}

/// What a handler reads from.
pub struct Intake(Arc<Mutex<Source>>);

/// What the connection keeps, to drain what the handler left.
pub struct Rest(Arc<Mutex<Source>>);

struct Source {
    body: Incoming,
    deadline: Pin<Box<Sleep>>,
    /// Somebody asked for it, so a client that waits for `100 Continue` has been told to send.
    begun: bool,
}

pub fn split(body: Incoming, wait: Duration) -> (Intake, Rest) {
    let source = Source { body, deadline: Box::pin(tokio::time::sleep(wait)), begun: false };
    let source = Arc::new(Mutex::new(source));
    (Intake(source.clone()), Rest(source))
}

impl Body for Intake {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let mut source = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        source.begun = true;
        if let Poll::Ready(frame) = Pin::new(&mut source.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Fault::from)));
        }
        ready!(source.deadline.as_mut().poll(cx));
        Poll::Ready(Some(Err(Fault::TooSlow)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).body.size_hint()
    }
}

impl Rest {
    /// Reads and drops what is left: true when the body came to its end within the deadline and
    /// `most` bytes. `waits`: the client sends only when told to.
    pub async fn drain(self, waits: bool, most: usize) -> bool {
        let mut rest = Intake(self.0);
        if rest.is_end_stream() {
            return true;
        }
        if waits && !rest.0.lock().unwrap_or_else(PoisonError::into_inner).begun {
            return false;
        }
        let mut read = 0;
        while let Some(Ok(frame)) = rest.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > most {
                return false;
            }
        }
        rest.is_end_stream()
    }
}
