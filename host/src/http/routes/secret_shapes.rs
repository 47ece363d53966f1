//! What secrets look like on the outside. The host hands most of it through to the engine, so
//! these are schemas of what engines have agreed on, as `kv` has it.

#![expect(dead_code, reason = "only their schemas are used")]

use serde_json::Value;
use utoipa::ToSchema;

use crate::span::Span;

/// `secret_id`, or `name` and `mount`; `data` or `value`.
#[derive(ToSchema)]
pub struct NewSecret {
    /// The mount first: `kv/apps/web/db`.
    #[schema(nullable = false)]
    secret_id: Option<String>,
    /// Below the mount: `apps/web/db`.
    #[schema(nullable = false)]
    name: Option<String>,
    /// With `name`; `kv` if left out. `engine` is the same.
    #[schema(nullable = false)]
    mount: Option<String>,
    #[schema(value_type = Option<Object>, nullable = false)]
    data: Option<Value>,
    /// Short for data with this as its only member, `value`.
    value: Option<Value>,
    /// From now on. The secret has no end if left out.
    ttl: Option<Span>,
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
}

/// `data` or `value`.
#[derive(ToSchema)]
pub struct PutSecret {
    #[schema(value_type = Option<Object>, nullable = false)]
    data: Option<Value>,
    /// Short for data with this as its only member, `value`.
    value: Option<Value>,
    /// From now on. Left out: the end stays. Null: there is none any more.
    ttl: Option<Span>,
    /// Left out: it stays.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// If the newest version is another: 409. 0 is none.
    expected_version: Option<u64>,
}

/// At least one of `data`, `value`, `metadata` and `ttl`.
#[derive(ToSchema)]
pub struct PatchSecret {
    /// Merged into the data (RFC 7396): a new version.
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// Short for data with this as its only member, `value`.
    value: Option<Value>,
    /// From now on. Left out: the end stays. Null: there is none any more.
    ttl: Option<Span>,
    /// Merged into the metadata.
    #[schema(value_type = Option<Object>)]
    metadata: Option<Value>,
    /// If the newest version is another: 409.
    expected_version: Option<u64>,
}

#[derive(ToSchema)]
pub struct Secret {
    secret_id: String,
    #[schema(value_type = Object)]
    data: Value,
    version: u64,
    #[schema(value_type = Object)]
    metadata: Value,
    /// When this version was made.
    #[schema(format = DateTime)]
    created_at: String,
    /// By whom: a user's id.
    #[schema(required)]
    created_by: Option<String>,
    /// When anything of the secret was last changed.
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    #[schema(nullable = false)]
    warnings: Option<Vec<String>>,
}

/// What a change made.
#[derive(ToSchema)]
pub struct ChangedSecret {
    secret_id: String,
    version: u64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
    #[schema(nullable = false)]
    warnings: Option<Vec<String>>,
    #[schema(nullable = false)]
    lease: Option<Lent>,
}

#[derive(ToSchema)]
pub struct DeletedSecret {
    secret_id: String,
    version: u64,
    #[schema(format = DateTime)]
    deleted_at: String,
    #[schema(nullable = false)]
    warnings: Option<Vec<String>>,
    #[schema(nullable = false)]
    lease: Option<Lent>,
}

#[derive(ToSchema)]
pub struct ListedSecret {
    secret_id: String,
    version: u64,
    #[schema(value_type = Object)]
    metadata: Value,
    #[schema(format = DateTime)]
    updated_at: String,
    #[schema(required, format = DateTime)]
    expires_at: Option<String>,
}

/// Where an answer has an end.
#[derive(ToSchema)]
pub struct Lent {
    lease_id: String,
    #[schema(format = DateTime)]
    expires_at: String,
    #[schema(format = DateTime)]
    max_expires_at: String,
    renewable: bool,
}
