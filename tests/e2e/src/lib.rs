//! The harness of the end-to-end tests: a real control plane on this machine, the
//! operator as a process, and a scripted webhook receiver.
//!
//! Everything here blocks and stays on loopback. Every process it starts ends with it,
//! also when the test is killed. It never pretends: where the control plane cannot be
//! built the caller gets [`Error::Unavailable`] and has to say loudly what it skipped.
//!
//! It never sleeps for a guessed time: waits have a condition and a deadline
//! ([`wait_until`]).

pub mod api_client;
pub mod build;
pub mod child;
pub mod control_plane;
mod error;
pub mod http;
mod keys;
pub mod operator;
mod ports;
pub mod receiver;
pub mod skip;
mod wait;

pub use child::Output;
pub use error::{Context, Error, Result};
pub use wait::{Progress, wait_until};
