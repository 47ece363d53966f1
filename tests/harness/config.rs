//! The configuration file of a server that is not a dev server: TLS of our own making, a key file as seal.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// What `--config` starts from. One more member of the file is one more line here.
pub struct Config {
    pub listen: String,
    pub data_dir: PathBuf,
    pub storage: String,
    pub sessions: String,
    /// `None`: sealed with shares.
    pub key_file: Option<PathBuf>,
    pub tls: Certificate,
    /// Members to set besides, as `section.member` or `member`.
    pub more: Vec<(String, Value)>,
}

impl Config {
    pub fn text(&self) -> String {
        let mut file = Table::new();
        let mut set = |name: &str, value: Value| match name.split_once('.') {
            Some((section, member)) => {
                let section = file.entry(section).or_insert_with(|| Value::Table(Table::new()));
                section.as_table_mut().expect("a section").insert(member.to_owned(), value);
            }
            None => drop(file.insert(name.to_owned(), value)),
        };
        let path = |path: &Path| Value::from(path.to_str().expect("a path in UTF-8"));
        set("data_dir", path(&self.data_dir));
        set("listener.address", self.listen.as_str().into());
        if !self.more.iter().any(|(name, _)| name == "listener.plaintext") {
            set("listener.tls_cert", path(&self.tls.certificate));
            set("listener.tls_key", path(&self.tls.key));
        }
        set("storage.url", self.storage.as_str().into());
        set("sessions.url", self.sessions.as_str().into());
        if let Some(file) = &self.key_file {
            set("seal.kind", "key_file".into());
            set("seal.key_file", path(file));
        }
        for (name, value) in &self.more {
            set(name, value.clone());
        }
        toml::to_string(&file).expect("a table is TOML")
    }
}

/// A certificate for loopback, on disk, signed by an authority that only this test knows.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
    pub authority: PathBuf,
}

impl Certificate {
    pub fn make(folder: &Path) -> Self {
        Self::make_for(folder, &[])
    }

    /// Of these addresses too.
    pub fn make_for(folder: &Path, more: &[IpAddr]) -> Self {
        use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

        let authority_key = KeyPair::generate().expect("a key pair");
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, "Test authority");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_pem = authority.self_signed(&authority_key).expect("a certificate").pem();
        let issuer = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().expect("a key pair");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()].into_iter();
        let names: Vec<String> = names.chain(more.iter().map(IpAddr::to_string)).collect();
        let mut params = CertificateParams::new(names).expect("names of this machine");
        params.distinguished_name.push(DnType::CommonName, "localhost");
        let certificate = params.signed_by(&key, &issuer).expect("a certificate").pem();

        let made = Self {
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
            authority: folder.join("authority.crt"),
        };
        write(&made.certificate, certificate.as_bytes());
        write(&made.key, key.serialize_pem().as_bytes());
        write(&made.authority, authority_pem.as_bytes());
        made
    }
}

/// With mode 0600: a key that others can read is refused.
pub fn write(path: &Path, bytes: &[u8]) {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;

    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(bytes)).expect("the test's folder is writable");
}
