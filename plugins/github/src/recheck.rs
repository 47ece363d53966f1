use coffer_plugin_sdk::{
    prelude::*,
    serde_json::{Value, json},
};

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

/// Memberships that are asked for one by one; of more, those of an organisation together. A call may send 32 requests.
const ONE_BY_ONE: usize = 24;

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
        // What groups are called is for people, and takes room.
        let mut person = person.clone();
        person.groups.iter_mut().for_each(|group| group.label.clear());
        Self { person, login_at: time::now(), token }
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
    let mut groups = match before.groups.len() {
        few if few <= ONE_BY_ONE => one_by_one(github, &before.groups, &named.login)?,
        _ => by_organisation(github, &before.groups, &named.login)?,
    };
    // Of a team one counts only where its organisation does.
    let orgs: Vec<u64> = groups.iter().filter(|group| group.id.starts_with("org:")).map(|group| group.org).collect();
    groups.retain(|group| orgs.contains(&group.org));
    Ok(Person { login: named.login, groups, ..before.clone() })
}

fn one_by_one(github: &GitHub, before: &[Group], login: &str) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for group in before {
        if is_member(github, group, login)? {
            groups.push(group.clone());
        }
    }
    Ok(groups)
}

/// The same with a request for each organisation and one for each hundred teams in it.
fn by_organisation(github: &GitHub, before: &[Group], login: &str) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for org in before.iter().filter(|group| group.id.starts_with("org:")) {
        let path = format!("/organizations/{}/memberships/{login}", org.org);
        let membership: MembershipOf = match api::get(&github.api(&path), By::Credential("org_credential")) {
            Ok(membership) => membership,
            Err(Refused::NotFound) => continue,
            Err(Refused::Unauthorized | Refused::Sso(_)) => return Err(unusable()),
            Err(Refused::Failed(error)) => return Err(error),
        };
        if membership.state != "active" {
            continue;
        }
        groups.push(org.clone());
        let teams = teams_of(github, &membership.organization.login, login)?;
        let own = before.iter().filter(|group| group.org == org.org && group.id.starts_with("team:"));
        groups.extend(own.filter(|group| teams.iter().any(|team| group.id == format!("team:{team}"))).cloned());
    }
    Ok(groups)
}

#[derive(Deserialize)]
struct MembershipOf {
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
    Err(Error::internal("a list of GitHub's has no end"))
}

/// The credential itself: nobody has been found out of anything.
fn unusable() -> Error {
    Error::unavailable("GitHub does not take org_credential")
}

fn is_member(github: &GitHub, group: &Group, login: &str) -> Result<bool> {
    let path = match group.id.split_once(':') {
        Some(("team", team)) => format!("/organizations/{}/team/{team}/memberships/{login}", group.org),
        _ => format!("/organizations/{}/memberships/{login}", group.org),
    };
    match api::get::<Membership>(&github.api(&path), By::Credential("org_credential")) {
        Ok(membership) => Ok(membership.state == "active"),
        Err(Refused::NotFound) => Ok(false),
        Err(Refused::Unauthorized | Refused::Sso(_)) => Err(unusable()),
        Err(Refused::Failed(error)) => Err(error),
    }
}
