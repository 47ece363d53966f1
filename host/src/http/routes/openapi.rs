use std::sync::LazyLock;

use axum::{
    body::Bytes,
    extract::Request,
    http::header,
    response::{IntoResponse, Response},
};
use utoipa::{Modify, OpenApi, openapi::RefOr};

use super::{
    auth_calls, browser, credentials, examples, introspect, leases, mounts, plugins, policies, roles, seal,
    secret_verbs, secrets, sessions, settings, shares, token,
    types::{self, Types},
    users,
};
use crate::http::{error::ApiResult, openapi as shared};

#[derive(OpenApi)]
#[openapi(
    paths(
        token::create,
        token::resume,
        browser::show,
        browser::click,
        browser::back,
        token::renew,
        token::revoke,
        introspect::introspect,
        sessions::list,
        sessions::current,
        sessions::revoke,
        sessions::revoke_many,
        users::create,
        users::delete,
        users::me,
        users::list,
        users::get,
        users::update,
        users::password,
        credentials::list,
        credentials::enroll,
        credentials::remove,
        secrets::list,
        secrets::create,
        secrets::read,
        secrets::put,
        secrets::patch,
        secrets::delete,
        leases::list,
        leases::show,
        leases::renew,
        leases::revoke,
        leases::forget,
        leases::revoke_many,
        settings::list,
        settings::set,
        settings::show,
        settings::put,
        settings::delete,
        settings::history,
        settings::security,
        settings::set_security,
        plugins::list,
        plugins::get,
        plugins::put,
        plugins::delete,
        mounts::list,
        mounts::get,
        mounts::log,
        mounts::failures,
        mounts::metrics,
        roles::list,
        roles::get,
        roles::put,
        roles::delete,
        policies::list,
        policies::get,
        policies::put,
        policies::delete,
        policies::explain,
        seal::init,
        seal::unseal,
        seal::seal,
        shares::rotate,
        shares::rekey,
        shares::generate_root,
        seal::status,
        seal::health,
        seal::verify_audit,
        openapi,
    ),
    tags(
        (name = "tokens", description = "Logging in, and what comes of it."),
        (name = "sessions", description = "Where a user is logged in."),
        (name = "users", description = "Who may log in."),
        (name = "policies", description = "Who may do what."),
        (name = "secrets", description = "Secrets, and the verbs of their engines."),
        (name = "leases", description = "What engines have lent, and until when."),
        (name = "settings", description = "What rules the server, its plugins among it."),
        (name = "plugins", description = "What can be mounted: shipped, and uploaded."),
        (name = "system", description = "The server itself."),
    ),
    modifiers(&Routes)
)]
struct Routes;

/// Bodies that may be left out; a body that may be null would be something else.
impl Modify for Routes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for path in ["/api/v1/sys/seal", "/api/v1/leases/{lease_id}/renew"] {
            let item = document.paths.paths.get_mut(path);
            if let Some(RefOr::T(body)) = item.and_then(|item| item.post.as_mut()?.request_body.as_mut()) {
                body.required = None;
            }
        }
    }
}

/// Whole, as JSON.
pub static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| {
    let document = shared::document(Routes::openapi());
    let mut document = serde_json::to_value(document).expect("our own document serialises");
    let mut types = Types::default();
    for (path, item) in secret_verbs::paths(&mut types).into_iter().chain(auth_calls::paths(&mut types)) {
        document["paths"][path] = item;
    }
    types.add_to(&mut document);
    types::forms(&mut document);
    types::tidy(&mut document);
    examples::add_to(&mut document);
    document.to_string().into()
});

/// This document.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "openapi",
    tag = "system",
    responses((status = 200, description = "OpenAPI 3.1.", body = Object)),
    security(())
)]
pub async fn openapi(request: Request) -> ApiResult<Response> {
    seal::public(&request)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response())
}
