//! Each kind of Redis, and the news, on real servers.

use std::time::Duration;

use super::{
    Answer, Error, Heard, Link, News, Options, Script,
    testing::{Cluster, RIGHTS, Server, Watched, options, until_open, until_there},
};

static PUT: Script = Script::new("redis.call('HSET', KEYS[1], 'f', ARGV[1]) return redis.call('HMGET', KEYS[1], 'f')");

fn text(text: &str) -> Answer {
    Answer::Bytes(text.as_bytes().to_vec())
}

async fn put(link: &Link, key: &str, value: &str) -> Result<(), Error> {
    let answer = link.script(&PUT, key, &[value.as_bytes()]).await?;
    assert_eq!(answer, Answer::List(vec![text(value)]));
    Ok(())
}

async fn heard(news: &mut News) -> Heard {
    tokio::time::timeout(Duration::from_secs(10), news.next()).await.expect("news within seconds")
}

/// Publishes until it is heard: what is said while nobody is there is lost.
async fn until_heard(link: &Link, news: &mut News, what: &str) {
    for _ in 0..200 {
        let _ = link.publish("news", what.as_bytes()).await;
        let waiting = async { while news.next().await != Heard::Said(what.as_bytes().to_vec()) {} };
        if tokio::time::timeout(Duration::from_millis(100), waiting).await.is_ok() {
            return;
        }
    }
    panic!("{what} is never heard");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_heard_by_all_who_listen_and_by_nobody_else() {
    let server = Server::start(&[]);
    let (link, other) = (server.link().await, server.link().await);
    let (mut here, mut there, mut elsewhere) =
        (link.subscribe("news"), other.subscribe("news"), link.subscribe("gossip"));
    for news in [&mut here, &mut there, &mut elsewhere] {
        assert_eq!(heard(news).await, Heard::Anew);
    }
    link.publish("news", b"one").await.unwrap();
    other.publish("news", b"\0two").await.unwrap();
    for news in [&mut here, &mut there] {
        assert_eq!(heard(news).await, Heard::Said(b"one".to_vec()));
        assert_eq!(heard(news).await, Heard::Said(b"\0two".to_vec()));
    }
    assert!(tokio::time::timeout(Duration::from_millis(50), elsewhere.next()).await.is_err());
    drop(here);
    server.until(&["PUBSUB", "NUMSUB", "test:news"], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn news_begin_anew_after_an_outage_and_say_so() {
    let mut server = Server::start(&[]);
    let link = server.link().await;
    let mut news = link.subscribe("news");
    assert_eq!(heard(&mut news).await, Heard::Anew);
    server.kill();
    server.restart();
    assert_eq!(heard(&mut news).await, Heard::Anew);
    until_heard(&link, &mut news, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_listen_learns_that_something_was_missed() {
    let server = Server::start(&[]);
    let link = server.link().await;
    let mut news = link.subscribe("news");
    assert_eq!(heard(&mut news).await, Heard::Anew);
    for _ in 0..2 * crate::limits::REDIS_NEWS {
        link.publish("news", b"x").await.unwrap();
    }
    let mut said = 0;
    while heard(&mut news).await != Heard::Anew {
        said += 1;
    }
    // As many as are kept, and perhaps what was on its way to us.
    assert!((crate::limits::REDIS_NEWS..2 * crate::limits::REDIS_NEWS).contains(&said), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sentinels_lead_to_the_primary_and_after_a_failover_to_the_next() {
    let watched = Watched::start(1, &["--requirepass", "horse"]);
    // The first one of the URL is not there.
    let url = watched.url().replace("@", "@127.0.0.1:1,");
    let link = until_open(&url, options("test")).await.unwrap();
    assert!(!format!("{link:?}").contains("horse"));
    put(&link, "test:{k}", "before").await.unwrap();
    let mut news = link.subscribe("news");
    assert_eq!(heard(&mut news).await, Heard::Anew);
    until_heard(&link, &mut news, "before").await;
    watched.primary().until(&["WAIT", "1", "1000"], "1");
    watched.primary().freeze();
    watched.until_promoted();
    until_there(&link).await;
    put(&link, "test:{k}", "after").await.unwrap();
    assert_eq!(watched.replica().ask(&["HGET", "test:{k}", "f"]), "after");
    until_heard(&link, &mut news, "after").await;
    // The old one comes back, still thinking that it is the primary, and is never written to.
    watched.primary().thaw();
    watched.primary().until(&["ROLE"], "slave");
    put(&link, "test:{k}", "later").await.unwrap();
    assert_eq!(watched.replica().ask(&["HGET", "test:{k}", "f"]), "later");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_remembers_every_server_that_it_has_been_led_to() {
    let watched = Watched::start(1, &[]);
    let link = until_open(&watched.url(), options("test")).await.unwrap();
    let here = std::net::IpAddr::from([127, 0, 0, 1]);
    for server in [watched.primary(), watched.replica(), &watched.sentinels[0]] {
        assert_eq!(link.reached().on(server.port()), [here]);
    }
    let cluster = Cluster::start(3, &[]);
    let first = format!("redis+cluster://127.0.0.1:{}", cluster.nodes[0].port());
    let link = until_open(&first, options("test")).await.unwrap();
    for node in &cluster.nodes {
        assert_eq!(link.reached().on(node.port()), [here], "{:?}", link.reached());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_the_sentinels_have_replaced_is_left_though_it_answers() {
    let watched = Watched::start(1, &[]);
    let link = until_open(&watched.url(), options("test")).await.unwrap();
    // Cut off from the sentinels only: they cannot tell it that it is no longer the primary.
    let sentinel = &watched.sentinels[0];
    sentinel.tell(&["SENTINEL", "REMOVE", "sessions"]);
    let port = watched.replica().port().to_string();
    watched.replica().tell(&["REPLICAOF", "NO", "ONE"]);
    sentinel.tell(&["SENTINEL", "MONITOR", "sessions", "127.0.0.1", &port, "1"]);
    for _ in 0..500 {
        let _ = put(&link, "test:{k}", "new").await;
        if watched.replica().ask(&["EXISTS", "test:{k}"]) == "1" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it is still written to the old one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_cannot_lead_to_another_machine_in_the_clear() {
    let watched = Watched::start(1, &[]);
    let sentinel = &watched.sentinels[0];
    sentinel.tell(&["SENTINEL", "REMOVE", "sessions"]);
    sentinel.tell(&["SENTINEL", "MONITOR", "sessions", "192.0.2.1", "6379", "1"]);
    let refused = Link::open(&watched.url(), options("test")).await.unwrap_err();
    assert!(matches!(&refused, Error::Unusable(why) if why.contains("allow_plaintext")), "{refused}");
    let unknown = watched.url().replace("service=sessions", "service=other");
    assert!(matches!(Link::open(&unknown, options("test")).await, Err(Error::Away(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_one_redis() {
    let cluster = Cluster::start(3, &[]);
    let link = until_open(&cluster.url(), options("test")).await.unwrap();
    for at in 0..50 {
        put(&link, &format!("test:{{{at}}}"), "here").await.unwrap();
    }
    for node in &cluster.nodes {
        assert!(node.ask(&["DBSIZE"]).parse::<u32>().unwrap() > 5, "each has its part");
        node.tell(&["SCRIPT", "FLUSH"]);
    }
    for at in 0..50 {
        put(&link, &format!("test:{{{at}}}"), "again").await.unwrap();
    }
    let mut news = link.subscribe("news");
    assert_eq!(heard(&mut news).await, Heard::Anew);
    until_heard(&link, &mut news, "one").await;
    link.command(&[b"SET", b"test:plain", b"x"]).await.unwrap();
    assert!(matches!(put(&link, "test:plain", "x").await, Err(Error::Foreign)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_of_a_cluster_may_move_under_the_link() {
    let cluster = Cluster::start(2, &[]);
    let link = until_open(&cluster.url(), options("test")).await.unwrap();
    put(&link, "test:{k}", "before").await.unwrap();
    let (from, slot) = (cluster.node_of("test:{k}"), cluster.nodes[0].ask(&["CLUSTER", "KEYSLOT", "test:{k}"]));
    let to = cluster.nodes.iter().find(|node| node.port() != from.port()).unwrap();
    let [from_id, to_id] = [from, to].map(|node| node.ask(&["CLUSTER", "MYID"]));
    to.tell(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &from_id]);
    from.tell(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &to_id]);
    from.tell(&["MIGRATE", "127.0.0.1", &to.port().to_string(), "test:{k}", "0", "1000"]);
    // Half way: who asks for the key is sent on for this once.
    put(&link, "test:{k}", "between").await.unwrap();
    for node in [to, from] {
        node.tell(&["CLUSTER", "SETSLOT", &slot, "NODE", &to_id]);
    }
    put(&link, "test:{k}", "after").await.unwrap();
    assert_eq!(to.ask(&["HGET", "test:{k}", "f"]), "after");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_which_one_node_evicts_is_refused() {
    let cluster = Cluster::start(2, &[]);
    cluster.nodes[1].tell(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    assert!(matches!(until_open(&cluster.url(), options("test")).await, Err(Error::Unusable(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_mends_itself_when_a_node_was_away() {
    let mut cluster = Cluster::start(3, &[]);
    let link = until_open(&cluster.url(), options("test")).await.unwrap();
    cluster.nodes[1].kill();
    for at in 0..20 {
        match put(&link, &format!("test:{{{at}}}"), "x").await {
            Ok(()) | Err(Error::Away(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    cluster.nodes[1].restart();
    let all = async || {
        for at in 0..20 {
            put(&link, &format!("test:{{{at}}}"), "x").await?;
        }
        Ok::<_, Error>(())
    };
    for _ in 0..500 {
        if all().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not mend");
}

#[tokio::test(flavor = "multi_thread")]
async fn eviction_that_is_switched_on_later_is_found_out_and_heals_when_switched_off() {
    let server = Server::start(&[]);
    let link = server.link().await;
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "volatile-ttl"]);
    let until = async |refused: bool| {
        for _ in 0..500 {
            match link.command(&[b"PING"]).await {
                Err(Error::Unusable(why)) if refused => return assert!(why.contains("noeviction"), "{why}"),
                Ok(_) if !refused => return,
                _ => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        panic!("nobody notices: refused should be {refused}");
    };
    until(true).await;
    server.tell(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    until(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_the_least_rights_is_enough_and_one_with_fewer_is_told() {
    let rights: Vec<&str> = RIGHTS.split_whitespace().collect();
    let with = |rights: &[&str]| {
        let mut arguments = vec!["--user", "coffer", "on", ">horse"];
        arguments.extend(rights);
        Server::start(&arguments)
    };
    let server = with(&rights);
    let url = |server: &Server| server.url().replace("//", "//coffer:horse@");
    let link = until_open(&url(&server), options("coffer")).await.unwrap();
    put(&link, "coffer:{k}", "x").await.unwrap();
    let mut news = link.subscribe("news");
    until_heard(&link, &mut news, "x").await;
    assert!(matches!(link.command(&[b"GET", b"other:k"]).await, Err(Error::Unusable(_))));
    let fewer: Vec<&str> = rights.iter().copied().filter(|right| *right != "+role").collect();
    let server = with(&fewer);
    let options = Options { assume_noeviction: true, ..options("coffer") };
    let refused = until_open(&url(&server), options).await.unwrap_err();
    assert!(matches!(&refused, Error::Unusable(why) if why.contains("rights")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_rights_are_enough_in_a_cluster_too() {
    let mut arguments = vec!["--user", "coffer", "on", ">horse"];
    arguments.extend(RIGHTS.split_whitespace());
    let cluster = Cluster::start(2, &arguments);
    let url = cluster.url().replace("//", "//coffer:horse@");
    let link = until_open(&url, options("coffer")).await.unwrap();
    assert!(!format!("{link:?}").contains("horse"));
    for at in 0..20 {
        put(&link, &format!("coffer:{{{at}}}"), "x").await.unwrap();
    }
    let mut news = link.subscribe("news");
    until_heard(&link, &mut news, "x").await;
    let wrong = Link::open(&url.replace("horse", "wronghorse"), options("coffer")).await.unwrap_err();
    assert!(!format!("{wrong} {wrong:?}").contains("horse"), "{wrong}");
}
