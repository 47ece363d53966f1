//! Encryption, signatures and MACs with keys that stay in the server: who may use a key never sees it.
//!
//! A key is one record, `key/<path>`, and the host's key of the name `<path>`, with as many versions
//! as the record says; the public halves of a key that signs stand at `public/<path>/<version>`. What a
//! key makes names the version that made it: `coffer:v3:<base64>`.
//!
//! | file | |
//! |---|---|
//! | `record.rs` | what is kept of a key, and the versions that may be used |
//! | `life.rs` | create, read, list, rotate, configure, delete |
//! | `texts.rs` | encrypt, decrypt, rewrap, datakey |
//! | `proofs.rs` | sign, verify, hmac |
//! | `ecdsa.rs` | the two forms of a signature by ECDSA |
//! | `batch.rs` | many of those at once |
//! | `token.rs` | the text form of what a key makes, and base64 |

use coffer_plugin_sdk::{NoParameters, prelude::*};

mod algorithm;
mod batch;
mod ecdsa;
mod life;
mod proofs;
mod record;
mod texts;
mod token;

use algorithm::Algorithm;

/// Needs no configuration.
#[derive(Deserialize, Debug)]
pub struct Transit;

impl Engine for Transit {
    fn handle(&self, request: Request) -> Result<Response> {
        let path = request.path.as_str();
        match request.operation() {
            Operation::List => life::list(path, &request.query()?),
            _ if path.is_empty() => Err(Error::unsupported()),
            Operation::Create => life::create(path, request.body()?),
            Operation::Read => request.query().and_then(|NoParameters {}| life::read(path)),
            Operation::Patch => life::patch(path, request.body()?),
            Operation::Delete => request.query().and_then(|NoParameters {}| life::delete(path)),
            Operation::Verb("rotate") => request.body().and_then(|NoParameters {}| life::rotate(path)),
            Operation::Verb("configure") => life::configure(path, request.body()?),
            Operation::Verb("encrypt") => batch::answer(path, &request, |_| batch::MOST, texts::encrypt),
            Operation::Verb("decrypt") => batch::answer(path, &request, |_| batch::MOST, texts::decrypt),
            Operation::Verb("rewrap") => batch::answer(path, &request, |_| batch::MOST, texts::rewrap),
            Operation::Verb("datakey") => texts::datakey(path, &request.body()?),
            Operation::Verb("wrapped-datakey") => {
                texts::datakey(path, &request.body::<texts::WrappedDataKey>()?.into())
            }
            Operation::Verb("sign") => batch::answer(path, &request, Algorithm::signatures, proofs::sign),
            Operation::Verb("verify") => batch::answer(path, &request, |_| batch::MOST, proofs::verify),
            Operation::Verb("hmac") => batch::answer(path, &request, |_| batch::MOST, proofs::hmac),
            _ => Err(Error::unsupported()),
        }
    }
}

coffer_plugin_sdk::export!(Transit: engine);
