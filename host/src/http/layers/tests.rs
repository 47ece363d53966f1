use axum::{
    body::Body,
    http::Response as Plain,
    routing::{any, get, post},
};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;

fn app() -> Router {
    let routes = Router::new()
        .route("/api/v1/sys/health", get(async || "well"))
        .route("/api/v1/x", get(async || "got").post(async || "posted"))
        .route("/api/v1/any", any(async || "ran"))
        .route("/panic", post(async || if true { panic!("canary") } else { "" }))
        .route("/slow", get(async || std::future::pending::<&str>().await))
        .route("/internal", get(async || ApiError::internal("canary")));
    around(routes, Bounds { request: Duration::from_millis(30), ..Bounds::new(Clock::system(), None) })
}

async fn ask(request: axum::http::request::Builder) -> (u16, HeaderMap, Value) {
    let response: Plain<Body> = app().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, 100_000).await.unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains("canary"));
    (parts.status.as_u16(), parts.headers, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

fn http(method: &str, uri: &str) -> axum::http::request::Builder {
    Request::builder().method(method).uri(uri)
}

#[tokio::test]
async fn every_answer_is_named_and_not_kept() {
    for (method, uri, status) in [("GET", "/api/v1/x", 200), ("GET", "/nowhere", 404), ("GET", "/internal", 500)] {
        let (told, headers, body) = ask(http(method, uri)).await;
        assert_eq!(told, status);
        assert_eq!(headers["cache-control"], "no-store");
        if status != 200 {
            assert_eq!(body["request_id"], headers["x-request-id"].to_str().unwrap());
        }
    }
    let id = async || ask(http("GET", "/api/v1/x").header("x-request-id", "mine")).await.1["x-request-id"].clone();
    assert_ne!(id().await, "mine");
    assert_ne!(id().await, id().await);
}

#[tokio::test]
async fn what_is_not_there_is_told_in_our_shape() {
    let (status, _, body) = ask(http("GET", "/nowhere")).await;
    let detail = json!([{"loc": [], "msg": "there is nothing here", "type": "not_found"}]);
    assert_eq!((status, &body["detail"]), (404, &detail));
    let (status, headers, body) = ask(http("DELETE", "/api/v1/x")).await;
    assert_eq!((status, &body["detail"][0]["type"]), (405, &json!("method_not_allowed")));
    assert_eq!(headers["allow"], "GET, POST");
}

#[tokio::test]
async fn head_is_answered_only_for_health() {
    assert_eq!(ask(http("HEAD", "/api/v1/sys/health")).await.0, 200);
    let (status, headers, body) = ask(http("HEAD", "/api/v1/x")).await;
    assert_eq!((status, headers["allow"].to_str().unwrap()), (405, "GET, POST"));
    assert_eq!(body, Value::Null);
    assert_ne!(headers["content-length"], "0");
    for uri in ["/nowhere", "/api/v1/any"] {
        assert_eq!(ask(http("HEAD", uri)).await.0, 405);
    }
}

#[tokio::test]
async fn a_panic_is_a_500_with_constant_words() {
    let (status, _, body) = ask(http("POST", "/panic")).await;
    assert_eq!((status, &body["detail"][0]["msg"]), (500, &json!(Kind::Internal.message())));
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_a_503() {
    let (status, headers, body) = ask(http("GET", "/slow")).await;
    assert_eq!((status, &body["detail"][0]["type"]), (503, &json!("timeout")));
    assert!(headers.contains_key("retry-after"));
}

#[tokio::test]
async fn headers_are_bounded_in_number_and_size() {
    let many = (0..=limits::HEADER_COUNT).fold(http("GET", "/api/v1/x"), |r, n| r.header(format!("x-{n}"), "1"));
    assert_eq!(ask(many).await.0, 431);
    assert_eq!(ask(http("GET", "/api/v1/x").header("x-a", "a".repeat(limits::HEADER_BYTES))).await.0, 431);
    assert_eq!(ask(http("GET", &format!("/api/v1/x?{}", "a".repeat(limits::HEADER_BYTES)))).await.0, 431);
}

#[tokio::test]
async fn another_sites_page_may_only_lead_here() {
    let cases: [(&[(&str, &str)], u16); 13] = [
        (&[], 200),
        (&[("sec-fetch-site", "same-origin")], 200),
        (&[("sec-fetch-site", "none")], 200),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://coffer:8200")], 403),
        (&[("origin", "https://coffer:8200")], 200),
        (&[("origin", "https://COFFER:8200")], 200),
        (&[("origin", "https://coffer")], 403),
        (&[("origin", "https://evil.example")], 403),
        (&[("origin", "https://coffer:8200.evil.example")], 403),
        (&[("origin", "null")], 403),
    ];
    for (lines, status) in cases {
        let with = |method| {
            lines.iter().fold(http(method, "/api/v1/x").header("host", "coffer:8200"), |r, (n, v)| r.header(*n, *v))
        };
        assert_eq!(ask(with("POST")).await.0, status, "{lines:?}");
        // What it fetches for itself, if the browser says so; what says nothing is no browser of today.
        let fetched = lines.iter().any(|(name, _)| *name == "sec-fetch-site");
        assert_eq!(ask(with("GET")).await.0, if fetched { status } else { 200 }, "{lines:?}");
        let led = with("GET").header("sec-fetch-mode", "navigate");
        assert_eq!(ask(led.header("sec-fetch-dest", "document")).await.0, 200, "{lines:?}");
        let framed = with("GET").header("sec-fetch-mode", "navigate").header("sec-fetch-dest", "iframe");
        assert_eq!(ask(framed).await.0, if fetched { status } else { 200 }, "{lines:?}");
    }
}

#[tokio::test]
async fn a_secret_in_the_query_is_refused_wherever_it_is_sent() {
    for uri in ["/api/v1/x?access_token=a", "/nowhere?a=1&password=x", "/api/v1/x?q=cof_s_a"] {
        let (status, _, body) = ask(http("GET", uri)).await;
        assert_eq!((status, &body["detail"][0]["type"]), (422, &json!("secret_in_query")), "{uri}");
        assert_eq!(body["detail"][0]["loc"][0], "query");
    }
}

#[tokio::test]
async fn two_credentials_are_one_too_many() {
    let twice = http("GET", "/api/v1/x").header("authorization", "Bearer a").header("authorization", "Basic b");
    assert_eq!(ask(twice).await.0, 400);
}

#[test]
fn no_token_of_a_path_is_logged() {
    assert_eq!(query::without_tokens("/a/cof_s_x_y_z/b"), "/a/[token]/b");
}
