//! `/docs`: the pages of `host/docs` and of the shipped plugins, and a reference made of `openapi.json`.
//!
//! Owns how Markdown and OpenAPI become pages for people. Everything is made once, of what was built in; nothing of
//! a request, a setting or the store is ever in it. One more page is one more file in `host/docs`; the build lists it.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{
    body::Bytes,
    extract::{Path, Request},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
};

use super::{
    answer,
    error::ApiResult,
    routes::{DOCUMENT, public},
};
use crate::catalog::Digest;

mod markdown;
mod reference;
mod shell;
#[cfg(test)]
mod tests;

use markdown::Rendered;

include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Where the reference stands among the pages.
const REFERENCE: &str = "api-reference";
const STYLE: &str = "style.css";
const HTML: &str = "text/html; charset=utf-8";

/// Nothing but text and our own style: no script, no picture, no frame, nowhere to send a form.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static SITE: LazyLock<Site> = LazyLock::new(Site::new);

/// All that can be asked for, ready to be sent.
struct Site {
    files: BTreeMap<String, File>,
    contents: File,
    missing: File,
}

struct File {
    media_type: &'static str,
    bytes: Bytes,
    etag: String,
}

impl File {
    fn new(media_type: &'static str, text: String) -> Self {
        let etag = format!("\"{}\"", &Digest::of(text.as_bytes()).as_str()[..32]);
        Self { media_type, bytes: text.into(), etag }
    }
}

impl Site {
    fn new() -> Self {
        let pages = rendered();
        let entries: Vec<shell::Entry<'_>> =
            pages.iter().map(|(name, page)| shell::Entry { name, title: &page.title, lead: &page.lead }).collect();
        let mut files = BTreeMap::new();
        for (name, page) in &pages {
            files.insert((*name).to_owned(), File::new(HTML, shell::page(name, page, &entries)));
        }
        files.insert(STYLE.to_owned(), File::new("text/css; charset=utf-8", shell::CSS.to_owned()));
        let contents = File::new(HTML, shell::contents(&entries));
        let missing = File::new(HTML, shell::missing(&entries));
        Self { files, contents, missing }
    }
}

/// Names and pages, in the order in which they are listed.
fn rendered() -> Vec<(&'static str, Rendered)> {
    let sources: Vec<(&str, &str)> = PAGES.iter().map(|(name, source, _)| (*name, *source)).collect();
    let mut pages: Vec<_> =
        PAGES.iter().map(|(name, source, text)| (*name, markdown::render(source, text, &sources))).collect();
    let document = serde_json::from_slice(&DOCUMENT).unwrap_or_default();
    pages.push((REFERENCE, reference::render(&document)));
    pages
}

/// `GET /docs`
pub async fn contents(request: Request) -> ApiResult<Response> {
    public(&request)?;
    Ok(send(&SITE.contents, &request))
}

/// `GET /docs/{page}`
pub async fn page(Path(name): Path<String>, request: Request) -> ApiResult<Response> {
    public(&request)?;
    match SITE.files.get(&name) {
        Some(file) => Ok(send(file, &request)),
        None => Ok((StatusCode::NOT_FOUND, dressed(&SITE.missing)).into_response()),
    }
}

fn send(file: &File, request: &Request) -> Response {
    let known = request.headers().get_all(header::IF_NONE_MATCH).iter().any(|line| {
        let mut tags = line.to_str().unwrap_or_default().split(',').map(str::trim);
        tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == file.etag)
    });
    let mut response = dressed(file);
    // Asked about each time, so that an upgrade shows at once.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    HeaderValue::try_from(&file.etag).map(|etag| response.headers_mut().insert(header::ETAG, etag)).ok();
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        *response.body_mut() = axum::body::Body::empty();
        response.headers_mut().remove(header::CONTENT_TYPE);
    }
    response
}

fn dressed(file: &File) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    let mut response = ([(header::CONTENT_TYPE, file.media_type)], HEADERS, file.bytes.clone()).into_response();
    response.extensions_mut().insert(answer::Documentation);
    response
}
