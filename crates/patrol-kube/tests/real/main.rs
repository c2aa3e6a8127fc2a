//! The edge on a real API server, under exactly the rights that are shipped.

// Helpers of tests may fail loudly, like the tests themselves.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod leads;
mod reads;
mod refusals;
mod stage;
mod writes;
