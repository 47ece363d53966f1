//! What a mount may do: asked for by the manifest and granted by the setting. Hosts and headers
//! are given by name; the host's own functions come with the plugin, unless they are denied.

use ipnet::IpNet;

use super::{Granted, Refusal, Spec};
use crate::{
    problem::Problem,
    runtime::{Grant, HostGrant},
};

/// By the names that settings have for it.
pub(super) fn names(asked: &Grant) -> Granted {
    Granted {
        http: asked.http.iter().map(name).collect(),
        headers: asked.headers.iter().cloned().collect(),
        crypto: asked.crypto.iter().cloned().collect(),
        subjects: Vec::new(),
    }
}

fn name(host: &HostGrant) -> String {
    format!("{}:{}", host.host, host.port)
}

/// A host as it is granted: `host:port`, after `http://` if it is to be that, and before private
/// networks in which it may be: `host:port 10.1.0.0/16`.
struct Entry<'a> {
    name: &'a str,
    plain: bool,
    networks: Vec<IpNet>,
}

impl<'a> Entry<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (host, networks) = text.split_once(' ').unwrap_or((text, ""));
        let networks = networks.split_ascii_whitespace().map(|net| net.parse().ok());
        let plain = host.strip_prefix("http://");
        Some(Self { name: plain.unwrap_or(host), plain: plain.is_some(), networks: networks.collect::<Option<_>>()? })
    }
}

/// The name in it; what cannot be read is nobody's.
fn base(text: &str) -> &str {
    Entry::parse(text).map_or("", |entry| entry.name)
}

/// Only what is asked for can be granted or denied: another name is a mistake, or a trap.
pub(super) fn check(spec: &Spec, asked: &Granted) -> Result<(), Refusal> {
    if let Some(at) = spec.grant.http.iter().position(|text| Entry::parse(text).is_none()) {
        let why = "must be host:port, or host:port and networks in CIDR notation";
        return Err(Problem::new(format!("/grant/http/{at}"), "invalid_value", why).into());
    }
    let none = Vec::new();
    for (place, given) in [("grant", &spec.grant), ("deny", &spec.deny)] {
        for (kind, given, asked) in [
            ("http", &given.http, &asked.http),
            ("headers", &given.headers, &asked.headers),
            ("crypto", &given.crypto, &asked.crypto),
            // Denied it would be the same plugin all the same.
            ("subjects", &given.subjects, if place == "grant" { &asked.subjects } else { &none }),
        ] {
            let is_asked = |name: &String| {
                asked.iter().any(|asked| asked == if kind == "http" { base(name) } else { name.as_str() })
            };
            if let Some(at) = given.iter().position(|name| !is_asked(name)) {
                let at = format!("/{place}/{kind}/{at}");
                return Err(Problem::new(at, "not_asked_for", "is not what the plugin asks for").into());
            }
        }
    }
    Ok(())
}

/// Asked, granted, and not denied.
pub(super) fn given(spec: &Spec, asked: &Grant) -> Grant {
    let (grant, deny) = (&spec.grant, &spec.deny);
    let listed =
        |granted: &[String], denied: &[String], name: &String| granted.contains(name) && !denied.contains(name);
    Grant {
        http: asked.http.iter().filter_map(|host| host_given(host, spec)).collect(),
        headers: asked.headers.iter().filter(|name| listed(&grant.headers, &deny.headers, name)).cloned().collect(),
        crypto: asked.crypto.iter().filter(|name| !deny.crypto.contains(name)).cloned().collect(),
    }
}

fn host_given(asked: &HostGrant, spec: &Spec) -> Option<HostGrant> {
    let name = name(asked);
    if spec.deny.http.iter().any(|denied| base(denied) == name) {
        return None;
    }
    let mut entries = spec.grant.http.iter().filter_map(|text| Entry::parse(text));
    let Entry { plain, networks, .. } = entries.find(|entry| entry.name == name)?;
    Some(HostGrant { plain, networks, ..asked.clone() })
}

/// Of what the setting gives by name, what a version asks for.
pub(super) fn of_asked(given: &Granted, asked: &Granted) -> Granted {
    let some = |given: &[String], asked: &[String], bare: fn(&str) -> &str| {
        given.iter().filter(|name| asked.iter().any(|asked| asked == bare(name))).cloned().collect()
    };
    Granted {
        http: some(&given.http, &asked.http, base),
        headers: some(&given.headers, &asked.headers, |name| name),
        crypto: some(&given.crypto, &asked.crypto, |name| name),
        subjects: some(&given.subjects, &asked.subjects, |name| name),
    }
}

/// What a new version asks for that the live one did not, as far as the setting says nothing of it.
pub(super) fn needs(spec: &Spec, asked: &Granted, live: &Granted) -> Granted {
    let open = |asked: &[String], known: [&[String]; 3]| {
        let is_known = |name: &String| known.iter().any(|known| known.iter().any(|known| base(known) == name));
        asked.iter().filter(|name| !is_known(name)).cloned().collect()
    };
    let (grant, deny) = (&spec.grant, &spec.deny);
    Granted {
        http: open(&asked.http, [&live.http, &grant.http, &deny.http]),
        headers: open(&asked.headers, [&live.headers, &grant.headers, &deny.headers]),
        crypto: open(&asked.crypto, [&live.crypto, &grant.crypto, &deny.crypto]),
        subjects: open(&asked.subjects, [&live.subjects, &grant.subjects, &[]]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::PluginName;

    fn asked() -> Grant {
        let host = |host: &str| HostGrant { host: host.to_owned(), port: 443, ..HostGrant::default() };
        Grant {
            http: vec![host("a.example"), host("b.example")],
            headers: ["x-one".to_owned()].into(),
            crypto: ["ed25519".to_owned(), "rsa-2048".to_owned()].into(),
        }
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn spec(grant: Granted, deny: Granted) -> Spec {
        Spec { grant, deny, ..Spec::shipped(PluginName::parse("x").unwrap()) }
    }

    #[test]
    fn what_is_given_is_asked_granted_and_not_denied() {
        let grant = Granted { http: list(&["a.example:443", "b.example:443"]), ..Granted::default() };
        let deny = Granted { http: list(&["b.example:443"]), crypto: list(&["rsa-2048"]), ..Granted::default() };
        let given = given(&spec(grant, deny), &asked());
        assert_eq!(given.http.iter().map(name).collect::<Vec<_>>(), ["a.example:443"]);
        assert!(given.headers.is_empty(), "a header that nobody granted");
        assert_eq!(given.crypto.into_iter().collect::<Vec<_>>(), ["ed25519"]);
    }

    #[test]
    fn a_host_is_granted_by_name_and_its_private_networks_beside_it() {
        let granted = |http: &str| spec(Granted { http: list(&[http]), ..Granted::default() }, Granted::default());
        let wide = granted("http://b.example:443 10.1.0.0/16 fd00::/8");
        assert!(check(&wide, &names(&asked())).is_ok());
        let [host] = &given(&wide, &asked()).http[..] else { panic!("one host") };
        assert_eq!((host.host.as_str(), host.plain, host.networks.len()), ("b.example", true, 2));
        for bad in ["a.example", "a.example:443 10.0.0.1x", "other.example:443", "a.example:80", ""] {
            assert!(check(&granted(bad), &names(&asked())).is_err(), "{bad}");
            assert!(given(&granted(bad), &asked()).http.is_empty(), "{bad}");
        }
    }

    #[test]
    fn what_nobody_asks_for_can_be_neither_granted_nor_denied() {
        let evil = Granted { http: list(&["a.example:443", "evil.example:443"]), ..Granted::default() };
        for (spec, place) in [
            (spec(evil.clone(), Granted::default()), "/grant/http/1"),
            (spec(Granted::default(), evil), "/deny/http/1"),
        ] {
            match check(&spec, &names(&asked())) {
                Err(Refusal::Invalid(problems)) => assert_eq!(problems[0].at, place),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn more_than_the_live_version_asks_is_needed_until_it_is_granted_or_denied() {
        let live = Granted { http: list(&["a.example:443"]), ..Granted::default() };
        let asked = names(&asked());
        let none = spec(Granted::default(), Granted::default());
        let open = needs(&none, &asked, &live);
        assert_eq!(open.http, ["b.example:443"], "what the live one was not given is no news");
        assert_eq!((open.headers.len(), open.crypto.len()), (1, 2));
        let granted = Granted { http: open.http.clone(), crypto: open.crypto.clone(), ..Granted::default() };
        let denied = Granted { headers: open.headers, ..Granted::default() };
        assert!(needs(&spec(granted, denied), &asked, &live).is_empty());
    }

    #[test]
    fn of_what_is_given_a_version_has_what_it_asks_for_as_it_is_given() {
        let given = Granted {
            http: list(&["http://a.example:443 10.0.0.0/8", "c.example:443", "b.example"]),
            headers: list(&["x-one", "x-two"]),
            ..Granted::default()
        };
        let has = of_asked(&given, &names(&asked()));
        assert_eq!((has.http, has.headers), (list(&["http://a.example:443 10.0.0.0/8"]), list(&["x-one"])));
    }

    #[test]
    fn to_speak_for_the_servers_own_users_is_granted_and_cannot_be_denied() {
        let users = Granted { subjects: list(&["users"]), ..Granted::default() };
        let open = needs(&spec(Granted::default(), Granted::default()), &users, &Granted::default());
        assert_eq!(open, users);
        assert!(needs(&spec(users.clone(), Granted::default()), &users, &Granted::default()).is_empty());
        assert!(check(&spec(users.clone(), Granted::default()), &users).is_ok());
        assert!(check(&spec(users.clone(), Granted::default()), &Granted::default()).is_err(), "nobody asks for it");
        assert!(check(&spec(Granted::default(), users.clone()), &users).is_err());
    }
}
