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

/// Organisations that are asked where a token is to be authorised for them: a call may send 32 requests.
const SSO_MOST: usize = 8;

pub enum Found {
    Person(Person),
    /// Where the token is to be authorised first; never empty.
    Sso(Vec<Sso>),
}

/// An organisation that wants a token authorised by its own login.
#[derive(PartialEq, Eq, Debug, Serialize)]
pub struct Sso {
    /// Where GitHub says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    pub url: String,
}

impl From<String> for Sso {
    fn from(url: String) -> Self {
        Self { id: None, url }
    }
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
pub struct Org {
    #[serde(alias = "databaseId")]
    pub id: u64,
    pub login: String,
}

#[derive(Deserialize)]
struct Team {
    id: u64,
    slug: String,
    organization: Org,
}

/// `partly`: what of memberships the token shows is enough, though there may be more.
pub fn find(github: &GitHub, token: &str, partly: bool) -> Result<Found> {
    let by = By::Token(token);
    let shown: api::Page<User> = match api::page(&github.api("/user"), by) {
        Err(Refused::Sso(url)) => return Ok(Found::Sso(vec![url.into()])),
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
    let (memberships, mut left_out) = match memberships {
        Err(Refused::Sso(url)) if !partly => return Ok(Found::Sso(vec![url.into()])),
        listed => or_none(listed)?,
    };
    let (teams, more) = match api::all_open::<Team>(github, "/user/teams?per_page=100", by) {
        Err(Refused::Sso(url)) if !partly => return Ok(Found::Sso(vec![url.into()])),
        listed => or_none(listed)?,
    };
    left_out.extend(more);
    if !partly {
        let wanted = wanted(github, left_out, &user.login, by)?;
        if !wanted.is_empty() {
            return Ok(Found::Sso(wanted));
        }
    }
    let is_active = |membership: &&Membership| membership.state == "active";
    let orgs: Vec<&Org> = memberships.iter().filter(is_active).map(|membership| &membership.organization).collect();
    let mut groups: Vec<Group> = orgs.iter().map(|org| Group::org(org)).collect();
    // A team counts where its organisation does: `/user/teams` also tells of invitations.
    let own = teams.iter().filter(|team| orgs.iter().any(|org| org.id == team.organization.id));
    groups.extend(own.map(|team| Group::team(team.id, &team.slug, &team.organization)));
    Ok(Found::Person(Person { id: user.id, login: user.login, name: user.name, groups }))
}

/// A token that may not see memberships proves who it is all the same.
fn or_none<T: Default>(listed: Result<T, Refused>) -> Result<T> {
    match listed {
        Err(Refused::NotFound | Refused::Forbidden | Refused::Sso(_)) => Ok(T::default()),
        other => Ok(other?),
    }
}

/// Where the token is to be authorised for the organisations that lists have left out: asked directly, GitHub says so.
/// One in which the person is nobody does not say.
fn wanted(github: &GitHub, mut left_out: Vec<u64>, login: &str, by: By<'_>) -> Result<Vec<Sso>> {
    left_out.sort_unstable();
    left_out.dedup();
    let mut wanted = Vec::new();
    for org in left_out.into_iter().take(SSO_MOST) {
        let path = github.api(&format!("/organizations/{org}/memberships/{login}"));
        match api::get::<Membership>(&path, by) {
            Err(Refused::Sso(url)) => wanted.push(Sso { id: Some(org), url }),
            Err(Refused::NotFound | Refused::Forbidden) | Ok(_) => {}
            Err(other) => return Err(other.into()),
        }
    }
    Ok(wanted)
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

impl Group {
    pub fn is_org(&self) -> bool {
        self.id.starts_with("org:")
    }

    pub fn org(org: &Org) -> Self {
        Self { id: format!("org:{}", org.id), label: org.login.clone(), org: org.id }
    }

    pub fn team(id: u64, slug: &str, org: &Org) -> Self {
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
