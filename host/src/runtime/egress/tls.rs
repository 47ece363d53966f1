use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use super::{Refusal, refusal};

/// Trusts what the system trusts, and where the system trusts nobody (a bare container), the
/// authorities that browsers do.
pub(super) fn config(extra: Option<&[u8]>) -> Result<Arc<ClientConfig>, Refusal> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(extra.unwrap_or_default()).flatten());
    let versions = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions();
    let builder = versions.map_err(|_| refusal("unavailable", "TLS is not available"))?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
