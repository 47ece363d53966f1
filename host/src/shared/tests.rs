use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    Answer, Error, Link, Options, Script,
    testing::{Papers, Server, free_port, link, options, until_open, until_there},
};

fn text(text: &str) -> Answer {
    Answer::Bytes(text.as_bytes().to_vec())
}

#[tokio::test]
async fn a_script_is_loaded_where_it_is_not_known() {
    static ECHO: Script = Script::new("return {ARGV[1], KEYS[1], false, 7}");
    let server = Server::start(&[]);
    let link = server.link().await;
    let expected = Answer::List(vec![text("a"), text("k"), Answer::Nil, Answer::Int(7)]);
    for _ in 0..3 {
        assert_eq!(link.script(&ECHO, "k", &[b"a"]).await.unwrap(), expected);
        link.command(&[b"SCRIPT", b"FLUSH"]).await.unwrap();
    }
}

#[tokio::test]
async fn a_redis_that_dies_is_away_and_is_found_again() {
    let mut server = Server::start(&[]);
    let link = server.link().await;
    server.kill();
    for _ in 0..5 {
        assert!(matches!(link.command(&[b"PING"]).await, Err(Error::Away(_))));
    }
    server.restart();
    until_there(&link).await;
}

#[tokio::test]
async fn a_redis_that_evicts_is_refused() {
    for policy in ["allkeys-lru", "volatile-ttl", "volatile-random"] {
        let server = Server::start(&["--maxmemory-policy", policy]);
        // Assuming the best does not help against knowing better.
        let options = Options { assume_noeviction: true, ..options("test") };
        assert!(matches!(until_open(&server.url(), options).await, Err(Error::Unusable(_))));
    }
}

#[tokio::test]
async fn a_redis_that_does_not_tell_is_believed_only_if_told_so() {
    let server = Server::start(&["--user", "app", "on", ">horse", "~*", "&*", "+@all", "-info", "-config"]);
    let url = format!("redis://app:horse@127.0.0.1:{}", server.port());
    assert!(matches!(until_open(&url, options("test")).await, Err(Error::Unusable(_))));
    let assume = Options { assume_noeviction: true, ..options("test") };
    until_open(&url, assume).await.unwrap();
}

#[tokio::test]
async fn a_password_stands_in_no_error_and_no_debug() {
    let server = Server::start(&["--requirepass", "horse"]);
    let url = |password: &str| format!("redis://:{password}@127.0.0.1:{}", server.port());
    let link = until_open(&url("horse"), options("test")).await.unwrap();
    assert!(!format!("{link:?}").contains("horse"));
    let error = Link::open(&url("wronghorse"), options("test")).await.unwrap_err();
    assert!(matches!(error, Error::Unusable(_)) && !format!("{error} {error:?}").contains("horse"), "{error:?}");
    let error = Link::open("redis://:horse@:::", options("test")).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("horse"));
}

#[tokio::test]
async fn a_replica_is_away_until_it_is_the_primary() {
    let server = Server::start(&[]);
    let link = server.link().await;
    link.command(&[b"SET", b"k", b"v"]).await.unwrap();
    server.link().await.command(&[b"REPLICAOF", b"127.0.0.1", b"1"]).await.unwrap();
    // What is refused as READONLY makes the link look again; reads are not had from a replica either.
    assert!(matches!(link.command(&[b"SET", b"k", b"w"]).await, Err(Error::Away(_))));
    assert!(matches!(link.command(&[b"GET", b"k"]).await, Err(Error::Away(_))));
    assert!(matches!(Link::open(&server.url(), options("test")).await, Err(Error::Away(_))));
    let promoted = std::process::Command::new("redis-cli")
        .args(["-p", &server.port().to_string(), "REPLICAOF", "NO", "ONE"])
        .output();
    assert!(promoted.unwrap().status.success());
    until_there(&link).await;
    link.command(&[b"SET", b"k", b"w"]).await.unwrap();
}

#[tokio::test]
async fn in_the_clear_only_on_this_machine() {
    for far in
        ["redis://192.0.2.1", "redis://redis.example", "redis://[2001:db8::1]:1", "redis://user:horse@10.0.0.1/1"]
    {
        let Err(Error::Unusable(why)) = Link::open(far, options("test")).await else { panic!("{far}") };
        assert!(why.contains("allow_plaintext") && !why.contains("horse"));
    }
    for wrong in [
        "http://127.0.0.1",
        "redis+sentinel://127.0.0.1",
        "redis+sentinel://127.0.0.1/?service=",
        "redis+sentinel://127.0.0.1/?service=s&sentinel_pasword=horse",
        "redis+sentinel://127.0.0.1,192.0.2.1/?service=s",
        "rediss+sentinel://127.0.0.1/?service=s#insecure",
        "redis+cluster://127.0.0.1,192.0.2.1",
        "redis+cluster://127.0.0.1/3",
        "redis+cluster://127.0.0.1,/",
        "redis+cluster://",
        "redis+other://127.0.0.1",
        "http+cluster://127.0.0.1",
        "rediss://127.0.0.1/#insecure",
        "",
        "127.0.0.1",
    ] {
        assert!(matches!(Link::open(wrong, options("test")).await, Err(Error::Unusable(_))), "{wrong}");
    }
    for namespace in ["", "a{b}", "a b", "a*"] {
        assert!(matches!(Link::open("redis://127.0.0.1", options(namespace)).await, Err(Error::Unusable(_))));
    }
}

#[tokio::test]
async fn a_unix_socket_is_a_redis_too() {
    let server = Server::start(&[]);
    let link = until_open(&server.socket(), options("test")).await.unwrap();
    assert_eq!(link.command(&[b"PING"]).await.unwrap(), text("PONG"));
}

#[tokio::test]
async fn a_certificate_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let papers = Papers::make(folder.path(), &["localhost"]);
    let port = free_port();
    let arguments = papers.arguments(port);
    let _server = Server::start(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    let url = |host: &str| format!("rediss://{host}:{port}");
    let trust = |pem: &str| Options { root_certificates: Some(pem.as_bytes().to_vec()), ..options("test") };
    let authority = std::fs::read_to_string(&papers.authority).unwrap();
    let link = until_open(&url("localhost"), trust(&authority)).await.unwrap();
    assert_eq!(link.command(&[b"PING"]).await.unwrap(), text("PONG"));
    let refused = Link::open(&url("127.0.0.1"), trust(&authority)).await;
    assert!(refused.is_err(), "it is nobody of that name");
    let other = Papers::make(folder.path(), &["localhost"]);
    let other = std::fs::read_to_string(&other.authority).unwrap();
    assert!(Link::open(&url("localhost"), trust(&other)).await.is_err());
    assert!(Link::open(&url("localhost"), trust("junk")).await.is_err());
}

/// Between a link and its Redis: swallows what comes when told to, on the connections of then.
async fn proxy(to: u16) -> (u16, Arc<AtomicBool>) {
    let swallow = Arc::new(AtomicBool::new(false));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let told = swallow.clone();
    tokio::spawn(async move {
        while let Ok((near, _)) = listener.accept().await {
            let far = TcpStream::connect(("127.0.0.1", to)).await.unwrap();
            let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
            for (mut from, mut to) in [(near_in, far_out), (far_in, near_out)] {
                let told = told.clone();
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    let mut deaf = false;
                    while let Ok(len @ 1..) = from.read(&mut bytes).await {
                        deaf |= told.load(Ordering::SeqCst);
                        if !deaf && to.write_all(&bytes[..len]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        }
    });
    (port, swallow)
}

#[tokio::test]
async fn a_link_that_swallows_is_begun_anew_after_three_missed_answers() {
    let server = Server::start(&[]);
    server.link().await;
    let (port, swallow) = proxy(server.port()).await;
    let link = Link::open(&format!("redis://127.0.0.1:{port}"), options("test")).await.unwrap();
    link.command(&[b"PING"]).await.unwrap();
    swallow.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        let answer = tokio::time::timeout(Duration::from_secs(2), link.command(&[b"PING"])).await;
        assert!(matches!(answer.expect("within its deadline"), Err(Error::Away(_))));
    }
    // The old connection stays deaf; only another one hears.
    swallow.store(false, Ordering::SeqCst);
    until_there(&link).await;
}

#[tokio::test]
async fn many_callers_share_one_connection() {
    let server = Server::start(&[]);
    let link = server.link().await;
    let callers: Vec<_> = (0..50)
        .map(|at: u8| {
            let link = link.clone();
            tokio::spawn(async move { link.command(&[b"ECHO", &[at]]).await.unwrap() == Answer::Bytes(vec![at]) })
        })
        .collect();
    for caller in callers {
        assert!(caller.await.unwrap());
    }
    let Answer::Bytes(info) = link.command(&[b"INFO", b"clients"]).await.unwrap() else { panic!() };
    assert!(String::from_utf8(info).unwrap().contains("connected_clients:1\r\n"));
}

#[tokio::test]
async fn a_key_that_holds_something_else_is_told_apart() {
    let link = link().await;
    let key = format!("{}:k", link.namespace());
    link.command(&[b"SET", key.as_bytes(), b"v", b"EX", b"60"]).await.unwrap();
    assert!(matches!(link.command(&[b"HGET", key.as_bytes(), b"f"]).await, Err(Error::Foreign)));
    static HGET: Script = Script::new("return redis.call('HGET', KEYS[1], 'f')");
    assert!(matches!(link.script(&HGET, &key, &[]).await, Err(Error::Foreign)));
    // It is no reason to give up the connection.
    link.command(&[b"PING"]).await.unwrap();
}
