//! HTTP: the only part that knows of requests, statuses and TLS.
//!
//! Owns how bytes become a request and an answer becomes bytes: the accept loop, the layers, the
//! strict reading of bodies, queries and paths, the table of errors. Never decides: who may do
//! what is `policy`'s, what is done is a use case's. One more thing that can be wrong is one more
//! row in `error.rs`; one more layer is one more entry in `layers.rs`.

mod activity;
pub mod answer;
pub mod bearer;
pub mod body;
pub mod certificate;
pub mod client_address;
mod connection;
mod convert;
mod cursor;
pub mod dev_certificate;
mod docs;
pub mod error;
pub mod form;
mod html;
mod intake;
pub mod json;
pub mod layers;
pub mod listen;
pub mod openapi;
mod page;
pub mod path;
mod permitted;
pub mod query;
mod routes;
pub mod running;
pub mod serve;
mod slots;
mod state;
mod trail;
mod unasked;
mod whose;

#[cfg(test)]
mod tests;
