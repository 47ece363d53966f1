use super::*;

#[tokio::test]
async fn a_request_is_sent_as_it_is_wanted_and_written_down_before_and_after() {
    let gate = Gate::new().await;
    let mut post = wanted("POST", &gate.url("/a?b=c"));
    post.headers = vec![("Accept".to_owned(), "x/y".to_owned()), ("accept".to_owned(), "z".to_owned())];
    post.body = b"{\"a\":1}".to_vec();
    let answer = gate.send(post).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, &b"{\"ok\":true}"[..]));
    assert_eq!(answer.headers, [("content-length".to_owned(), "11".to_owned())]);
    let (port, sent) = (gate.server.port, gate.server.last());
    assert!(sent.starts_with("POST /a?b=c HTTP/1.1\r\n") && sent.ends_with("\r\n\r\n{\"a\":1}"), "{sent}");
    for line in [&format!("host: api.example:{port}"), "accept: x/y", "accept: z", "content-length: 7"] {
        assert!(sent.contains(&format!("{line}\r\n")), "{line} in {sent}");
    }
    let line = |stage: &str| format!("github POST api.example:{port}: {stage}");
    assert_eq!(gate.lines(), [line("Begun"), line("Answered(200)")]);
}

#[tokio::test]
async fn what_may_change_something_is_noted_before_it_is_sent() {
    let gate = Gate::new().await;
    gate.get(&gate.url("/")).await.unwrap();
    gate.send(wanted("HEAD", &gate.url("/never"))).await.unwrap_err();
    let mut nowhere = wanted("POST", "https://nowhere.example/");
    gate.send(nowhere.clone()).await.unwrap_err();
    nowhere.url = gate.url("/");
    gate.names.set("api.example", &[&[]]);
    gate.send(nowhere).await.unwrap_err();
    assert!(!gate.acted.load(SeqCst));
    let mut lost = wanted("DELETE", &format!("https://other.example:{}/never", gate.server.port));
    lost.timeout = Some(Duration::from_millis(300));
    gate.send(lost).await.unwrap_err();
    assert!(gate.acted.load(SeqCst), "nobody knows what became of it");
}

#[tokio::test]
async fn what_cannot_be_recorded_is_not_sent_and_an_answer_that_cannot_be_is_withheld() {
    for (most, requests) in [(0, 0), (1, 1)] {
        let gate = Gate::with(|_, book| book.most = most).await;
        let ended = gate.get(&gate.url("/")).await.unwrap_err();
        assert_eq!((ended.code, gate.server.requests()), ("unavailable", requests));
    }
}

#[tokio::test]
async fn a_host_that_is_not_granted_is_not_even_resolved_and_the_refusal_is_written_down() {
    let mut gate = Gate::new().await;
    gate.grants.truncate(1);
    let other = format!("https://other.example:{}/", gate.server.port);
    assert_eq!(gate.get(&other).await.unwrap_err().code, "denied");
    assert_eq!(gate.get(&format!("http://api.example:{}/", gate.server.port)).await.unwrap_err().code, "denied");
    assert_eq!(gate.get("nonsense").await.unwrap_err().code, "invalid");
    assert_eq!((gate.names.asked.load(SeqCst), gate.server.connections()), (0, 0));
    assert_eq!(gate.lines().len(), 3);
    assert!(gate.lines()[0].contains("Failed") && !gate.lines()[2].contains("nonsense"), "{:?}", gate.lines());
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let gate = Gate::new().await;
    let answer = gate.get(&gate.url("/redirect")).await.unwrap();
    assert_eq!(answer.status, 302);
    assert!(answer.headers.iter().any(|(name, value)| name == "location" && value == "/elsewhere"));
    assert_eq!(gate.server.connections(), 1);
}

#[tokio::test]
async fn an_answer_is_bounded_in_size_and_time_and_must_be_http() {
    let gate = Gate::new().await;
    for (path, code) in [
        ("/large", "too-large"),
        ("/endless", "too-large"),
        ("/switch", "unavailable"),
        ("/nonsense", "unavailable"),
        ("/cut", "unavailable"),
    ] {
        assert_eq!(gate.get(&gate.url(path)).await.unwrap_err().code, code, "{path}");
    }
    assert!(gate.get(&gate.url("/headers")).await.is_err());
    for path in ["/never", "/drip"] {
        let mut slow = wanted("GET", &gate.url(path));
        slow.timeout = Some(Duration::from_millis(300));
        assert_eq!(gate.send(slow).await.unwrap_err(), SLOW, "{path}");
    }
}

#[tokio::test]
async fn a_request_that_would_say_two_things_is_not_made() {
    let gate = Gate::new().await;
    let with = |name: &str, value: &str| {
        let headers = vec![(name.to_owned(), value.to_owned())];
        gate.send(Wanted { headers, ..wanted("GET", &gate.url("/")) })
    };
    for (name, value) in [
        ("Host", "other.example"),
        ("content-length", "7"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "close"),
        ("upgrade", "x"),
        ("expect", "100-continue"),
        ("proxy-authorization", "x"),
        ("x y", "z"),
        ("", "z"),
        ("x", "a\r\nhost: b"),
        ("x", "a\0"),
    ] {
        assert_eq!(with(name, value).await.unwrap_err().code, "invalid", "{name}");
    }
    assert_eq!(with("x", &"y".repeat(40_000)).await.unwrap_err().code, "too-large");
    for method in ["CONNECT", "TRACE", "get", "G T", ""] {
        assert_eq!(gate.send(wanted(method, &gate.url("/"))).await.unwrap_err().code, "invalid", "{method}");
    }
    let body = vec![0; (1 << 20) + 1];
    let large = gate.send(Wanted { body, ..wanted("POST", &gate.url("/")) }).await;
    assert_eq!((large.unwrap_err().code, gate.server.connections()), ("too-large", 0));
}

#[tokio::test]
async fn a_certificate_must_be_for_the_name_and_from_somebody_trusted() {
    let gate = Gate::with(|options, _| options.extra_ca = None).await;
    assert_eq!(gate.get(&gate.url("/")).await.unwrap_err().code, "unavailable");
    let mut gate = Gate::new().await;
    gate.names.set("third.example", &[&["127.0.0.1"]]);
    gate.grants.push(grant("third.example", gate.server.port));
    let third = format!("https://third.example:{}/", gate.server.port);
    assert_eq!(gate.get(&third).await.unwrap_err().code, "unavailable");
    assert_eq!(gate.server.requests(), 0);
}

#[tokio::test]
async fn the_environments_proxy_is_not_used() {
    // Nothing here reads the environment: a connection through a proxy would begin with CONNECT.
    let gate = Gate::new().await;
    gate.get(&gate.url("/")).await.unwrap();
    assert!(gate.server.last().starts_with("GET / HTTP/1.1"));
}

#[tokio::test]
async fn a_secret_in_a_url_does_not_get_into_the_trail_by_way_of_the_host() {
    let mut gate = Gate::new().await;
    gate.hidden = true;
    let port = gate.server.port;
    gate.get(&format!("https://hunter22.evil.example:{port}/")).await.unwrap_err();
    gate.grants.push(grant("*.below.example", port));
    gate.get(&format!("https://hunter22.below.example:{port}/")).await.unwrap_err();
    gate.get(&gate.url("/hunter22")).await.unwrap();
    let lines = gate.lines().join("\n");
    assert!(!lines.contains("hunter22") && lines.contains("[withheld]"), "{lines}");
    assert!(lines.contains(&format!("*.below.example:{port}")) && lines.contains(&format!("api.example:{port}")));
}
