//! Finding files: walks folders for `.yaml`, `.yml` and `.json`, in the order of their paths.
//!
//! Hidden entries are skipped, each real file and folder is visited once however many links
//! lead to it, and whatever is no regular file is reported instead of opened: a FIFO or a
//! device would block for ever.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::coverage::NotInspected;
use super::io_reason::io_reason;

/// Deeper folders are not entered.
const MAX_DEPTH: usize = 128;

/// Something below an input.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// A regular file to read.
    File(PathBuf),
    /// Something that cannot be read.
    NotInspected(NotInspected),
}

impl Found {
    fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::NotInspected(entry) => Path::new(entry.file.as_ref()),
        }
    }
}

/// Everything below `paths`, sorted by path. A path that is given itself is taken whatever
/// its name is. `skip` are folders that are not entered.
#[must_use]
pub fn find(paths: &[&Path], skip: &[PathBuf]) -> Vec<Found> {
    let mut walk = Walk {
        seen: skip.iter().filter_map(|p| p.canonicalize().ok()).collect(),
        found: vec![],
    };
    for path in paths {
        walk.visit(path, true, 0);
    }
    walk.found.sort_by(|a, b| a.path().cmp(b.path()));
    walk.found
}

struct Walk {
    seen: BTreeSet<PathBuf>,
    found: Vec<Found>,
}

impl Walk {
    fn visit(&mut self, path: &Path, given: bool, depth: usize) {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) => {
                if given || has_our_extension(path) || fs::read_link(path).is_ok() {
                    self.refuse(path, why_no_metadata(path, &error));
                }
                return;
            }
        };
        if metadata.is_dir() {
            self.folder(path, depth);
        } else if given || has_our_extension(path) {
            self.file(path, &metadata);
        }
    }

    fn file(&mut self, path: &Path, metadata: &Metadata) {
        if !metadata.is_file() {
            self.refuse(
                path,
                "is no regular file (a pipe, socket or device): give a file, or - for standard input".into(),
            );
        } else if self.is_first(path) {
            self.found.push(Found::File(path.to_path_buf()));
        }
    }

    fn folder(&mut self, path: &Path, depth: usize) {
        if !self.is_first(path) {
            return;
        }
        if depth > MAX_DEPTH {
            self.refuse(path, "is nested too deeply: move it up".into());
            return;
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                self.refuse(path, io_reason(&error));
                return;
            }
        };
        let mut names = Vec::new();
        for entry in entries {
            match entry {
                Ok(entry) => names.push(entry.file_name()),
                Err(error) => self.refuse(path, io_reason(&error)),
            }
        }
        // Sorted, so that of two links to one file the same one is taken every time.
        names.sort();
        for name in names {
            if !name.as_encoded_bytes().starts_with(b".") {
                self.visit(&path.join(name), false, depth + 1);
            }
        }
    }

    /// Whether this is the first way to this file or folder.
    fn is_first(&mut self, path: &Path) -> bool {
        let real = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        self.seen.insert(real)
    }

    fn refuse(&mut self, path: &Path, reason: String) {
        let file: Arc<str> = path.to_string_lossy().into();
        self.found
            .push(Found::NotInspected(NotInspected::whole(&file, reason)));
    }
}

fn why_no_metadata(path: &Path, error: &std::io::Error) -> String {
    match (fs::read_link(path).is_ok(), error.kind()) {
        (true, std::io::ErrorKind::NotFound) => {
            "is a link to something that does not exist: mend or remove it".into()
        }
        (true, std::io::ErrorKind::PermissionDenied) | (false, _) => io_reason(error),
        (true, _) => "is a link that leads nowhere: mend or remove it".into(),
    }
}

fn has_our_extension(path: &Path) -> bool {
    path.extension().is_some_and(|extension| {
        ["yaml", "yml", "json"]
            .iter()
            .any(|ours| extension.eq_ignore_ascii_case(ours))
    })
}
