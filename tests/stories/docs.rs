//! `/docs`: pages for people, from inside the binary, the same for everybody.

use reqwest::Response;

use crate::harness::{Seal, TestServer};

async fn ask(server: &TestServer, path: &str, known: Option<&str>) -> Response {
    let pem = std::fs::read(server.authority()).expect("an authority");
    let trusted = reqwest::Certificate::from_pem(&pem).expect("PEM");
    let client = reqwest::Client::builder().tls_certs_only([trusted]).no_proxy().build().expect("a client");
    let mut request = client.get(format!("{}{path}", server.url()));
    if let Some(known) = known {
        request = request.header("if-none-match", known);
    }
    request.send().await.expect("an answer")
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test]
async fn pages_are_shown_to_anybody_and_run_nothing() {
    let server = TestServer::start().await;
    for path in ["/docs", "/docs/", "/docs/quick-start", "/docs/api-reference", "/docs/plugin-kv"] {
        let answer = ask(&server, path, None).await;
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8", "{path}");
        let policy = header(&answer, "content-security-policy");
        for part in ["default-src 'none'", "style-src 'self'", "frame-ancestors 'none'", "form-action 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("script-src"), "{path}: {policy}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(header(&answer, "referrer-policy"), "no-referrer");
        let text = answer.text().await.expect("text");
        assert!(text.contains("<title>") && text.contains("href=\"/docs/quick-start\""), "{path}");
    }
    let style = ask(&server, "/docs/style.css", None).await;
    assert_eq!(header(&style, "content-type"), "text/css; charset=utf-8");
}

#[tokio::test]
async fn a_page_that_is_not_there_is_told_in_words() {
    let server = TestServer::start().await;
    for path in ["/docs/nothing", "/docs/..%2Fsecrets", "/docs/%00", "/docs/README.md"] {
        let answer = ask(&server, path, None).await;
        assert_eq!(answer.status(), 404, "{path}");
        assert_eq!(header(&answer, "content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(header(&answer, "cache-control"), "no-store", "{path}");
        assert!(answer.text().await.expect("text").contains("href=\"/docs\""), "{path}");
    }
    // Beyond it there is nothing of ours.
    assert_eq!(ask(&server, "/docs/quick-start/more", None).await.status(), 404);
}

#[tokio::test]
async fn a_page_that_is_known_is_not_sent_again() {
    let server = TestServer::start().await;
    let first = ask(&server, "/docs/quick-start", None).await;
    let tag = header(&first, "etag").to_owned();
    assert_eq!(header(&first, "cache-control"), "no-cache");
    for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let again = ask(&server, "/docs/quick-start", Some(&known)).await;
        assert_eq!((again.status().as_u16(), header(&again, "etag")), (304, tag.as_str()), "{known}");
        assert!(again.bytes().await.expect("nothing").is_empty());
    }
    assert_eq!(ask(&server, "/docs/quick-start", Some("\"other\"")).await.status(), 200);
}

#[tokio::test]
async fn pages_say_nothing_of_the_server_and_are_there_while_it_is_sealed() {
    let sealed = TestServer::builder().seal(Seal::Shamir).start().await;
    let open = TestServer::start().await;
    for path in ["/docs", "/docs/quick-start", "/docs/api-reference", "/docs/nothing"] {
        let (one, other) = (ask(&sealed, path, None).await, ask(&open, path, None).await);
        assert_eq!(one.status(), other.status(), "{path}");
        assert!(one.text().await.expect("text") == other.text().await.expect("text"), "{path} differs");
    }
}
