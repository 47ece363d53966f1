//! The passwords of Coffer's own users: one each, as an Argon2id hash that the host makes.
//!
//! The rules for a good password are the server's (`sys/security`); here only its type and bounds
//! are looked at. Stored is one entry for each user, `user/<id>`, and one of nobody's, so that a
//! refusal takes the same reading and hashing whether or not there is such a user.

use coffer_plugin_sdk::{prelude::*, serde_json::Value};

/// Needs no configuration.
#[derive(Deserialize, Debug)]
pub struct Password;

/// The one credential that a user has here.
const ID: &str = "password";
/// Nobody's id.
const NOBODY: &str = "-";
/// Far beyond what the server's rules allow: 1,024 characters of four bytes.
const PASSWORD_BYTES: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Whom it names the host has found out: `context::login_user`.
    #[serde(rename = "username")]
    _username: String,
    password: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {
    password: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    phc: String,
    /// Another one with each new password, and never the same again: sessions begun with an older
    /// password are not renewed.
    generation: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

/// What the host keeps of a login, for `refresh`.
#[derive(Serialize, Deserialize)]
struct Proof {
    user: String,
    generation: String,
}

impl Auth for Password {
    type Login = Login;

    fn login(&self, login: Login) -> Result<Step> {
        let user = context::login_user();
        let stored = find(user.as_deref().unwrap_or(NOBODY))?;
        // An unknown user, or one without a password, costs as much as a wrong password.
        let is_right = crypto::password_verify(&login.password, stored.as_ref().map(|stored| stored.phc.as_str()))?;
        let (Some(user), Some(mut stored), true) = (user, stored, is_right) else { return Err(Error::denied()) };
        if crypto::password_outdated(&stored.phc) {
            stored.phc = crypto::password_hash(&login.password)?;
            storage::put(&key(&user), &stored, None)?;
        }
        Ok(identity(user, stored.generation)?.into())
    }

    fn refresh(&self, internal: Vec<u8>) -> Result<Identity> {
        let proof: Proof = coffer_plugin_sdk::from_json(&internal).map_err(|_| Error::denied())?;
        match find(&proof.user)? {
            Some(stored) if stored.generation == proof.generation => identity(proof.user, stored.generation),
            _ => Err(Error::denied()),
        }
    }
}

impl Credentials for Password {
    type Credential = Plain;

    fn enroll(&self, subject: &str, id: Option<&str>, plain: Plain) -> Result<Option<Value>> {
        if id.is_some_and(|id| id != ID) {
            return Err(Error::invalid("", "invalid_value", "a user has one password, and its id is password"));
        }
        match plain.password.len() {
            0 => return Err(Error::invalid("/password", "out_of_range", "must not be empty")),
            1..=PASSWORD_BYTES => {}
            _ => return Err(Error::invalid("/password", "out_of_range", "must be at most 4096 bytes long")),
        }
        let (phc, generation, now) = (crypto::password_hash(&plain.password)?, crypto::random_id(), time::now());
        let created_at = find(subject)?.map_or(now, |before| before.created_at);
        storage::put(&key(subject), &Stored { phc, generation, created_at, updated_at: now }, None)?;
        ensure_nobody(now)?;
        Ok(None)
    }

    fn verify(&self, subject: &str, plain: Plain) -> Result<bool> {
        let stored = find(subject)?;
        crypto::password_verify(&plain.password, stored.as_ref().map(|stored| stored.phc.as_str()))
    }

    fn list(&self, subject: &str) -> Result<Vec<Credential>> {
        let credential = |stored: Stored| Credential::new(ID, stored.created_at).updated_at(stored.updated_at);
        Ok(find(subject)?.map(credential).into_iter().collect())
    }

    fn remove(&self, subject: &str, id: Option<&str>) -> Result<()> {
        match id {
            None | Some(ID) if find(subject)?.is_some() => storage::delete(&key(subject)),
            _ => Ok(()),
        }
    }
}

/// A password that nobody knows, to be compared with what is said in the name of nobody.
fn ensure_nobody(now: Timestamp) -> Result<()> {
    if find(NOBODY)?.is_some() {
        return Ok(());
    }
    let (phc, generation) = (crypto::password_hash(&crypto::random_id())?, crypto::random_id());
    storage::put(&key(NOBODY), &Stored { phc, generation, created_at: now, updated_at: now }, None)
}

fn key(user: &str) -> String {
    format!("user/{user}")
}

fn find(user: &str) -> Result<Option<Stored>> {
    Ok(storage::get(&key(user))?.map(|entry| entry.value))
}

fn identity(user: String, generation: String) -> Result<Identity> {
    Identity::new(user.clone()).with_internal(&Proof { user, generation })
}

coffer_plugin_sdk::export!(Password: auth, credentials);
