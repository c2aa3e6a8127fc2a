//! The client against scripted receivers on loopback: real sockets, real TLS, no mock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod chat_servers;
mod chats;
mod delivery;
mod hostile;
mod mtls;
mod providers;
mod proxy;
#[allow(dead_code, reason = "the chats' own tests use the rest")]
#[path = "../chats/samples.rs"]
mod samples;
mod support;
mod tls;
