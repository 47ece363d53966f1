//! What a guest answers is looked at before anybody believes it.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Fault,
    bindings::{coffer::plugin::types as wit, exports::coffer::plugin::auth},
    fault::shortened,
    types::{Bytes, Challenge, Identity, LeaseSpec, Response, SessionLimits, Step},
};
use crate::limits;

pub(super) fn response(answer: wit::Response, most: usize) -> Result<Response, Fault> {
    let body = object(answer.body, most)?;
    if answer.warnings.len() > limits::PLUGIN_NOTES {
        return Err(invalid("it gives too many warnings"));
    }
    Ok(Response { body, warnings: texts(answer.warnings), lease: answer.lease.map(lease).transpose()? })
}

pub(super) fn notes(notes: Vec<String>) -> Result<Vec<String>, Fault> {
    match notes.len() <= limits::PLUGIN_NOTES {
        true => Ok(texts(notes)),
        false => Err(invalid("it gives too many notes")),
    }
}

pub(super) fn lease(spec: wit::LeaseSpec) -> Result<LeaseSpec, Fault> {
    let seconds = 1..=limits::PLUGIN_LEASE_SECONDS;
    if !seconds.contains(&spec.ttl_seconds) || !seconds.contains(&spec.max_ttl_seconds) {
        return Err(invalid("its lease has no usable end"));
    }
    if spec.ttl_seconds > spec.max_ttl_seconds {
        return Err(invalid("its lease is longer than its longest"));
    }
    Ok(LeaseSpec {
        ttl: Duration::from_secs(spec.ttl_seconds),
        max_ttl: Duration::from_secs(spec.max_ttl_seconds),
        renewable: spec.renewable,
        internal: internal(spec.internal)?,
    })
}

pub(super) fn step(step: auth::Step, most: usize) -> Result<Step, Fault> {
    match step {
        auth::Step::Identity(answer) => identity(answer).map(Step::Identity),
        auth::Step::Challenge(answer) => challenge(answer, most).map(Step::Challenge),
    }
}

/// Can somebody, or a group, be known by this?
pub fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.len() <= limits::PLUGIN_TEXT_BYTES && !text.contains('\0')
}

pub(super) fn identity(answer: auth::Identity) -> Result<Identity, Fault> {
    if !is_subject(&answer.subject) {
        return Err(invalid("its identity has no usable subject"));
    }
    if answer.groups.len() > limits::PLUGIN_GROUPS || !answer.groups.iter().all(|group| is_subject(group)) {
        return Err(invalid("its identity has no usable groups"));
    }
    if answer.metadata.len() > limits::PLUGIN_PROBLEMS {
        return Err(invalid("its identity has too much metadata"));
    }
    let metadata: BTreeMap<_, _> =
        answer.metadata.into_iter().map(|field| (shortened(&field.name), shortened(&field.value))).collect();
    Ok(Identity {
        subject: answer.subject,
        display_name: shortened(&answer.display_name),
        groups: answer.groups,
        metadata,
        limits: session_limits(answer.limits)?,
        internal: internal(answer.internal)?,
    })
}

/// A limit that cannot be read must not fall away.
fn session_limits(said: auth::SessionLimits) -> Result<SessionLimits, Fault> {
    if said.ttl_seconds == Some(0) || said.max_uses == Some(0) {
        return Err(invalid("it limits the session to nothing"));
    }
    let network = |text: &String| {
        let alone = || text.parse::<std::net::IpAddr>().map(ipnet::IpNet::from);
        text.parse::<ipnet::IpNet>().or_else(|_| alone()).map_err(|_| invalid("it names an address that is none"))
    };
    let addresses = said.addresses.map(|all| match all.len() <= limits::PLUGIN_PROBLEMS {
        true => all.iter().map(network).collect::<Result<Vec<_>, _>>(),
        false => Err(invalid("it names too many addresses")),
    });
    Ok(SessionLimits {
        ttl: said.ttl_seconds.map(Duration::from_secs),
        max_uses: said.max_uses,
        addresses: addresses.transpose()?,
        renewable: said.renewable,
    })
}

fn challenge(answer: auth::Challenge, most: usize) -> Result<Challenge, Fault> {
    let kind = answer.kind.as_str();
    if kind.is_empty() || kind.len() > 32 || !kind.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
        return Err(invalid("its challenge is of no kind"));
    }
    let expires_in = Duration::from_secs(answer.expires_in_seconds.into());
    if expires_in.is_zero() || expires_in > limits::PLUGIN_CHALLENGE_WAIT {
        return Err(invalid("its challenge has no usable end"));
    }
    Ok(Challenge {
        details: object(answer.details, most)?,
        expires_in,
        poll_interval: answer.poll_interval_seconds.map(|seconds| Duration::from_secs(seconds.into())),
        state: internal(answer.state)?,
        kind: answer.kind,
    })
}

/// A JSON object, or nothing.
pub(super) fn object(bytes: Vec<u8>, most: usize) -> Result<Bytes, Fault> {
    json(bytes, most, b'{')
}

/// A JSON array, or nothing.
pub(super) fn array(bytes: Vec<u8>, most: usize) -> Result<Bytes, Fault> {
    json(bytes, most, b'[')
}

fn json(bytes: Vec<u8>, most: usize, opening: u8) -> Result<Bytes, Fault> {
    let bytes = Bytes::from(bytes);
    if bytes.len() > most {
        return Err(Fault::Limit("answer"));
    }
    if bytes.is_empty() {
        return Ok(bytes);
    }
    let text = std::str::from_utf8(&bytes).map_err(|_| invalid("its answer is not UTF-8"))?;
    let (depth, values) = extent(text);
    if text.trim_ascii_start().as_bytes().first() != Some(&opening)
        || depth > limits::JSON_DEPTH + limits::ANSWER_WRAPPING
    {
        return Err(invalid("its answer is not JSON of the shape that is asked for"));
    }
    // Before it is read: each takes many times its bytes then.
    if values > limits::ANSWER_VALUES {
        return Err(Fault::Limit("answer"));
    }
    // As it will be read: a number beyond all bounds, or half a surrogate pair, is no answer.
    serde_json::from_str::<serde_json::Value>(text).map_err(|_| invalid("its answer is not JSON"))?;
    Ok(bytes)
}

/// How deep the brackets go, and how many values there are at most. Of well-formed JSON only, which is checked beside it.
fn extent(text: &str) -> (usize, usize) {
    let (mut depth, mut deepest, mut values, mut quoted, mut escaped) = (0_usize, 0, 1, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => values += 1,
            b'{' | b'[' if !quoted => {
                values += 1;
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    (deepest, values)
}

fn internal(bytes: Vec<u8>) -> Result<Bytes, Fault> {
    match bytes.len() <= limits::PLUGIN_INTERNAL_BYTES {
        true => Ok(bytes.into()),
        false => Err(invalid("it gives too much to keep")),
    }
}

fn texts(texts: Vec<String>) -> Vec<String> {
    texts.iter().map(|text| shortened(text)).collect()
}

fn invalid(why: &str) -> Fault {
    Fault::Invalid(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_more_values_than_anybody_needs_is_refused_before_it_is_read() {
        let most = crate::runtime::Bounds::default().answer;
        let of = |values: usize| object(format!(r#"{{"a":[{}]}}"#, vec!["{}"; values].join(",")).into_bytes(), most);
        assert!(of(limits::JSON_MEMBERS).is_ok(), "what could be sent can be told");
        assert!(matches!(of(limits::ANSWER_VALUES), Err(Fault::Limit("answer"))));
        let members: Vec<String> = (0..limits::ANSWER_VALUES).map(|n| format!("\"{n}\":{{}}")).collect();
        let members = object(format!("{{{}}}", members.join(",")).into_bytes(), most);
        assert!(matches!(members, Err(Fault::Limit("answer"))));
        let text = format!(r#"{{"a":"{}"}}"#, r#"{,[\","#.repeat(100_000));
        assert!(object(text.into_bytes(), most).is_ok(), "a text is one value, whatever it says");
    }
}
