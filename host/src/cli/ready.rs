//! What a dev server says once it listens: where, and with what one gets in.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
    process,
};

use serde_json::json;

use super::{pin, saved};
use crate::{app::DevAccess, config::Dev, http::serve::Server};

/// Prints it, and writes the file that was asked for: complete at once, for the owner alone.
pub fn tell(dev: &Dev, server: &Server, access: &DevAccess) -> io::Result<()> {
    let address = server.addresses().first().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let (url, ca) = (format!("https://{address}"), server.ca.as_deref().unwrap_or(Path::new("")));
    if let Some(path) = &dev.ready_file {
        let ready = json!({
            "url": url,
            "ca_cert": ca,
            "admin_username": access.username,
            "admin_password": access.password.reveal(),
            "root_token": access.root_token.reveal(),
            "pid": process::id(),
        });
        saved::replace(path, ready.to_string().as_bytes())?;
    }
    let mut out = io::stdout().lock();
    writeln!(out, "Coffer listens on {url} (development: do not keep anything of worth in it)")?;
    writeln!(out, "  certificate of the authority: {}", ca.display())?;
    if let Some(fingerprint) = fs::read_to_string(ca).ok().and_then(|pem| pin::fingerprint(&pem)) {
        writeln!(out, "  its fingerprint: SHA256:{fingerprint}")?;
    }
    match &dev.ready_file {
        Some(path) => writeln!(out, "  admin name, password and root token: {}", path.display()),
        None => {
            writeln!(out, "  admin: {}   password: {}", access.username, access.password.reveal())?;
            writeln!(out, "  root token: {}", access.root_token.reveal())
        }
    }
}
