//! The edge to a cluster: watches become events of the engine, its effects become writes.
//!
//! It never decides: what is judged, opened, resolved or told is decided in
//! `patrol-core`. What it adds is care with the API server: deadlines, pace, complete
//! lists, preconditions, and the certainty of leading before anything is written.

pub mod ask;
pub mod boot_clock;
pub mod client;
mod error;
pub mod events;
pub mod lease;
mod path;
pub mod rbac;
pub mod reader;
pub mod secrets;
mod server_addresses;
pub mod skew;
mod status;
pub mod writer;

pub use client::Connection;
pub use error::{CallError, SetupError};
pub use server_addresses::ServerAddresses;
