//! Log in with GitHub, or GitHub Enterprise: by a personal token, in the browser, or on a device.
//!
//! Who somebody is, is the numeric id: a login can be renamed and registered by somebody else. Organisations and teams go by
//! id, too, as `org:<id>` and `team:<id>`; their names are told beside them, for people. Memberships
//! that wait to be accepted do not count.
//!
//! | file | |
//! |---|---|
//! | `api.rs` | requests to GitHub, pages, and what its refusals mean |
//! | `person.rs` | who it is, and in which organisations and teams |
//! | `groups.rs` | all organisations and teams, for who maps roles |
//! | `browser.rs` | authorization code with PKCE, by the `oauth2` crate |
//! | `device.rs` | RFC 8628, by the `oauth2` crate |
//! | `recheck.rs` | is it still so, when a session is renewed |

use coffer_plugin_sdk::{from_json, prelude::*, serde_json::json};

mod api;
mod browser;
mod device;
mod groups;
mod oauth;
mod person;
mod recheck;

use api::Refused;
use recheck::{Kept, Recheck};

/// The configuration of a mount.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct GitHub {
    /// Of the OAuth app: for the browser, for devices, and to tell its tokens from other apps'.
    client_id: Option<String>,
    /// `{"$credential": …}`, where there is one: the host adds it.
    #[serde(default)]
    client_secret: Option<Hidden>,
    /// A token that may read memberships: for `recheck: org_credential`, and to look up ids.
    #[serde(default)]
    org_credential: Option<Hidden>,
    /// GitHub Enterprise: `https://github.example.com`.
    base_url: Option<String>,
    #[serde(default)]
    recheck: Recheck,
    #[serde(default)]
    device_flow: bool,
    #[serde(default = "yes")]
    personal_tokens: bool,
}

/// A secret that the host holds.
#[derive(Deserialize, Debug)]
struct Hidden {
    #[serde(rename = "$credential")]
    _name: String,
}

/// How long somebody may take at GitHub: its own codes live ten minutes.
const PATIENCE_SECONDS: u32 = 600;
/// How often GitHub is asked again that could not be asked: at least and at most.
const ASK_SECONDS: (u32, u32) = (5, 60);

/// Organisations that are told when a configuration is checked.
const NOTES: usize = 25;

const fn yes() -> bool {
    true
}

/// One of three ways in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// A personal one, or one that this mount's OAuth app was given.
    token: Option<String>,
    /// On a device without a browser.
    #[serde(default)]
    device: bool,
    /// What the token shows is enough: no organisation's own login first.
    #[serde(default)]
    partial: bool,
}

/// What a challenge goes on with.
#[derive(Serialize, Deserialize)]
#[serde(tag = "way", rename_all = "lowercase")]
enum Waiting {
    Browser(browser::Waiting),
    Device(device::Waiting),
    /// For GitHub, which could not be asked who that is. A code is good once: the token is what there is of it.
    Known {
        token: String,
        by: By,
        partly: bool,
    },
    /// For an organisation that wants to be logged in to first; then the same way is gone again.
    Sso {
        by: By,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum By {
    Token,
    Browser,
    Device,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenAgain {
    token: String,
}

impl Check for GitHub {
    fn check(&self) -> Result<Vec<String>> {
        if let Some(url) = &self.base_url
            && (!url.starts_with("https://") || url.ends_with('/') || url.matches('/').count() != 2)
        {
            return Err(Error::invalid("/base_url", "invalid_value", "must be https://host, without a path"));
        }
        if self.client_id.is_none() && (self.device_flow || !self.personal_tokens) {
            return Err(Error::invalid(
                "/client_id",
                "missing",
                "is required without personal tokens, and for devices",
            ));
        }
        if self.client_id.is_some() && self.client_secret.is_none() {
            return Err(Error::invalid("/client_secret", "missing", "is required with client_id"));
        }
        if self.recheck == Recheck::OrgCredential && self.org_credential.is_none() {
            return Err(Error::invalid("/org_credential", "missing", "is required by recheck: org_credential"));
        }
        let mut notes = Vec::new();
        if self.device_flow {
            notes.push("device logins are on: a device cannot show who asked for the code".to_owned());
        }
        if self.org_credential.is_some() {
            notes.extend(self.seen()?);
        }
        Ok(notes)
    }
}

impl Auth for GitHub {
    type Login = Login;

    fn login(&self, login: Login) -> Result<Step> {
        match login {
            Login { token: Some(_), device: true, .. } => {
                Err(Error::invalid("/device", "invalid_value", "does not go with token"))
            }
            Login { token: Some(token), partial, .. } => self.by_token(&token, partial),
            Login { device: true, partial, .. } => device::begin(self, partial),
            Login { partial, .. } => browser::begin(self, partial),
        }
    }

    fn resume(&self, state: Vec<u8>, answer: Vec<u8>) -> Result<Step> {
        let waiting = from_json(&state).map_err(|_| Error::denied())?;
        self.go_on(waiting, &answer).map_err(|error| match error.code.as_str() {
            // Any other word would end the login, and nobody has failed.
            "unavailable" => Error::slow_down(),
            _ => error,
        })
    }

    fn refresh(&self, internal: Vec<u8>) -> Result<Identity> {
        let kept: Kept = from_json(&internal).map_err(|_| Error::denied())?;
        recheck::again(self, kept)
    }
}

impl GitHub {
    /// What org_credential shows, to see that it is the right one. A GitHub that cannot be asked just now is no fault
    /// of a configuration.
    fn seen(&self) -> Result<Vec<String>> {
        let groups = match groups::orgs(self) {
            Ok(groups) => groups,
            Err(Refused::Failed(error)) if error.code == "unavailable" => {
                return Ok(vec!["GitHub could not be asked: whether org_credential is good is not known".to_owned()]);
            }
            Err(Refused::Failed(error)) => return Err(error),
            Err(_) => {
                let message = "is not taken by GitHub, or has no read:org";
                return Err(Error::invalid("/org_credential", "invalid_value", message));
            }
        };
        let mut notes: Vec<String> =
            groups.iter().take(NOTES).map(|group| format!("{} is {}", group.label, group.id)).collect();
        if groups.len() > NOTES {
            notes.push(format!("and {} more: GET groups tells them all, and their teams", groups.len() - NOTES));
        }
        Ok(notes)
    }

    fn go_on(&self, waiting: Waiting, answer: &[u8]) -> Result<Step> {
        match waiting {
            Waiting::Browser(waiting) => {
                let partly = waiting.partly;
                let token = browser::finish(self, waiting, answer)?;
                self.known(token, By::Browser, partly)
            }
            Waiting::Device(waiting) => {
                let token = device::poll(self, &waiting)?;
                self.known(token, By::Device, waiting.partly)
            }
            Waiting::Known { token, by, partly } => self.identify(&token, by, partly),
            Waiting::Sso { by: By::Token } => {
                let TokenAgain { token } = from_json(answer)?;
                self.by_token(&token, true)
            }
            Waiting::Sso { by: By::Browser } => browser::begin(self, true),
            Waiting::Sso { by: By::Device } => device::begin(self, true),
        }
    }

    /// What a code has been changed for, which cannot be done again.
    fn known(&self, token: String, by: By, partly: bool) -> Result<Step> {
        match self.identify(&token, by, partly) {
            Err(error) if error.code == "unavailable" => {
                let asked = error.retry_after_ms.map_or(ASK_SECONDS.0, |wait| wait.div_ceil(1000));
                let interval = asked.clamp(ASK_SECONDS.0, ASK_SECONDS.1);
                challenge("wait", &json!({}), PATIENCE_SECONDS, Some(interval), &Waiting::Known { token, by, partly })
            }
            step => step,
        }
    }

    /// A token that somebody shows. One of another app proves only that its bearer logged in there, and one
    /// of an installation is nobody's.
    fn by_token(&self, token: &str, partly: bool) -> Result<Step> {
        let is_plain = token.len() <= 255 && !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
        let kind = token.split('_').next().unwrap_or_default();
        match kind {
            _ if !is_plain => return Err(Error::denied()),
            "ghs" | "ghr" => return Err(Error::denied()),
            "gho" | "ghu" => person::is_of_our_app(self, token)?,
            _ if !self.personal_tokens => return Err(Error::denied()),
            _ => {}
        }
        self.identify(token, By::Token, partly)
    }

    fn identify(&self, token: &str, by: By, partly: bool) -> Result<Step> {
        match person::find(self, token, partly)? {
            person::Found::Person(person) => {
                let kept = Kept::new(self, &person, token);
                let mut identity = person.identity()?.with_internal(&kept)?;
                // What is not checked again ends, access token and all.
                if self.recheck == Recheck::Relogin {
                    identity.limits.ttl_seconds = Some(recheck::RELOGIN_SECONDS);
                }
                Ok(identity.into())
            }
            person::Found::Sso(wanted) => {
                let mut details = match by {
                    By::Token => json!({ "member": "token" }),
                    By::Browser | By::Device => json!({}),
                };
                details["url"] = json!(wanted.first().map(|first| &first.url));
                details["organizations"] = json!(wanted);
                details["message"] = json!(match by {
                    By::Token =>
                        "An organisation wants this token authorised first: open the URL, then send the token again.",
                    By::Browser | By::Device =>
                        "An organisation wants you logged in there first: open the URL, then go on.",
                });
                challenge("redirect", &details, PATIENCE_SECONDS, None, &Waiting::Sso { by })
            }
        }
    }
}

fn challenge(
    kind: &str,
    details: &impl Serialize,
    expires_in_seconds: u32,
    poll_interval_seconds: Option<u32>,
    state: &Waiting,
) -> Result<Step> {
    let bytes = |value: &dyn Fn() -> coffer_plugin_sdk::serde_json::Result<Vec<u8>>| {
        value().map_err(|_| Error::internal("a challenge does not serialise"))
    };
    let details = bytes(&|| coffer_plugin_sdk::serde_json::to_vec(details))?;
    let state = bytes(&|| coffer_plugin_sdk::serde_json::to_vec(state))?;
    Ok(Challenge { kind: kind.to_owned(), details, expires_in_seconds, poll_interval_seconds, state }.into())
}

/// Paths of the mount's own: `groups`, the ids that a mapping of roles goes by.
impl Engine for GitHub {
    fn handle(&self, request: Request) -> Result<Response> {
        match (request.operation(), request.path.as_str()) {
            (Operation::Verb("groups"), "") | (Operation::Read, "groups") => {
                Response::json(&json!({ "groups": groups::all(self)? }))
            }
            _ => Err(Error::unsupported()),
        }
    }
}

coffer_plugin_sdk::export!(GitHub: auth, engine, check);
