use std::net::IpAddr;

use serde_json::json;
use zeroize::Zeroizing;

use super::{Counter, Error, PasswordPath, Refusal, Users, credential, refused};
use crate::{
    barrier::{self, Writes},
    directory::{Kind, User},
    ids::{RequestId, Username},
    limits,
    mount::Mount,
    policy::{Permit, Update},
    runtime::{self, Facts, types::Step},
    sensitive::Secret,
    session::{Kept, Session},
    throttle::{self, Try},
};

/// Somebody's own new password, and the proof that it is theirs to change.
#[derive(Debug)]
pub struct OwnPassword {
    pub current: Secret<String>,
    pub new: Secret<String>,
    /// Where it is asked from: the current password can be guessed here as at a login.
    pub address: Option<IpAddr>,
    pub request: RequestId,
}

enum Proof {
    Right,
    Wrong,
}

impl Users {
    /// One's own password, by the current one. All sessions end but the one that does it. True:
    /// that one lives on.
    pub async fn change_own_password(&self, session: &Session, change: OwnPassword) -> Result<bool, Error> {
        let mount = self.passwords()?;
        let user = self.directory.user(&session.user).await?.ok_or(Error::NotFound("username"))?;
        let name = Some(user.username.as_str());
        // Whoever holds somebody's session guesses no faster than whoever holds nothing.
        let guess = self.throttle.begin(Try { realm: throttle::USERS, name, address: change.address }).await?;
        let changed = self.changed_by_proof(session, (&mount, &change), guess.is_slowed()).await;
        match &changed {
            Ok((Proof::Right, _)) => guess.right().await,
            Ok((Proof::Wrong, _)) => drop(guess),
            Err(_) => guess.void().await,
        }
        changed?.1
    }

    /// Whether the current password was right, and what became of the change.
    async fn changed_by_proof(
        &self,
        session: &Session,
        (mount, change): (&Mount, &OwnPassword),
        slowed: bool,
    ) -> Result<(Proof, Result<bool, Error>), Error> {
        let wrong = || Ok((Proof::Wrong, Err(Error::invalid("/current", "invalid_value", "is not the password"))));
        if change.current.reveal().len() > limits::PASSWORD_BYTES {
            return wrong();
        }
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let user = self.directory.hold(&mut writes, &session.user).await?;
            let mut attempt = self.about(mount, &user, &change.request)?;
            let subject = user.id.to_string();
            let verify = runtime::Verify { subject: subject.clone(), credential: credential(&change.current) };
            let proof = attempt.run(verify).await.map_err(|error| refused(error, "/current"))?;
            // Of a slowed name nothing is right, after the same work.
            if !proof.value || slowed {
                return wrong();
            }
            // After the proof: who does not know the password learns nothing of what it may be.
            if let Err(error) = self.check_password("/new", &change.new, &user.username) {
                return Ok((Proof::Right, Err(error)));
            }
            writes.merge(proof.writes);
            let enroll = runtime::Enroll { subject, id: None, credential: credential(&change.new) };
            let outcome = attempt.run(enroll).await.map_err(|error| refused(error, "/new"))?;
            writes.merge(outcome.writes);
            let kept = self.end_others_of(&mut writes, session, &user).await?;
            match self.barrier.commit(writes).await {
                Ok(()) => {}
                Err(barrier::Error::Conflict) => continue,
                Err(error) => return Err(error.into()),
            }
            let kept = match kept {
                Some(kept) => self.carry_over(session, kept, (mount, &user), change).await,
                None => false,
            };
            self.fence.settle(&[Counter::Epochs]).await;
            return Ok((Proof::Right, Ok(kept)));
        }
        Err(Refusal::Busy.into())
    }

    /// Somebody else's password. All of that user's sessions end.
    pub async fn set_password(
        &self,
        permit: Permit<Update, PasswordPath>,
        new: &Secret<String>,
        request: &RequestId,
    ) -> Result<Username, Error> {
        let PasswordPath(name) = permit.resource();
        let mount = self.passwords()?;
        for _ in 0..limits::CHANGE_ATTEMPTS {
            let mut writes = Writes::default();
            let user = self.hold(&mut writes, name).await?;
            self.check_may_manage_user(permit.caller(), &user)?;
            if user.kind == Kind::Machine {
                return Err(Error::invalid("", "invalid_value", "a machine has no password"));
            }
            self.check_password("/new", new, &user.username)?;
            let mut attempt = self.about(&mount, &user, request)?;
            let enroll = runtime::Enroll { subject: user.id.to_string(), id: None, credential: credential(new) };
            let outcome = attempt.run(enroll).await.map_err(|error| refused(error, "/new"))?;
            writes.merge(outcome.writes);
            self.end_all_of(&mut writes, &user);
            if self.commit(writes, &[Counter::Epochs]).await? {
                return Ok(user.username);
            }
        }
        Err(Refusal::Busy.into())
    }

    /// Takes the session over the epoch that it raised. What its plugin would be asked at a renewal
    /// is of the old password, so the new one proves itself once. If anything of this fails, the
    /// session has ended with the others.
    async fn carry_over(
        &self,
        session: &Session,
        kept: Kept,
        (mount, user): (&Mount, &User),
        change: &OwnPassword,
    ) -> bool {
        let internal = match session.mount == mount.id {
            true => match self.proven_anew(mount, user, change).await {
                Some(internal) => Some(internal),
                None => return false,
            },
            false => None,
        };
        let kept = self.sessions.keep(kept, internal).await;
        kept.inspect_err(|error| tracing::info!(%error, "a session ends with the password that it changed")).is_ok()
    }

    async fn proven_anew(&self, mount: &Mount, user: &User, change: &OwnPassword) -> Option<Vec<u8>> {
        let facts = Facts {
            mount_path: mount.name.to_string(),
            request_id: change.request.to_string(),
            login_user: Some(user.id.to_string()),
            ..Facts::default()
        };
        let body = json!({"username": user.username, "password": change.new.reveal()});
        let credentials = Zeroizing::new(serde_json::to_vec(&body).expect("JSON serialises"));
        let mut attempt = self.mounts.call(mount, facts, user.id.as_str()).ok()?;
        let outcome = attempt.run(runtime::Login { credentials: credentials.into() }).await.ok()?;
        match outcome.value {
            Step::Identity(identity) if identity.subject == user.id.as_str() => Some(identity.internal.to_vec()),
            Step::Identity(_) | Step::Challenge(_) => None,
        }
    }
}
