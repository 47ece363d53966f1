//! Logins in a browser: a page that says what somebody is about to do, the click, and the way back from the identity
//! provider. Cookies stand here and nowhere else; they find a login under way and authenticate nobody.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::{auth_inputs::mount, token_inputs::one_credential};
use crate::{
    app::App,
    http::{
        body::{self, Takes},
        error::{ApiError, ApiResult, Kind},
        json,
        page::{Page, escaped},
        permitted, query,
        trail::About,
    },
    ids::MountName,
    limits,
    login::{self, Client, Cookie},
};

/// What a browser asks about.
struct Asked {
    parts: Parts,
    mount: MountName,
    client: Client,
}

/// Which login: the code that the client shows.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BrowserCode {
    code: String,
}

/// The page of a login that waits for a browser.
///
/// It says which program asks, from where and when. It changes nothing.
#[utoipa::path(
    get,
    path = "/api/v1/auth/{mount}/browser",
    operation_id = "browser_page",
    tag = "tokens",
    params(
        ("mount" = String, Path),
        ("code" = String, Query, description = "As the challenge told it."),
    ),
    responses((status = 200, description = "A page with a button.", body = String, content_type = "text/html")),
    security(())
)]
pub async fn show(State(app): State<App>, request: Request) -> Response {
    let is_person = wants_page(request.headers());
    told(shown(app, request).await, is_person)
}

async fn shown(app: App, request: Request) -> ApiResult<Response> {
    let asked = asked(without_body(request).await?, "auth.browser.show")?;
    let BrowserCode { code } = query::decode(&asked.parts)?;
    plain(&code, ["query", "code"])?;
    let page = app.login.browser_page(&asked.mount, &code, &asked.client).await?;
    asked.tried("auth.browser.show").await?;
    let mut response = Response::default();
    response.extensions_mut().insert(about_to(&asked.mount, &page));
    Ok(response)
}

/// What somebody is about to do, in plain words.
fn about_to(mount: &MountName, page: &login::Page) -> Page {
    let address = page.address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
    let program = if page.program.is_empty() { "unknown" } else { &page.program };
    let content = format!(
        "<p>Somebody has begun to log in here by <b>{mount}</b> and waits for you to go on.</p>\
         <dl><dt>Code</dt><dd><code>{code}</code></dd><dt>Program</dt><dd>{program}</dd>\
         <dt>From the address</dt><dd>{address}</dd><dt>At</dt><dd>{at}</dd></dl>\
         <p>Go on only if that was you, just now, and your program shows the same code. Whoever it is \
         will be logged in as you.</p>\
         <form method=\"post\" action=\"browser\"><input type=\"hidden\" name=\"code\" value=\"{code}\">\
         <button>Go on to {leads_to}</button></form>",
        mount = escaped(mount.as_str()),
        code = escaped(&page.code),
        program = escaped(program),
        at = page.asked_at,
        leads_to = escaped(&page.leads_to),
    );
    Page { title: "Log in", content, leads_to: Some(page.leads_to.clone()) }
}

/// The click: this browser goes on with the login, and no other.
#[utoipa::path(
    post,
    path = "/api/v1/auth/{mount}/browser",
    operation_id = "browser_click",
    tag = "tokens",
    params(("mount" = String, Path)),
    request_body(content((BrowserCode = "application/json"), (BrowserCode = "application/x-www-form-urlencoded"))),
    responses((status = 303, description = "To the identity provider, with a cookie.")),
    security(())
)]
pub async fn click(State(app): State<App>, request: Request) -> Response {
    let is_person = wants_page(request.headers());
    told(clicked(app, request).await, is_person)
}

async fn clicked(app: App, request: Request) -> ApiResult<Response> {
    let (parts, body) = request.into_parts();
    let body = body::read(&parts, body, Takes::ObjectOrForm).await?;
    let asked = asked(parts, "auth.browser.click")?;
    query::none(&asked.parts)?;
    let BrowserCode { code } = body.decode()?;
    plain(&code, ["body", "code"])?;
    let headers = asked.parts.headers.clone();
    let cookies = move |name: &str| cookie(&headers, name);
    app.login.check_click(&asked.mount, &code, &cookies, &asked.client).await?;
    asked.tried("auth.browser.click").await?;
    let login::Clicked { url, cookie } = app.login.browser_click(&asked.mount, &code, &cookies, &asked.client).await?;
    let location = HeaderValue::try_from(url).map_err(|_| ApiError::new(Kind::PluginFailed))?;
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(header::LOCATION, location);
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response.headers_mut().insert(header::SET_COOKIE, set(&cookie)?);
    Ok(response)
}

/// Where the identity provider sends the browser back to.
///
/// What it says waits for the client, which asks by `token/resume`.
#[utoipa::path(
    get,
    path = "/api/v1/auth/{mount}/callback",
    operation_id = "browser_callback",
    tag = "tokens",
    params(
        ("mount" = String, Path),
        ("state" = String, Query, description = "As it went to the provider; other members are the provider's."),
    ),
    responses((status = 200, description = "A page that says so.", body = String, content_type = "text/html")),
    security(())
)]
pub async fn back(State(app): State<App>, request: Request) -> Response {
    let is_person = wants_page(request.headers());
    told(came_back(app, request).await, is_person)
}

async fn came_back(app: App, request: Request) -> ApiResult<Response> {
    let asked = asked(without_body(request).await?, "auth.browser.back")?;
    let Value::Object(mut answer) = query::members(&asked.parts)? else { return Err(ApiError::new(Kind::BadRequest)) };
    let Some(Value::String(state)) = answer.remove("state") else {
        // Whatever this is, it comes from no provider.
        return Err(match answer.keys().find(|name| !PROVIDERS.contains(&name.as_str())) {
            Some(name) => ApiError::at(Kind::UnknownMember, ["query".into(), json::told(name)]),
            None => ApiError::at(Kind::Missing, ["query", "state"]),
        });
    };
    plain(&state, ["query", "state"])?;
    let headers = asked.parts.headers.clone();
    let cookies = move |name: &str| cookie(&headers, name);
    app.login.check_comes_back(&asked.mount, &state, &cookies, &asked.client).await?;
    asked.tried("auth.browser.back").await?;
    let done = app.login.browser_back(&asked.mount, (&state, answer), &cookies, &asked.client).await?;
    let mut response = Response::default();
    let content = "<p>The program that you came from goes on now. You can close this page.</p>".to_owned();
    response.extensions_mut().insert(Page { title: "Thank you", content, leads_to: None });
    if let Ok(gone) = HeaderValue::try_from(format!("{done}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0")) {
        response.headers_mut().insert(header::SET_COOKIE, gone);
    }
    Ok(response)
}

/// What an identity provider says beside `state` (RFC 6749 section 4.1.2, RFC 9207). Others say more.
const PROVIDERS: [&str; 5] = ["code", "error", "error_description", "error_uri", "iss"];

async fn without_body(request: Request) -> ApiResult<Parts> {
    let (parts, body) = request.into_parts();
    body::read(&parts, body, Takes::Nothing).await?;
    Ok(parts)
}

/// Codes and states are ours: letters, digits, and what people put between them.
fn plain(text: &str, place: [&'static str; 2]) -> ApiResult<()> {
    let is_plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b' ');
    match is_plain && text.len() <= limits::MOUNT_BYTES {
        true => Ok(()),
        false => Err(ApiError::at(Kind::InvalidValue, place)),
    }
}

/// Nobody is known yet, and codes can be made up: what leads nowhere is one refusal among many.
fn asked(parts: Parts, operation: &'static str) -> ApiResult<Asked> {
    one_credential(&parts)?;
    let mount = mount(&parts)?;
    permitted::trail(&parts)?.known(operation, Default::default());
    let client = permitted::client(&parts)?;
    Ok(Asked { parts, mount, client })
}

impl Asked {
    /// The login is found: from here on something may change.
    async fn tried(&self, operation: &'static str) -> ApiResult<()> {
        let resource = Some(format!("auth/{}", self.mount));
        let about = About::tried(resource);
        permitted::trail(&self.parts)?.decided(operation, Default::default(), about).await
    }
}

/// A browser says so; anything else is told of refusals in their one shape.
fn wants_page(headers: &HeaderMap) -> bool {
    headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

/// To people, a refusal is a page as well.
fn told(answered: ApiResult<Response>, is_person: bool) -> Response {
    answered.unwrap_or_else(|error| {
        if !is_person {
            return error.into_response();
        }
        let why = match error.kind() {
            Kind::ExpiredToken => "There is no such login, or it has taken too long. Begin again.",
            Kind::InvalidGrant => "This login was begun in another browser, or has gone on already. Begin again.",
            Kind::TooManyRequests => "There have been too many attempts from where you are. Try again later.",
            kind => kind.message(),
        };
        let content = format!("<p>{}</p>", escaped(why));
        let mut response = error.into_response();
        response.extensions_mut().insert(Page { title: "This cannot go on", content, leads_to: None });
        response
    })
}

fn set(cookie: &Cookie) -> ApiResult<HeaderValue> {
    let Cookie { name, value } = cookie;
    let age = limits::PLUGIN_CHALLENGE_WAIT.as_secs();
    // Lax: it is to come along when the identity provider sends the browser back.
    let text = format!("{name}={}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={age}", value.reveal());
    let mut value = HeaderValue::try_from(text).map_err(|_| ApiError::internal("a cookie that is no header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The one of that name; of several, none is believed.
fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(known, _)| *known == name).map(|(_, value)| value.to_owned());
    named.next().filter(|_| named.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_cookies_of_one_name_none_is_believed() {
        let headers = |lines: &[&str]| {
            let lines = lines.iter().map(|line| (header::COOKIE, HeaderValue::from_str(line).unwrap()));
            lines.collect::<HeaderMap>()
        };
        assert_eq!(cookie(&headers(&["a=1; __Host-x=2;b=3"]), "__Host-x").as_deref(), Some("2"));
        assert_eq!(cookie(&headers(&["a=1; x=__Host-x=2"]), "__Host-x"), None);
        assert_eq!(cookie(&headers(&["__Host-x=2; __Host-x=3"]), "__Host-x"), None);
    }
}
