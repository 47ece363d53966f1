//! One-time codes by time (RFC 6238): makes those of seeds that others gave out, and validates those of
//! seeds of our own. A seed is told once at most, when it was made here.
//!
//! | key | |
//! |---|---|
//! | `key/<path>` | the seed and how codes are made of it |
//! | `used/<path>` | the last code that was accepted, and how many were wrong since |

use coffer_plugin_sdk::{NoParameters, prelude::*};

mod codes;
mod life;

/// Needs no configuration.
#[derive(Deserialize, Debug)]
pub struct Totp;

impl Engine for Totp {
    fn handle(&self, request: Request) -> Result<Response> {
        let path = request.path.as_str();
        match request.operation() {
            Operation::List => life::list(path, &request.query()?),
            _ if path.is_empty() => Err(Error::unsupported()),
            Operation::Create => life::create(path, request.body()?),
            Operation::Read => request.query().and_then(|NoParameters {}| life::read(path)),
            Operation::Patch => life::patch(path, request.body()?),
            Operation::Delete => request.query().and_then(|NoParameters {}| life::delete(path)),
            Operation::Verb("code") => request.query().and_then(|NoParameters {}| codes::code(path)),
            Operation::Verb("validate") => codes::validate(path, &request.body()?),
            _ => Err(Error::unsupported()),
        }
    }
}

coffer_plugin_sdk::export!(Totp: engine);
