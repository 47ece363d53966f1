//! The audit trail of one request: a record once it is decided and before anything changes, one
//! before the answer leaves. No sink, no work.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::Request,
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    client_address::ClientAddress,
    error::{ApiError, Kind},
    query,
};
use crate::{
    audit::{Audit, Phase, Record, Who},
    ids::RequestId,
    policy::Reason,
    session::Session,
    telemetry::Requests,
};

/// Stands in the extensions of every request.
#[derive(Clone, Debug)]
pub struct Trail(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    audit: Audit,
    request: RequestId,
    address: Option<IpAddr>,
    so_far: Mutex<SoFar>,
}

#[derive(Debug, Default)]
struct SoFar {
    decided: bool,
    /// Nothing is recorded of what is public and changes nothing.
    public: bool,
    operation: Option<&'static str>,
    who: Who,
    about: About,
}

/// What is asked for, and what was decided about it.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub resource: Option<String>,
    pub action: Option<String>,
    pub decision: Option<Decision>,
    /// Hashed already.
    pub values: std::collections::BTreeMap<String, String>,
}

/// What was decided, and by what.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Allowed or denied, as the reason says.
    ByPolicies(Reason),
    /// Of the caller's own: nobody else's permission is needed.
    Own,
    /// What was sent is to prove it, and is looked at from here on.
    Tried,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByPolicies(reason) if reason.allows() => write!(f, "allowed: {reason}"),
            Self::ByPolicies(reason) => write!(f, "denied: {reason}"),
            Self::Own => f.write_str("allowed: own"),
            Self::Tried => f.write_str("tried"),
        }
    }
}

impl About {
    /// Of the caller's own.
    pub fn own(resource: Option<String>) -> Self {
        Self { resource, decision: Some(Decision::Own), ..Self::default() }
    }

    pub fn tried(resource: Option<String>) -> Self {
        Self { resource, decision: Some(Decision::Tried), ..Self::default() }
    }
}

/// Below it stand users by name.
const USERS: &str = "sys/users/";

impl Trail {
    fn new(audit: Audit, request: RequestId, address: Option<IpAddr>) -> Self {
        Self(Arc::new(Inner { audit, request, address, so_far: Mutex::default() }))
    }

    /// A request that anybody may make and that changes nothing: health, status, documentation.
    pub fn public(&self) {
        self.lock().public = true;
    }

    /// It is known who asks, though not yet what becomes of it.
    pub fn known(&self, operation: &'static str, who: Who) {
        let mut so_far = self.lock();
        so_far.operation = Some(operation);
        so_far.who = who;
    }

    /// A session was made or gone on with: the answer's record names whose.
    pub fn made(&self, session: &Session) {
        let mut so_far = self.lock();
        so_far.who.session = Some(session.id.clone());
        so_far.who.user = Some(session.user.clone());
        so_far.who.mount = Some(session.mount.clone());
        so_far.who.method = Some(session.method.clone());
    }

    /// What it turned out to be about.
    pub fn about(&self, resource: String) {
        self.lock().about.resource = Some(resource);
    }

    /// For metrics: a word of ours, whatever was asked for.
    fn operation(&self) -> &'static str {
        let so_far = self.lock();
        so_far.operation.unwrap_or(if so_far.public { "public" } else { "unknown" })
    }

    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    pub fn request(&self) -> &RequestId {
        &self.0.request
    }

    /// The first record. If it cannot be made, nothing is done.
    pub async fn decided(&self, operation: &'static str, who: Who, about: About) -> Result<(), ApiError> {
        self.known(operation, who);
        self.lock().about = about;
        let record = self.record(Phase::Decided);
        self.0.audit.record(record).await.map_err(|error| ApiError::new(Kind::Unavailable).caused_by(error))?;
        self.lock().decided = true;
        Ok(())
    }

    /// The second record, or the only one of a request that was turned away before it was decided.
    async fn answered(&self, response: Response) -> Response {
        if self.lock().public {
            return response;
        }
        let phase = if self.lock().decided { Phase::Answered } else { Phase::Refused };
        let mut record = self.record(phase);
        record.status = Some(response.status().as_u16());
        if let Some(error) = response.extensions().get::<ApiError>() {
            record.cause = Some(cause(error));
        }
        match self.0.audit.record(record).await {
            Ok(()) => response,
            Err(error) => ApiError::new(Kind::Unavailable).caused_by(error).into_response(),
        }
    }

    fn record(&self, phase: Phase) -> Record {
        let so_far = self.lock();
        let mut record = Record::new(phase, so_far.operation.unwrap_or("unknown"));
        record.request = Some(self.0.request.clone());
        record.address = self.0.address;
        record.who = so_far.who.clone();
        let about = so_far.about.clone();
        record.resource = about.resource.map(|resource| query::without_tokens(&self.without_name(resource)));
        record.action = about.action;
        record.decision = about.decision.map(|decision| decision.to_string());
        record.values = about.values;
        record
    }

    /// Names of users change hands and stand in no trail: ids do, and hashes that tell equal from
    /// different.
    fn without_name(&self, resource: String) -> String {
        let Some(below) = resource.strip_prefix(USERS) else { return resource };
        let (name, rest) = below.split_at(below.find('/').unwrap_or(below.len()));
        format!("{USERS}{}{rest}", self.0.audit.hash(name).unwrap_or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, SoFar> {
        self.0.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The layer. It stands outside of everything that can refuse, so that all refusals are recorded.
pub async fn layer(audit: Audit, requests: &Requests, mut request: Request, next: Next) -> Response {
    let serving = requests.begin();
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::new);
    let address = request.extensions().get::<ClientAddress>().and_then(|client| client.address);
    let trail = Trail::new(audit, id, address);
    request.extensions_mut().insert(trail.clone());
    let response = next.run(request).await;
    let response = trail.answered(response).await;
    serving.answered(trail.operation(), response.status().as_u16());
    response
}

/// Everything that is known of why, in our words and those of the modules below.
fn cause(error: &ApiError) -> String {
    let mut text = error.kind().code().to_owned();
    let mut cause = error.cause().map(|cause| cause as &dyn std::error::Error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text.chars().filter(|c| !c.is_control()).take(crate::limits::AUDIT_CAUSE).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_decision_reads_as_the_trail_has_always_had_it() {
        let allowed = Reason::Allowed(["p/2", "p/1"].map(str::to_owned).into_iter().collect());
        let decisions = [
            (Decision::ByPolicies(allowed), "allowed: allowed by p/1, p/2"),
            (Decision::ByPolicies(Reason::Root), "allowed: allowed by the root token"),
            (Decision::ByPolicies(Reason::NoPolicy), "denied: no policy allows"),
            (Decision::ByPolicies(Reason::Scope), "denied: scope"),
            (Decision::Own, "allowed: own"),
            (Decision::Tried, "tried"),
        ];
        for (decision, text) in decisions {
            assert_eq!(decision.to_string(), text);
        }
    }
}
