//! What must hold, one file for each part of the API and one for each promise. `api.md` is the text that
//! these stories read aloud: where a story and that page differ, one of them is wrong.
//!
//! A story takes a `Builder` where it must hold on every storage and session store, and is then named in
//! `on_every_store!`; the others start what they need. Names are verdicts.

/// Runs stories on SQLite and PostgreSQL, with sessions beside the data and in Redis.
macro_rules! on_every_store {
    ($($story:ident),* $(,)?) => {
        mod sqlite_embedded {
            use crate::harness::{Sessions, Storage, TestServer};
            $(#[tokio::test] async fn $story() {
                super::$story(TestServer::builder().storage(Storage::Sqlite).sessions(Sessions::Embedded)).await;
            })*
        }
        mod sqlite_redis {
            use crate::harness::{Sessions, Storage, TestServer};
            $(#[tokio::test] async fn $story() {
                super::$story(TestServer::builder().storage(Storage::Sqlite).sessions(Sessions::Redis)).await;
            })*
        }
        mod postgres_embedded {
            use crate::harness::{Sessions, Storage, TestServer};
            $(#[tokio::test] async fn $story() {
                super::$story(TestServer::builder().storage(Storage::Postgres).sessions(Sessions::Embedded)).await;
            })*
        }
        mod postgres_redis {
            use crate::harness::{Sessions, Storage, TestServer};
            $(#[tokio::test] async fn $story() {
                super::$story(TestServer::builder().storage(Storage::Postgres).sessions(Sessions::Redis)).await;
            })*
        }
    };
}

mod access;
mod attacks;
mod audit;
mod call_schemas;
mod cli;
mod cli_api;
mod cli_inject;
mod cli_names;
mod cli_next;
mod cli_run;
mod cli_secrets;
mod clients;
mod credentials;
mod docs;
mod docs_pages;
mod doctor;
mod fixtures;
mod github;
mod github_browser;
mod grid;
pub mod hostile;
mod hostile_logins;
mod hostile_outside;
mod kv_model;
mod kv_verbs;
mod leases;
mod leases_ends;
mod leases_policy;
mod limits_and_bad_input;
mod links;
mod listing;
mod mounts;
mod names;
mod nodes;
mod nodes_alone;
mod nodes_uses;
mod openapi;
mod overlaps;
mod passwords;
mod persistence;
mod plain_http;
mod plugins;
mod plugins_cli;
mod plugins_life;
mod plugins_nodes;
mod plugins_swaps;
mod plugins_told;
mod policies;
mod readme;
mod redis_faults;
mod redis_kinds;
mod renew;
mod revoke;
mod roles;
mod second_factor;
mod secrets;
mod security;
mod security_members;
mod sessions;
mod settings;
mod starting;
mod step_up;
mod sys_seal;
mod tampering;
mod telemetry;
mod throttling;
mod tls;
mod token;
mod totp;
mod transit;
mod users;
mod vouching;
