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
/// Of one that a plugin asks for.
pub const HEADER_NAME_BYTES: usize = 64;
pub const LIST_DEFAULT: usize = 100;
pub const LIST_MOST: usize = 1000;
/// Of users, for lists in the order of their names: some 100 bytes each.
pub const NAMES_REMEMBERED: usize = 100_000;
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
/// How long a change waits for other nodes: a little longer than they may use what they remember.
pub const FENCE_SETTLE: Duration = Duration::from_millis(1100);
/// How often whoever waits for them looks.
pub const FENCE_LOOK: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 10 });
/// How long an ask may be held up by what it writes.
pub const FENCE_WRITE: Duration = Duration::from_millis(500);
/// Nodes: how often each beats, for how long a beat holds, and after how long without a new one a
/// node is struck off. `NODE_GONE` is more than `NODE_HELD` and `FENCE_STALE` together.
pub const NODE_BEAT: Duration = Duration::from_secs(1);
pub const NODE_HELD: Duration = Duration::from_secs(3);
pub const NODE_GONE: Duration = Duration::from_secs(5);
/// Mounts that a node says do not answer there.
pub const NODE_SILENT: usize = 1000;

/// Audit: anonymous refusals that are recorded one by one, each second and node.
pub const ANONYMOUS_RECORDS: u32 = 50;
pub const AUDIT_HEAD_EVERY: Duration = Duration::from_secs(1);

/// Plugins: what no setting can exceed.
pub const PLUGIN_CALLS: usize = 64;
pub const PLUGIN_QUEUE: usize = 256;
pub const PLUGIN_COMPILED_BYTES: usize = 128 * 1024 * 1024;
pub const PLUGIN_MEMORY: usize = 256 * 1024 * 1024;
pub const PLUGIN_STACK: usize = 1024 * 1024;
pub const PLUGIN_TABLE_ELEMENTS: usize = 20_000;
/// Of one component: a Rust one takes 3 core instances, 1 memory and 2 tables; a JavaScript one 3 memories,
/// a Python one 38 core instances.
pub const PLUGIN_CORE_INSTANCES: u32 = 64;
pub const PLUGIN_MEMORIES: u32 = 4;
pub const PLUGIN_TABLES: u32 = 8;
pub const PLUGIN_HANDLES: usize = 1000;
/// How often a running guest is looked at, and yields.
pub const PLUGIN_TICK: Duration = Duration::from_millis(2);
/// Whoever has worked for longer in one call works in turns.
pub const PLUGIN_SHORT: Duration = Duration::from_millis(4);
/// A call keeps a thread to itself for longer than this without a pause: so many calls of its mount after it are expected to.
pub const PLUGIN_STRETCH: Duration = Duration::from_millis(1);
pub const PLUGIN_STRETCHES: u32 = 16;
/// Each function of the host, besides the deadline of the whole call.
pub const PLUGIN_IMPORT_WAIT: Duration = Duration::from_secs(10);
/// What one call of a host function may carry.
pub const PLUGIN_HOSTCALL_BYTES: usize = 8 * 1024 * 1024;
pub const PLUGIN_KEY_BYTES: usize = 1200;
/// A little less than the store takes, for the envelope.
pub const PLUGIN_VALUE_BYTES: usize = VALUE_BYTES - 1024;
pub const PLUGIN_GET_MANY: usize = 128;
/// Values that one call may hold at once.
pub const PLUGIN_READ_BYTES: usize = 32 * 1024 * 1024;
pub const PLUGIN_RANDOM_BYTES: usize = 64 * 1024;
pub const PLUGIN_LOG_MESSAGE_BYTES: usize = 2048;
pub const PLUGIN_LOG_FIELDS: usize = 16;
/// Secrets of one call that log lines are searched for; with more of them nothing is logged.
pub const PLUGIN_LOG_SECRETS: usize = 256;
/// The same with their lines and however else each may be written.
pub const PLUGIN_LOG_FORMS: usize = 4096;
/// What one call may have searched for them, each byte counted once for each of them: some 20 ms. After that nothing is told.
pub const PLUGIN_SEARCHED_BYTES: usize = 32 * 1024 * 1024;
pub const PLUGIN_NOTES: usize = 32;
pub const PLUGIN_PROBLEMS: usize = 64;
pub const PLUGIN_TEXT_BYTES: usize = 1024;
pub const PLUGIN_GROUPS: usize = 1000;
pub const PLUGIN_INTERNAL_BYTES: usize = 64 * 1024;
pub const PLUGIN_CHALLENGE_WAIT: Duration = Duration::from_secs(3600);
/// Logins that wait for their next step: of one mount, of one neighbourhood and of one address block there; how many places
/// are looked at for a free one, and when to come back if there is none.
pub const CHALLENGES_PER_MOUNT: u64 = 10_000;
pub const CHALLENGES_PER_NEIGHBOURHOOD: u64 = 256;
pub const CHALLENGES_PER_BLOCK: u64 = 64;
pub const CHALLENGE_SEATS_TRIED: u64 = 64;
pub const CHALLENGES_FULL: Duration = Duration::from_secs(60);
/// How often a client may ask whether a browser has come back.
pub const BROWSER_POLL: Duration = Duration::from_secs(2);
pub const PLUGIN_LEASE_SECONDS: u64 = 10 * 366 * 24 * 3600;
/// Deeds outside that one call announces.
pub const PLUGIN_INTENTS: usize = 16;
/// Leases of one mount that one user may hold; what is to be undone counts.
pub const LEASES_PER_USER: usize = if cfg!(test) { 20 } else { 5_000 };
/// How often what is due is looked for, how much of one mount at a time, and how long until it is looked again.
pub const LEASE_SWEEP_EVERY: Duration = Duration::from_secs(1);
pub const LEASES_DUE: usize = if cfg!(test) { 20 } else { 1_000 };
pub const LEASE_SWEEP_WAIT: Duration = Duration::from_secs(10);
/// Revocations of one mount side by side.
pub const LEASES_AT_ONCE: usize = 4;
/// How often it is asked whether the sessions that leases were given to are still there.
pub const LEASE_SESSIONS_EVERY: Duration = Duration::from_secs(3);
/// After that it is looked again whether a session has ended.
pub const LEASE_SECOND_LOOK: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 300 });
/// A node that revokes a lease has as long as its plugin and this much more, or another takes over.
pub const LEASE_CLAIM_MARGIN: Duration = Duration::from_secs(10);
/// After a revocation that failed.
pub const LEASE_RETRY_FIRST: Duration = Duration::from_secs(1);
pub const LEASE_RETRY_LONGEST: Duration = Duration::from_secs(600);
/// How long after its call's deadline an intent is undone: what was sent may arrive a little later.
pub const LEASE_INTENT_GRACE: Duration = Duration::from_secs(2);
pub const PASSWORD_BYTES: usize = 4096;
/// What a hash from a plugin may cost whatever the rules have said so far, in KiB and in KiB times passes: RFC 9106's
/// choice where memory is short. What the rules did set may be dearer.
pub const PASSWORD_COMMON_KIB: u32 = 64 * 1024;
pub const PASSWORD_COMMON_WORK: u64 = 3 * PASSWORD_COMMON_KIB as u64;
pub const PASSWORD_LANES: u32 = 16;
/// Versions of one key that a plugin holds.
pub const PLUGIN_KEY_VERSIONS: usize = 1000;

/// What one function of `crypto` is given at most.
pub const PLUGIN_CRYPTO_BYTES: usize = 1024 * 1024;
/// Keys that take long to make (RSA), in one call.
pub const PLUGIN_SLOW_KEYS: usize = 4;
/// The breaker of a mount: instances in a row that cannot be made, and how long it then stays open.
pub const PLUGIN_BREAK_FAILURES: u32 = 5;
pub const PLUGIN_BREAK_FIRST: Duration = Duration::from_secs(1);
pub const PLUGIN_BREAK_LONGEST: Duration = Duration::from_secs(30);
/// Of each mount's plugin: failures and lines of its log that the operator is shown.
pub const PLUGIN_FAILURES_KEPT: usize = 16;
pub const PLUGIN_LINES_KEPT: usize = 256;
pub const PLUGIN_LINES_KEPT_BYTES: usize = 256 * 1024;
/// Requests of plugins to other hosts: of one call, of one call at a time, and of all at a time.
pub const EGRESS_REQUESTS: u32 = 32;
pub const EGRESS_SIDE_BY_SIDE: usize = 8;
pub const EGRESS_AT_ONCE: usize = 64;
pub const EGRESS_URL_BYTES: usize = 8 * 1024;
pub const EGRESS_BODY_BYTES: usize = 1024 * 1024;
pub const EGRESS_ANSWER_BYTES: usize = 1024 * 1024;
pub const EGRESS_HEADERS: usize = 128;
/// Addresses of one name that are looked at.
pub const EGRESS_ADDRESSES: usize = 16;
/// To one address, or for one name.
pub const EGRESS_CONNECT: Duration = Duration::from_secs(3);
/// From the name to the last byte of the answer; less than a host function may take.
pub const EGRESS_WAIT: Duration = Duration::from_secs(9);
/// Before the end of a call: to write down that a host did not answer, and to tell the plugin.
pub const EGRESS_MARGIN: Duration = Duration::from_millis(250);
/// A shorter credential is not looked for in answers: it would be found everywhere.
pub const EGRESS_CREDENTIAL_BYTES: usize = 6;
/// Compiled code on the disk, in all.
pub const PLUGIN_CACHE_BYTES: u64 = 512 * 1024 * 1024;

/// Settings: how many past values of a key are kept.
pub const SETTING_HISTORY: u64 = 50;
/// Settings: the value of one.
pub const SETTING_BYTES: usize = 256 * 1024;

/// HTTP: members of a query or a form.
pub const FORM_MEMBERS: usize = 64;
/// HTTP: a token, or a client's id and secret, in a header.
pub const TOKEN_BYTES: usize = 2048;
/// HTTP: tokens of one request in the clear that are ended.
pub const PLAIN_TOKENS: usize = 4;
/// HTTP/2: requests at a time on one connection, and resets that are forgiven.
pub const STREAMS: u32 = 128;
pub const RESET_STREAMS: usize = 64;
/// What hyper takes of headers before it refuses them itself, in fewer words than we do.
pub const HEADER_COUNT_RAW: usize = 4 * HEADER_COUNT;
pub const HEADER_BYTES_RAW: usize = 2 * HEADER_BYTES;
/// How long a connection may take to close once it is told to.
pub const CLOSE_WAIT: Duration = Duration::from_secs(5);
/// The same for an idle connection when the server stops.
pub const STOP_WAIT: Duration = Duration::from_millis(250);
/// How long accepting pauses when the system is out of descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often what a running server has noticed is written down.
pub const RUNNING_LOOK: Duration = Duration::from_secs(1);
/// How often the certificate's files are looked at.
pub const CERTIFICATE_LOOK: Duration = Duration::from_secs(10);
/// Blocks and reasons by which the other anonymous refusals are summed; what is beyond goes together.
pub const ANONYMOUS_BUCKETS: usize = 256;
pub const AUDIT_LINE_BYTES: usize = 64 * 1024;
/// Records that are written and flushed together, and that wait for it.
pub const AUDIT_GROUP: usize = 256;
pub const AUDIT_QUEUE: usize = 1024;
/// How long a record may wait for the sink before the request is refused.
pub const AUDIT_WAIT: Duration = Duration::from_secs(5);

/// Shares of the root key.
pub const SHARES: u8 = 64;
/// How long shares may take to come together for a rekey or a root token, and how many such attempts there may be.
pub const CEREMONY_LIFE: Duration = Duration::from_secs(15 * 60);
pub const CEREMONIES: usize = 8;
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
/// Users: identities that lead to one, and how many may administer.
pub const LINKS_PER_USER: usize = 64;
pub const ADMINS: usize = 1000;
/// Credentials: the id of one, and those of deleted users that are asked about again at a time, and how
/// seldom at the least.
pub const CREDENTIAL_ID_BYTES: usize = 255;
pub const LEAVINGS_AT_ONCE: usize = 100;
pub const LEAVINGS_WAIT: Duration = Duration::from_secs(3600);
/// Roles that somebody made, and the words about one.
pub const ROLES: usize = 500;
pub const ROLE_DESCRIPTION_BYTES: usize = 1024;

/// Policies: the text of one document, all of them together, and what is remembered of them.
pub const POLICY_BYTES: usize = 64 * 1024;
pub const POLICY_TEXTS: usize = 500;
pub const POLICY_TEXTS_BYTES: usize = 4 * 1024 * 1024;
pub const POLICIES: usize = 10_000;
/// Principals that are looked at to say who may do something.
pub const POLICY_PRINCIPALS: usize = 1000;
pub const DECISIONS: u64 = 4096;
pub const SLICED_POLICIES: u64 = 20_000;
/// Throttling: buckets of names, and as many of address blocks.
pub const THROTTLE_BUCKETS: u32 = 65_536;
/// Pairs of a name and a block it has logged in from that a bucket remembers, and for how long.
pub const THROTTLE_KNOWN: usize = 8;
pub const THROTTLE_LATELY: Duration = Duration::from_secs(30 * 24 * 3600);
/// Characters of a name that tell it from others.
pub const THROTTLE_NAME_CHARS: usize = 256;
/// Sessions: digests of refresh tokens that a family remembers having given out, and how often
/// the one spent last may be shown again.
pub const SESSION_SPENT: usize = 32;
pub const SESSION_SHOWN_AGAIN: u32 = 3;
/// The most uses that storage releases at once.
pub const SESSION_BLOCK: u32 = 64;
/// A child of a child of …
pub const SESSION_DEPTH: usize = 8;
pub const SESSION_DEVICE_BYTES: usize = 256;
/// Copies of sessions that a node keeps for at most `FENCE_STALE`.
pub const SESSION_COPIES: u64 = 10_000;
/// How long a row that says a session has ended outlives the session's natural end.
pub const ENDED_KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How much longer than a family's own row those of its uses are kept.
pub const USES_KEPT: Duration = Duration::from_secs(60);
/// Sessions of a list that are looked at together.
pub const SESSIONS_AT_ONCE: usize = 64;
/// Attempts at a conditional write that others keep winning.
pub const SESSION_ATTEMPTS: usize = 16;
/// A manifest, and what a component may consist of.
pub const MANIFEST_BYTES: usize = 256 * 1024;
pub const MANIFEST_CALLS: usize = 256;
pub const MANIFEST_ASKS: usize = 64;
pub const COMPONENT_IMPORTS: usize = 64;
pub const COMPONENT_EXPORTS: usize = 64;
pub const COMPONENT_PARTS: usize = 64;
/// What is instantiated, passed on or named in one, and again in each instance of a component in it.
pub const COMPONENT_STEPS: usize = 250_000;
/// Uploaded plugins in all.
pub const PLUGINS: usize = 1000;
/// The same with those that were deleted: no name and version ever stands for something else.
pub const PLUGINS_REMEMBERED: usize = if cfg!(test) { 20 } else { 10_000 };
/// Pieces that have not become a plugin within this time never do.
pub const PLUGIN_STAGED_KEPT: Duration = Duration::from_secs(60 * 60);
/// The pieces in which one is stored.
pub const PLUGIN_PART_BYTES: usize = 1024 * 1024;
/// Of these, in one batch and in one look: what a slow database does in its time.
pub const PLUGIN_PARTS_AT_ONCE: usize = 4;
/// Uploads that are read at a time: each takes its size in memory.
pub const UPLOADS: usize = 2;
/// Publishers that are trusted, and plugins that may not run.
pub const PUBLISHERS: usize = 64;
pub const DENIED_PLUGINS: usize = 1000;
/// How long everybody waits for plugins to be compiled when mounts have changed, and when a node starts: one that takes
/// longer comes up later.
pub const COMPILE_PATIENCE: Duration = Duration::from_millis(250);
pub const COMPILE_AT_START: Duration = Duration::from_secs(10);
/// A mount that did not come up over what may pass is tried again after this time.
pub const MOUNT_AGAIN: Duration = Duration::from_secs(5);
/// How long a request waits for the plugin of its own mount to be compiled, and how many do.
pub const COMPILE_WAIT: Duration = Duration::from_secs(10);
pub const COMPILE_WAITING: usize = 256;
/// How long after an upgrade a mount goes back by itself if the new version fails, and how many
/// principals it must have failed for. Only then may what it holds be migrated.
pub const ROLLBACK_WINDOW: Duration = Duration::from_secs(10 * 60);
pub const ROLLBACK_PRINCIPALS: usize = 3;
/// A node that works at a mount says so anew within this time, or another takes over.
pub const MOUNT_CLAIM: Duration = Duration::from_secs(120);
/// Work by the clock: how often it is looked for, how many mounts a node calls at a time, how soon one is called again
/// at the soonest, and after a call that failed.
pub const TICK_EVERY: Duration = Duration::from_secs(1);
pub const TICKS_AT_ONCE: usize = 4;
pub const TICK_SOONEST: Duration = Duration::from_secs(5);
pub const TICK_RETRY_FIRST: Duration = Duration::from_secs(30);
pub const TICK_RETRY_LONGEST: Duration = Duration::from_secs(3600);
/// Calls of `migrate` in one sweep.
pub const MIGRATION_STEPS: usize = 64;
/// What a manifest may ask for at most, whatever server policy says.
pub const PLUGIN_CPU: Duration = Duration::from_secs(10);
pub const PLUGIN_WALL: Duration = Duration::from_secs(50);
/// Compiled patterns of a plugin's JSON Schema.
pub const SCHEMA_PATTERN_BYTES: usize = 256 * 1024;
/// Problems that are told of one document.
pub const SCHEMA_PROBLEMS: usize = 32;
/// Of a mount's configuration or what a call takes, when every reference in it is followed.
pub const SCHEMA_NODES: usize = 2000;
/// Redis: a new connection, and after how many missed answers one is made.
pub const REDIS_CONNECT: Duration = Duration::from_secs(3);
pub const REDIS_MISSED: u32 = 3;
/// Redis: after an attempt to connect that failed, and how often a connection is looked at.
pub const REDIS_PAUSE: Duration = Duration::from_millis(100);
pub const REDIS_LOOK: Duration = Duration::from_secs(1);
/// Redis: addresses of servers that are remembered, the last ones.
pub const REDIS_REACHED: usize = 4096;
/// Redis: what is published and was not heard yet, for each listener.
pub const REDIS_NEWS: usize = 256;
/// Redis Cluster: how often a command is sent that a node refuses because its slot is elsewhere.
pub const REDIS_REDIRECTS: u32 = 8;
pub const REDIS_REDIRECT_PAUSE: Duration = Duration::from_millis(10);
/// How often a change that rests on several things is tried again when one of them has moved.
pub const CHANGE_ATTEMPTS: usize = 8;
/// Queues for calls that conflict, of each mount.
pub const CONFLICT_QUEUES: usize = 64;
/// How long a root token lives.
pub const ROOT_TOKEN_SECONDS: u64 = 24 * 3600;
/// Audit: characters of a cause.
pub const AUDIT_CAUSE: usize = 500;
/// Characters of a program's own name for itself that a session keeps.
pub const DEVICE_CHARS: usize = 200;
/// Networks that a session may be bound to.
pub const SESSION_ADDRESSES: usize = 64;
/// Costs of password hashes that were in force once, and that a refused login spends as well.
pub const PASSWORD_EARLIER_COSTS: usize = 3;
/// How much deeper an engine's answer may be than what it was sent: a listing holds what was sent.
pub const ANSWER_WRAPPING: usize = 4;
/// Values in it. A byte or two of JSON may be a hundred once it is read.
pub const ANSWER_VALUES: usize = 4 * JSON_MEMBERS;
/// Doctor: a certificate that ends sooner than this, and a disk with less room, are told of.
pub const CERTIFICATE_SOON: Duration = Duration::from_secs(21 * 24 * 3600);
pub const DISK_LOW: u64 = 512 * 1024 * 1024;
pub const DISK_FULL: u64 = 16 * 1024 * 1024;
