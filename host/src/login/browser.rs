//! A login that a browser does for a client somewhere else.
//!
//! The client is given a page of ours with a short code. The page says which program asks, from where and when, and
//! needs a click: so a link that somebody sends is not yet a login, and whoever clicks has seen what for. The click
//! leaves a cookie; whoever comes back from the identity provider shows it, and the `state` that went there, once. What came
//! back waits in the challenge's row until the client asks, from where it began.
//!
//! Beside the challenge's row stand two that lead to it: one by the code, one by the state, each under a MAC.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{
    Client, Error, Login, Refusal,
    begin::{AuthMethod, wiped},
    challenge::{Row, Waiting},
};
use crate::{
    barrier::{self, Purpose, Stored, Writes, layout::Prefix},
    clock::Timestamp,
    ids::{MountName, random, random_base62},
    limits,
    mount::Kind,
    runtime::Callback,
    sensitive::Secret,
    throttle::Try,
};

/// What a browser has to do, and how far it is.
#[derive(Serialize, Deserialize)]
pub(super) struct Browser {
    /// The identity provider's page.
    url: String,
    /// As it is shown to people.
    code: String,
    /// The rows that lead here.
    by_code: String,
    by_state: String,
    asked_at: Timestamp,
    address: Option<IpAddr>,
    program: String,
    /// MAC of the cookie of whoever has clicked.
    cookie: Option<String>,
    /// The query that came back; empty until it has.
    #[serde(with = "wiped")]
    answer: Zeroizing<String>,
}

/// What the page shows.
#[derive(Debug)]
pub struct Page {
    pub code: String,
    /// What the program calls itself.
    pub program: String,
    pub address: Option<IpAddr>,
    pub asked_at: Timestamp,
    /// Scheme and host of where the click leads.
    pub leads_to: String,
}

/// Where a browser goes once somebody has clicked, and what it is to keep.
#[derive(Debug)]
pub struct Clicked {
    pub url: String,
    pub cookie: Cookie,
}

#[derive(Debug)]
pub struct Cookie {
    pub name: String,
    pub value: Secret<String>,
}

/// The cookies that a browser sent.
pub type Cookies<'a> = &'a (dyn Fn(&str) -> Option<String> + Send + Sync);

/// Leads from a code or a state to the challenge.
#[derive(Serialize, Deserialize)]
struct Leads {
    challenge: String,
}

/// By what a browser is led to a login.
#[derive(Clone, Copy)]
enum Lookup<'a> {
    /// The short one on the page, however somebody has typed it.
    Code(&'a str),
    /// That which went to the identity provider.
    State(&'a str),
}

impl Lookup<'_> {
    /// Short enough that somebody might try them all.
    const fn is_guessable(self) -> bool {
        match self {
            Self::Code(_) => true,
            Self::State(_) => false,
        }
    }

    /// Of the row that leads on.
    fn key(self, login: &Login) -> Result<String, Error> {
        match self {
            Self::Code(code) => login.mac_key("code", &canonical(code)),
            Self::State(state) => login.mac_key("state", state),
        }
    }
}

/// None of them can be taken for another (RFC 8628 section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const CODE: usize = 8;
/// 190 random bits.
const STATE: usize = 32;

const COOKIE: &str = "cookie";

/// For the trail.
const TAKEN: &str = "another browser has this login";
const STRANGER: &str = "not the browser in which somebody clicked";

impl Browser {
    /// One that is to go where these details say, if that is a page that knows the way back.
    pub(super) fn sent(callback: &Callback, details: &Map<String, Value>) -> Option<(String, Secret<String>)> {
        let url = details.get("url").and_then(Value::as_str)?;
        let (page, query) = url.split_once('?')?;
        let is_web = page.starts_with("https://") || page.starts_with("http://");
        let is_plain = url.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        let state = format!("state={}", callback.state.reveal());
        (is_web && is_plain && query.split('&').any(|pair| pair == state))
            .then(|| (url.to_owned(), callback.state.clone()))
    }

    /// What came back.
    pub(super) fn answer(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self.is_back() {
            true => Ok(Zeroizing::new(self.answer.as_bytes().to_vec())),
            false => Err(Refusal::Pending.into()),
        }
    }

    pub(super) fn is_back(&self) -> bool {
        !self.answer.is_empty()
    }

    pub(super) fn rows(&self) -> [&str; 2] {
        [&self.by_code, &self.by_state]
    }
}

impl Login {
    /// Where a browser comes back to, and a value that finds the login again. None where nobody has said how browsers
    /// reach us, and for who needs none.
    pub(super) fn callback(&self, AuthMethod { mount, live }: AuthMethod<'_>) -> Option<Callback> {
        let public = self.public_url.get().filter(|_| !live.proves_users())?;
        let url = format!("{public}/api/v1/auth/{}/callback", mount.name);
        Some(Callback { url, state: Secret::new(random_base62(STATE)) })
    }

    /// How browsers reach us, where that is only known once we listen. Said once.
    pub fn reached_at(&self, url: String) {
        let _ = self.public_url.set(url);
    }

    /// Adds the rows by which a browser finds the challenge; what the client is told instead of the provider's page.
    pub(super) fn send_browser(
        &self,
        to: &mut Writes,
        waiting: &mut Waiting,
        (url, state): (String, Secret<String>),
        (key, now, end): (&str, Timestamp, Timestamp),
    ) -> Result<Map<String, Value>, Error> {
        let code = code();
        let (by_code, by_state) = (Lookup::Code(&code).key(self)?, Lookup::State(state.reveal()).key(self)?);
        let view = self.barrier.view(Prefix::Challenge);
        for row in [&by_code, &by_state] {
            view.put(to, row, &Leads { challenge: key.to_owned() }, Some(end));
        }
        let shown = format!("{}-{}", &code[..CODE / 2], &code[CODE / 2..]);
        let mount = self.mount_by_id(&waiting.mount)?;
        let public = self.public_url.get().map(String::as_str).unwrap_or_default();
        let page = format!("{public}/api/v1/auth/{}/browser?code={shown}", mount.name);
        waiting.browser = Some(Browser {
            url,
            code: shown.clone(),
            by_code,
            by_state,
            asked_at: now,
            address: waiting.address,
            program: waiting.device.clone(),
            cookie: None,
            answer: Zeroizing::default(),
        });
        Ok(Map::from_iter([("url".to_owned(), json!(page)), ("code".to_owned(), json!(shown))]))
    }

    pub(super) fn forget_browser(&self, to: &mut Writes, waiting: &mut Waiting) {
        let view = self.barrier.view(Prefix::Challenge);
        if let Some(browser) = waiting.browser.take() {
            browser.rows().into_iter().for_each(|row| view.delete(to, row));
        }
    }

    /// What the page says of the login with this code. Changes nothing.
    pub async fn browser_page(&self, mount: &MountName, code: &str, client: &Client) -> Result<Page, Error> {
        let Found { browser, .. } = self.found(mount, Lookup::Code(code), client).await?;
        let leads_to = browser.url.split('/').take(3).collect::<Vec<_>>().join("/");
        let Browser { code, program, address, asked_at, .. } = browser;
        Ok(Page { code, program, address, asked_at, leads_to })
    }

    /// Would this browser's click be taken? Changes nothing.
    pub async fn check_click(
        &self,
        mount: &MountName,
        code: &str,
        cookies: Cookies<'_>,
        client: &Client,
    ) -> Result<(), Error> {
        let found = self.found(mount, Lookup::Code(code), client).await?;
        match found.browser.cookie.is_none() || self.clicked_in(cookies, &found) {
            true => Ok(()),
            false => Err(denied(TAKEN)),
        }
    }

    /// Is there a login that waits for this browser to come back? Changes nothing.
    pub async fn check_comes_back(
        &self,
        mount: &MountName,
        state: &str,
        cookies: Cookies<'_>,
        client: &Client,
    ) -> Result<(), Error> {
        let found = self.found(mount, Lookup::State(state), client).await?;
        match self.clicked_in(cookies, &found) {
            true => Ok(()),
            false => Err(denied(STRANGER)),
        }
    }

    /// Somebody has seen the page and wants it. From now on the login is this browser's.
    pub async fn browser_click(
        &self,
        mount: &MountName,
        code: &str,
        cookies: Cookies<'_>,
        client: &Client,
    ) -> Result<Clicked, Error> {
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut found = self.found(mount, Lookup::Code(code), client).await?;
            let name = found.cookie();
            if found.browser.cookie.is_some() {
                // The same browser may go there again; another one has come too late.
                let kept = cookies(&name).filter(|cookie| self.cookie_matches(cookie, &found.browser));
                let value = Secret::new(kept.ok_or_else(|| denied(TAKEN))?);
                return Ok(Clicked { url: found.browser.url, cookie: Cookie { name, value } });
            }
            let (value, url) = (random_base62(STATE), found.browser.url.clone());
            found.browser.cookie = Some(self.mac_key(COOKIE, &value)?);
            if self.keep(found).await? {
                return Ok(Clicked { url, cookie: Cookie { name, value: Secret::new(value) } });
            }
        }
        Err(barrier::Error::Conflict.into())
    }

    /// A browser comes back from the identity provider: with the state that went there, to the mount that sent it, with
    /// the cookie of the click, once. Answers the name of the cookie, which has done its work.
    pub async fn browser_back(
        &self,
        mount: &MountName,
        (state, answer): (&str, Map<String, Value>),
        cookies: Cookies<'_>,
        client: &Client,
    ) -> Result<String, Error> {
        let answer = Zeroizing::new(Value::Object(answer).to_string());
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut found = self.found(mount, Lookup::State(state), client).await?;
            let name = found.cookie();
            if !self.clicked_in(cookies, &found) {
                return Err(denied(STRANGER));
            }
            if found.browser.is_back() {
                return Err(Refusal::Expired.into());
            }
            found.browser.answer = answer.clone();
            // Whoever has waited need not wait for it any more.
            found.stored.value.waiting.polled_at = None;
            if self.keep(found).await? {
                return Ok(name);
            }
        }
        Err(barrier::Error::Conflict.into())
    }

    /// The login that a code or a state leads to. Guesses of codes count, against the address block; a state is long
    /// enough, and whoever lets others ask for made-up ones would keep them from logging in.
    async fn found(&self, mount: &MountName, by: Lookup<'_>, client: &Client) -> Result<Found, Error> {
        self.fresh().await?;
        let mount = self.mounts.get(Kind::Auth, mount).ok_or(Refusal::Expired)?;
        let of = Try { realm: mount.id.as_str(), name: None, address: client.address };
        let guess = match by.is_guessable() {
            true => Some(self.throttle.begin(of).await?),
            false => None,
        };
        let view = self.barrier.view(Prefix::Challenge);
        let leads = view.get::<Leads>(&by.key(self)?).await?.ok_or(Refusal::Expired)?.value;
        let mut stored = view.get::<Row<Waiting>>(&leads.challenge).await?.ok_or(Refusal::Expired)?;
        // What another mount began does not end here: its provider's answer would be taken for this one's.
        if stored.value.waiting.mount != mount.id {
            return Err(denied("a login of another mount"));
        }
        let browser = stored.value.waiting.browser.take().ok_or(Refusal::Expired)?;
        mount.live()?;
        if let Some(guess) = guess {
            guess.void().await;
        }
        Ok(Found { key: leads.challenge, stored, browser })
    }

    /// Stores how far it is. False: something has changed meanwhile, if only that the program has asked again.
    async fn keep(&self, found: Found) -> Result<bool, Error> {
        let Found { key, mut stored, browser } = found;
        let view = self.barrier.view(Prefix::Challenge);
        let mut writes = Writes::default();
        view.expect_as_read(&mut writes, &key, Some(&stored));
        if browser.is_back() {
            browser.rows().into_iter().for_each(|row| view.delete(&mut writes, row));
        }
        (stored.value.waiting.browser, stored.value.waiting.moved_at) = (Some(browser), Some(self.clock.now()));
        view.put(&mut writes, &key, &stored.value, stored.expires_at);
        match self.barrier.commit(writes).await {
            Ok(()) => Ok(true),
            Err(barrier::Error::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Is it the browser in which somebody has clicked?
    fn clicked_in(&self, cookies: Cookies<'_>, found: &Found) -> bool {
        cookies(&found.cookie()).is_some_and(|cookie| self.cookie_matches(&cookie, &found.browser))
    }

    fn cookie_matches(&self, cookie: &str, browser: &Browser) -> bool {
        let mac = self.mac_key(COOKIE, cookie).ok();
        mac.zip(browser.cookie.as_ref()).is_some_and(|(one, other)| {
            aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
        })
    }

    /// Where something stands that is itself written nowhere.
    fn mac_key(&self, kind: &str, text: &str) -> Result<String, Error> {
        let mac = self.barrier.mac(Purpose::Token)?.sign(&[b"browser", kind.as_bytes(), text.as_bytes()]);
        Ok(format!("{kind}/{}", hex::encode(mac)))
    }
}

/// A challenge, and what of it the browser is to do.
struct Found {
    key: String,
    stored: Stored<Row<Waiting>>,
    browser: Browser,
}

impl Found {
    /// Of its own for each login, so that two at once do not disturb each other. The prefix binds it to this host.
    fn cookie(&self) -> String {
        format!("__Host-coffer-{}", &self.key[..16.min(self.key.len())])
    }
}

fn code() -> String {
    let mut code = String::new();
    while code.len() < CODE {
        let usable = random::<32>().into_iter().filter(|byte| *byte < 240);
        code.extend(usable.take(CODE - code.len()).map(|byte| char::from(LETTERS[usize::from(byte % 20)])));
    }
    code
}

/// As people type it.
fn canonical(code: &str) -> String {
    code.chars().filter(|c| c.is_ascii_alphanumeric()).map(|c| c.to_ascii_uppercase()).take(2 * CODE).collect()
}

fn denied(why: &str) -> Error {
    Error::Denied(why.to_owned())
}
