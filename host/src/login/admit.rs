use std::sync::Arc;

use serde_json::Value;

use super::{Attempt, Error, Login, Refusal, program::Proof};
use crate::{
    ids::Username,
    mount::{Kind, Live, Mount},
    problem::{self, Problem},
    throttle::{Guess, Try, USERS},
};

/// A login that may be tried, and counts as failed until it has succeeded.
#[derive(Debug)]
pub struct Admitted {
    pub(super) mount: Arc<Mount>,
    pub(super) live: Arc<Live>,
    /// Whom the credentials name, as they were sent.
    pub(super) name: Option<String>,
    /// The program that asks, if one said so.
    pub(super) program: Option<Proof>,
    pub(super) guess: Guess,
}

impl Login {
    /// Whether there may be a login from there, and by that name, just now. Nothing has been
    /// looked up yet, so a refusal tells nothing of the name; that a name is slowed is not told.
    pub async fn admit(&self, attempt: &mut Attempt) -> Result<Admitted, Error> {
        self.fresh().await?;
        self.mounts.come_up(&Kind::Auth.key(&attempt.mount)).await?;
        let mount = self.mounts.get(Kind::Auth, &attempt.mount).ok_or(Refusal::UnknownGrant)?;
        let live = mount.live()?.clone();
        // The program is who logs in.
        if live.takes_machines_only() {
            attempt.show_program();
        }
        let name = named(&live, attempt)?.map(str::to_owned);
        // Whole, before the login itself counts: who holds one guess and waits for another can wait for itself.
        let program = self.program(attempt.program.as_ref(), &attempt.client).await?;
        let realm = if live.proves_users() { USERS } else { mount.id.as_str() };
        let of = Try { realm, name: name.as_deref(), address: attempt.client.address };
        let guess = self.throttle.begin(of).await?;
        Ok(Admitted { mount, live, name, program, guess })
    }
}

impl Admitted {
    /// The name, if there is one, as the directory has it: one user's logins can be told to be one
    /// user's.
    pub fn name(&self) -> Option<String> {
        let name = self.name.as_deref()?;
        Some(Username::parse(name).map_or_else(|_| name.to_owned(), Into::into))
    }
}

/// What stands in the field that names a user, where the plugin says which one does.
fn named<'a>(live: &Live, attempt: &'a Attempt) -> Result<Option<&'a str>, Error> {
    let Some(field) = live.manifest().auth.identifier.as_deref() else { return Ok(None) };
    match attempt.credentials.0.get(field) {
        Some(Value::String(name)) => Ok(Some(name)),
        Some(_) => Err(invalid(field, "wrong_type", "must be a string")),
        None => Err(invalid(field, "missing", "is required")),
    }
}

fn invalid(field: &str, code: &'static str, message: &'static str) -> Error {
    Error::Invalid(vec![Problem::new(problem::pointer("", field), code, message)])
}
