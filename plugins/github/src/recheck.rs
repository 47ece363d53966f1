use coffer_plugin_sdk::{
    prelude::*,
    serde_json::{Value, json},
};
use serde::de::DeserializeOwned;

use crate::{
    GitHub,
    api::{self, By, Refused},
    groups::{endless, unusable},
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

/// Memberships that are asked for one by one; of more, those of an organisation together. A call may send 32 requests.
const ONE_BY_ONE: usize = 24;

/// What the host keeps of a login.
#[derive(Serialize, Deserialize)]
pub struct Kept {
    person: Person,
    login_at: Timestamp,
    /// Only by `keep_token`.
    token: Option<String>,
    /// The groups of the login, where some of them were gone when it was last checked: who is back in one is back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<Vec<Group>>,
    /// Organisations that `org_credential` has been told of: what it is told no more is its own trouble.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    told: Vec<u64>,
}

#[derive(Deserialize)]
struct Named {
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct TeamMembership {
    state: String,
}

impl Kept {
    pub fn new(github: &GitHub, person: &Person, token: &str) -> Self {
        let token = (github.recheck == Recheck::KeepToken).then(|| token.to_owned());
        // What groups are called is for people, and takes room.
        let mut person = person.clone();
        person.groups.iter_mut().for_each(|group| group.label.clear());
        Self { person, login_at: time::now(), token, first: None, told: Vec::new() }
    }
}

/// What holds now. By the way that is configured now: a session of before may have to be begun anew.
pub fn again(github: &GitHub, kept: Kept) -> Result<Identity> {
    let (mut first, mut told) = (kept.first.clone(), kept.told.clone());
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
                Found::Person(person) if person.id == kept.person.id => {
                    first = None;
                    person
                }
                Found::Person(_) | Found::Sso(_) => return Err(Error::denied()),
            }
        }
        Recheck::OrgCredential => {
            let groups = first.unwrap_or_else(|| kept.person.groups.clone());
            let before = Person { groups, ..kept.person.clone() };
            let person = still_in(github, &before, &mut told)?;
            first = (person.groups != before.groups).then_some(before.groups);
            person
        }
    };
    let kept = Kept { person, first, told, ..kept };
    kept.person.identity()?.with_internal(&kept)
}

/// Those groups that the person is in still. A login may have been renamed: it is asked for by its id. Only what GitHub
/// says is not there is not there: whatever else it has against the credential is nobody's fault but the mount's.
fn still_in(github: &GitHub, before: &Person, told: &mut Vec<u64>) -> Result<Person> {
    let named: Named = match asked(&github.api(&format!("/user/{}", before.id)))? {
        Told::Is(named) => named,
        Told::IsNot => return Err(Error::denied()),
        Told::Nothing => return Err(unusable()),
    };
    if named.id != before.id {
        return Err(Error::internal("GitHub names another user than was asked for"));
    }
    let by_organisation = before.groups.len() > ONE_BY_ONE;
    let (mut groups, mut untold) = (Vec::new(), Vec::new());
    for org in before.groups.iter().filter(|group| group.is_org()) {
        let path = format!("/organizations/{}/memberships/{}", org.org, named.login);
        let membership: Membership = match asked(&github.api(&path))? {
            Told::Is(membership) => membership,
            Told::IsNot => {
                told.push(org.org);
                continue;
            }
            Told::Nothing => {
                untold.push(org.org);
                continue;
            }
        };
        told.push(org.org);
        if membership.state != "active" {
            continue;
        }
        groups.push(org.clone());
        // Of a team one counts only where its organisation does.
        let own = before.groups.iter().filter(|group| group.org == org.org && !group.is_org());
        match by_organisation {
            true => {
                let teams = teams_of(github, &membership.organization.login, &named.login)?;
                groups.extend(own.filter(|group| teams.iter().any(|team| group.id == format!("team:{team}"))).cloned());
            }
            false => {
                for team in own {
                    if is_in_team(github, team, &named.login)? {
                        groups.push(team.clone());
                    }
                }
            }
        }
    }
    // People are in organisations, too, that are none of the credential's, and it vouches for none of those. But one
    // that it is shut out of, or that is shut out of all, is not what somebody's session ends by.
    let is_shut_out = told.is_empty() || untold.iter().any(|org| told.contains(org));
    if !untold.is_empty() && is_shut_out {
        return Err(unusable());
    }
    told.sort_unstable();
    told.dedup();
    Ok(Person { login: named.login, groups, ..before.clone() })
}

enum Told<T> {
    Is(T),
    IsNot,
    /// Not to this credential.
    Nothing,
}

/// By the mount's own credential.
fn asked<T: DeserializeOwned>(url: &str) -> Result<Told<T>> {
    match api::get(url, By::Credential("org_credential")) {
        Ok(told) => Ok(Told::Is(told)),
        Err(Refused::NotFound) => Ok(Told::IsNot),
        Err(Refused::Forbidden) => Ok(Told::Nothing),
        Err(Refused::Unauthorized | Refused::Sso(_)) => Err(unusable()),
        Err(Refused::Failed(error)) => Err(error),
    }
}

#[derive(Deserialize)]
struct Membership {
    state: String,
    organization: Org,
}

#[derive(Deserialize)]
struct Org {
    login: String,
}

const TEAMS: &str = "query($org: String!, $login: String!, $after: String) { organization(login: $org) { \
    teams(first: 100, after: $after, userLogins: [$login]) { nodes { databaseId } pageInfo { hasNextPage endCursor } } } }";

/// By the other API of GitHub's, which can ask for them together.
fn teams_of(github: &GitHub, org: &str, login: &str) -> Result<Vec<u64>> {
    let (mut teams, mut after) = (Vec::new(), Value::Null);
    for _ in 0..api::PAGES {
        let asked = json!({ "query": TEAMS, "variables": { "org": org, "login": login, "after": after } });
        let request = api::request("POST", &github.graphql(), By::Credential("org_credential")).json(&asked)?;
        let answer: Value = match api::accepted(api::send(request)?) {
            Ok(response) => response.json()?,
            Err(Refused::Failed(error)) => return Err(error),
            Err(_) => return Err(unusable()),
        };
        let told = &answer["data"]["organization"]["teams"];
        // It answers 200 whatever is wrong.
        let Some(nodes) = told["nodes"].as_array() else { return Err(unusable()) };
        teams.extend(nodes.iter().filter_map(|node| node["databaseId"].as_u64()));
        if told["pageInfo"]["hasNextPage"] != true {
            return Ok(teams);
        }
        after = told["pageInfo"]["endCursor"].clone();
    }
    Err(endless())
}

fn is_in_team(github: &GitHub, group: &Group, login: &str) -> Result<bool> {
    let team = group.id.trim_start_matches("team:");
    let path = format!("/organizations/{}/team/{team}/memberships/{login}", group.org);
    match asked::<TeamMembership>(&github.api(&path))? {
        Told::Is(membership) => Ok(membership.state == "active"),
        Told::IsNot => Ok(false),
        Told::Nothing => Err(unusable()),
    }
}
