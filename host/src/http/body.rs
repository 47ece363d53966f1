//! The body of a request: how much of it is read, for how long, and as what.

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    extract::Request,
    http::{HeaderMap, header, request::Parts},
};
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{
    error::{ApiError, Kind},
    form,
    intake::Fault,
    json, query,
};
use crate::limits;

/// What an endpoint takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Takes {
    /// A JSON object.
    Object,
    /// The same, or no body at all, which counts as an empty object.
    ObjectOrNothing,
    /// A JSON object or a form: the endpoints that OAuth's clients speak to.
    ObjectOrForm,
    /// Nothing: a body that is not empty is refused.
    Nothing,
    /// A file of this type. It is read once it is known that the caller may send it: memory for
    /// files is not for everybody to take.
    Upload(&'static str),
}

/// A file that was read, and the room that it takes.
#[derive(Clone)]
pub struct Received {
    pub bytes: Bytes,
    pub room: Room,
}

/// Given back when the last who holds it is done with the file.
pub type Room = Arc<SemaphorePermit<'static>>;

static UPLOADS: Semaphore = Semaphore::const_new(limits::UPLOADS);

/// The members of a body, each once, bounded in depth and number. Not yet of any type of ours.
#[derive(Clone, PartialEq)]
pub struct Members {
    value: Value,
    is_form: bool,
}

impl Members {
    /// As a type of ours, which refuses unknown members (`deny_unknown_fields`): 422.
    pub fn decode<T: DeserializeOwned>(self) -> Result<T, ApiError> {
        match self.is_form {
            true => query::from_text(self.value, "body"),
            false => json::decode(&self.value, "body"),
        }
    }

    /// One member, before the rest is looked at: what the resource is named by.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.value.get(name)
    }

    pub fn into_value(self) -> Value {
        self.value
    }
}

/// Secrets may stand in it.
impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[members]")
    }
}

/// Reads the members of a body: 415, then 413, then 400, then 422, in this order.
pub async fn read(parts: &Parts, body: Body, takes: Takes) -> Result<Members, ApiError> {
    if let Takes::Upload(media) = takes {
        check_upload(parts, media)?;
    }
    let media = Media::of(&parts.headers);
    let fits = |first: Option<u8>| match (takes, first) {
        (_, None) => true,
        (Takes::Nothing | Takes::Upload(_), Some(_)) => false,
        // curl calls everything a form, so what begins like an object is taken for one.
        (_, Some(b'{')) => true,
        (Takes::ObjectOrForm, Some(_)) => matches!(media, Media::Json | Media::Form),
        (Takes::Object | Takes::ObjectOrNothing, Some(_)) => media == Media::Json,
    };
    let bytes = collect(parts, body, limits::BODY_BYTES, fits).await?;
    let first = bytes.first().copied();
    let value = match (takes, first, &media) {
        (Takes::Object | Takes::ObjectOrForm, None, _) => return Err(ApiError::at(Kind::Missing, ["body"])),
        (_, None, _) => Value::Object(Map::new()),
        (Takes::ObjectOrForm, Some(byte), Media::Form) if byte != b'{' => {
            let value = form::parse(&bytes, "body", Kind::InvalidForm)?;
            return Ok(Members { value, is_form: true });
        }
        _ => json::parse(&bytes)?,
    };
    Ok(Members { value, is_form: false })
}

/// What can be refused of an upload before it is read: 415, then 413.
fn check_upload(parts: &Parts, media: &'static str) -> Result<(), ApiError> {
    if is_encoded(&parts.headers) || Media::of(&parts.headers) != Media::Other(media.to_owned()) {
        return Err(ApiError::new(Kind::UnsupportedMediaType));
    }
    match declared(&parts.headers).is_some_and(|length| length > limits::UPLOAD_BYTES as u64) {
        true => Err(ApiError::new(Kind::BodyTooLarge)),
        false => Ok(()),
    }
}

/// A file stays in the connection until it is known that the caller may send it.
pub fn held_back(mut request: Request, takes: Takes) -> (Request, Option<Body>) {
    let file = matches!(takes, Takes::Upload(_)).then(|| std::mem::take(request.body_mut()));
    (request, file)
}

/// The file itself, while there is room.
pub async fn receive(parts: &Parts, body: Body, takes: Takes) -> Result<Received, ApiError> {
    let Takes::Upload(media) = takes else { return Err(ApiError::internal("a file that nobody takes")) };
    let room = UPLOADS.try_acquire().map_err(|_| ApiError::new(Kind::Unavailable))?;
    let bytes = read_bytes(parts, body, media, limits::UPLOAD_BYTES).await?;
    Ok(Received { bytes, room: Arc::new(room) })
}

/// Reads a body as it is, for uploads.
async fn read_bytes(parts: &Parts, body: Body, media: &'static str, most: usize) -> Result<Bytes, ApiError> {
    let fits = Media::of(&parts.headers) == Media::Other(media.to_owned());
    let bytes = collect(parts, body, most, |_| fits).await?;
    if bytes.is_empty() { Err(ApiError::at(Kind::Missing, ["body"])) } else { Ok(bytes) }
}

/// All of the body, if its type and size are right. What is left unread after a refusal is
/// drained by the connection, so that the client sees the answer.
async fn collect(
    parts: &Parts,
    mut body: Body,
    most: usize,
    fits: impl Fn(Option<u8>) -> bool,
) -> Result<Bytes, ApiError> {
    if is_encoded(&parts.headers) {
        return Err(ApiError::new(Kind::UnsupportedMediaType));
    }
    let expects = parts.headers.contains_key(header::EXPECT);
    let too_large = declared(&parts.headers).is_some_and(|length| length > most as u64);
    // Whoever waits for our word before sending is spared the sending.
    if too_large && expects {
        return Err(ApiError::new(Kind::BodyTooLarge));
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if bytes.is_empty() && !data.is_empty() && !fits(data.first().copied()) {
            return Err(ApiError::new(Kind::UnsupportedMediaType));
        }
        if too_large || bytes.len() + data.len() > most {
            return Err(ApiError::new(Kind::BodyTooLarge));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes.into())
}

/// What the client says the body is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Media {
    Json,
    Form,
    Other(String),
    /// Not said, or said twice, or in an alphabet that is not UTF-8.
    Unknown,
}

impl Media {
    fn of(headers: &HeaderMap) -> Self {
        let mut lines = headers.get_all(header::CONTENT_TYPE).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return Self::Unknown };
        let Ok(text) = line.to_str() else { return Self::Unknown };
        let mut parts = text.split(';').map(|part| part.trim().to_ascii_lowercase());
        let essence = parts.next().unwrap_or_default();
        let foreign = parts.any(|part| {
            part.strip_prefix("charset=").is_some_and(|set| !matches!(set.trim_matches('"'), "utf-8" | "utf8"))
        });
        match essence.as_str() {
            _ if foreign => Self::Unknown,
            "application/json" | "application/merge-patch+json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            _ => Self::Other(essence),
        }
    }
}

/// We take no compressed body: a small one could become a large one.
fn is_encoded(headers: &HeaderMap) -> bool {
    headers.get_all(header::CONTENT_ENCODING).iter().any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn broken(error: axum::Error) -> ApiError {
    let error = error.into_inner();
    let kind = match error.downcast_ref::<Fault>() {
        Some(Fault::TooSlow) => Kind::BodyTooSlow,
        Some(Fault::Broken(_)) | None => Kind::BadRequest,
    };
    ApiError::new(kind).caused_by(error)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    async fn sent(media: Option<&str>, body: impl Into<Body>, takes: Takes) -> Result<Value, (u16, &'static str)> {
        let mut request = Request::post("/");
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        let (parts, body) = request.body(body.into()).unwrap().into_parts();
        let read = read(&parts, body, takes).await;
        read.map(Members::into_value).map_err(|e| (e.kind().status(), e.kind().code()))
    }

    const CURL: Option<&str> = Some("application/x-www-form-urlencoded");
    const JSON: Option<&str> = Some("application/json");

    #[tokio::test]
    async fn what_begins_like_an_object_is_json_whatever_it_is_called() {
        for media in [CURL, JSON, None, Some("text/plain"), Some("application/json; charset=utf-8")] {
            for takes in [Takes::Object, Takes::ObjectOrNothing, Takes::ObjectOrForm] {
                assert_eq!(sent(media, r#"{"a":1}"#, takes).await, Ok(json!({"a": 1})), "{media:?}");
                assert_eq!(sent(media, "{", takes).await, Err((400, "invalid_json")), "{media:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_type_that_is_not_taken_is_415() {
        let refused = Err((415, "unsupported_media_type"));
        for media in [CURL, None, Some("text/plain"), Some("application/json; charset=utf-16"), Some("")] {
            assert_eq!(sent(media, "a=1", Takes::Object).await, refused, "{media:?}");
        }
        assert_eq!(sent(Some("text/plain"), "a=1", Takes::ObjectOrForm).await, refused);
        assert_eq!(sent(JSON, "{}", Takes::Nothing).await, refused);
        assert_eq!(sent(JSON, "a=1", Takes::Object).await, Err((400, "invalid_json")));
        assert_eq!(sent(CURL, "a=1", Takes::ObjectOrForm).await, Ok(json!({"a": "1"})));
    }

    #[tokio::test]
    async fn the_type_is_looked_at_before_the_size() {
        let large = "x".repeat(limits::BODY_BYTES + 1);
        assert_eq!(sent(CURL, large.clone(), Takes::Object).await, Err((415, "unsupported_media_type")));
        assert_eq!(sent(JSON, large, Takes::Object).await, Err((413, "body_too_large")));
        let full = format!("{{{}}}", " ".repeat(limits::BODY_BYTES - 2));
        assert_eq!(sent(JSON, full, Takes::Object).await, Ok(json!({})));
    }

    #[tokio::test]
    async fn no_body_is_an_empty_object_only_where_that_is_enough() {
        assert_eq!(sent(None, "", Takes::ObjectOrNothing).await, Ok(json!({})));
        assert_eq!(sent(None, "", Takes::Nothing).await, Ok(json!({})));
        for takes in [Takes::Object, Takes::ObjectOrForm] {
            assert_eq!(sent(JSON, "", takes).await, Err((422, "missing")));
        }
    }

    #[tokio::test]
    async fn a_compressed_body_is_refused() {
        let request = Request::post("/").header("content-encoding", "gzip").body(Body::from("{}")).unwrap();
        let (parts, body) = request.into_parts();
        assert_eq!(read(&parts, body, Takes::Object).await.unwrap_err().kind(), Kind::UnsupportedMediaType);
    }

    #[tokio::test]
    async fn numbers_in_a_form_are_read_as_numbers_where_they_must_be() {
        #[derive(Deserialize, PartialEq, Debug)]
        struct Ask {
            name: String,
            uses: u32,
        }
        let members = Members { value: json!({"name": "1", "uses": "2"}), is_form: true };
        assert_eq!(members.clone().decode::<Ask>().unwrap(), Ask { name: "1".into(), uses: 2 });
        assert!(Members { is_form: false, ..members }.decode::<Ask>().is_err());
    }

    #[tokio::test]
    async fn an_upload_has_its_own_type_and_size() {
        let upload = async |media: &str, size: usize| {
            let request = Request::put("/").header("content-type", media).body(Body::from(vec![b'{'; size])).unwrap();
            let (parts, body) = request.into_parts();
            let read = read_bytes(&parts, body, "application/wasm", 10).await;
            read.map(|bytes| bytes.len()).map_err(|e| e.kind().status())
        };
        assert_eq!(upload("application/wasm", 10).await, Ok(10));
        assert_eq!(upload("application/wasm", 11).await, Err(413));
        assert_eq!(upload("application/wasm", 0).await, Err(422));
        assert_eq!(upload("application/json", 10).await, Err(415));
    }
}
