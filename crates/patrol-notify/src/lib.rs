//! Notices to signed HTTP: render, sign, send, classify.
//!
//! Every receiver kind is a pure pair in [`kinds`]: `render` turns a notice into bodies, `classify` turns a
//! reply into a [`Class`]. Between them sits one I/O edge, [`Client`]. This crate never decides
//! *whether* or *when* something is sent, never retries on its own, never reads a clock for a
//! decision and never lets a byte of a reply, a URL path or a credential out.

pub mod address;
pub mod classify;
pub mod client;
pub mod headers;
pub mod kinds;
pub mod proxy;
pub mod render;
pub mod seal;
pub mod secret;
pub mod sign;
pub mod text;

mod chat;
mod failure;
mod tls;

pub use address::{Allow, Filter};
pub use classify::{Class, Verdict};
pub use client::{Client, ClientCertificate, ClientConfig, Outcome, Request};
pub use failure::NO_NAME;
pub use kinds::Style;
pub use proxy::Egress;
pub use render::{Limits, Part};
pub use seal::Credential;
pub use secret::Secret;
pub use sign::SigningSecrets;
