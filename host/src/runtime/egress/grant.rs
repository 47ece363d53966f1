use ipnet::IpNet;

use super::target::{Host, Target};

/// A host that the plugin may speak to: exact, or `*.suffix`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostGrant {
    /// In lower case.
    pub host: String,
    pub port: u16,
    /// `http://`, and not `https://`.
    pub plain: bool,
    /// Private networks in which it may be. What may never be reached is not, whatever stands here.
    pub networks: Vec<IpNet>,
}

impl HostGrant {
    pub(super) fn matches(&self, target: &Target) -> bool {
        self.port == target.port && self.plain == target.plain && self.names(&target.host)
    }

    fn names(&self, host: &Host) -> bool {
        match (self.host.strip_prefix("*."), host) {
            (Some(suffix), Host::Name(name)) => {
                let below = name.strip_suffix(suffix).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
                below && is_somebodys(suffix)
            }
            (Some(_), Host::Address(_)) => false,
            // Addresses have many forms; they are compared as what they are.
            (None, host) => Host::parse(&self.host).as_ref() == Some(host),
        }
    }
}

/// `co.uk` and `github.io` are nobody's: strangers have names below them.
fn is_somebodys(suffix: &str) -> bool {
    psl::domain(suffix.as_bytes()).is_some()
}
