//! Pages for people: plain HTML that runs nothing, is framed by nobody and tells nobody where one came from.

use std::sync::LazyLock;

use axum::{
    body::Body,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};

use super::html;

/// What a response shows in place of its body. Goes in its extensions: it is written last, whatever the status is.
#[derive(Clone, Debug)]
pub struct Page {
    pub title: &'static str,
    /// HTML, its texts escaped already.
    pub content: String,
    /// Where a form of it may lead besides here: scheme and host.
    pub leads_to: Option<String>,
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem}\
dt{font-weight:600}dd{margin:0 0 .6rem}code{font-size:1.6rem;letter-spacing:.1em}\
button{font:inherit;padding:.5rem 1.2rem}@media(prefers-color-scheme:dark){body{background:#111;color:#eee}}";

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, STYLE.as_bytes());
    format!("'sha256-{}'", BASE64_STANDARD.encode(digest))
});

impl Page {
    pub fn write(&self, response: &mut Response) {
        let Self { title, content, .. } = self;
        let html = format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head>\
             <body><h1>{title}</h1>{content}</body></html>"
        );
        *response.body_mut() = Body::from(html);
        self.guard(response.headers_mut());
    }

    fn guard(&self, headers: &mut HeaderMap) {
        let leads_to = self.leads_to.as_deref().filter(|origin| is_origin(origin)).unwrap_or_default();
        let policy = format!(
            "default-src 'none'; style-src {}; form-action 'self' {leads_to}; base-uri 'none'; frame-ancestors 'none'",
            *STYLE_HASH
        );
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
        headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
        headers.remove(header::CONTENT_LENGTH);
        if let Ok(policy) = HeaderValue::try_from(policy) {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
    }
}

/// Nothing in it could be another directive.
fn is_origin(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|host| {
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-:[]".contains(&b))
    })
}

/// A text that somebody else chose, in HTML.
pub fn escaped(text: &str) -> String {
    let shown = |c: char| {
        // A name that would turn the line round, or hide in it.
        let hides = matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || hides { '\u{fffd}' } else { c }
    };
    html::escaped(&text.chars().map(shown).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_calls_itself_stays_text() {
        let told = escaped("<script>alert('x')</script>\" onclick=\"\u{202e}");
        assert!(!told.contains(['<', '>', '"', '\'']) && !told.contains('\u{202e}'), "{told}");
    }

    #[test]
    fn an_address_can_add_nothing_to_the_policy() {
        let page = |leads_to: &str| {
            let mut response = Response::new(Body::empty());
            Page { title: "x", content: String::new(), leads_to: Some(leads_to.to_owned()) }.write(&mut response);
            response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned()
        };
        assert!(page("https://github.com").contains("form-action 'self' https://github.com; base-uri"));
        for bad in ["https://x; script-src *", "javascript:x", "https://x *", "https://", "https://x,y"] {
            assert!(page(bad).contains("form-action 'self' ; base-uri"), "{bad}");
        }
    }
}
