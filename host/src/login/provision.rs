//! Users who are made when they first log in, where the mount says so.
//!
//! Such a user is linked to the identity, by mount and subject, and to nothing else: whoever has that name or address
//! already is somebody else. Of itself it has no role: what it may do is what the mount's mapping gives.

use super::{Error, Login, given::LoginEvidence};
use crate::{
    barrier::Writes,
    directory::{self, Kind, NewUser},
    fence::Counter,
    ids::{UserId, Username, random_base62},
    limits,
    mount::Mount,
    runtime::types::Identity,
};

impl Login {
    /// Adds a new user for an identity that nobody is linked to, if the mount makes them and it would be something here.
    pub(super) async fn provision(
        &self,
        to: &mut Writes,
        mount: &Mount,
        identity: &Identity,
        by_device_flow: bool,
    ) -> Result<UserId, Error> {
        if !mount.spec.provision {
            return Err(Error::Denied("nobody is linked to this identity".to_owned()));
        }
        self.demand_role(mount, None, LoginEvidence { groups: &identity.groups, by_device_flow })?;
        for username in names(identity) {
            let mut writes = Writes::default();
            let new = NewUser { username, email: None, role: None, kind: Kind::Person };
            let user = match self.directory.create(&mut writes, new).await {
                Err(directory::Error::Exists | directory::Error::Reserved) => continue,
                made => made?.id,
            };
            // The identity of somebody who was deleted leads to nobody for ever.
            self.directory.link(&mut writes, &mount.id, &identity.subject, &user).await?;
            self.fence.raise(&mut writes, Counter::Users);
            to.merge(writes);
            return Ok(user);
        }
        Err(Error::Denied("no name is free for this identity".to_owned()))
    }
}

/// What it might be called, best first: as where it comes from, with what tells it from others there, or with what tells
/// it from everybody.
fn names(identity: &Identity) -> Vec<Username> {
    let called = ["username", "login"].iter().find_map(|name| identity.metadata.get(*name));
    let base = plain(called.unwrap_or(&identity.display_name));
    let told = [base.clone(), format!("{base}-{}", plain(&identity.subject)), format!("{base}-{}", random_base62(8))];
    told.iter().filter_map(|name| Username::parse(name).ok()).collect()
}

/// As much of it as a name may have.
fn plain(text: &str) -> String {
    let kept = |c: char| if c.is_ascii_alphanumeric() || "._+-".contains(c) { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(kept).take(limits::USERNAME_BYTES / 3).collect();
    let name = name.trim_matches(['.', '_', '+', '-']);
    if name.is_empty() { "user".to_owned() } else { name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::types::SessionLimits;

    fn named(display: &str, login: Option<&str>) -> Vec<String> {
        let metadata = login.map(|login| ("login".to_owned(), login.to_owned())).into_iter().collect();
        let identity = Identity {
            subject: "583231".to_owned(),
            display_name: display.to_owned(),
            groups: Vec::new(),
            metadata,
            limits: SessionLimits::default(),
            internal: Vec::new().into(),
        };
        names(&identity).into_iter().map(String::from).collect()
    }

    #[test]
    fn a_name_is_what_somebody_is_called_there_or_something_beside_it() {
        let names = named("Ada Lovelace", Some("Ada-L"));
        assert_eq!((names[0].as_str(), names[1].as_str()), ("ada-l", "ada-l-583231"));
        assert!(names[2].starts_with("ada-l-") && names[2].len() == "ada-l-".len() + 8);
        assert_eq!(named("Ада Лавлейс", None)[0], "user");
        assert_eq!(named("../Ada\0 L", None)[0], "ada--l");
        assert_eq!(named("", Some(&"x".repeat(500)))[0].len(), 42);
    }
}
