//! What is written for receivers that are programs: golden files, properties of all of them, hostile texts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test that cannot go on must fail"
)]

mod alertmanager;
mod envelopes;
mod golden;
mod pagerduty;
mod properties;
mod samples;
