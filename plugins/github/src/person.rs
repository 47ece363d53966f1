use coffer_plugin_sdk::prelude::*;

use crate::{
    GitHub,
    api::{self, By, Refused},
};

/// Who somebody is at GitHub.
#[derive(Clone, Serialize, Deserialize)]
pub struct Person {
    pub id: u64,
    pub login: String,
    pub name: Option<String>,
    pub groups: Vec<Group>,
}

/// An organisation or a team: what a mapping of roles goes by, and what people call it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// `org:<id>` or `team:<id>`.
    pub id: String,
    /// `acme` or `acme/platform`.
    pub label: String,
    /// The organisation's id.
    pub org: u64,
}

/// Labels that are told of one person: they are for people, and metadata is bounded.
const LABELS: usize = 32;

pub enum Found {
    Person(Person),
    /// Where the token is to be authorised first.
    Sso(String),
}

#[derive(Deserialize)]
struct User {
    id: u64,
    login: String,
    name: Option<String>,
    /// `User`, or `Bot` and `Organization`, which are nobody.
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Membership {
    /// `active` or `pending`.
    state: String,
    organization: Org,
}

#[derive(Deserialize)]
struct Org {
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct Team {
    id: u64,
    slug: String,
    organization: Org,
}

/// The same, below its organisation, where it is not named again.
#[derive(Deserialize)]
struct OrgTeam {
    id: u64,
    slug: String,
}

/// `partly`: what of memberships the token shows is enough, though there may be more.
pub fn find(github: &GitHub, token: &str, partly: bool) -> Result<Found> {
    let by = By::Token(token);
    let shown: api::Page<User> = match api::page(&github.api("/user"), by) {
        Err(Refused::Sso(url)) => return Ok(Found::Sso(url)),
        other => other?,
    };
    // Older tokens of apps look like personal ones; GitHub says whose they are.
    if shown.app.is_some_and(|app| github.client_id.as_ref() != Some(&app)) {
        return Err(Error::denied());
    }
    let user = shown.value;
    if user.kind != "User" {
        return Err(Error::denied());
    }
    let memberships = api::all_open::<Membership>(github, "/user/memberships/orgs?state=active&per_page=100", by);
    let teams = api::all_open::<Team>(github, "/user/teams?per_page=100", by);
    let (memberships, teams) = match (memberships, teams) {
        (Err(Refused::Sso(url)), _) | (_, Err(Refused::Sso(url))) => return Ok(Found::Sso(url)),
        // A token that may not see memberships proves who it is all the same.
        (memberships, teams) => (or_none(memberships)?, or_none(teams)?),
    };
    let ((memberships, mut left_out), (teams, more)) = (memberships, teams);
    left_out.extend(more);
    if !partly && let Some(url) = left_out.first().and_then(|org| sso_of(github, *org, &user.login, by)) {
        return Ok(Found::Sso(url));
    }
    let is_active = |membership: &&Membership| membership.state == "active";
    let orgs: Vec<&Org> = memberships.iter().filter(is_active).map(|membership| &membership.organization).collect();
    let mut groups: Vec<Group> = orgs.iter().map(|org| Group::org(org)).collect();
    // A team counts where its organisation does: `/user/teams` also tells of invitations.
    let own = teams.iter().filter(|team| orgs.iter().any(|org| org.id == team.organization.id));
    groups.extend(own.map(|team| Group::team(team.id, &team.slug, &team.organization)));
    Ok(Found::Person(Person { id: user.id, login: user.login, name: user.name, groups }))
}

fn or_none<T: Default>(listed: Result<T, Refused>) -> Result<T> {
    match listed {
        Err(Refused::NotFound | Refused::Forbidden) => Ok(T::default()),
        other => Ok(other?),
    }
}

/// Where the token is to be authorised for an organisation that a list has left out: asked directly, GitHub says so.
fn sso_of(github: &GitHub, org: u64, login: &str, by: By<'_>) -> Option<String> {
    let asked: Result<Membership, Refused> =
        api::get(&github.api(&format!("/organizations/{org}/memberships/{login}")), by);
    match asked {
        Err(Refused::Sso(url)) => Some(url),
        _ => None,
    }
}

/// A token of another OAuth app was given to that app, and proves nothing here.
pub fn is_of_our_app(github: &GitHub, token: &str) -> Result<()> {
    let Some(id) = &github.client_id else { return Err(Error::denied()) };
    #[derive(Serialize)]
    struct Asked<'a> {
        access_token: &'a str,
    }
    let url = github.api(&format!("/applications/{id}/token"));
    let request = api::request("POST", &url, By::Credential("client")).json(&Asked { access_token: token })?;
    match api::accepted(api::send(request)?) {
        Ok(_) => Ok(()),
        // The app's own secret is wrong: nobody's login.
        Err(Refused::Unauthorized) => Err(Error::internal("GitHub does not know this OAuth app by its secret")),
        Err(other) => Err(other.into()),
    }
}

/// All organisations and teams that the mount's own credential sees: for who maps roles.
pub fn groups(github: &GitHub) -> Result<Vec<Group>> {
    if github.org_credential.is_none() {
        return Err(Error::invalid("", "not_configured", "needs org_credential in the configuration of this mount"));
    }
    let by = By::Credential("org_credential");
    let mut groups = Vec::new();
    for org in api::all::<Org>(github, "/user/orgs?per_page=100", by)? {
        groups.push(Group::org(&org));
        let path = format!("/orgs/{}/teams?per_page=100", org.login);
        let teams = or_none(api::all::<OrgTeam>(github, &path, by))?;
        groups.extend(teams.iter().map(|team| Group::team(team.id, &team.slug, &org)));
    }
    Ok(groups)
}

impl Group {
    pub fn is_org(&self) -> bool {
        self.id.starts_with("org:")
    }

    fn org(org: &Org) -> Self {
        Self { id: format!("org:{}", org.id), label: org.login.clone(), org: org.id }
    }

    fn team(id: u64, slug: &str, org: &Org) -> Self {
        Self { id: format!("team:{id}"), label: format!("{}/{slug}", org.login), org: org.id }
    }
}

impl Person {
    pub fn identity(&self) -> Result<Identity> {
        let name = self.name.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| self.login.clone());
        let groups = self.groups.iter().map(|group| group.id.clone());
        let identity = Identity::new(self.id.to_string()).named(name).in_groups(groups).with("login", &self.login);
        let labelled = self.groups.iter().filter(|group| !group.label.is_empty()).take(LABELS);
        Ok(labelled.fold(identity, |identity, group| identity.with(&group.id, &group.label)))
    }
}
