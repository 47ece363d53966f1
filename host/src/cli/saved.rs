//! What `login` leaves behind: one file for each server, of mode 0600, with the session's tokens
//! and the certificate that the server is known by; and which server was the last.
//!
//! Whoever changes such a file holds its lock, so that of two commands that find the access token
//! near its end one renews it and the other takes what came of it.

use std::{
    env,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::Failure;
use crate::{clock::Clock, ids, sensitive::Secret};

/// What is known of one server.
#[derive(Clone, Deserialize, Debug)]
pub struct Saved {
    pub address: String,
    /// PEM of the authority to trust for this server, instead of the system's.
    #[serde(default)]
    pub ca_cert: Option<String>,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub session: Option<Session>,
}

#[derive(Clone, Deserialize, Debug)]
pub struct Session {
    pub access_token: Secret<String>,
    /// By this machine's clock, in milliseconds since the Unix epoch.
    pub access_until: i64,
    #[serde(default)]
    pub refresh_token: Option<Secret<String>>,
}

/// An access token with less life than this is renewed before it is used.
const NEAR_END: i64 = 60_000;

/// How long another command may take to renew.
const LOCK_PATIENCE: Duration = Duration::from_secs(60);
const LOCK_POLL: Duration = Duration::from_millis(20);

impl Session {
    /// From the answer of a login or a renewal.
    pub fn from_answer(answer: &Value) -> Option<Self> {
        let text = |name: &str| answer[name].as_str().map(|text| Secret::new(text.to_owned()));
        let life = i64::try_from(answer["expires_in"].as_u64()?).ok()?.saturating_mul(1000);
        let access_until = Clock::system().now().millis().saturating_add(life);
        Some(Self { access_token: text("access_token")?, access_until, refresh_token: text("refresh_token") })
    }

    pub fn is_near_end(&self) -> bool {
        self.access_until - Clock::system().now().millis() < NEAR_END
    }
}

impl Saved {
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), ca_cert: None, username: None, session: None }
    }

    /// Nothing, if there is none of that server.
    pub fn load(address: &str) -> Result<Option<Self>, Failure> {
        let path = file(address)?;
        let text = match read_private(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(unusable(&path, &error)),
        };
        let damaged = |_| Failure::usage(format!("{}: is damaged; remove it and log in again", path.display()));
        let saved: Self = serde_json::from_str(&text).map_err(damaged)?;
        Ok(Some(saved).filter(|saved| saved.address == address))
    }

    /// The lock must be held.
    pub fn save(&self, _: &Lock) -> Result<(), Failure> {
        let session = self.session.as_ref().map(|session| {
            json!({
                "access_token": session.access_token.reveal(),
                "access_until": session.access_until,
                "refresh_token": session.refresh_token.as_ref().map(Secret::reveal),
            })
        });
        let saved = json!({
            "address": self.address,
            "ca_cert": self.ca_cert,
            "username": self.username,
            "session": session,
        });
        let path = file(&self.address)?;
        let text = Zeroizing::new(serde_json::to_vec_pretty(&saved).map_err(io::Error::from)?);
        replace(&path, &text).map_err(|error| unusable(&path, &error))
    }
}

/// The server that commands speak to when they are told none: that of the last login.
pub fn last_address() -> Option<String> {
    let text = fs::read_to_string(folder().ok()?.join(LAST)).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

pub fn set_last_address(address: &str) -> Result<(), Failure> {
    let path = folder()?.join(LAST);
    replace(&path, address.as_bytes()).map_err(|error| unusable(&path, &error))
}

const LAST: &str = "last-server";

/// Held until it is dropped, by one process at a time.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing it lets go")] File);

impl Lock {
    pub async fn take(address: &str) -> Result<Self, Failure> {
        let path = file(address)?.with_extension("lock");
        let opened = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(|error| unusable(&path, &error))?;
        let taking = async {
            loop {
                match file.try_lock() {
                    Ok(()) => return Ok(()),
                    Err(TryLockError::WouldBlock) => tokio::time::sleep(LOCK_POLL).await,
                    Err(TryLockError::Error(error)) => return Err(unusable(&path, &error)),
                }
            }
        };
        let busy = |_| Failure::Local(io::Error::new(io::ErrorKind::TimedOut, "another coffer holds the token file"));
        tokio::time::timeout(LOCK_PATIENCE, taking).await.map_err(busy)??;
        Ok(Self(file))
    }
}

/// Complete or not at all, and nobody else's to read from the first byte on.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}.new", ids::random_base62(8)));
    let draft = PathBuf::from(draft);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&draft, path));
    if written.is_err() {
        drop(fs::remove_file(&draft));
    }
    written
}

/// Refuses what others may read: a token in it is no longer ours alone.
fn read_private(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = File::open(path)?;
    if file.metadata()?.mode() & 0o077 != 0 {
        let told = "others may read it, so what is in it may be known: remove it and log in again";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, told));
    }
    io::read_to_string(file).map(Zeroizing::new)
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::Local(io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn file(address: &str) -> Result<PathBuf, Failure> {
    let name = address.strip_prefix("https://").unwrap_or(address);
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '_' }).collect();
    Ok(folder()?.join(format!("{name}.json")))
}

/// `$XDG_STATE_HOME/coffer`, or `~/.local/state/coffer`: made if need be, for its owner alone.
fn folder() -> Result<PathBuf, Failure> {
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    let folder = base.ok_or_else(|| Failure::usage("neither XDG_STATE_HOME nor HOME names a folder"))?.join("coffer");
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| unusable(&folder, &error))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1, "no draft stays");
        assert!(replace(dir.path(), b"x").is_err());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn what_somebody_else_has_put_where_a_draft_might_be_is_not_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (dir.path().join("f"), dir.path().join("elsewhere"));
        fs::write(dir.path().join("f.new"), "theirs").unwrap();
        fs::set_permissions(dir.path().join("f.new"), fs::Permissions::from_mode(0o666)).unwrap();
        fs::write(&elsewhere, "kept").unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("f.new")).unwrap(), "theirs");
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "kept", "a link is replaced, not followed");
        let made = fs::symlink_metadata(&path).unwrap();
        assert!(made.is_file() && made.mode() & 0o777 == 0o600);
    }

    #[test]
    fn a_file_that_others_may_read_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, "x").unwrap();
        for (mode, is_good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o660, false)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_private(&path).is_ok(), is_good, "{mode:o}");
        }
    }

    #[test]
    fn a_session_without_tokens_is_none() {
        let whole = json!({"access_token": "a", "expires_in": 100, "refresh_token": null});
        let session = Session::from_answer(&whole).unwrap();
        assert!(session.refresh_token.is_none() && !session.is_near_end());
        assert!(Session::from_answer(&json!({"access_token": "a", "expires_in": 5})).unwrap().is_near_end());
        for bad in [json!({}), json!({"access_token": "a"}), json!({"expires_in": 5}), Value::Null] {
            assert!(Session::from_answer(&bad).is_none(), "{bad}");
        }
    }
}
