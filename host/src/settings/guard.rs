//! What a change of a mount's setting needs besides the permit for the setting.

use serde_json::Value;

use super::{Edit, Error, Key, Settings};
use crate::{
    document::Current,
    ids::Action,
    mount::{Kind, Spec},
    policy::Caller,
    problem::{self, Problem},
};

impl Settings {
    /// Who gives what a mount holds to another plugin gives away the data, not only the setting.
    pub(super) fn may_adopt(&self, caller: &Caller, key: &Key) -> Result<(), Error> {
        let Key::Mount(_, name) = key else { return Ok(()) };
        let path = format!("sys/mount/{name}/data");
        match self.policies.allows(caller, Action::Manage, &path) {
            true => Ok(()),
            false => Err(Error::Forbidden),
        }
    }

    /// Whoever rules an auth mount gives the roles of its mapping to whomever they like, by naming another group or another
    /// server to ask: that takes `manage` on each of them. And no mapping gives more than `sys/security` lets the mount.
    pub(super) async fn check_given(
        &self,
        caller: &Caller,
        key: &Key,
        current: &Current,
        value: Option<&Value>,
    ) -> Result<(), Error> {
        let Key::Mount(Kind::Auth, name) = key else { return Ok(()) };
        // What cannot be read is refused elsewhere, with its place.
        let spec = |value: &Value| Spec::parse(value).ok();
        let (old, new) = (current.document().and_then(|old| spec(&old.value)), value.and_then(spec));
        let given = old.iter().chain(&new).flat_map(Spec::given);
        if given.into_iter().any(|role| !self.policies.allows(caller, Action::Manage, &format!("sys/roles/{role}"))) {
            return Err(Error::Forbidden);
        }
        let rules = self.security.rules();
        let mut problems = Vec::new();
        for (group, mapping) in new.iter().flat_map(|spec| &spec.roles) {
            for (at, role) in mapping.give.iter().enumerate() {
                let place = problem::pointer("/roles", group) + &format!("/give/{at}");
                if !self.directory.role_exists(role).await? {
                    problems.push(Problem::new(place, "unknown_role", "is not a role"));
                } else if !rules.may_give(name.as_str(), role.as_str()) {
                    let why = "is not a role that logins.roles of sys/security lets this mount give";
                    problems.push(Problem::new(place, "invalid_value", why));
                }
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }

    /// Secrets that a merge would keep, while it lets them go to a host where they did not go
    /// before, are demanded anew: else whoever may write the setting could have them sent to a
    /// host of their own.
    pub(super) fn check_exposure(
        &self,
        key: &Key,
        current: &Current,
        value: Option<&Value>,
        edit: &Edit,
    ) -> Result<(), Error> {
        let (Key::Mount(..), Some(old), Some(new)) = (key, current.document(), value) else { return Ok(()) };
        let Edit::Merge(patch) = edit else { return Ok(()) };
        let kept = |place: &String| patch.pointer(&format!("/config{place}")).is_none();
        let exposed = self.mounts.exposed(&old.value, new).into_iter().filter(kept);
        let problem = |place: String| {
            Problem::new(format!("/config{place}"), "missing", "is demanded anew, for it would go to another host")
        };
        let problems: Vec<Problem> = exposed.map(problem).collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }
}
