//! Stories of one mount, without a server.
