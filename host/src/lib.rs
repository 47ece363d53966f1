//! Coffer: a secrets server. The modules are ranked, and each may use only those above it in
//! this list (`tests/architecture.rs` holds them to it).

pub mod address;
pub mod clock;
pub mod finding;
pub mod ids;
pub mod limits;
pub mod metrics;
pub mod numeral;
pub mod problem;
pub mod sensitive;
pub mod span;

pub mod config;

pub mod shared;
pub mod storage;

pub mod barrier;

pub mod audit;
pub mod document;
pub mod fence;
pub mod runtime;

pub mod catalog;
pub mod security;

pub mod directory;
pub mod mount;
pub mod throttle;

pub mod session;

pub mod policy;

pub mod lease;

pub mod login;
pub mod operate;
pub mod plugins;
pub mod secrets;
pub mod settings;
pub mod telemetry;
pub mod users;

pub mod app;

pub mod http;

pub mod cli;
