use std::time::Duration;

use super::{
    Leases,
    granted_action::GrantedAction,
    record::{Internal, Lease, Record},
};
use crate::{
    barrier::Writes,
    clock::Timestamp,
    ids::{LeaseId, MountId, RequestId, SecretPath, SessionId, UserId},
    runtime::types::LeaseSpec,
};

/// To whom something is lent.
#[derive(Clone, Debug)]
pub struct Borrower {
    pub user: UserId,
    pub session: SessionId,
    /// The session's: no lease outlives it.
    pub ends_at: Timestamp,
    pub request: RequestId,
    /// What was permitted when it was lent.
    pub granted: GrantedAction,
}

impl Leases {
    /// Adds the lease to the batch of the call that it came of.
    pub fn issue(
        &self,
        to: &mut Writes,
        mount: &MountId,
        path: &SecretPath,
        borrower: &Borrower,
        spec: LeaseSpec,
    ) -> Lease {
        let now = self.0.clock.now();
        let max_expires_at = now.after(spec.max_ttl).min(borrower.ends_at);
        let expires_at = now.after(spec.ttl).min(max_expires_at);
        let id = LeaseId::new();
        let record = Record {
            mount: mount.clone(),
            path: format!("secrets/{path}"),
            user: Some(borrower.user.clone()),
            session: Some(borrower.session.clone()),
            request: borrower.request.to_string(),
            granted: Some(borrower.granted.clone()),
            made_at: now,
            renewed_at: None,
            expires_at,
            max_expires_at,
            renewable: spec.renewable,
            span: spec.ttl.max(Duration::from_secs(1)).as_secs(),
            internal: Internal(spec.internal),
            due: expires_at,
            claimed: false,
            ending: false,
            failures: 0,
            reason: None,
        };
        let issued = self.store().insert(to, &id, record);
        Lease::of(&id, &issued.value, now)
    }
}
