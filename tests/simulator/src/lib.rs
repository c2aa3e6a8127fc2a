//! Seeded simulator: the shell of the product replaced by one that loses, repeats, delays
//! and reorders what it is asked to do, crashes, moves the lease and jumps the clock. The
//! engine, the checks and the API types are the real ones; the API server and the
//! receivers are small models. After each run the promises of the design are asserted.
//!
//! A run is a pure function of its seed, so a failing seed is the bug report.

pub mod book;
mod carry;
pub mod invariants;
pub mod judge;
pub mod manifests;
mod mishaps;
pub mod mutations;
pub mod naive;
pub mod overlays;
pub mod process;
pub mod rng;
pub mod runner;
pub mod scenario;
pub mod sim;
pub mod sink;
pub mod stream;
pub mod trace;
pub mod users;
pub mod world;

pub use runner::{Failure, Report, replay, run};
