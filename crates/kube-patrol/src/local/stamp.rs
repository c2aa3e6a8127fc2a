//! Whatever changes when a file does, so that one that did not is not read again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// A file changed within this time of being read may change again without its time stamp
/// showing it: it is read again.
const SETTLED_NANOS: i128 = 2_000_000_000;

/// Identity, size and times of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: i128,
    changed: i128,
}

impl Stamp {
    /// The stamp of a file, taken before it is read: a change in between then shows.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let nanos =
            |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether the file has been at rest long enough for its times to tell a change.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()
            .and_then(|d| i128::try_from(d.as_nanos()).ok())
            .unwrap_or_default();
        now.saturating_sub(self.modified.max(self.changed)) > SETTLED_NANOS
    }
}
