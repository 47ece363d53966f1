use coffer_otp::{Seed, Shape, wait};
use coffer_plugin_sdk::prelude::*;
use data_encoding::{BASE32_NOPAD, HEXLOWER};

/// Apps of one user, those that wait to be confirmed with them.
const APPS: usize = 8;
/// How long one waits.
const PENDING: Span = Span::from_secs(15 * 60);

pub const RECOVERY: &str = "recovery";
const RECOVERY_CODES: usize = 10;
/// 80 bits: 16 characters of base32.
const RECOVERY_BYTES: u32 = 10;

/// All that a user has.
#[derive(Serialize, Deserialize)]
pub struct User {
    pub id: String,
    apps: Vec<App>,
    recovery: Option<Recovery>,
    /// Wrong codes in a row, and when the last one was shown, in milliseconds.
    wrong: u32,
    wrong_at: u64,
}

#[derive(Serialize, Deserialize)]
pub struct App {
    id: String,
    label: Option<String>,
    seed: Seed,
    shape: Shape,
    created_at: Timestamp,
    confirmed_at: Option<Timestamp>,
    /// The period of the last code that was taken: it and those before it are spent.
    used: Option<u64>,
}

/// Codes on paper, each good once.
#[derive(Serialize, Deserialize)]
struct Recovery {
    /// SHA-256 of each: they have 80 random bits, so nobody finds one by trying.
    hashes: Vec<String>,
    created_at: Timestamp,
    updated_at: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    Right,
    Wrong,
}

impl App {
    pub fn new(seed: Seed, label: Option<String>) -> Self {
        let (id, shape) = (crypto::random_id(), Shape::default());
        Self { id, label, seed, shape, created_at: time::now(), confirmed_at: None, used: None }
    }

    /// Spends the code if it is right.
    fn take(&mut self, code: &str, drift: u64) -> bool {
        let found = self.shape.find(&self.seed, code, self.shape.step(time::now().millis()), drift, self.used);
        self.used = found.or(self.used);
        found.is_some()
    }

    fn is_stale(&self) -> bool {
        self.confirmed_at.is_none() && self.created_at.after(PENDING) <= time::now()
    }
}

fn place(id: &str) -> String {
    format!("user/{id}")
}

impl User {
    pub fn new(id: &str) -> Self {
        Self { id: id.to_owned(), apps: Vec::new(), recovery: None, wrong: 0, wrong_at: 0 }
    }

    pub fn find(id: &str) -> Result<Option<Self>> {
        let mut found = storage::get::<Self>(&place(id))?.map(|entry| entry.value);
        if let Some(user) = &mut found {
            user.apps.retain(|app| !app.is_stale());
        }
        Ok(found)
    }

    pub fn save(&self) -> Result<()> {
        storage::put(&place(&self.id), self, None)
    }

    pub fn forget(self) -> Result<()> {
        storage::delete(&place(&self.id))
    }

    pub fn is_enrolled(&self) -> bool {
        self.apps.iter().any(|app| app.confirmed_at.is_some())
    }

    /// Who has guessed too often is told when to come back, whatever the code.
    pub fn must_wait(&self) -> Result<()> {
        match wait(self.wrong, self.wrong_at, time::now().millis()) {
            0 => Ok(()),
            wait => Err(Error::rate_limited(u32::try_from(wait).unwrap_or(u32::MAX))),
        }
    }

    /// Spends a code of any of the apps, or a recovery code, and counts a wrong one.
    pub fn take(&mut self, code: &str, drift: u64) -> Result<Found> {
        let mut is_right = false;
        for app in self.apps.iter_mut().filter(|app| app.confirmed_at.is_some()) {
            is_right |= app.take(code, drift);
        }
        is_right = is_right || self.take_recovery(code)?;
        (self.wrong, self.wrong_at) = match is_right {
            true => (0, 0),
            false => (self.wrong.saturating_add(1), time::now().millis()),
        };
        Ok(if is_right { Found::Right } else { Found::Wrong })
    }

    fn take_recovery(&mut self, code: &str) -> Result<bool> {
        let Some(recovery) = &mut self.recovery else { return Ok(false) };
        let hash = hash(code)?;
        let before = recovery.hashes.len();
        recovery.hashes.retain(|kept| !crypto::constant_time_eq(kept.as_bytes(), hash.as_bytes()));
        let is_right = recovery.hashes.len() < before;
        if is_right {
            recovery.updated_at = time::now();
        }
        Ok(is_right)
    }

    /// Says under which id.
    pub fn add(&mut self, app: App) -> Result<String> {
        if self.apps.len() >= APPS {
            return Err(Error::invalid("", "too_many", "a user has at most 8 authenticators"));
        }
        let id = app.id.clone();
        self.apps.push(app);
        Ok(id)
    }

    /// A new app counts from its first right code.
    pub fn confirm(&mut self, id: &str, code: &str, drift: u64) -> Result<bool> {
        let app = self.apps.iter_mut().find(|app| app.id == id);
        let app = app.ok_or_else(|| Error::invalid("/id", "not_found", "is not an authenticator of this user"))?;
        let is_right = app.take(code, drift);
        if is_right && app.confirmed_at.is_none() {
            app.confirmed_at = Some(time::now());
        }
        Ok(is_right)
    }

    /// New codes; the old ones are good no more.
    pub fn make_recovery(&mut self) -> Result<Vec<String>> {
        if !self.is_enrolled() {
            return Err(Error::invalid("/recovery", "invalid_value", "is for who has an authenticator"));
        }
        let code = |_| {
            let text = BASE32_NOPAD.encode(&crypto::random(RECOVERY_BYTES)).to_ascii_lowercase();
            [&text[..4], &text[4..8], &text[8..12], &text[12..]].join("-")
        };
        let codes: Vec<String> = (0..RECOVERY_CODES).map(code).collect();
        let hashes = codes.iter().map(|code| hash(code)).collect::<Result<_>>()?;
        let now = time::now();
        self.recovery = Some(Recovery { hashes, created_at: now, updated_at: now });
        Ok(codes)
    }

    pub fn told(&self) -> Vec<Credential> {
        let app = |app: &App| {
            let told = Credential::new(app.id.clone(), app.created_at).with("pending", app.confirmed_at.is_none());
            let told = told.updated_at(app.confirmed_at.unwrap_or(app.created_at));
            match &app.label {
                Some(label) => told.with("label", label.clone()),
                None => told,
            }
        };
        let recovery = |kept: &Recovery| {
            Credential::new(RECOVERY, kept.created_at).updated_at(kept.updated_at).with("left", kept.hashes.len())
        };
        self.apps.iter().map(app).chain(self.recovery.as_ref().map(recovery)).collect()
    }

    /// With the last app go the recovery codes: there is nothing left to recover.
    pub fn remove(&mut self, id: &str) {
        self.apps.retain(|app| app.id != id);
        if id == RECOVERY || !self.is_enrolled() {
            self.recovery = None;
        }
    }
}

/// As people write it down and type it in.
fn hash(code: &str) -> Result<String> {
    let plain: String = code.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    Ok(HEXLOWER.encode(&crypto::hash("sha256", plain.to_ascii_lowercase().as_bytes())?))
}
