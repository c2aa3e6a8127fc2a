//! An I/O error as a sentence for people. Never a path or a value: the caller names the file.

use std::io::{Error, ErrorKind};

/// What is wrong and what to do, in the words of the product.
#[must_use]
pub fn io_reason(error: &Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "does not exist: check the path".into(),
        ErrorKind::PermissionDenied => "may not be read: grant read access to it".into(),
        ErrorKind::IsADirectory => "is a folder: name a file".into(),
        ErrorKind::NotADirectory => "is no folder: check the path".into(),
        ErrorKind::InvalidData => "is not UTF-8 text: save it as UTF-8".into(),
        kind => format!("cannot be read ({kind}): check the file and its disk"),
    }
}
