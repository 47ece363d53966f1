//! Tokens, and whom they stand for.
//!
//! Owns the token grammar, the family record, uses, renewal and endings, and the two stores that
//! keep families: Redis and, without one, the same storage as everything else. Redis is the gate,
//! storage the authority: what must never come back (endings, generations, spent uses) is also
//! there. Never knows policy, and never keeps a token: only its digest. One more store implements
//! `Store` and runs the one conformance story (`conformance.rs`) and the model (`model.rs`).

mod epochs;
mod error;
mod record;
mod store;
mod token;
mod types;

pub use epochs::{EpochOf, Epochs, EpochsOf, Raised};
pub use error::Error;
pub use record::Record;
pub use store::{Listed, Refill, Store, Touch, Verdict, Was};
pub use token::{AccessToken, AnyToken, Digest, Malformed, RefreshToken};
pub use types::{Lifetimes, NewSession, OverLimit, PerUser, Renewal, Session, Summary, Tokens, Told};
