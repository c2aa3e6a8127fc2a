//! The client against scripted receivers on loopback: real sockets, real TLS, no mock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod delivery;
mod hostile;
mod providers;
mod support;
mod tls;
