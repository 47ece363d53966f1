//! A certificate for development: an authority of its own that signs one certificate, for
//! loopback names only, and whose key is then forgotten, so that trusting it is safe.

use std::{
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use zeroize::Zeroizing;

use super::certificate::{Certificates, Error};
use crate::{clock::Clock, ids};

/// How long one is good; some systems refuse what lasts longer than 825 days.
const LIFE: Duration = Duration::from_secs(800 * 86_400);
/// A restart after this makes a new one.
const RENEW: Duration = Duration::from_secs(700 * 86_400);

/// What stands in the folder afterwards.
#[derive(Clone, Debug)]
pub struct Files {
    /// The authority's certificate: what a client is told to trust.
    pub ca: PathBuf,
    /// Certificate, authority and key in one file, so that one rename changes all of them.
    pub pair: PathBuf,
}

/// The certificate in `dir`, made if there is none that can be used.
pub fn ensure(dir: &Path, clock: &Clock) -> Result<Files, Error> {
    let files = Files { ca: dir.join("ca.pem"), pair: dir.join("server.pem") };
    fs::create_dir_all(dir).map_err(|error| Error::Unreadable(dir.to_owned(), error))?;
    if is_fresh(&files.pair, clock) && Certificates::load(&files.pair, &files.pair).is_ok() && files.ca.exists() {
        return Ok(files);
    }
    let (ca, pair) = make(clock)?;
    // The pair last: it is what the next start looks at.
    write(&files.ca, ca.as_bytes(), 0o644)?;
    write(&files.pair, pair.as_bytes(), 0o600)?;
    Ok(files)
}

fn is_fresh(pair: &Path, clock: &Clock) -> bool {
    let made = fs::metadata(pair).and_then(|meta| meta.modified()).ok();
    let made = made.and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    let now = Duration::from_millis(u64::try_from(clock.now().millis()).unwrap_or(0));
    made.is_some_and(|made| now.saturating_sub(made) < RENEW)
}

fn make(clock: &Clock) -> Result<(String, Zeroizing<String>), Error> {
    let (ca_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut ca = params(Vec::new(), "Coffer development authority", clock)?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
    let mut leaf = params(names, "Coffer development server", clock)?;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    let leaf_pem = leaf.signed_by(&key, &Issuer::new(ca, ca_key))?.pem();
    let key_pem = Zeroizing::new(key.serialize_pem());
    let pair = Zeroizing::new(format!("{leaf_pem}{ca_pem}{}", *key_pem));
    Ok((ca_pem, pair))
}

fn params(names: Vec<String>, called: &str, clock: &Clock) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::new(names)?;
    // Two authorities of one name and different keys confuse clients that trusted the first.
    let called = format!("{called} {}", ids::random_base62(8));
    params.distinguished_name.push(DnType::CommonName, called);
    let now = Duration::from_millis(u64::try_from(clock.now().millis()).unwrap_or(0));
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    // A day back, for clients whose clock is behind.
    params.not_before = epoch + now.saturating_sub(Duration::from_secs(86_400));
    params.not_after = epoch + now + LIFE;
    Ok(params)
}

/// Complete or not at all, and nobody else's to read from the first byte on.
fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let unwritable = |error| Error::Unreadable(path.to_owned(), error);
    let draft = path.with_extension(format!("{}.new", ids::random_base62(8)));
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(&draft).map_err(unwritable)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(unwritable)?;
    fs::rename(&draft, path).map_err(unwritable)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::clock::Timestamp;

    #[test]
    fn a_restart_finds_the_same_certificate_until_it_grows_old() {
        let dir = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(Timestamp::from_millis(Clock::system().now().millis()));
        let first = ensure(dir.path(), &clock).unwrap();
        let bytes = || fs::read(dir.path().join("server.pem")).unwrap();
        let made = bytes();
        ensure(dir.path(), &clock).unwrap();
        assert_eq!(bytes(), made);
        assert_eq!(fs::metadata(&first.pair).unwrap().permissions().mode() & 0o777, 0o600);
        hand.advance(RENEW + Duration::from_secs(60));
        ensure(dir.path(), &clock).unwrap();
        assert_ne!(bytes(), made);
    }

    #[test]
    fn a_broken_file_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("server.pem"), "x").unwrap();
        let files = ensure(dir.path(), &Clock::system()).unwrap();
        assert!(Certificates::load(&files.pair, &files.pair).is_ok());
        assert!(fs::read_to_string(files.ca).unwrap().starts_with("-----BEGIN CERTIFICATE-----"));
    }
}
