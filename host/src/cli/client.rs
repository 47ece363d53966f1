//! How commands talk to a server: HTTPS, one address, one token, no redirects.

use std::{error::Error as _, path::PathBuf, time::Duration};

use clap::Args;
use reqwest::{Certificate, Method, RequestBuilder, redirect};
use serde_json::Value;

use super::Failure;
use crate::sensitive::Secret;

/// Where the server is. The token comes from the environment alone: arguments are for all to see.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// Address of the server
    #[arg(long, env = "COFFER_ADDR", default_value = "https://127.0.0.1:8200", value_name = "URL")]
    address: String,
    /// PEM file of the authority to trust, instead of the system's
    #[arg(long, env = "COFFER_CACERT", value_name = "FILE")]
    ca_cert: Option<PathBuf>,
}

#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    address: String,
    token: Option<Secret<String>>,
}

/// Sealing waits for the whole store; nothing takes longer.
const PATIENCE: Duration = Duration::from_secs(90);

impl Target {
    pub fn client(&self) -> Result<Client, Failure> {
        let address = self.address.trim_end_matches('/').to_owned();
        if !address.starts_with("https://") {
            return Err(Failure::Usage("the address must begin with https://".to_owned()));
        }
        // Chosen by whoever comes first in a process, so that it is chosen already is no failure.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let mut builder =
            reqwest::Client::builder().https_only(true).redirect(redirect::Policy::none()).timeout(PATIENCE);
        if let Some(path) = &self.ca_cert {
            let pem = std::fs::read(path)
                .map_err(|error| Failure::Usage(format!("{}: cannot be read: {error}", path.display())))?;
            let none = || Failure::Usage(format!("{}: holds no certificate in PEM form", path.display()));
            let authorities = Certificate::from_pem_bundle(&pem).map_err(|_| none())?;
            if authorities.is_empty() {
                return Err(none());
            }
            builder = builder.tls_certs_only(authorities);
        }
        let http = builder.build().map_err(unreachable)?;
        let token = std::env::var("COFFER_TOKEN").ok().filter(|token| !token.is_empty()).map(Secret::new);
        Ok(Client { http, address, token })
    }
}

impl Client {
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// An upload.
    pub async fn put_bytes(&self, path: &str, bytes: &[u8], media_type: &'static str) -> Result<Value, Failure> {
        let request = self.request(Method::PUT, path).header(reqwest::header::CONTENT_TYPE, media_type);
        self.send(request.body(bytes.to_vec())).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}/api/v1/{path}", self.address));
        match &self.token {
            Some(token) => request.bearer_auth(token.reveal()),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, Failure> {
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.json().await.unwrap_or(Value::Null);
        match status.is_success() {
            true => Ok(body),
            false => Err(Failure::refused(status.as_u16(), &body)),
        }
    }
}

/// The whole chain: that a certificate is not trusted stands at its end.
fn unreachable(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let (mut told, mut source) = (error.to_string(), error.source());
    while let Some(cause) = source {
        told = format!("{told}: {cause}");
        source = cause.source();
    }
    Failure::Unreachable(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(address: &str) -> Target {
        Target { address: address.to_owned(), ca_cert: None }
    }

    #[test]
    fn a_token_is_never_sent_in_the_clear() {
        for address in ["http://127.0.0.1:8200", "127.0.0.1:8200", ""] {
            assert!(matches!(target(address).client(), Err(Failure::Usage(_))), "{address}");
        }
    }

    #[test]
    fn an_authority_that_is_none_is_refused_before_anything_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        for text in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\nx")] {
            if let Some(text) = text {
                std::fs::write(&file, text).unwrap();
            }
            let target = Target { ca_cert: Some(file.clone()), ..target("https://localhost:1") };
            assert!(matches!(target.client(), Err(Failure::Usage(_))), "{text:?}");
        }
    }

    #[tokio::test]
    async fn nobody_there_is_an_exit_code_of_its_own() {
        let failure = target("https://127.0.0.1:1").client().unwrap().get("sys/health").await.unwrap_err();
        assert_eq!(failure.number(), 3, "{failure}");
    }
}
