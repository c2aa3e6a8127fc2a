//! What chats are told: golden files per kind and language, hostile texts, packing. Pure: no socket, no clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod calls;
mod golden;
mod hostile;
mod packing;
mod replies;
mod samples;
