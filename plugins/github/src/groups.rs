//! All organisations and teams that the mount's own credential sees: for who maps roles.

use coffer_plugin_sdk::{
    from_value,
    prelude::*,
    serde_json::{Value, json},
};
use serde::de::DeserializeOwned;

use crate::{
    GitHub,
    api::{self, By, Refused},
    person::{Group, Org},
};

/// Organisations of one answer, each with its first hundred teams.
const ORGS: &str = "query($after: String) { viewer { organizations(first: 50, after: $after) { \
    nodes { databaseId login teams(first: 100) { nodes { databaseId slug } pageInfo { hasNextPage endCursor } } } \
    pageInfo { hasNextPage endCursor } } } }";
/// Further teams of one of them.
const TEAMS: &str = "query($org: String!, $after: String) { organization(login: $org) { \
    teams(first: 100, after: $after) { nodes { databaseId slug } pageInfo { hasNextPage endCursor } } } }";

/// As GraphQL tells a list. What the credential may not see of it is null.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection<T> {
    nodes: Vec<Option<T>>,
    page_info: PageInfo,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

impl PageInfo {
    fn next(self) -> Option<String> {
        self.end_cursor.filter(|_| self.has_next_page)
    }
}

#[derive(Deserialize)]
struct OrgWithTeams {
    #[serde(flatten)]
    org: Org,
    teams: Option<Connection<Team>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Team {
    database_id: u64,
    slug: String,
}

pub fn all(github: &GitHub) -> Result<Vec<Group>> {
    if github.org_credential.is_none() {
        return Err(Error::invalid("", "not_configured", "needs org_credential in the configuration of this mount"));
    }
    let mut groups = Vec::new();
    let mut after = None;
    for _ in 0..api::PAGES {
        let page: Connection<OrgWithTeams> = asked(github, ORGS, &json!({ "after": after }), "/viewer/organizations")?;
        for OrgWithTeams { org, teams } in page.nodes.into_iter().flatten() {
            groups.push(Group::org(&org));
            if let Some(teams) = teams {
                with_teams(github, &mut groups, &org, teams)?;
            }
        }
        after = page.page_info.next();
        if after.is_none() {
            return Ok(groups);
        }
    }
    Err(endless())
}

/// The organisations alone, which is one request for each hundred.
pub fn orgs(github: &GitHub) -> Result<Vec<Group>, Refused> {
    let orgs = api::all::<Org>(github, "/user/orgs?per_page=100", By::Credential("org_credential"))?;
    Ok(orgs.iter().map(Group::org).collect())
}

fn with_teams(github: &GitHub, groups: &mut Vec<Group>, org: &Org, first: Connection<Team>) -> Result<()> {
    let mut page = first;
    for _ in 0..api::PAGES {
        let teams = page.nodes.iter().flatten();
        groups.extend(teams.map(|team| Group::team(team.database_id, &team.slug, org)));
        let Some(after) = page.page_info.next() else { return Ok(()) };
        page = asked(github, TEAMS, &json!({ "org": org.login, "after": after }), "/organization/teams")?;
    }
    Err(endless())
}

/// By the other API of GitHub's, which can ask for them together.
fn asked<T: DeserializeOwned>(github: &GitHub, query: &str, variables: &Value, at: &str) -> Result<T> {
    let asked = json!({ "query": query, "variables": variables });
    let request = api::request("POST", &github.graphql(), By::Credential("org_credential")).json(&asked)?;
    let mut answer: Value = match api::accepted(api::send(request)?) {
        Ok(response) => response.json()?,
        Err(Refused::Failed(error)) => return Err(error),
        Err(_) => return Err(unusable()),
    };
    // It answers 200 whatever is wrong, and beside an error what there is of the rest.
    match answer["data"].pointer_mut(at).map(Value::take) {
        None | Some(Value::Null) => Err(unusable()),
        Some(told) => from_value(told).map_err(|_| Error::internal("GitHub's answer is not as its schema has it")),
    }
}

/// The credential itself: nobody has been found out of anything.
pub fn unusable() -> Error {
    Error::unavailable("GitHub does not take org_credential")
}

pub fn endless() -> Error {
    Error::internal("a list of GitHub's has no end")
}
