//! The link to Redis: commands, scripts, news.
//!
//! Owns the connection and its renewal, deadlines and what Redis must be like to be trusted with
//! sessions. Never knows what a key means.

mod error;

pub use error::Error;
