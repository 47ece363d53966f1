//! What is refused before it is a request: a head that is no HTTP, has too many lines, is too long. hyper answers
//! that by itself, with a status and nothing else; here it gets the shape that all refusals have.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::error::{ApiError, Kind};
use crate::ids::RequestId;

/// The stream of one HTTP/1.1 connection.
#[derive(Debug)]
pub struct Shaped<S> {
    stream: S,
    instead: Option<Instead>,
}

/// What is written in place of something else.
#[derive(Debug)]
struct Instead {
    bytes: Vec<u8>,
    written: usize,
    /// What hyper believes to have written.
    replaced: usize,
}

impl<S> Shaped<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, instead: None }
    }
}

impl Instead {
    fn of(bytes: &[u8]) -> Option<Self> {
        let kind = refused_by_itself(bytes)?;
        let (id, status) = (RequestId::new(), StatusCode::from_u16(kind.status()).unwrap_or_default());
        let body = ApiError::new(kind).body(id.as_str());
        let mut told = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nx-request-id: {id}\r\n\
             cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n",
            body.len()
        )
        .into_bytes();
        told.extend(body);
        Some(Self { bytes: told, written: 0, replaced: bytes.len() })
    }
}

/// Every answer of ours has an id: a whole head of a refusal without one is hyper's own.
fn refused_by_itself(bytes: &[u8]) -> Option<Kind> {
    if !bytes.starts_with(b"HTTP/1.1 4") || !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let head = str::from_utf8(bytes).ok()?.to_ascii_lowercase();
    let is_ours = head.lines().any(|line| line.starts_with("x-request-id:"));
    let is_whole = head.matches("\r\n\r\n").count() == 1;
    let is_long = head.starts_with("http/1.1 431") || head.starts_with("http/1.1 414");
    (is_whole && !is_ours).then_some(if is_long { Kind::HeadersTooLarge } else { Kind::BadRequest })
}

impl<S: AsyncWrite + Unpin> Shaped<S> {
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<usize>>> {
        let Some(instead) = &mut self.instead else { return Poll::Ready(Ok(None)) };
        while instead.written < instead.bytes.len() {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, &instead.bytes[instead.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => instead.written += written,
            }
        }
        let replaced = instead.replaced;
        self.instead = None;
        Poll::Ready(Ok(Some(replaced)))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shaped<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.instead.is_none() {
            self.instead = Instead::of(bytes);
        }
        match ready!(self.poll_instead(cx))? {
            Some(replaced) => Poll::Ready(Ok(replaced)),
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A head with nothing after it comes as one slice.
        match slices {
            [one] => self.poll_write(cx, one),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Shaped<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn an_empty_refusal_gets_the_shape_of_all_and_nothing_else_is_touched() {
        let ours = "HTTP/1.1 404 Not Found\r\nX-Request-Id: 1\r\ncontent-length: 0\r\n\r\n";
        for told in
            [ours, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "{\"a\": 1}"]
        {
            assert_eq!(through(told).await, told);
        }
        for (status, expected) in [("400 Bad Request", "400 Bad Request"), ("414 URI Too Long", "431 ")] {
            let told = through(&format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")).await;
            let (head, body) = told.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{head}");
            assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}");
            let body: serde_json::Value = serde_json::from_str(body).unwrap();
            assert!(head.contains(body["request_id"].as_str().unwrap()) && body["detail"][0]["type"].is_string());
        }
    }

    /// What comes out when this is written, three bytes at a time beneath.
    async fn through(text: &str) -> String {
        let (near, mut far) = tokio::io::duplex(3);
        let hear = tokio::spawn(async move {
            let mut heard = String::new();
            far.read_to_string(&mut heard).await.unwrap();
            heard
        });
        let mut shaped = Shaped::new(near);
        shaped.write_all(text.as_bytes()).await.unwrap();
        drop(shaped);
        hear.await.unwrap()
    }
}
