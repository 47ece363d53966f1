use axum::http::{HeaderName, HeaderValue};

use super::*;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let pair =
        |(name, value): &(&str, &str)| (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    lines.iter().map(pair).collect()
}

fn proxies(header: ClientAddressHeader) -> Proxies {
    let trusted = ["10.0.0.0/8", "2001:db8:ffff::/48", "::ffff:192.168.0.0/112"];
    Proxies::new(trusted.into_iter().map(|net| net.parse().unwrap()), header)
}

fn address(header: ClientAddressHeader, peer: &str, lines: &[(&str, &str)]) -> Option<String> {
    let client = proxies(header).client(peer.parse().unwrap(), &headers(lines));
    client.address.map(|address| address.to_string())
}

#[test]
fn an_untrusted_peer_is_the_client_whatever_it_says() {
    for header in [ClientAddressHeader::XForwardedFor, ClientAddressHeader::Forwarded, ClientAddressHeader::None] {
        for lines in [&[][..], &[("x-forwarded-for", "1.2.3.4")], &[("forwarded", "for=1.2.3.4")]] {
            assert_eq!(address(header, "203.0.113.9", lines).as_deref(), Some("203.0.113.9"));
            assert_eq!(address(header, "::ffff:203.0.113.9", lines).as_deref(), Some("203.0.113.9"));
            let client = proxies(header).client("203.0.113.9".parse().unwrap(), &headers(lines));
            assert_eq!(client.untrusted_forwarding, !lines.is_empty());
        }
    }
}

#[test]
fn x_forwarded_for_is_read_from_the_right_to_the_first_untrusted_hop() {
    let v6 = "2001:db8::1";
    let cases: [(&[&str], Option<&str>); 30] = [
        (&["1.2.3.4"], Some("1.2.3.4")),
        (&["9.9.9.9, 1.2.3.4"], Some("1.2.3.4")),
        (&["9.9.9.9, 1.2.3.4, 10.1.1.1, 10.2.2.2"], Some("1.2.3.4")),
        (&["9.9.9.9", "1.2.3.4", "10.1.1.1"], Some("1.2.3.4")),
        (&["1.2.3.4,10.1.1.1"], Some("1.2.3.4")),
        (&[" \t1.2.3.4\t "], Some("1.2.3.4")),
        (&["1.2.3.4:5678"], Some("1.2.3.4")),
        (&[v6], Some(v6)),
        (&["[2001:db8::1]"], Some(v6)),
        (&["[2001:db8::1]:443"], Some(v6)),
        (&["::ffff:1.2.3.4"], Some("1.2.3.4")),
        (&["1.2.3.4, ::ffff:10.0.0.1"], Some("1.2.3.4")),
        (&["1.2.3.4, 192.168.3.4"], Some("1.2.3.4")),
        (&["1.2.3.4, 2001:db8:ffff::5"], Some("1.2.3.4")),
        (&["10.1.1.1, 10.2.2.2"], None),
        (&[], None),
        (&[""], None),
        (&["1.2.3.4,"], None),
        (&[",1.2.3.4"], Some("1.2.3.4")),
        (&["1.2.3.4", ""], None),
        (&["unknown"], None),
        (&["unknown, 1.2.3.4"], Some("1.2.3.4")),
        (&["x, 1.2.3.4, 10.1.1.1"], Some("1.2.3.4")),
        (&["x", "10.1.1.1"], None),
        (&["9.9.9.9, x, 10.1.1.1"], None),
        (&["1.2.3.4, unknown"], None),
        (&["1.2.3"], None),
        (&["01.2.3.4"], None),
        (&["fe80::1%eth0"], None),
        (&["\"1.2.3.4\""], None),
    ];
    for (lines, expected) in cases {
        let lines: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
        assert_eq!(address(ClientAddressHeader::XForwardedFor, "10.0.0.1", &lines).as_deref(), expected, "{lines:?}");
    }
}

#[test]
fn forwarded_is_read_from_the_right_to_the_first_untrusted_hop() {
    let cases: [(&[&str], Option<&str>); 20] = [
        (&["for=1.2.3.4"], Some("1.2.3.4")),
        (&["For=1.2.3.4;proto=https;by=10.0.0.1"], Some("1.2.3.4")),
        (&["proto=https; for=1.2.3.4"], Some("1.2.3.4")),
        (&["for=9.9.9.9, for=1.2.3.4, for=10.0.0.7"], Some("1.2.3.4")),
        (&["for=9.9.9.9", "for=1.2.3.4", "for=10.0.0.7"], Some("1.2.3.4")),
        (&["for=\"[2001:db8::1]\""], Some("2001:db8::1")),
        (&["for=\"[2001:db8::1]:4711\""], Some("2001:db8::1")),
        (&["for=\"1.2.3.4:80\""], Some("1.2.3.4")),
        (&["for=1.2.3.4;host=\"a,b;for=6.6.6.6\""], Some("1.2.3.4")),
        (&["for=1.2.3.4;host=\"a\\\",for=6.6.6.6\""], Some("1.2.3.4")),
        (&["for=unknown"], None),
        (&["for=_hidden"], None),
        (&["for=_hidden, for=1.2.3.4"], Some("1.2.3.4")),
        (&["proto=https"], None),
        (&["for=1.2.3.4;for=5.6.7.8"], None),
        (&["for=\"1.2.3.4"], None),
        (&["for=[2001:db8::1]"], None),
        (&["for=1.2.3.4:80"], None),
        (&["for"], None),
        (&[""], None),
    ];
    for (lines, expected) in cases {
        let lines: Vec<_> = lines.iter().map(|line| ("forwarded", *line)).collect();
        assert_eq!(address(ClientAddressHeader::Forwarded, "10.0.0.1", &lines).as_deref(), expected, "{lines:?}");
    }
}

#[test]
fn the_other_header_is_ignored_from_everyone() {
    let both = [("x-forwarded-for", "1.2.3.4"), ("forwarded", "for=5.6.7.8")];
    assert_eq!(address(ClientAddressHeader::XForwardedFor, "10.0.0.1", &both).as_deref(), Some("1.2.3.4"));
    assert_eq!(address(ClientAddressHeader::Forwarded, "10.0.0.1", &both).as_deref(), Some("5.6.7.8"));
    assert_eq!(address(ClientAddressHeader::None, "10.0.0.1", &both), None);
    assert_eq!(address(ClientAddressHeader::XForwardedFor, "10.0.0.1", &both[1..]), None);
}

#[test]
fn more_than_32_hops_are_no_address() {
    let hops = |count: usize| vec!["1.2.3.4"; count].join(",");
    for (count, expected) in [(32, Some("1.2.3.4")), (33, None)] {
        let lines = [("x-forwarded-for", &*hops(count))];
        assert_eq!(address(ClientAddressHeader::XForwardedFor, "10.0.0.1", &lines).as_deref(), expected);
    }
}

#[test]
fn only_a_trusted_peer_that_says_exactly_https_came_by_https() {
    let told = |peer: &str, values: &[&str]| {
        let lines: Vec<_> = values.iter().map(|value| ("x-forwarded-proto", *value)).collect();
        proxies(ClientAddressHeader::None).told(peer.parse().unwrap(), &headers(&lines))
    };
    assert_eq!(told("10.0.0.1", &["https"]), Told::Https);
    assert_eq!(told("::ffff:10.0.0.1", &["HTTPS"]), Told::Https);
    for values in
        [&["http"][..], &["https", "https"], &["https,http"], &["https, https"], &["http", "https"], &[""], &["wss"]]
    {
        assert_eq!(told("10.0.0.1", values), Told::NotHttps, "{values:?}");
    }
    assert_eq!(told("10.0.0.1", &[]), Told::Nothing);
    assert_eq!(told("203.0.113.9", &["https"]), Told::Nothing);
}
