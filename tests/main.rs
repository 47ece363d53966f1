//! Stories: they start the real binary and speak HTTP to it, as its users do.
//!
//! `harness` is what they stand on, `stories` is what must hold, `architecture` holds the source itself to
//! its rules and `contract` the plugin contract to what was released, `bench` is run by `make bench` only.
//! Those on Redis and PostgreSQL find them through `COFFER_TEST_REDIS_URL` and `COFFER_TEST_POSTGRES_URL`:
//! `make test`, or `tests/services.sh cargo test`.

mod architecture;
mod bench;
mod contract;
mod harness;
mod stories;
