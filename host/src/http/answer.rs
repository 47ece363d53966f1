//! The last hand on every response: our id, our one shape of errors, and nothing to keep.

use axum::{
    body::{Body, HttpBody as _},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};

use super::{
    error::{ApiError, Kind},
    page::Page,
};
use crate::ids::RequestId;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// Stands in the extensions of a page for people, the same for everybody: also where there is none, it has a body of
/// its own, and it says itself how long it may be kept.
#[derive(Clone, Copy, Debug)]
pub struct Documentation;

/// Writes the body of a refusal and the headers of everything.
pub fn finish(mut response: Response, id: &RequestId) -> Response {
    let is_documentation = response.extensions().get::<Documentation>().is_some();
    if let Some(error) = refusal(&response).filter(|_| !is_documentation) {
        let head = response.headers().clone();
        let body = Body::from(error.body(id.as_str()));
        let mut told = error.into_response();
        *told.body_mut() = body;
        // What the layer that refused has said besides, such as `Allow`.
        for name in [header::ALLOW, header::CONNECTION] {
            head.get(&name).map(|value| told.headers_mut().insert(name, value.clone()));
        }
        told.headers_mut().insert(header::CONTENT_TYPE, JSON);
        told.extensions_mut().extend(std::mem::take(response.extensions_mut()));
        response = told;
    }
    if let Some(page) = response.extensions().get::<Page>().cloned() {
        page.write(&mut response);
    }
    let headers = response.headers_mut();
    without_head(headers);
    if let Ok(id) = HeaderValue::try_from(id.as_str()) {
        headers.insert(REQUEST_ID, id);
    }
    if !is_documentation {
        headers.insert(header::CACHE_CONTROL, NO_STORE);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    response
}

/// The same without its body, whose length is still told. HTTP/2 would send it, and clients take
/// that for a broken stream.
pub fn without_body(response: Response) -> Response {
    let length = response.body().size_hint().exact();
    let mut response = response.map(|_| Body::empty());
    if let Some(length) = length.filter(|length| *length > 0) {
        response.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    }
    response
}

/// A refusal of ours, or of a library that answers with a status alone.
fn refusal(response: &Response) -> Option<ApiError> {
    if let Some(error) = response.extensions().get::<ApiError>() {
        return Some(error.clone());
    }
    let status = response.status();
    let foreign = (status.is_client_error() || status.is_server_error())
        && response.headers().get(header::CONTENT_TYPE).is_none_or(|media| media != JSON);
    foreign.then(|| {
        let same = Kind::ALL.iter().find(|kind| kind.status() == status.as_u16());
        ApiError::new(*same.unwrap_or(if status.is_client_error() { &Kind::BadRequest } else { &Kind::Internal }))
    })
}

/// axum counts HEAD among what GET allows. We do not.
fn without_head(headers: &mut axum::http::HeaderMap) {
    let Some(allow) = headers.get(header::ALLOW).and_then(|allow| allow.to_str().ok()) else { return };
    let kept: Vec<&str> = allow.split(',').map(str::trim).filter(|method| *method != "HEAD").collect();
    if let Ok(value) = HeaderValue::try_from(kept.join(", ")) {
        headers.insert(header::ALLOW, value);
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Response as Plain;

    use super::*;

    #[test]
    fn every_answer_has_our_id_and_is_not_kept() {
        let id = RequestId::new();
        let response = finish(Response::new(Body::empty()), &id);
        assert_eq!(response.headers()["x-request-id"], id.as_str());
        assert_eq!(response.headers()["cache-control"], "no-store");
    }

    #[tokio::test]
    async fn a_librarys_bare_status_gets_our_shape() {
        for (status, code) in [(413, "body_too_large"), (418, "bad_request"), (500, "internal"), (504, "internal")] {
            let bare = Plain::builder().status(status).body(Body::from("canary")).unwrap();
            let response = finish(bare, &RequestId::new());
            let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["detail"][0]["type"], code);
        }
    }
}
