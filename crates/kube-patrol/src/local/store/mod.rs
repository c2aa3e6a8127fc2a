//! The state folder: what an API server keeps, as files. Tickets, our objects' statuses and
//! what was in which input file.
//!
//! A write carries the same preconditions as one to an API server and gets the same answers,
//! so that the engine works with both alike. Whatever people do to the files by hand is
//! noticed before a write and never overwritten unseen.

pub mod atomic;
pub mod lock;
pub mod names;
pub mod random;

mod steering;
mod tickets;

use std::io;

use patrol_core::event::WriteResult;

pub use steering::{Steered, Steering};
pub use tickets::Tickets;

/// What the disk refused may work the next time: full disks and wrong modes get mended.
pub(crate) fn failed(what: &str, error: &io::Error) -> WriteResult {
    tracing::warn!(
        "{what}: {}: the write is tried again",
        crate::manifests::io_reason(error)
    );
    WriteResult::Failed
}
