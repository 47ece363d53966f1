//! `doctor`: what stands between this machine and the server, looked at one by one.

use clap::Args;
use serde_json::{Value, json};

use super::{Failure, With, exit};

#[derive(Args, Debug)]
pub struct Doctor {
    #[command(flatten)]
    with: With,
}

/// Fails as the first thing does that is not as it should be.
pub async fn doctor(arguments: Doctor) -> Result<(), Failure> {
    let with = arguments.with;
    let mut found = Vec::new();
    let outcome = examine(&with, &mut found).await;
    if let Err(failure) = &outcome {
        found.push(json!({"check": "", "result": failure.to_string()}));
        let checks = ["address", "certificate", "seal", "session", "user"];
        let last = found.len() - 1;
        found[last]["check"] = (*checks.get(last).unwrap_or(&"server")).into();
    }
    with.list(&json!({"checks": found}), "checks", &["check", "result"])?;
    outcome
}

async fn examine(with: &With, found: &mut Vec<Value>) -> Result<(), Failure> {
    let mut well = |check: &str, result: String| found.push(json!({"check": check, "result": result}));
    let saved = with.target.saved()?;
    well("address", saved.address.clone());

    let status = with.anonymous()?.get("sys/seal-status").await?;
    let by = match (with.target.told_authority()?, &saved.ca_cert) {
        (Some(_), _) => "trusted by --ca-cert or COFFER_CACERT",
        (None, Some(_)) => "trusted since login",
        (None, None) => "trusted by the system",
    };
    well("certificate", by.to_owned());

    match (&status["initialized"], &status["sealed"]) {
        (Value::Bool(false), _) => {
            return Err(Failure::usage("the store has not been made yet: coffer init"));
        }
        (_, Value::Bool(false)) => well("seal", "open".to_owned()),
        _ => return Err(Failure::Sealed),
    }

    let of_the_environment = std::env::var_os("COFFER_TOKEN").is_some_and(|token| !token.is_empty());
    let client = with.client()?;
    well("session", if of_the_environment { "of COFFER_TOKEN" } else { "of login" }.to_owned());
    if of_the_environment {
        exit::say("COFFER_TOKEN was not tried: it may be good for one use only.");
        return Ok(());
    }
    let me = client.get("users/me").await?;
    well(
        "user",
        format!("{}, role {}", me["username"].as_str().unwrap_or_default(), me["role"].as_str().unwrap_or_default()),
    );
    Ok(())
}
