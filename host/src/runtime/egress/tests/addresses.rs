//! Ways to where a plugin has no business.

use super::{super::address::is_permitted, *};

const PUBLIC: [&str; 4] = ["1.1.1.1", "140.82.121.6", "2606:4700::1", "64:ff9b::101:101"];

const PRIVATE: [&str; 10] = [
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "fd12:3456::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "::10.0.0.1",
];

const NEVER: [&str; 24] = [
    "0.0.0.0",
    "0.1.2.3",
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "::",
    "::2",
    "fe80::1",
    "fd00:ec2::254",
    "ff02::1",
    "2002:7f00:1::",
    "2001:0:1::1",
    "64:ff9b:1::1",
    "::ffff:169.254.169.254",
    "::ffff:0.0.0.0",
    "64:ff9b::a9fe:a9fe",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
    "192.88.99.1",
    "100::1",
];

const LOOPBACK: [&str; 6] = ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "::127.0.0.1"];

#[test]
fn an_address_is_reached_if_it_is_public_or_the_grant_has_its_network_and_some_never() {
    let all: Vec<IpNet> = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap()).to_vec();
    let check = |texts: &[&str], networks: &[IpNet], dev, verdict| {
        for text in texts {
            assert_eq!(is_permitted(text.parse().unwrap(), networks, dev), verdict, "{text}");
        }
    };
    check(&PUBLIC, &[], false, true);
    check(&PRIVATE, &[], false, false);
    check(&PRIVATE, &[], true, false);
    check(&PRIVATE, &all, false, true);
    check(&["10.0.0.1", "::ffff:10.0.0.1"], &["10.0.0.0/24".parse().unwrap()], false, true);
    check(&["10.0.1.1", "192.168.0.1"], &["10.0.0.0/24".parse().unwrap()], false, false);
    check(&NEVER, &all, false, false);
    check(&NEVER, &all, true, false);
    check(&LOOPBACK, &all, false, false);
    check(&LOOPBACK, &[], true, false);
    check(&LOOPBACK, &all, true, true);
    // Not given out to anybody.
    check(&["4000::1", "200::1", "2001:db8::1"], &[], false, false);
}

#[test]
fn a_url_that_parsers_read_differently_is_not_read() {
    let bad = [
        "",
        "api.example",
        "//api.example/",
        "ftp://api.example/",
        "HTTPS",
        "https://",
        "https:///path",
        "https://user@api.example/",
        "https://user:pass@api.example/",
        "https://api.example@127.0.0.1/",
        "https://127.0.0.1#@api.example/",
        "https://api.example/#fragment",
        "https://api.example\\@127.0.0.1/",
        "https://api.example:0/",
        "https://api.example:99999/",
        "https://api.example:/",
        "https://api.example:443:80/",
        "https://api.example/a b",
        "https://api.example/\r\nhost: x",
        "https://api.example\t/",
        "https://api.example./",
        "https://.example/",
        "https://a..example/",
        "https://-api.example/",
        "https://аpi.example/",
        "https://%61pi.example/",
        "https://[::1/",
        "https://[fe80::1%25eth0]/",
        "https://[::ffff:7f00:1]x/",
        // Resolvers take these for 127.0.0.1.
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://127.1/",
        "https://127.0.0.1./",
        "https://127.0.0.0x1/",
        "https://017700000001/",
    ];
    for url in bad {
        assert!(Target::parse(url).is_err(), "{url}");
    }
    assert!(Target::parse(&format!("https://api.example/{}", "x".repeat(9000))).is_err());
    let good = [
        ("https://API.Example", "api.example:443 /"),
        ("https://api.example:8443/a/../b?c=d", "api.example:8443 /a/../b?c=d"),
        ("http://api.example?x", "api.example:80 /?x"),
        ("https://[::FFFF:127.0.0.1]:1/", "[::ffff:127.0.0.1]:1 /"),
        ("https://127.0.0.1/", "127.0.0.1:443 /"),
        ("https://_x.1a.example/", "_x.1a.example:443 /"),
    ];
    for (url, read) in good {
        let target = Target::parse(url).unwrap_or_else(|_| panic!("{url}"));
        assert_eq!(format!("{target} {}", target.path), read);
    }
}

#[test]
fn a_grant_is_for_its_host_port_and_scheme_and_a_suffix_that_is_somebodys() {
    let host = |host: &str| HostGrant { host: host.to_owned(), port: 443, ..HostGrant::default() };
    let matches = |grant: &HostGrant, url: &str| grant.matches(&Target::parse(url).unwrap());
    let exact = host("api.example.com");
    assert!(matches(&exact, "https://API.example.com/x"));
    for url in [
        "http://api.example.com:443/",
        "https://api.example.com:8443/",
        "https://x.api.example.com/",
        "https://api.example.com.evil.org/",
        "https://evil-api.example.com/",
    ] {
        assert!(!matches(&exact, url), "{url}");
    }
    let suffix = host("*.example.com");
    assert!(matches(&suffix, "https://a.example.com/") && matches(&suffix, "https://a.b.example.com/"));
    assert!(!matches(&suffix, "https://example.com/") && !matches(&suffix, "https://evilexample.com/"));
    for public in ["com", "co.uk", "github.io", "corp", ""] {
        assert!(!matches(&host(&format!("*.{public}")), &format!("https://a.{public}x.com/")));
        assert!(!host(&format!("*.{public}")).matches(&Target {
            host: super::super::target::Host::Name(format!("a.{public}")),
            port: 443,
            plain: false,
            path: "/".to_owned(),
        }));
    }
    assert!(matches(&host("10.0.0.1"), "https://10.0.0.1/") && !matches(&host("*.0.0.1"), "https://10.0.0.1/"));
    assert!(matches(&host("[fd00::1]"), "https://[fd00:0::0:1]/"));
    let plain = HostGrant { plain: true, ..host("api.example.com") };
    assert!(matches(&plain, "http://api.example.com:443/") && !matches(&plain, "https://api.example.com/"));
}

#[tokio::test]
async fn a_name_that_leads_inside_is_denied_before_anything_is_connected() {
    let mut gate = Gate::with(|options, _| options.loopback = false).await;
    gate.grants[0].networks = vec!["10.1.0.0/16".parse().unwrap(), "127.0.0.0/8".parse().unwrap()];
    for address in LOOPBACK.iter().chain(&NEVER).chain(&["10.0.0.1", "192.168.0.1", "::ffff:10.0.0.1"]) {
        gate.names.set("api.example", &[&[address]]);
        assert_eq!(gate.get(&gate.url("/")).await.unwrap_err().code, "denied", "{address}");
    }
    assert_eq!(gate.server.connections(), 0);
    let literal = format!("https://127.0.0.1:{}/", gate.server.port);
    gate.grants = vec![grant("127.0.0.1", gate.server.port)];
    assert_eq!(gate.get(&literal).await.unwrap_err().code, "denied");
    assert_eq!(gate.server.connections(), 0);
}

#[tokio::test]
async fn the_connection_goes_to_the_address_that_was_checked() {
    let gate = Gate::new().await;
    // What a second look would find is not asked for.
    gate.names.set("api.example", &[&["127.0.0.1"], &["169.254.169.254"]]);
    assert!(gate.get(&gate.url("/")).await.is_ok());
    assert_eq!((gate.names.asked.load(SeqCst), gate.server.connections()), (1, 1));
    assert_eq!(gate.get(&gate.url("/")).await.unwrap_err().code, "denied");
    // Of several, those that are permitted.
    gate.names.set("api.example", &[&["169.254.169.254", "10.0.0.1", "127.0.0.1"]]);
    assert!(gate.get(&gate.url("/")).await.is_ok());
}

#[tokio::test]
async fn a_name_that_is_bound_anew_between_two_looks_leads_nowhere_else() {
    let gate = Gate::new().await;
    // The name changes its address with every look: to the machine's keys, to a private neighbour, to nothing.
    let inside = ["169.254.169.254", "10.0.0.1", "::ffff:169.254.169.254", "fd00:ec2::254", "0.0.0.0"];
    for address in inside {
        gate.names.set("api.example", &[&["127.0.0.1"], &[address], &["127.0.0.1"]]);
        let (before, asked) = (gate.server.connections(), gate.names.asked.load(SeqCst));
        assert!(gate.get(&gate.url("/")).await.is_ok());
        // No connection is kept: the next request is judged by where the name leads by then.
        assert_eq!(gate.get(&gate.url("/")).await.unwrap_err().code, "denied", "{address}");
        assert!(gate.get(&gate.url("/")).await.is_ok());
        assert_eq!(gate.names.asked.load(SeqCst) - asked, 3, "one look for each request");
        assert_eq!(gate.server.connections() - before, 2, "{address}");
    }
    // Beside a good address a bad one is not tried, whatever their order.
    for address in inside {
        gate.names.set("api.example", &[&[address]]);
        assert_eq!(gate.get(&gate.url("/")).await.unwrap_err().code, "denied");
        gate.names.set("api.example", &[&[address, "127.0.0.1"]]);
        assert!(gate.get(&gate.url("/")).await.is_ok());
    }
}

#[tokio::test]
async fn its_own_listener_database_and_redis_are_never_reached() {
    let gate = Gate::new().await;
    let port = gate.server.port;
    let options = |listeners: Vec<u16>, services: Vec<(String, u16)>| Options {
        loopback: true,
        listeners,
        services,
        reached: crate::shared::Reached::default(),
        extra_ca: Some(gate.server.ca.clone().into_bytes()),
    };
    let names = gate.names.clone();
    names.set("db.internal", &[&["::ffff:127.0.0.1"]]);
    let service = |host: &str| options(vec![], vec![(host.to_owned(), port)]);
    let led_there = options(vec![], vec![]);
    led_there.reached.note(format!("[::ffff:127.0.0.1]:{port}").parse().unwrap());
    let ended = async |options: Options| {
        let egress = Egress::with(options, Arc::new(gate.book.clone()), Box::new(names.clone()));
        let mut order_gate = Gate { egress, ..Gate::new().await };
        order_gate.grants = vec![grant("api.example", port)];
        order_gate.get(&format!("https://api.example:{port}/")).await.map_err(|refusal| refusal.code)
    };
    for options in [options(vec![port], vec![]), service("db.internal"), service("127.0.0.1"), led_there] {
        assert_eq!(ended(options).await.unwrap_err(), "denied");
    }
    // As long as nobody can say where it is, it may be anywhere on its port.
    names.set("nowhere.internal", &[&[]]);
    for service in [service("unknown.internal"), service("nowhere.internal")] {
        assert_eq!(ended(service).await.unwrap_err(), "unavailable");
    }
    assert_eq!(gate.server.requests(), 0);
    let elsewhere = options(vec![], vec![("unknown.internal".to_owned(), port.wrapping_add(1).max(1))]);
    elsewhere.reached.note(format!("127.0.0.2:{port}").parse().unwrap());
    assert_eq!(ended(elsewhere).await.unwrap().status, 200);
}
