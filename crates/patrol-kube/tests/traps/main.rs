//! The reader and the writer against API servers that hang, cut, lie and refuse: the traps
//! measured in kube 5 (a watch that ends at once, a 410 by status, no deadlines, an endless
//! Retry-After, a repeated POST, a half-open watch, a lost event) and their relatives.
//!
//! The servers are scripted threads on loopback; every wait has a condition and a deadline.

// Helpers of tests may fail loudly, like the tests themselves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod lists;
mod server;
mod sight;
mod watches;
mod watching;
mod writes;
