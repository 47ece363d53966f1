//! Requests to GitHub, as its documentation has them, and what its refusals mean.

use coffer_plugin_sdk::{http, prelude::*, serde_json};
use serde::de::DeserializeOwned;

use crate::GitHub;

/// Of the REST API, pinned.
const VERSION: &str = "2022-11-28";
/// Pages of 100 that are read of one list.
pub const PAGES: usize = 10;
/// How long one waits at most when GitHub says to.
const WAIT_MOST_SECONDS: u64 = 3600;

/// With whose authority a request is made.
#[derive(Clone, Copy)]
pub enum By<'a> {
    Token(&'a str),
    /// One of the host's, which it adds by name.
    Credential(&'a str),
}

/// What GitHub has against a request, where that is not the end of it.
#[derive(Debug)]
pub enum Refused {
    /// The token is not good.
    Unauthorized,
    /// Not for this token, whatever there is: who asks has no right to be told.
    Forbidden,
    /// It is not there, or nobody is to know that it is.
    NotFound,
    /// An organisation wants the token authorised by its own login first, at this URL.
    Sso(String),
    Failed(Error),
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Unauthorized | Refused::Forbidden | Refused::NotFound | Refused::Sso(_) => Self::denied(),
            Refused::Failed(error) => error,
        }
    }
}

impl GitHub {
    /// Where people go, and where OAuth is spoken.
    pub fn web(&self, path: &str) -> String {
        format!("{}{path}", self.base_url.as_deref().unwrap_or("https://github.com"))
    }

    pub fn api(&self, path: &str) -> String {
        match &self.base_url {
            Some(base) => format!("{base}/api/v3{path}"),
            None => format!("https://api.github.com{path}"),
        }
    }

    pub fn graphql(&self) -> String {
        match &self.base_url {
            Some(base) => format!("{base}/api/graphql"),
            None => self.api("/graphql"),
        }
    }
}

/// An answer, and what its headers say of it.
pub struct Page<T> {
    pub value: T,
    next: Option<String>,
    /// Organisations that were left out, for they want the token authorised by their own login first.
    pub left_out: Vec<u64>,
    /// The OAuth app that the token was given to.
    pub app: Option<String>,
}

pub fn get<T: DeserializeOwned>(url: &str, by: By<'_>) -> Result<T, Refused> {
    page(url, by).map(|page| page.value)
}

/// All of a list: GitHub says itself where the next page is.
pub fn all<T: DeserializeOwned>(github: &GitHub, path: &str, by: By<'_>) -> Result<Vec<T>, Refused> {
    all_open(github, path, by).map(|(found, _)| found)
}

/// The same, and which organisations were left out of it.
pub fn all_open<T: DeserializeOwned>(github: &GitHub, path: &str, by: By<'_>) -> Result<(Vec<T>, Vec<u64>), Refused> {
    let first = github.api(path);
    let (mut found, mut left_out, mut next) = (Vec::new(), Vec::new(), Some(first.clone()));
    for _ in 0..PAGES {
        let Some(url) = next else { return Ok((found, left_out)) };
        let page: Page<Vec<T>> = page(&url, by)?;
        found.extend(page.value);
        left_out.extend(page.left_out);
        // A token is sent to no other host than it was for.
        next = page.next.filter(|link| origin(link) == origin(&first));
    }
    match next {
        None => Ok((found, left_out)),
        Some(_) => Err(Refused::Failed(crate::groups::endless())),
    }
}

fn origin(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let end = url[authority..].find('/').map_or(url.len(), |at| authority + at);
    &url[..end]
}

pub fn page<T: DeserializeOwned>(url: &str, by: By<'_>) -> Result<Page<T>, Refused> {
    let response = send(request("GET", url, by)).map_err(Refused::Failed)?;
    let response = accepted(response)?;
    let next = header(&response, "link").and_then(next_of);
    let left_out = header(&response, "x-github-sso").map(left_out).unwrap_or_default();
    let app = header(&response, "x-oauth-client-id").map(str::to_owned);
    Ok(Page { value: response.json().map_err(Refused::Failed)?, next, left_out, app })
}

pub fn request(method: &str, url: &str, by: By<'_>) -> http::Request {
    let request = http::Request::new(method, url)
        .header("accept", "application/vnd.github+json")
        .header("x-github-api-version", VERSION)
        .header("user-agent", "coffer");
    match by {
        By::Token(token) => request.header("authorization", format!("Bearer {token}")),
        By::Credential(name) => request.credential(name),
    }
}

pub fn send(request: http::Request) -> Result<http::Response> {
    http::send(&request).map_err(|error| match error.code.as_str() {
        // Not granted, or refused on the way: nothing that the client could mend.
        "denied" | "invalid" => Error::internal(error.message),
        _ => Error::unavailable("GitHub cannot be reached"),
    })
}

/// Tells apart what GitHub refuses with. Its limits of rate come as 403 or as 429, and are no failed login.
pub fn accepted(response: http::Response) -> Result<http::Response, Refused> {
    if let Some(error) = limited(&response) {
        return Err(Refused::Failed(error));
    }
    let refused = match response.status {
        200..=299 => return Ok(response),
        401 => Refused::Unauthorized,
        403 => match header(&response, "x-github-sso").and_then(sso_url) {
            Some(url) => Refused::Sso(url),
            None => Refused::Forbidden,
        },
        404 => Refused::NotFound,
        422 => Refused::Forbidden,
        500..=599 => Refused::Failed(Error::unavailable("GitHub has a failure of its own")),
        status => Refused::Failed(Error::internal(format!("GitHub answers {status}"))),
    };
    Err(refused)
}

/// One of GitHub's limits of rate, if that is why it refused.
pub fn limited(response: &http::Response) -> Option<Error> {
    let seconds = matches!(response.status, 403 | 429).then(|| wait(response)).flatten()?;
    let retry_after_ms = u32::try_from(seconds * 1000).ok();
    Some(Error { retry_after_ms, ..Error::unavailable("GitHub's limit of requests is reached") })
}

/// Seconds until GitHub wants to be asked again. The secondary limits are often told by the body alone, and then a
/// minute is what GitHub advises.
fn wait(response: &http::Response) -> Option<u64> {
    let number = |name| header(response, name).and_then(|text| text.trim().parse::<u64>().ok());
    let waits = match (number("retry-after"), number("x-ratelimit-remaining"), number("x-ratelimit-reset")) {
        (Some(seconds), ..) => Some(seconds),
        (None, Some(0), Some(reset)) => Some(reset.saturating_sub(time::now().millis() / 1000)),
        (None, Some(0), None) => Some(60),
        _ if response.status == 429 || says_limited(&response.body) => Some(60),
        _ => None,
    };
    waits.map(|seconds| seconds.clamp(1, WAIT_MOST_SECONDS))
}

fn says_limited(body: &[u8]) -> bool {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Told {
        message: String,
        documentation_url: String,
    }
    let told: Told = serde_json::from_slice(body).unwrap_or_default();
    let message = told.message.to_ascii_lowercase();
    message.contains("rate limit")
        || message.contains("abuse detection")
        || told.documentation_url.contains("rate-limits")
}

pub fn header<'a>(response: &'a http::Response, name: &str) -> Option<&'a str> {
    response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value.as_str())
}

/// `<https://api.github.com/…?page=2>; rel="next", <…>; rel="last"` (RFC 8288).
fn next_of(link: &str) -> Option<String> {
    link.split(',').find_map(|one| {
        let (url, parameters) = one.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = parameters.split(';').any(|parameter| matches!(parameter.trim(), "rel=\"next\"" | "rel=next"));
        is_next.then(|| url.to_owned())
    })
}

/// `partial-results; organizations=21955855,20582480`
fn left_out(value: &str) -> Vec<u64> {
    let ids = value.strip_prefix("partial-results").and_then(|rest| rest.split_once("organizations="));
    ids.map(|(_, ids)| ids.split(',').filter_map(|id| id.trim().parse().ok()).collect()).unwrap_or_default()
}

/// `required; url=https://github.com/orgs/acme/sso?authorization_request=…`
fn sso_url(value: &str) -> Option<String> {
    let url = value.strip_prefix("required")?.split(';').find_map(|part| part.trim().strip_prefix("url="))?;
    url.starts_with("https://").then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_where_the_header_says() {
        let link = r#"<https://api.github.com/user/orgs?page=1>; rel="prev", <https://api.github.com/user/orgs?page=3>; rel="next""#;
        assert_eq!(next_of(link).as_deref(), Some("https://api.github.com/user/orgs?page=3"));
        for none in ["", "<x", r#"<https://api.github.com/x>; rel="last""#, "junk, junk"] {
            assert_eq!(next_of(none), None);
        }
    }

    #[test]
    fn an_organisations_own_login_is_found_in_the_header() {
        let url = "https://github.com/orgs/acme/sso?authorization_request=A1B2";
        assert_eq!(sso_url(&format!("required; url={url}")).as_deref(), Some(url));
        for none in ["", "required", "partial-results; organizations=21955855,20582480", "required; url=javascript:x"] {
            assert_eq!(sso_url(none), None);
        }
    }

    #[test]
    fn organisations_that_are_left_out_are_found_in_the_header() {
        assert_eq!(left_out("partial-results; organizations=21955855,20582480"), [21955855, 20582480]);
        for none in ["", "required; url=https://x", "partial-results", "partial-results; organizations=x"] {
            assert_eq!(left_out(none), Vec::<u64>::new());
        }
    }

    #[test]
    fn an_origin_is_scheme_and_authority() {
        assert_eq!(origin("https://api.github.com/user?x=/"), "https://api.github.com");
        assert_ne!(origin("https://api.github.com.evil.example/"), origin("https://api.github.com/"));
    }
}
