//! A second factor: codes by time (RFC 6238) from an app that the user keeps, and recovery codes on paper.
//!
//! It never says who somebody is: the host asks it about a user whom another mount has proven. All that a user has is one
//! entry, `user/<id>`, so that of two logins with one code one succeeds. A new authenticator counts from
//! the first code that it has shown: a seed that never arrived locks nobody out.

use coffer_otp::{Otpauth, Seed, Shape, otpauth};
use coffer_plugin_sdk::{
    from_json,
    prelude::*,
    serde_json::{Value, json},
};

mod user;

use user::{App, Found, User};

/// The configuration of a mount.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Authenticator {
    #[serde(default = "coffer")]
    issuer: String,
    #[serde(default = "one")]
    drift: u64,
}

fn coffer() -> String {
    "Coffer".to_owned()
}

const fn one() -> u64 {
    1
}

const TEXT_BYTES: usize = 100;
/// RFC 4226 section 4 recommends 160 bits.
const SEED_BYTES: u32 = 20;
/// How long a login waits for the code.
const PATIENCE_SECONDS: u32 = 300;

/// Without a code, one is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    code: String,
}

/// Whose code is waited for.
#[derive(Serialize, Deserialize)]
struct Waiting {
    user: String,
}

/// Of a login, for `refresh`.
#[derive(Serialize, Deserialize)]
struct Proof {
    user: String,
}

/// To enrol: nothing, or what an app is to show. To confirm: the id, and a code. For recovery codes: `recovery`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {
    /// For people who have several: "phone".
    label: Option<String>,
    /// What an app shows; the user's name if left out.
    account: Option<String>,
    code: Option<String>,
    #[serde(default)]
    recovery: bool,
}

impl Auth for Authenticator {
    type Login = Login;

    fn login(&self, login: Login) -> Result<Step> {
        // Nobody is asked about: this is no way to log in by itself.
        let id = context::login_user().ok_or_else(Error::denied)?;
        let user = User::find(&id)?.filter(User::is_enrolled).ok_or_else(Error::denied)?;
        match login.code {
            Some(code) => self.judge(user, &code),
            None => ask(&user, false),
        }
    }

    fn resume(&self, state: Vec<u8>, answer: Vec<u8>) -> Result<Step> {
        let waiting: Waiting = from_json(&state).map_err(|_| Error::denied())?;
        let id = context::login_user().filter(|id| *id == waiting.user).ok_or_else(Error::denied)?;
        let user = User::find(&id)?.filter(User::is_enrolled).ok_or_else(Error::denied)?;
        let Answer { code } = from_json(&answer)?;
        self.judge(user, &code)
    }

    fn refresh(&self, internal: Vec<u8>) -> Result<Identity> {
        let proof: Proof = from_json(&internal).map_err(|_| Error::denied())?;
        let user = User::find(&proof.user)?.filter(User::is_enrolled).ok_or_else(Error::denied)?;
        identity(&user)
    }
}

impl Authenticator {
    /// A wrong code is answered by asking again: what an error has written is not kept, and it is to be counted.
    fn judge(&self, mut user: User, code: &str) -> Result<Step> {
        user.must_wait()?;
        let found = user.take(code, self.drift)?;
        user.save()?;
        match found {
            Found::Right => Ok(identity(&user)?.into()),
            Found::Wrong => ask(&user, true),
        }
    }
}

fn ask(user: &User, is_wrong: bool) -> Result<Step> {
    let message = match is_wrong {
        true => "That code is wrong, too old or used already. Wait for the next one that your app shows.",
        false => "The code that your authenticator app shows, or a recovery code.",
    };
    let details = json!({ "message": message, "member": "code", "wrong": is_wrong });
    let state = serialised(&Waiting { user: user.id.clone() })?;
    Ok(Challenge {
        kind: "prompt".to_owned(),
        details: serialised(&details)?,
        expires_in_seconds: PATIENCE_SECONDS,
        poll_interval_seconds: None,
        state,
    }
    .into())
}

fn serialised(value: &impl Serialize) -> Result<Vec<u8>> {
    coffer_plugin_sdk::serde_json::to_vec(value).map_err(|_| Error::internal("a challenge does not serialise"))
}

fn identity(user: &User) -> Result<Identity> {
    Identity::new(user.id.clone()).with_internal(&Proof { user: user.id.clone() })
}

impl Credentials for Authenticator {
    type Credential = Plain;

    fn enroll(&self, subject: &str, id: Option<&str>, plain: Plain) -> Result<Option<Value>> {
        let mut user = User::find(subject)?.unwrap_or_else(|| User::new(subject));
        let made = match (id, &plain.code) {
            (Some(id), Some(code)) => {
                let is_right = user.confirm(id, code, self.drift)?;
                if !is_right {
                    return Err(Error::invalid("/code", "wrong_code", "is not the code of this moment"));
                }
                json!({ "id": id, "pending": false })
            }
            (Some(_), None) => return Err(Error::invalid("/code", "missing", "is required to confirm a credential")),
            (None, Some(_)) => return Err(Error::invalid("/code", "invalid_value", "goes with the id it confirms")),
            (None, None) if plain.recovery => json!({ "id": user::RECOVERY, "codes": user.make_recovery()? }),
            (None, None) => self.add(&mut user, plain)?,
        };
        user.save()?;
        Ok(Some(made))
    }

    /// Takes the code like a login does: it is good once.
    fn verify(&self, subject: &str, plain: Plain) -> Result<bool> {
        let code = plain.code.ok_or_else(|| Error::invalid("/code", "missing", "is required"))?;
        let Some(mut user) = User::find(subject)?.filter(User::is_enrolled) else { return Ok(false) };
        user.must_wait()?;
        let found = user.take(&code, self.drift)?;
        user.save()?;
        Ok(found == Found::Right)
    }

    fn list(&self, subject: &str) -> Result<Vec<Credential>> {
        Ok(User::find(subject)?.map(|user| user.told()).unwrap_or_default())
    }

    fn remove(&self, subject: &str, id: Option<&str>) -> Result<()> {
        match (User::find(subject)?, id) {
            (None, _) => Ok(()),
            (Some(user), None) => user.forget(),
            (Some(mut user), Some(id)) => {
                user.remove(id);
                user.save()
            }
        }
    }
}

impl Authenticator {
    fn add(&self, user: &mut User, plain: Plain) -> Result<Value> {
        for (at, text) in [("/label", &plain.label), ("/account", &plain.account)] {
            if text.as_ref().is_some_and(|text| text.is_empty() || text.len() > TEXT_BYTES) {
                return Err(Error::invalid(at, "out_of_range", "must be 1 to 100 bytes long"));
            }
        }
        let account = plain.account.or_else(context::principal_name).unwrap_or_else(|| user.id.clone());
        let (seed, shape) = (Seed(crypto::random(SEED_BYTES)), Shape::default());
        let id = user.add(App::new(seed.clone(), plain.label))?;
        let url = otpauth(&Otpauth { issuer: self.issuer.clone(), account, seed: seed.clone(), shape });
        Ok(json!({ "id": id, "pending": true, "url": url, "secret": seed.text() }))
    }
}

coffer_plugin_sdk::export!(Authenticator: auth, credentials);
