use std::fmt;

use serde::{Deserialize, Deserializer};

use crate::sensitive::Secret;

/// A URL that may hold a password. Printed without user, password and query.
#[derive(Clone)]
pub struct Url(Secret<String>);

impl Url {
    pub fn new(url: impl Into<String>) -> Self {
        Self(Secret::new(url.into()))
    }

    /// The whole of it, as it is given to whoever connects.
    pub fn reveal(&self) -> &str {
        self.0.reveal()
    }

    pub fn scheme(&self) -> Option<&str> {
        self.reveal().split_once("://").map(|(scheme, _)| scheme)
    }

    /// Without port and brackets.
    pub fn host(&self) -> Option<&str> {
        self.hosts().next().map(|(host, _)| host)
    }

    /// Each with its port, where several are named between commas.
    pub fn hosts(&self) -> impl Iterator<Item = (&str, Option<u16>)> {
        let addresses = self.parts().map(|(_, addresses, _)| addresses.split(','));
        addresses.into_iter().flatten().filter_map(|address| {
            let (host, rest) = match address.strip_prefix('[') {
                Some(v6) => v6.split_once(']')?,
                None => address.split_at(address.find(':').unwrap_or(address.len())),
            };
            Some((host, rest.strip_prefix(':').and_then(|port| port.parse().ok())))
        })
    }

    /// Scheme, host with port, path.
    fn parts(&self) -> Option<(&str, &str, &str)> {
        let (scheme, rest) = self.reveal().split_once("://")?;
        let rest = rest.split(['?', '#']).next()?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        // A password that was not encoded may itself hold an @ (or a /, and then no host is told).
        let address = authority.rsplit('@').next()?;
        (!path.contains('@')).then_some((scheme, address, path))
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            Some((scheme, address, path)) => write!(f, "{scheme}://{address}{path}"),
            None => f.write_str("[url]"),
        }
    }
}

impl<'de> Deserialize<'de> for Url {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_printed_without_what_may_be_a_password() {
        let cases = [
            ("postgres://coffer:hunter2@db.example:5432/coffer?password=hunter2", "postgres://db.example:5432/coffer"),
            ("redis://:hunter2@[::1]:6379/0#hunter2", "redis://[::1]:6379/0"),
            ("sqlite:///var/lib/coffer/coffer.db", "sqlite:///var/lib/coffer/coffer.db"),
            ("postgres://a:hunter2@x@db/coffer", "postgres://db/coffer"),
            ("postgres://a:hunter2/@db/coffer", "[url]"),
            ("redis+sentinel://u:hunter2@a,b:1/?service=s&sentinel_password=hunter2", "redis+sentinel://a,b:1/"),
            ("unix:///run/redis.sock?pass=hunter2", "unix:///run/redis.sock"),
            ("hunter2", "[url]"),
        ];
        for (url, printed) in cases {
            let url = Url::new(url);
            assert_eq!(format!("{url}"), printed);
            assert!(!format!("{url:?}").contains("hunter2"));
        }
    }

    #[test]
    fn the_host_is_told_without_port_and_brackets() {
        for (url, host) in
            [("redis://a:b@[::1]:6379", "::1"), ("rediss://x.example:1/0", "x.example"), ("redis://h", "h")]
        {
            assert_eq!(Url::new(url).host(), Some(host));
        }
        let several = Url::new("redis+cluster://u:p@a:1,[::1]:2,b");
        assert_eq!(several.hosts().collect::<Vec<_>>(), [("a", Some(1)), ("::1", Some(2)), ("b", None)]);
        assert_eq!(Url::new("unix:///run/redis.sock").hosts().collect::<Vec<_>>(), [("", None)]);
    }
}
