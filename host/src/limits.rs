//! Every bound of the server that is not a setting, in one place.
//!
//! A size, depth, count or wait that stands anywhere else in the source is a mistake.

use std::time::Duration;

/// HTTP: what is read of one request.
pub const BODY_BYTES: usize = 1024 * 1024;
pub const UPLOAD_BYTES: usize = 32 * 1024 * 1024;
/// Read and dropped after a 413, so that the client sees the answer.
pub const DRAIN_BYTES: usize = 64 * 1024 * 1024;
pub const JSON_DEPTH: usize = 32;
pub const JSON_MEMBERS: usize = 10_000;
pub const HEADER_COUNT: usize = 64;
pub const HEADER_BYTES: usize = 32 * 1024;
pub const LIST_DEFAULT: usize = 100;
pub const LIST_MOST: usize = 1000;
/// Names looked at for one page of a listing.
pub const LIST_EXAMINED: usize = 10_000;

/// Connections.
pub const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
pub const HEADERS_WAIT: Duration = Duration::from_secs(10);
pub const BODY_WAIT: Duration = Duration::from_secs(30);
pub const IDLE_WAIT: Duration = Duration::from_secs(120);
pub const REQUEST_WAIT: Duration = Duration::from_secs(60);
pub const DRAIN_WAIT: Duration = Duration::from_secs(30);
pub const CONNECTIONS: usize = 10_000;
pub const CONNECTIONS_PER_BLOCK: usize = 1_000;
pub const FORWARDED_HOPS: usize = 32;

/// Paths of secrets.
pub const PATH_SEGMENTS: usize = 32;
pub const PATH_BYTES: usize = 1024;
pub const SEGMENT_BYTES: usize = 255;
pub const MOUNT_BYTES: usize = 63;
pub const USERNAME_BYTES: usize = 128;
pub const EMAIL_BYTES: usize = 254;
pub const SCOPE_PARTS: usize = 64;

/// Storage.
pub const KEY_BYTES: usize = 2048;
pub const VALUE_BYTES: usize = 2 * 1024 * 1024;
pub const BATCH_ENTRIES: usize = 4096;
/// Batches that one SQLite transaction may carry.
pub const GROUP_COMMIT: usize = 256;
pub const STORAGE_WAIT: Duration = Duration::from_secs(5);
pub const SWEEP_ENTRIES: usize = 1000;
pub const SWEEP_EVERY: Duration = Duration::from_secs(10);

/// Redis: every command has this deadline.
pub const REDIS_WAIT: Duration = Duration::from_millis(250);

/// The fence: how often a node asks what has changed, and how old an answer may be.
pub const FENCE_ASK: Duration = Duration::from_millis(250);
pub const FENCE_STALE: Duration = Duration::from_secs(1);

/// Audit: anonymous refusals that are recorded one by one, each second and node.
pub const ANONYMOUS_RECORDS: u32 = 50;
pub const AUDIT_HEAD_EVERY: Duration = Duration::from_secs(1);

/// Plugins: what no setting can exceed.
pub const PLUGIN_CALLS: usize = 64;
pub const PLUGIN_QUEUE: usize = 256;
pub const PLUGIN_COMPILED_BYTES: usize = 128 * 1024 * 1024;

/// Storage, inside: connections, and what one batch may carry in all.
pub const BATCH_BYTES: usize = 64 * 1024 * 1024;
pub const SQLITE_READERS: u32 = 4;
pub const POSTGRES_READERS: u32 = 12;
pub const POSTGRES_WRITERS: u32 = 12;
/// A database gives up on a statement before we give up on the database: so its outcome is known.
pub const STATEMENT_WAIT: Duration = Duration::from_secs(4);
/// A connection that has been idle for longer is asked whether it is still there.
pub const POSTGRES_IDLE: Duration = Duration::from_secs(1);
/// A node that starts waits this long for another one that is migrating.
pub const MIGRATION_WAIT: Duration = Duration::from_secs(60);
/// How far our clock and the database's may be apart before it is told to the operator.
pub const CLOCK_SKEW: Duration = Duration::from_secs(2);
