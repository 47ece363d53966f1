use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use hyper::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use zeroize::Zeroizing;

use super::{Answer, Refusal, echo, exchange::OURS, refusal, target::Target};
use crate::sensitive::Secret;

/// By name, as the guest knows them: `{"$credential": "name"}` in its configuration.
#[derive(Clone, Debug, Default)]
pub struct Credentials(pub BTreeMap<String, Credential>);

/// Something that proves a mount to a host; its guest never sees it.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Exact names and ports: nobody else is sent it.
    pub hosts: Vec<(String, u16)>,
    pub place: Place,
    /// For `Basic`: `user:password`.
    pub value: Secret<String>,
}

/// Where in a request it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    Bearer,
    Basic,
    Header(String),
    /// A field of a form, which the body then is.
    Form(String),
}

const FORM: &str = "application/x-www-form-urlencoded";
const TAKEN: Refusal = refusal("invalid", "the request has already what the credential is to be");

impl Credentials {
    /// Puts a credential where it goes.
    pub(super) fn add(
        &self,
        name: &str,
        target: &Target,
        headers: &mut HeaderMap,
        body: &mut Zeroizing<Vec<u8>>,
    ) -> Result<(), Refusal> {
        let credential = self.0.get(name).ok_or(refusal("denied", "there is no such credential"))?;
        if target.plain || !credential.is_for(target) {
            return Err(refusal("denied", "the credential is not for this host"));
        }
        let value = credential.value.reveal();
        match &credential.place {
            Place::Bearer => put(headers, AUTHORIZATION, &Zeroizing::new(format!("Bearer {value}"))),
            Place::Basic => {
                let encoded = Zeroizing::new(BASE64_STANDARD.encode(value));
                put(headers, AUTHORIZATION, &Zeroizing::new(format!("Basic {}", *encoded)))
            }
            Place::Header(header) => {
                let header = HeaderName::try_from(header.as_str()).map_err(|_| unusable())?;
                if OURS.contains(&header.as_str()) {
                    return Err(unusable());
                }
                put(headers, header, value)
            }
            Place::Form(field) => add_field(headers, body, field, value),
        }
    }

    /// May one of them be sent to this host?
    pub(super) fn are_for(&self, target: &Target) -> bool {
        !target.plain && self.0.values().any(|credential| credential.is_for(target))
    }

    /// A host that sends back what it was sent does not show it to the guest that way, nor when it is asked again
    /// without: whatever was asked, the answer is searched for all of them, however each may be written there.
    pub(super) async fn keep_secret(&self, target: &Target, answer: Answer) -> Result<Answer, Refusal> {
        let is_encoded = |(name, value): &(String, String)| {
            name.eq_ignore_ascii_case("content-encoding") && !value.trim().eq_ignore_ascii_case("identity")
        };
        if self.are_for(target) && (answer.status == 206 || answer.headers.iter().any(is_encoded)) {
            return Err(refusal("denied", "the host's answer is encoded or a part, and cannot be searched"));
        }
        if self.0.is_empty() {
            return Ok(answer);
        }
        let values = answer.headers.iter().map(|(_, value)| value.as_bytes());
        for text in values.chain([answer.body.as_slice()]) {
            let readings = echo::readings(text);
            for credential in self.0.values() {
                let traces = echo::traces(credential);
                for reading in &readings {
                    if echo::holds(reading, &traces) {
                        return Err(refusal("denied", "the host sent the credential back"));
                    }
                    // A large answer takes a while, and others have their turn.
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(answer)
    }
}

impl Credential {
    fn is_for(&self, target: &Target) -> bool {
        let host = target.host.to_string();
        self.hosts.iter().any(|(bound, port)| bound.eq_ignore_ascii_case(&host) && *port == target.port)
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) -> Result<(), Refusal> {
    let mut value = HeaderValue::try_from(value).map_err(|_| unusable())?;
    value.set_sensitive(true);
    match headers.try_insert(name, value) {
        Ok(None) => Ok(()),
        Ok(Some(_)) => Err(TAKEN),
        Err(_) => Err(unusable()),
    }
}

fn add_field(headers: &HeaderMap, body: &mut Zeroizing<Vec<u8>>, field: &str, value: &str) -> Result<(), Refusal> {
    let is_form = headers.get("content-type").is_some_and(|kind| kind == FORM);
    if !is_form {
        return Err(refusal("invalid", "the credential goes into a form, and the body is none"));
    }
    let name = utf8_percent_encode(field, NON_ALPHANUMERIC).to_string();
    let known = percent_encoding::percent_decode(body).decode_utf8_lossy().into_owned();
    // Decoded as a whole this finds a little more than there is, never less.
    if known.split('&').any(|pair| pair.split('=').next() == Some(field)) {
        return Err(TAKEN);
    }
    let value = Zeroizing::new(utf8_percent_encode(value, NON_ALPHANUMERIC).to_string());
    let between = if body.is_empty() { "" } else { "&" };
    // Made in one piece: growing would leave copies behind.
    let mut whole = Vec::with_capacity(body.len() + name.len() + value.len() + 2);
    for part in [body.as_slice(), between.as_bytes(), name.as_bytes(), b"=", value.as_bytes()] {
        whole.extend_from_slice(part);
    }
    *body = Zeroizing::new(whole);
    Ok(())
}

fn unusable() -> Refusal {
    refusal("invalid", "the credential does not fit where it is to go")
}
