//! Secrets with versions, an end and metadata.
//!
//! A secret is one record, which holds everything but its data, and one entry with the data of each
//! version. All of them end with the secret, so an expired one is gone without anybody's doing.
//!
//! | key | |
//! |---|---|
//! | `live/<path>` | the record, while the newest version can be read |
//! | `gone/<path>` | the record, while it cannot: deleted or destroyed |
//! | `data/<path>/<version>` | the data |
//!
//! So a listing of `live/` is what a client may see, folders included, and needs no index. Every
//! call gets both places of the record and every change writes it, so two changes of one secret
//! never pass each other.

use coffer_plugin_sdk::{NoParameters, prelude::*};

mod bodies;
mod list;
mod read;
mod record;
mod verbs;
mod write;

/// The configuration of a mount.
#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Kv {
    #[serde(default = "ten")]
    max_versions: usize,
}

const fn ten() -> usize {
    10
}

/// A batch of writes stays small: `expire` touches every version.
const MOST_VERSIONS: usize = 100;

impl Check for Kv {
    fn check(&self) -> Result<Vec<String>> {
        match self.max_versions {
            1..=MOST_VERSIONS => Ok(Vec::new()),
            _ => Err(Error::invalid("/max_versions", "out_of_range", "must be from 1 to 100")),
        }
    }
}

impl Engine for Kv {
    fn handle(&self, request: Request) -> Result<Response> {
        let path = request.path.as_str();
        match request.operation() {
            Operation::List => list::list(path, &request.query()?),
            _ if path.is_empty() => Err(Error::unsupported()),
            Operation::Create => self.create(path, request.body()?),
            Operation::Read => read::read(path, &request.query()?),
            Operation::Update => self.update(path, request.body()?),
            Operation::Patch => self.patch(path, request.body()?),
            Operation::Delete => write::delete(path, &request.query()?),
            Operation::Verb("history") => request.query().and_then(|NoParameters {}| read::history(path)),
            Operation::Verb("metadata") => verbs::metadata(path, request.body()?),
            Operation::Verb("restore") => self.restore(path, &request.body()?),
            Operation::Verb("undelete") => verbs::undelete(path, &request.body()?),
            Operation::Verb("destroy") => verbs::destroy(path, &request.body()?),
            Operation::Verb("purge") => request.body().and_then(|NoParameters {}| verbs::purge(path)),
            Operation::Verb(_) => Err(Error::unsupported()),
        }
    }
}

coffer_plugin_sdk::export!(Kv: engine, check);
