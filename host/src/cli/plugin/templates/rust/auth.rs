use coffer_plugin_sdk::{from_json, prelude::*, serde_json::Value};

/// Needs no configuration.
#[derive(Deserialize)]
pub struct Plugin {}

/// What a login takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// Whom it names the server has found out: `context::login_user`.
    #[serde(rename = "username")]
    _username: String,
    pin: String,
}

/// What a user sets for logins to come.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    pin: String,
}

/// What is stored of it, under the user's id.
#[derive(Serialize, Deserialize)]
struct Stored {
    hash: String,
    since: Timestamp,
}

/// What the server keeps of a login, for `refresh`.
#[derive(Serialize, Deserialize)]
struct Proof {
    user: String,
}

impl Auth for Plugin {
    type Login = Login;

    fn login(&self, login: Login) -> Result<Step> {
        let user = context::login_user();
        // With nobody's hash it does the same work, and answers false.
        let right = is_right(user.as_deref().unwrap_or("-"), &login.pin)?;
        let user = user.filter(|_| right).ok_or_else(Error::denied)?;
        Ok(identity(user)?.into())
    }

    /// A session is renewed: is this identity still good?
    fn refresh(&self, internal: Vec<u8>) -> Result<Identity> {
        let Proof { user } = from_json(&internal)?;
        find(&user)?.ok_or_else(Error::denied)?;
        identity(user)
    }
}

impl Credentials for Plugin {
    type Credential = Pin;

    fn enroll(&self, subject: &str, _id: Option<&str>, Pin { pin }: Pin) -> Result<Option<Value>> {
        if pin.len() < 4 {
            return Err(Error::invalid("/pin", "invalid_value", "must have four digits or more"));
        }
        let stored = Stored { hash: crypto::password_hash(&pin)?, since: time::now() };
        storage::put(subject, &stored, None)?;
        Ok(None)
    }

    fn verify(&self, subject: &str, Pin { pin }: Pin) -> Result<bool> {
        is_right(subject, &pin)
    }

    fn list(&self, subject: &str) -> Result<Vec<Credential>> {
        Ok(find(subject)?.map(|stored| Credential::new("pin", stored.since)).into_iter().collect())
    }

    fn remove(&self, subject: &str, id: Option<&str>) -> Result<()> {
        match id {
            None | Some("pin") => storage::delete(subject),
            Some(_) => Ok(()),
        }
    }
}

fn is_right(user: &str, pin: &str) -> Result<bool> {
    let stored = find(user)?;
    crypto::password_verify(pin, stored.as_ref().map(|stored| stored.hash.as_str()))
}

fn find(user: &str) -> Result<Option<Stored>> {
    Ok(storage::get(user)?.map(|entry| entry.value))
}

fn identity(user: String) -> Result<Identity> {
    Identity::new(user.clone()).with_internal(&Proof { user })
}

coffer_plugin_sdk::export!(Plugin: auth, credentials);
