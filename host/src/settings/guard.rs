//! What a change of a mount's setting needs besides the permit for the setting.

use serde_json::Value;

use super::{Edit, Error, Key, Settings};
use crate::{document::Current, ids::Action, policy::Caller, problem::Problem};

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
