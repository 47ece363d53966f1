//! Every route, in both spellings of the user's document: the canonical one first.

mod auth_calls;
mod auth_inputs;
mod browser;
mod credentials;
mod examples;
mod introspect;
mod lease_inputs;
mod leases;
mod mount_inputs;
mod mounts;
mod openapi;
mod plugin_inputs;
mod plugins;
mod policies;
mod policy_inputs;
mod roles;
mod seal;
mod secret_inputs;
mod secret_shapes;
mod secret_verbs;
mod secrets;
mod session_inputs;
mod sessions;
mod setting_inputs;
mod settings;
mod shares;
mod token;
mod token_bodies;
mod token_inputs;
mod types;
mod user_inputs;
mod users;

use axum::{
    Router,
    routing::{MethodRouter, delete, get, post},
};

use super::docs;
use crate::app::App;

pub use openapi::DOCUMENT;
pub(super) use seal::public;

pub fn routes() -> Router<App> {
    let table: Vec<(&[&str], MethodRouter<App>)> = vec![
        (&["/auth/token/create", "/token/create"], post(token::create)),
        (&["/auth/token/resume", "/token/resume"], post(token::resume)),
        (&["/auth/{mount}/browser"], get(browser::show).post(browser::click)),
        (&["/auth/{mount}/callback"], get(browser::back)),
        (&["/auth/{mount}/{*path}"], get(auth_calls::get).post(auth_calls::post)),
        (&["/token/renew", "/auth/token/renew"], post(token::renew)),
        (&["/token/revoke", "/auth/token/revoke"], post(token::revoke)),
        (&["/token/introspect"], post(introspect::introspect)),
        (&["/sessions"], get(sessions::list)),
        (&["/sessions/current"], get(sessions::current)),
        (&["/sessions/revoke"], post(sessions::revoke_many)),
        (&["/sessions/{session_id}/revoke"], post(sessions::revoke)),
        (&["/users/create"], post(users::create)),
        (&["/users/{username}/credentials/{mount}"], get(credentials::list).post(credentials::enroll)),
        (&["/users/{username}/credentials/{mount}/{id}"], delete(credentials::remove)),
        (&["/users/{username}/delete"], post(users::delete)),
        (&["/users/delete"], post(users::delete_named)),
        (&["/users"], get(users::list)),
        (&["/users/me"], get(users::me)),
        (&["/users/{username}"], get(users::get)),
        (&["/users/{username}/update"], post(users::update)),
        (&["/users/{username}/password"], post(users::password)),
        (&["/secrets/create"], post(secrets::create)),
        (
            &["/secrets", "/secrets/{*rest}"],
            get(secrets::get).put(secrets::put).patch(secrets::patch).delete(secrets::delete).post(secrets::verb),
        ),
        (&["/leases"], get(leases::list)),
        (&["/leases/revoke"], post(leases::revoke_many)),
        (&["/leases/{lease_id}"], get(leases::show)),
        (&["/leases/{lease_id}/renew"], post(leases::renew)),
        (&["/leases/{lease_id}/revoke"], post(leases::revoke)),
        (&["/leases/{lease_id}/forget"], post(leases::forget)),
        (&["/sys/settings", "/settings"], get(settings::list)),
        (&["/sys/setting"], post(settings::set)),
        (&["/sys/setting/{*key}"], get(settings::get).put(settings::put).delete(settings::delete)),
        (&["/sys/security"], get(settings::security).post(settings::set_security)),
        (&["/sys/plugins"], get(plugins::list)),
        (&["/sys/plugins/{name}/{version}"], get(plugins::get).put(plugins::put).delete(plugins::delete)),
        (&["/sys/mounts"], get(mounts::list)),
        (&["/sys/mounts/{kind}/{mount}"], get(mounts::get)),
        (&["/sys/mounts/{kind}/{mount}/log"], get(mounts::log)),
        (&["/sys/mounts/{kind}/{mount}/failures"], get(mounts::failures)),
        (&["/sys/roles"], get(roles::list)),
        (&["/sys/roles/{name}"], get(roles::get).put(roles::put).delete(roles::delete)),
        (&["/sys/policies"], get(policies::list)),
        (&["/sys/policies/explain"], post(policies::explain)),
        (&["/sys/policies/{name}"], get(policies::get).put(policies::put).delete(policies::delete)),
        (&["/sys/init"], post(seal::init)),
        (&["/sys/unseal"], post(seal::unseal)),
        (&["/sys/seal"], post(seal::seal)),
        (&["/sys/rotate"], post(shares::rotate)),
        (&["/sys/rekey"], post(shares::rekey)),
        (&["/sys/generate-root"], post(shares::generate_root)),
        (&["/sys/seal-status"], get(seal::status)),
        (&["/sys/health"], get(seal::health)),
        (&["/sys/audit/verify"], post(seal::verify_audit)),
        (&["/openapi.json"], get(openapi::openapi)),
    ];
    // Outside of the API: pages for people, and metrics where everybody who scrapes looks for them.
    let outside = Router::new()
        .route("/docs", get(docs::contents))
        .route("/docs/", get(docs::contents))
        .route("/docs/{page}", get(docs::page))
        .route("/metrics", get(mounts::metrics));
    table.into_iter().fold(outside, |router, (paths, methods)| {
        // Not nested: handlers read the path that the client sent.
        paths.iter().fold(router, |router, path| router.route(&format!("/api/v1{path}"), methods.clone()))
    })
}

#[cfg(test)]
mod tests;
