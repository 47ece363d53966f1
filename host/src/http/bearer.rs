//! Who asks: `Authorization`, as it stands in the request. Looks nothing up.

use axum::http::{header, request::Parts};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    error::{ApiError, Kind},
    form,
};
use crate::{limits, sensitive::Secret};

/// The credentials of a client (RFC 6749 section 2.3.1).
#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    pub secret: Secret<String>,
}

/// The access token: 401 without one. More than one credential is 400.
pub fn required(parts: &Parts) -> Result<Secret<String>, ApiError> {
    token(parts)?.ok_or_else(|| ApiError::new(Kind::Unauthenticated))
}

/// The access token, if the request carries one. Another scheme is none.
pub fn token(parts: &Parts) -> Result<Option<Secret<String>>, ApiError> {
    let Some((scheme, rest)) = credential(parts)? else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    match is_b64token(rest) && rest.len() <= limits::TOKEN_BYTES {
        true => Ok(Some(Secret::new(rest.to_owned()))),
        false => Err(ApiError::new(Kind::InvalidToken)),
    }
}

/// Every bearer token in the request, however many and however wrong the rest: they came in the
/// clear and are to be ended.
pub fn every(parts: &Parts) -> Vec<Secret<String>> {
    let lines = parts.headers.get_all(header::AUTHORIZATION).iter().filter_map(|line| line.to_str().ok());
    let tokens = lines.filter_map(|line| {
        let (scheme, rest) = line.split_once(' ')?;
        let rest = rest.trim_matches(' ');
        let is_token = scheme.eq_ignore_ascii_case("bearer") && is_b64token(rest) && rest.len() <= limits::TOKEN_BYTES;
        is_token.then(|| Secret::new(rest.to_owned()))
    });
    tokens.take(limits::PLAIN_TOKENS).collect()
}

/// The credentials of the program that asks, if they come as HTTP Basic. Both are
/// form-encoded before they are joined, as the RFC has it.
pub fn client(parts: &Parts) -> Result<Option<Client>, ApiError> {
    let Some((scheme, rest)) = credential(parts)? else { return Ok(None) };
    if !scheme.eq_ignore_ascii_case("basic") {
        return Ok(None);
    }
    read_client(rest).map(Some).ok_or_else(|| ApiError::new(Kind::InvalidClient))
}

fn read_client(rest: &str) -> Option<Client> {
    let pair = Secret::new(STANDARD.decode(rest).ok().filter(|pair| pair.len() <= limits::TOKEN_BYTES)?);
    let at = pair.reveal().iter().position(|b| *b == b':')?;
    let (id, secret) = pair.reveal().split_at(at);
    let id = form::decode(id, true).ok().filter(|id| !id.is_empty())?;
    Some(Client { id, secret: form::decode(&secret[1..], true).ok()?.into() })
}

/// The one `Authorization` line, as scheme and rest.
fn credential(parts: &Parts) -> Result<Option<(&str, &str)>, ApiError> {
    let mut lines = parts.headers.get_all(header::AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(ApiError::new(Kind::TwoCredentials));
    }
    let text = line.to_str().map_err(|_| ApiError::new(Kind::InvalidToken))?;
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    Ok(Some((scheme, rest.trim_start_matches(' '))))
}

/// RFC 6750 section 2.1.
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    !body.is_empty() && body.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(lines: &[&str]) -> Parts {
        let request = lines.iter().fold(Request::get("/"), |request, line| request.header("authorization", *line));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn one_bearer_token_is_taken() {
        for line in ["Bearer cof_s_a_b_c", "bearer cof_s_a_b_c", "BEARER   cof_s_a_b_c"] {
            assert_eq!(required(&parts(&[line])).unwrap().reveal(), "cof_s_a_b_c");
        }
    }

    #[test]
    fn no_token_and_a_bad_token_are_told_apart() {
        for lines in [&[][..], &["Basic YTpi"], &["Negotiate x"]] {
            assert_eq!(required(&parts(lines)).unwrap_err().kind(), Kind::Unauthenticated, "{lines:?}");
        }
        let long = format!("Bearer {}", "a".repeat(limits::TOKEN_BYTES + 1));
        for line in
            ["Bearer", "Bearer ", "Bearer a b", "Bearer a, Bearer b", "Bearer =", "Bearer a=b", "Bearer ä", &long]
        {
            assert_eq!(required(&parts(&[line])).unwrap_err().kind(), Kind::InvalidToken, "{line}");
        }
    }

    #[test]
    fn two_credentials_are_refused() {
        for second in ["Bearer a", "Bearer b", "Basic YTpi"] {
            assert_eq!(token(&parts(&["Bearer a", second])).unwrap_err().kind(), Kind::TwoCredentials);
            assert_eq!(client(&parts(&["Bearer a", second])).unwrap_err().kind(), Kind::TwoCredentials);
        }
    }

    #[test]
    fn a_client_is_read_from_http_basic_and_form_decoded() {
        let basic = |pair: &str| client(&parts(&[&format!("Basic {}", STANDARD.encode(pair))]));
        let found = basic("a%3Ab:c%2Bd:e+f").unwrap().unwrap();
        assert_eq!((found.id.as_str(), found.secret.reveal().as_str()), ("a:b", "c+d:e f"));
        assert!(client(&parts(&["Bearer a"])).unwrap().is_none());
        for bad in ["", "a", ":b", "%zz:b"] {
            assert_eq!(basic(bad).unwrap_err().kind(), Kind::InvalidClient, "{bad}");
        }
        assert_eq!(client(&parts(&["Basic !!"])).unwrap_err().kind(), Kind::InvalidClient);
    }
}
