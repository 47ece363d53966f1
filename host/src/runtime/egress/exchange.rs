//! One request and its answer over one connection.

use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    client::conn::http1,
    header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, RANGE, USER_AGENT},
};
use hyper_util::rt::TokioIo;
use zeroize::Zeroizing;

use super::{Answer, Credentials, Refusal, Wanted, connect::Stream, known_method, refusal, target::Target};
use crate::limits;

/// The connection's, and so the host's: a guest that could set them could say one thing to us and
/// another to whoever reads it.
pub(super) const OURS: [&str; 12] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "keep-alive",
    "expect",
    "proxy-authorization",
    "proxy-connection",
    "http2-settings",
];

const BROKEN: Refusal = refusal("unavailable", "the host broke off or answered what is not HTTP");
const TOO_LARGE: Refusal = refusal("too-large", "the host's answer is too large");

/// The request as it will be sent, credential included.
pub(super) fn request(
    wanted: &Wanted,
    target: &Target,
    credentials: &Credentials,
) -> Result<Request<Full<Bytes>>, Refusal> {
    let method = known_method(&wanted.method).ok_or(refusal("invalid", "no such method"))?;
    if wanted.body.len() > limits::EGRESS_BODY_BYTES {
        return Err(refusal("too-large", "the body is too large"));
    }
    let mut headers = headers(&wanted.headers)?;
    let mut body = Zeroizing::new(wanted.body.clone());
    if credentials.are_for(target) {
        // The answer is searched for them: it must come in one piece, and as it is.
        if headers.contains_key(RANGE) {
            return Err(refusal("invalid", "of a host that a credential is for no part of an answer can be asked for"));
        }
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if let Some(name) = &wanted.credential {
        credentials.add(name, target, &mut headers, &mut body)?;
    }
    let default = if target.plain { 80 } else { 443 };
    let host = if target.port == default { target.host.to_string() } else { target.to_string() };
    headers.insert(HOST, HeaderValue::try_from(host).map_err(|_| malformed())?);
    if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
        headers.insert(CONTENT_LENGTH, body.len().into());
    }
    if !headers.contains_key(USER_AGENT) {
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("coffer/", env!("CARGO_PKG_VERSION"))));
    }
    let body = Full::new(Bytes::from(std::mem::take(&mut *body)));
    let built = Request::builder().method(method).uri(target.path.as_str()).body(body);
    let mut request = built.map_err(|_| malformed())?;
    *request.headers_mut() = headers;
    Ok(request)
}

pub(super) async fn exchange(stream: Box<dyn Stream>, request: Request<Full<Bytes>>) -> Result<Answer, Refusal> {
    let mut builder = http1::Builder::new();
    builder.max_buf_size(limits::HEADER_BYTES_RAW).max_headers(limits::EGRESS_HEADERS);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|_| BROKEN)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|_| BROKEN)?;
        read(response).await
    };
    // Both here, so that nothing goes on once the call is given up.
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, Refusal> {
    let (head, body) = response.into_parts();
    // 101 and the like: from there on it would not be HTTP any more.
    if head.status.is_informational() {
        return Err(BROKEN);
    }
    // hyper's own bound is on what it buffers, and gives way to what arrives at once.
    let size = head.headers.iter().fold(0, |size, (name, value)| size + name.as_str().len() + value.len());
    if size > limits::HEADER_BYTES_RAW {
        return Err(TOO_LARGE);
    }
    let read = Limited::new(body, limits::EGRESS_ANSWER_BYTES).collect().await;
    let body = read.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
        true => TOO_LARGE,
        false => BROKEN,
    })?;
    let text =
        |(name, value): (&HeaderName, &HeaderValue)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()));
    let headers = head.headers.iter().filter_map(text).collect();
    Ok(Answer { status: head.status.as_u16(), headers, body: body.to_bytes().to_vec() })
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, Refusal> {
    let size = given.iter().fold(0, |size, (name, value)| size + name.len() + value.len());
    if given.len() > limits::HEADER_COUNT || size > limits::HEADER_BYTES {
        return Err(refusal("too-large", "the headers are too many or too large"));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let name = HeaderName::try_from(name.as_str()).map_err(|_| malformed())?;
        if OURS.contains(&name.as_str()) {
            return Err(refusal("invalid", "a header is set that is the host's own"));
        }
        headers.append(name, HeaderValue::try_from(value.as_str()).map_err(|_| malformed())?);
    }
    Ok(headers)
}

fn malformed() -> Refusal {
    refusal("invalid", "the request is malformed")
}
