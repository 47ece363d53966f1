use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject as _};
use serde_json::Value;
use zeroize::Zeroizing;

use super::{Failure, failed, inspect::told, read, wrong};
use crate::{catalog, ids};

#[derive(Args, Debug)]
pub struct Arguments {
    /// The file, which is replaced by a signed one
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Private key: PKCS#8 in PEM form, as `openssl genpkey -algorithm ed25519` makes it
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Make the key first
    #[arg(long)]
    new_key: bool,
    /// Where the signed file goes, if not in place of the other
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn sign(arguments: &Arguments) -> Result<Value, Failure> {
    let Arguments { file, key, new_key, out } = arguments;
    // Whatever is signed is a plugin: nobody should find out at the server.
    let (wasm, _) = read(file)?;
    if *new_key {
        make(key)?;
    }
    let pair = load(key)?;
    let signed = catalog::sign(&wasm, &pair).map_err(|error| failed(error.to_string()))?;
    let component = catalog::inspect(&signed).map_err(|error| failed(error.to_string()))?;
    let to = out.as_ref().unwrap_or(file);
    let part = to.with_extension("part");
    fs::write(&part, &signed)?;
    fs::rename(&part, to)?;
    Ok(told(to, signed.len() as u64, &component))
}

fn load(path: &Path) -> Result<Ed25519KeyPair, Failure> {
    let pem = fs::read(path).map_err(|error| wrong(path, &format!("cannot be read: {error}")))?;
    let pem = Zeroizing::new(pem);
    let none = || wrong(path, "holds no Ed25519 private key in PKCS#8 and PEM form");
    let der = PrivatePkcs8KeyDer::from_pem_slice(&pem).map_err(|_| none())?;
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| none())
}

/// For the owner alone, and never over another.
fn make(path: &Path) -> Result<(), Failure> {
    let seed = Zeroizing::new(ids::random::<32>());
    let pair = Ed25519KeyPair::from_seed_unchecked(&*seed).map_err(|_| failed("no key could be made"))?;
    let der = pair.to_pkcs8v1().map_err(|_| failed("no key could be made"))?;
    let lines = Zeroizing::new(STANDARD.encode(der.as_ref()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| wrong(path, &format!("cannot be made: {error}")))?;
    writeln!(file, "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----", lines.as_str())?;
    Ok(file.sync_all()?)
}
