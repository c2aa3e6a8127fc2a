//! One process per state folder: two would overwrite each other's tickets.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

/// Holds the folder until it is dropped, or the process dies.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Why the folder cannot be had.
#[derive(Debug)]
pub enum LockError {
    /// Another process works on it; its id, where it is known.
    Held(Option<u32>),
    /// The lock file cannot be opened or written.
    Io(io::Error),
}

impl From<io::Error> for LockError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Takes the folder.
///
/// # Errors
/// When another process holds it or the disk refuses.
pub fn lock(state: &Path) -> Result<Lock, LockError> {
    fs::create_dir_all(state)?;
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(state.join("lock"))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            return Err(LockError::Held(text.trim().parse().ok()));
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    // Only for people: the lock itself is the system's, and ends with the process.
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())?;
    file.flush()?;
    Ok(Lock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        let Err(LockError::Held(pid)) = lock(dir.path()) else {
            panic!("locked twice")
        };
        assert_eq!(pid, Some(std::process::id()));
        drop(held);
        lock(dir.path()).unwrap();
    }
}
