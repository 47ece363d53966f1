//! Secrets of a configuration that a plugin never sees: the host adds them to its requests.

use serde::Deserialize;
use serde_json::Value;

use super::{Manifest, manifest::host_of};
use crate::{
    limits,
    problem::Problem,
    runtime::egress::{Credential, Credentials, Place},
    sensitive::Secret,
};

/// `[[credentials]]`: a `writeOnly` member of the configuration, where it may be sent, and as what.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialSpec {
    /// JSON Pointer to the member. Without the first slash it is the name that the plugin knows, unless `name` is another:
    /// one secret may go to several places.
    pub from: String,
    #[serde(default)]
    pub name: Option<String>,
    /// `host:port`, exactly, or a JSON Pointer to a URL in the configuration.
    pub hosts: Vec<String>,
    /// `bearer`, `basic`, `header:X`, `form:field`.
    pub place: String,
    /// JSON Pointer to the user's name, which `basic` needs.
    #[serde(default)]
    pub user_from: Option<String>,
}

impl CredentialSpec {
    pub(super) fn check(&self, write_only: &[String]) -> Option<&'static str> {
        let is_name = |name: &String| (1..=limits::MOUNT_BYTES).contains(&name.len());
        let is_host = |text: &String| text.starts_with('/') || host_and_port(text).is_some();
        if !write_only.contains(&self.from) {
            Some("must be from a member that is writeOnly")
        } else if !self.name.as_ref().is_none_or(is_name) {
            Some("must have a name of 1 to 63 bytes")
        } else if self.hosts.is_empty() || self.hosts.len() > limits::MANIFEST_ASKS || !self.hosts.iter().all(is_host) {
            Some("must have hosts, each host:port or a pointer into the configuration")
        } else {
            match self.place() {
                None => Some("must have the place bearer, basic, header:X or form:field"),
                Some(Place::Basic) if self.user_from.is_none() => Some("must say where the user's name is from"),
                Some(Place::Basic) => None,
                Some(_) if self.user_from.is_some() => Some("has a user's name, which is for basic"),
                Some(_) => None,
            }
        }
    }

    fn place(&self) -> Option<Place> {
        let named = |text: &str| (!text.is_empty() && text.len() <= limits::MOUNT_BYTES).then(|| text.to_owned());
        match self.place.split_once(':') {
            None if self.place == "bearer" => Some(Place::Bearer),
            None if self.place == "basic" => Some(Place::Basic),
            Some(("header", name)) => named(name).map(Place::Header),
            Some(("form", field)) => named(field).map(Place::Form),
            _ => None,
        }
    }

    fn of(&self, config: &Value) -> Option<(String, Credential)> {
        let text = |pointer: &str| config.pointer(pointer).and_then(Value::as_str);
        let secret = text(&self.from)?;
        let value = match &self.user_from {
            Some(user) => format!("{}:{secret}", text(user)?),
            None => secret.to_owned(),
        };
        let hosts = self.hosts.iter().filter_map(|host| match host.starts_with('/') {
            true => text(host).and_then(host_of).map(|host| (host.host, host.port)),
            false => host_and_port(host),
        });
        let credential = Credential { hosts: hosts.collect(), place: self.place()?, value: Secret::new(value) };
        Some((self.name().to_owned(), credential))
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or(self.from.trim_start_matches('/'))
    }
}

impl Manifest {
    /// The names under which a member of the configuration is sent.
    pub fn credentials_from<'a>(&'a self, member: &'a str) -> impl Iterator<Item = &'a str> {
        self.credentials.iter().filter(move |spec| spec.from == member).map(CredentialSpec::name)
    }

    /// Those that this configuration has.
    pub fn credentials(&self, config: &Value) -> Credentials {
        Credentials(self.credentials.iter().filter_map(|spec| spec.of(config)).collect())
    }
}

/// What is wrong with them, each with its place.
pub(super) fn check(specs: &[CredentialSpec], write_only: &[String]) -> Vec<Problem> {
    let wrong = |at: usize, message| Problem::new(format!("/credentials/{at}"), "invalid_value", message);
    let mut found: Vec<Problem> =
        specs.iter().enumerate().filter_map(|(at, spec)| Some(wrong(at, spec.check(write_only)?))).collect();
    for (at, spec) in specs.iter().enumerate() {
        if specs[..at].iter().any(|other| other.name() == spec.name()) {
            found.push(wrong(at, "has the name of another"));
        }
    }
    found
}

fn host_and_port(text: &str) -> Option<(String, u16)> {
    let host = host_of(&format!("https://{text}"))?;
    (format!("{}:{}", host.host, host.port) == *text).then_some((host.host, host.port))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::catalog::Error;

    const HEAD: &str = r#"
[plugin]
name = "sample"
version = "1.0.0"
kind = "secrets"
api = "1.0"
[config]
type = "object"
[config.properties.id]
type = "string"
[config.properties.url]
type = "string"
[config.properties.secret]
type = "string"
writeOnly = true
"#;

    fn manifest(credential: &str) -> Result<Manifest, Error> {
        Manifest::parse(&format!("{HEAD}[[credentials]]\n{credential}\n"))
    }

    #[test]
    fn a_secret_is_bound_to_its_hosts_and_its_place() {
        let basic =
            manifest("from = '/secret'\nplace = 'basic'\nuser_from = '/id'\nhosts = ['api.example:443', '/url']");
        let config = json!({"id": "app", "secret": "hunter22", "url": "https://ghe.example:8443/x"});
        let credentials = basic.unwrap().credentials(&config);
        let credential = &credentials.0["secret"];
        assert_eq!(credential.place, Place::Basic);
        assert_eq!(credential.hosts, [("api.example".to_owned(), 443), ("ghe.example".to_owned(), 8443)]);
        assert_eq!(credential.value.reveal(), "app:hunter22");
        let header = manifest("from = '/secret'\nplace = 'header:X-Key'\nhosts = ['api.example:443']").unwrap();
        assert_eq!(header.credentials(&config).0["secret"].place, Place::Header("X-Key".to_owned()));
        assert!(header.credentials(&json!({})).0.is_empty(), "none, where the configuration has none");
    }

    #[test]
    fn one_secret_may_go_to_several_places_under_several_names() {
        let bearer = "from = '/secret'\nplace = 'bearer'\nhosts = ['api.example:443']";
        let other = "from = '/secret'\nplace = 'form:key'\nhosts = ['api.example:443']";
        let both = manifest(&format!("{bearer}\n[[credentials]]\nname = 'key'\n{other}")).unwrap();
        let credentials = both.credentials(&json!({"secret": "hunter22"}));
        assert_eq!(credentials.0["secret"].place, Place::Bearer);
        assert_eq!(credentials.0["key"].place, Place::Form("key".to_owned()));
        assert_eq!(both.credentials_from("/secret").collect::<Vec<_>>(), ["secret", "key"]);
        assert!(manifest(&format!("{bearer}\n[[credentials]]\n{other}")).is_err(), "two of one name");
    }

    #[test]
    fn what_could_go_anywhere_or_is_no_secret_is_refused() {
        for bad in [
            "from = '/id'\nplace = 'bearer'\nhosts = ['api.example:443']",
            "from = '/secret'\nplace = 'query'\nhosts = ['api.example:443']",
            "from = '/secret'\nplace = 'header:'\nhosts = ['api.example:443']",
            "from = '/secret'\nplace = 'bearer'\nhosts = []",
            "from = '/secret'\nplace = 'bearer'\nhosts = ['*.example:443']",
            "from = '/secret'\nplace = 'bearer'\nhosts = ['api.example']",
            "from = '/secret'\nplace = 'basic'\nhosts = ['api.example:443']",
            "from = '/secret'\nplace = 'bearer'\nuser_from = '/id'\nhosts = ['api.example:443']",
        ] {
            match manifest(bad) {
                Err(Error::Invalid(problems)) => assert_eq!(problems[0].at, "/credentials/0", "{bad}"),
                other => panic!("{bad}: {other:?}"),
            }
        }
    }
}
