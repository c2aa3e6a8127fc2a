//! The state folder: what an API server keeps, as files. Tickets, our objects' statuses and
//! what was in which input file.
//!
//! A write carries the same preconditions as one to an API server and gets the same answers,
//! so that the engine works with both alike. Whatever people do to the files by hand is
//! noticed before a write and never overwritten unseen.

pub mod atomic;
pub mod edits;
pub mod lock;
pub mod names;
pub mod random;

mod declarations;
mod files;
mod tickets;

use std::collections::BTreeSet;
use std::io;

use patrol_core::event::WriteResult;

pub use declarations::{Declarations, Declared, kept_objects};
pub use tickets::Tickets;

/// What the disk refused may work the next time: full disks and wrong modes get mended.
/// People hear of it once for as long as it lasts, however many writes wait.
#[derive(Debug, Default)]
pub(crate) struct Trouble(BTreeSet<String>);

impl Trouble {
    /// A write failed.
    pub fn failed(&mut self, what: String, error: &io::Error) -> WriteResult {
        if self.0.is_empty() {
            tracing::warn!(
                "{what}: {}; this and later writes are tried again",
                write_reason(error)
            );
        }
        self.0.insert(what);
        WriteResult::Failed
    }

    /// A write succeeded.
    pub fn succeeded(&mut self, what: &str) {
        if self.0.remove(what) && self.0.is_empty() {
            tracing::info!("mended: {what}: what waited is written");
        }
    }
}

/// Why a write failed, and what to do. Never a path: the caller names the object.
pub(crate) fn write_reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "cannot be written, the disk is full: free some space".into()
        }
        io::ErrorKind::PermissionDenied => {
            "cannot be written, access is denied: make the state folder writable".into()
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "cannot be written, the file system is read-only: mount it writable".into()
        }
        io::ErrorKind::NotFound => {
            "cannot be written, the folder above the state folder is gone: bring it back".into()
        }
        kind => format!("cannot be written ({kind}): see to the state folder"),
    }
}
