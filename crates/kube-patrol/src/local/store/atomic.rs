//! Whole files or none: a reader, and whoever restarts after a crash, finds the old content
//! or the new one. Never appends, never writes in place.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::random;

/// Prefix of files that are being written; what is left of a crash is removed at start.
pub const TEMPORARY: &str = ".tmp-";

/// Makes a folder below the state folder, and that one too when someone removed it. What
/// lies above it is never made: an input folder that vanished would come back empty, and
/// what was in it would count as gone.
///
/// # Errors
/// When the disk refuses, or what lies above the state folder is not there.
pub fn make(state: &Path, folder: &Path) -> io::Result<()> {
    match fs::create_dir(state) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    fs::create_dir_all(folder)
}

/// Whether the folder in which the state folder lies is not there: then nothing can be said
/// of what was in it.
#[must_use]
pub fn is_adrift(state: &Path) -> bool {
    !folder_of(state).is_dir()
}

/// Replaces the content of `path`, which lies below the state folder; its folder is made
/// when it is missing.
///
/// # Errors
/// When the disk refuses; the old content then stays.
pub fn write(state: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    make(state, folder)?;
    let temporary = folder.join(format!("{TEMPORARY}{}", random::hex()?));
    let result = write_new(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if result.is_err() {
        // Best effort: a leftover is removed at the next start.
        let _ = fs::remove_file(&temporary);
    }
    result?;
    sync_folder(folder)
}

/// Removes a file; one that is not there is fine.
///
/// # Errors
/// When the disk refuses.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(folder_of(path)),
    }
}

/// Removes what a crash left half written in a folder.
pub fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let leftovers: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(TEMPORARY.as_bytes())
        })
        .map(|entry| entry.path())
        .collect();
    for path in leftovers {
        // Best effort: what cannot be removed does no harm, its name is never read.
        let _ = fs::remove_file(path);
    }
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// A rename is on disk only when its folder is.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_replaced_and_nothing_is_left_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b.yaml");
        write(dir.path(), &path, b"one").unwrap();
        write(dir.path(), &path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_failed_write_leaves_the_old_content_and_no_leftover() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("taken");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("in"), "x").unwrap();
        // A folder that is not empty cannot be replaced by a file.
        assert!(write(dir.path(), &folder, b"new").is_err());
        assert_eq!(fs::read(folder.join("in")).unwrap(), b"x");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_that_vanished_is_not_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let input = dir.path().join("input");
        let state = input.join(".state");
        assert!(is_adrift(&state));
        let error = write(&state, &state.join("tickets/shop/t.yaml"), b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!input.exists());
        fs::create_dir(&input).unwrap();
        write(&state, &state.join("tickets/shop/t.yaml"), b"x").unwrap();
        assert!(!is_adrift(&state) && !is_adrift(Path::new("state")));
    }

    #[test]
    fn leftovers_of_a_crash_are_swept() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".tmp-1"), "half").unwrap();
        fs::write(dir.path().join("t.yaml"), "whole").unwrap();
        sweep(dir.path());
        sweep(Path::new("/nonexistent"));
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().collect();
        assert_eq!(left.len(), 1);
    }
}
