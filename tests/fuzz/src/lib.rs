//! Fuzz targets: each is fed bytes that nobody chose and asserts what must hold for any of them, mostly against an oracle
//! that was written a second time, slowly and plainly.
//!
//! A target is an ordinary function. `cargo xtask fuzz` drives them with libFuzzer; `cargo test -p patrol-fuzz` runs the
//! committed inputs of `corpus/` through them, so that neither can rot. Nothing here reads a clock or opens anything.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a target that finds something must fail"
)]

mod address;
mod feed;
mod render;
mod reply;
mod retry_after;
mod schedule;
mod waiver;

/// A target.
pub struct Target {
    /// Its name, which is also the folder of its corpus.
    pub name: &'static str,
    /// What holds for every input; panics when it does not.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target {
        name: "reply",
        run: reply::run,
    },
    Target {
        name: "retry-after",
        run: retry_after::run,
    },
    Target {
        name: "render",
        run: render::run,
    },
    Target {
        name: "schedule",
        run: schedule::run,
    },
    Target {
        name: "waiver",
        run: waiver::run,
    },
    Target {
        name: "address",
        run: address::run,
    },
];

/// The target of a name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
