//! What a connection is doing, so that one that does nothing can be closed.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::watch,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct State {
    pub has_served: bool,
    pub in_flight: usize,
    /// Something came since the last request began: with HTTP/1.1, the head of the next.
    pub is_reading: bool,
}

#[derive(Clone, Debug, Default)]
pub struct Activity(Arc<watch::Sender<State>>);

/// One request in flight, until it is dropped.
pub struct Request(Activity);

impl Activity {
    pub fn begin(&self) -> Request {
        self.0.send_modify(|state| {
            *state = State { has_served: true, in_flight: state.in_flight + 1, is_reading: false };
        });
        Request(self.clone())
    }

    pub fn watch(&self) -> watch::Receiver<State> {
        self.0.subscribe()
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.in_flight -= 1);
    }
}

/// A stream that tells when something comes in.
#[derive(Debug)]
pub struct Watched<S> {
    pub stream: S,
    pub activity: Activity,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        if into.filled().len() > before {
            self.activity.0.send_if_modified(|state| {
                let is_new = state.in_flight == 0 && !state.is_reading;
                state.is_reading |= is_new;
                is_new
            });
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
