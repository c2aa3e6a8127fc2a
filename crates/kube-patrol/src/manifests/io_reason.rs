//! An I/O error as a sentence for people. Never a path or a value: the caller names the file.

use std::io::{Error, ErrorKind};

/// What is wrong and what to do, in the words of the product.
#[must_use]
pub fn io_reason(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "does not exist: check the path".into(),
        ErrorKind::PermissionDenied => "may not be read: grant read access to it".into(),
        ErrorKind::IsADirectory => "is a folder".into(),
        ErrorKind::NotADirectory => "is no folder".into(),
        ErrorKind::InvalidData => "is not UTF-8 text".into(),
        ErrorKind::StorageFull => "cannot be written: the disk is full".into(),
        ErrorKind::ReadOnlyFilesystem => "cannot be written: the file system is read-only".into(),
        kind => format!("cannot be read or written: {kind}"),
    }
}
