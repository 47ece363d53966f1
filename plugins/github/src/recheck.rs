use coffer_plugin_sdk::prelude::*;

use crate::{
    GitHub,
    api::{self, By, Refused},
    person::{self, Found, Group, Person},
};

/// How a session that is renewed is checked again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recheck {
    /// Not at all: after eight hours one logs in again.
    #[default]
    Relogin,
    /// By the token of the login, which the host keeps sealed.
    KeepToken,
    /// By the mount's own credential, membership by membership.
    OrgCredential,
}

/// How long a login is good that is not checked again.
pub const RELOGIN_SECONDS: u64 = 8 * 3600;

/// What the host keeps of a login.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    person: Person,
    login_at: Timestamp,
    /// Only by `keep_token`.
    token: Option<String>,
}

#[derive(Deserialize)]
struct Named {
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct Membership {
    state: String,
}

impl Kept {
    pub fn new(github: &GitHub, person: &Person, token: &str) -> Self {
        let token = (github.recheck == Recheck::KeepToken).then(|| token.to_owned());
        Self { person: person.clone(), login_at: time::now(), token }
    }
}

/// What holds now. By the way that is configured now: a session of before may have to be begun anew.
pub fn again(github: &GitHub, kept: Kept) -> Result<Identity> {
    let person = match github.recheck {
        Recheck::Relogin => {
            let age = time::now().millis().saturating_sub(kept.login_at.millis());
            if age >= RELOGIN_SECONDS * 1000 {
                return Err(Error::denied());
            }
            kept.person.clone()
        }
        Recheck::KeepToken => {
            let token = kept.token.as_deref().ok_or_else(Error::denied)?;
            match person::find(github, token, true)? {
                Found::Person(person) if person.id == kept.person.id => person,
                Found::Person(_) | Found::Sso(_) => return Err(Error::denied()),
            }
        }
        Recheck::OrgCredential => still_in(github, &kept.person)?,
    };
    let kept = Kept { person, ..kept };
    kept.person.identity()?.with_internal(&kept)
}

/// Those groups that the person is in still. A login may have been renamed: it is asked for by its id.
fn still_in(github: &GitHub, before: &Person) -> Result<Person> {
    let by = By::Credential("org_credential");
    let named: Named = api::get(&github.api(&format!("/user/{}", before.id)), by)?;
    if named.id != before.id {
        return Err(Error::internal("GitHub names another user than was asked for"));
    }
    let mut groups = Vec::new();
    for group in &before.groups {
        if is_member(github, group, &named.login)? {
            groups.push(group.clone());
        }
    }
    // Of a team one counts only where its organisation does.
    let orgs: Vec<u64> = groups.iter().filter(|group| group.id.starts_with("org:")).map(|group| group.org).collect();
    groups.retain(|group| orgs.contains(&group.org));
    Ok(Person { login: named.login, groups, ..before.clone() })
}

fn is_member(github: &GitHub, group: &Group, login: &str) -> Result<bool> {
    let path = match group.id.split_once(':') {
        Some(("team", team)) => format!("/organizations/{}/team/{team}/memberships/{login}", group.org),
        _ => format!("/organizations/{}/memberships/{login}", group.org),
    };
    match api::get::<Membership>(&github.api(&path), By::Credential("org_credential")) {
        Ok(membership) => Ok(membership.state == "active"),
        Err(Refused::NotFound) => Ok(false),
        // The credential itself: nobody has been found out of anything.
        Err(Refused::Unauthorized | Refused::Sso(_)) => Err(Error::unavailable("GitHub does not take org_credential")),
        Err(Refused::Failed(error)) => Err(error),
    }
}
