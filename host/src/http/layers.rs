//! Every layer around the routes, in one list and in order, with the reason of each place.

use std::{any::Any, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Method, Uri, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse as _, Response},
};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;

use super::{
    answer,
    error::{ApiError, Kind},
    json, path, query, trail,
};
use crate::{audit::Audit, clock::Clock, ids::RequestId, limits, telemetry::Requests};

/// The one path that answers HEAD: load balancers ask so.
const HEALTH: &str = "/api/v1/sys/health";

/// What the layers need to know.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub clock: Clock,
    pub request: Duration,
    pub audit: Option<Audit>,
    pub requests: Requests,
}

impl Bounds {
    pub fn new(clock: Clock, audit: Option<Audit>) -> Self {
        Self { clock, request: limits::REQUEST_WAIT, audit, requests: Requests::default() }
    }
}

/// The routes with everything around them. They stand outside of the router, not on its routes,
/// so that what no route matches passes through them as well.
pub fn around(routes: Router, bounds: Bounds) -> Router {
    let routes = routes.fallback(not_found).method_not_allowed_fallback(method_not_allowed);
    let layers = ServiceBuilder::new()
        // First in and last out: everything else may be named by the id, and every answer,
        // whoever made it, gets its shape and headers here.
        .layer(from_fn_with_state(bounds.clone(), identify))
        // Sees panics and deadlines as the answers they become; what it refuses is still given
        // its shape.
        .layer(from_fn_with_state(bounds.clone(), record))
        // Outside of whatever may panic, inside of what writes answers.
        .layer(CatchPanicLayer::custom(panicked))
        // Of the whole request, body included.
        .layer(from_fn_with_state(bounds, deadline))
        // Cheap refusals that need no look at who asks, cheapest first.
        .layer(from_fn(bounded_headers))
        .layer(from_fn(no_head))
        .layer(from_fn(same_site))
        .layer(from_fn(no_secret_in_query))
        .layer(from_fn(one_credential))
        .layer(from_fn(verb_of_query));
    Router::new().fallback_service(layers.service(routes))
}

async fn identify(State(bounds): State<Bounds>, mut request: Request, next: Next) -> Response {
    let id = RequestId::new();
    request.extensions_mut().insert(id.clone());
    let is_head = request.method() == Method::HEAD;
    let (method, path) = (request.method().clone(), query::without_tokens(request.uri().path()));
    let span = tracing::info_span!("request", %id, %method, path);
    let begun = bounds.clock.monotonic();
    let response = next.run(request).instrument(span.clone()).await;
    let (status, millis) = (response.status().as_u16(), (bounds.clock.monotonic() - begun).as_millis());
    let error = response.extensions().get::<ApiError>();
    let cause = error.and_then(ApiError::cause).map(tracing::field::display);
    let kind = error.map(|error| error.kind().code());
    span.in_scope(|| match status {
        500.. => tracing::error!(status, kind, cause, millis, "failed"),
        _ => tracing::debug!(status, kind, cause, millis, "answered"),
    });
    let response = answer::finish(response, &id);
    if is_head { answer::without_body(response) } else { response }
}

/// The audit trail: no record, no answer.
async fn record(State(bounds): State<Bounds>, request: Request, next: Next) -> Response {
    match bounds.audit {
        Some(audit) => trail::layer(audit, &bounds.requests, request, next).await,
        None => next.run(request).await,
    }
}

/// `/secrets:verb?secret_id=` has no segment that a route could match: it is given one.
async fn verb_of_query(mut request: Request, next: Next) -> Response {
    let asked = request.uri().path_and_query().map_or("", |asked| asked.as_str());
    let verb = asked.strip_prefix(path::SECRETS).filter(|rest| rest.starts_with(':'));
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = verb.and_then(|rest| format!("{}/{rest}", path::SECRETS).parse().ok());
    if parts.path_and_query.is_some()
        && let Ok(uri) = Uri::from_parts(parts)
    {
        *request.uri_mut() = uri;
    }
    next.run(request).await
}

/// What a panic says may quote what it panicked on; the hook has logged where it was.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    ApiError::internal("a handler panicked").into_response()
}

async fn deadline(State(bounds): State<Bounds>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(bounds.request, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(Kind::TooLong).into_response(),
    }
}

async fn bounded_headers(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let uri = request.uri().path_and_query().map_or(0, |uri| uri.as_str().len());
    if headers.len() > limits::HEADER_COUNT || bytes + uri > limits::HEADER_BYTES {
        return ApiError::new(Kind::HeadersTooLarge).into_response();
    }
    next.run(request).await
}

/// A HEAD must not run a GET for free. The routes are asked, as nobody and with a method that
/// none of them has, only for the methods that they do have.
async fn no_head(mut request: Request, next: Next) -> Response {
    if request.method() != Method::HEAD || request.uri().path() == HEALTH {
        return next.run(request).await;
    }
    let Ok(unheard) = Method::from_bytes(b"COFFER-HEAD") else { return method_not_allowed().await.into_response() };
    *request.method_mut() = unheard;
    request.headers_mut().clear();
    let allow = next.run(request).await.headers().get(header::ALLOW).cloned();
    let mut response = method_not_allowed().await.into_response();
    allow.map(|allow| response.headers_mut().insert(header::ALLOW, allow));
    response
}

/// Browsers say whose page asks. We have no cookies that such a page could ride on, and no CORS;
/// this also keeps it from spending, or guessing, on behalf of whoever looks at it.
async fn same_site(request: Request, next: Next) -> Response {
    let is_get = request.method() == Method::GET || request.method() == Method::HEAD;
    let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let is_led = is_get && is_led_here(request.headers());
    match is_led || is_same_site(request.headers(), host) {
        true => next.run(request).await,
        false => ApiError::new(Kind::CrossSite).into_response(),
    }
}

/// A link leads here from anywhere. What a page fetches for itself, an image or a frame, is asked in the name of
/// somebody who only looks at it, and would guess from that address.
fn is_led_here(headers: &HeaderMap) -> bool {
    let is = |name: &str, value: &str| headers.get(name).is_some_and(|told| told == value);
    let is_browser = headers.contains_key("sec-fetch-site");
    !is_browser || (is("sec-fetch-mode", "navigate") && is("sec-fetch-dest", "document"))
}

fn is_same_site(headers: &HeaderMap, authority: Option<String>) -> bool {
    let one = |name: &str| {
        let mut lines = headers.get_all(name).iter();
        lines.next().map(|line| (lines.next().is_none()).then(|| line.to_str().ok()).flatten())
    };
    match (one("sec-fetch-site"), one("origin")) {
        (Some(site), _) => matches!(site, Some("same-origin" | "none")),
        // Not a browser, or an old one that says at least where it comes from.
        (None, None) => true,
        (None, Some(origin)) => {
            let host = authority.or_else(|| one("host")?.map(str::to_owned));
            origin
                .and_then(|origin| origin.split_once("://"))
                .is_some_and(|(_, from)| host.is_some_and(|host| host.eq_ignore_ascii_case(from)))
        }
    }
}

async fn no_secret_in_query(request: Request, next: Next) -> Response {
    match request.uri().query().and_then(query::has_secret) {
        Some(name) => ApiError::at(Kind::SecretInQuery, ["query".into(), json::told(&name)]).into_response(),
        None => next.run(request).await,
    }
}

async fn one_credential(request: Request, next: Next) -> Response {
    match request.headers().get_all(header::AUTHORIZATION).iter().count() {
        0 | 1 => next.run(request).await,
        _ => ApiError::new(Kind::TwoCredentials).into_response(),
    }
}

async fn not_found() -> ApiError {
    ApiError::new(Kind::NotFound)
}

async fn method_not_allowed() -> ApiError {
    ApiError::new(Kind::MethodNotAllowed)
}

#[cfg(test)]
mod tests;
