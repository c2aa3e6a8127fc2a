//! What is in a folder, and whether a file is absent rather than unreadable.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Whether a file is not there; anything else says nothing about it.
pub fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Names and paths of what a folder holds, but for hidden entries; nothing when it cannot be
/// read.
pub fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else {
        return vec![];
    };
    entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path())))
        .filter(|(name, _)| !name.starts_with('.'))
        .collect()
}
