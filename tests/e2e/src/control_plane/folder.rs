//! The folder of one run: data that always goes, logs that stay when the test failed.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{Context, Result};

#[derive(Debug)]
pub(crate) struct RunFolder {
    /// `None` once it is decided what happens to the folder.
    root: Option<TempDir>,
    path: PathBuf,
}

impl RunFolder {
    pub(crate) fn new(prefix: &str) -> Result<Self> {
        let what = "cannot make a folder for this run";
        let root = tempfile::Builder::new()
            .prefix(prefix)
            .tempdir()
            .context(what)?;
        let path = root.path().to_owned();
        let folder = Self {
            root: Some(root),
            path,
        };
        for part in [folder.data(), folder.logs(), folder.kube()] {
            fs::create_dir(&part).context(what)?;
        }
        Ok(folder)
    }

    /// Data of the servers.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// One log for each process.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Kubeconfigs and what kubectl remembers.
    pub(crate) fn kube(&self) -> PathBuf {
        self.path.join("kube")
    }

    /// The whole folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps the logs beyond this run: the failure message names them.
    pub(crate) fn keep_logs(&mut self) {
        if let Some(root) = self.root.take() {
            let path = root.keep();
            eprintln!(
                "The logs of this run are kept in {}",
                path.join("logs").display()
            );
            for part in ["data", "kube"] {
                // What cannot be removed is left to the system's cleaning of old files.
                let _ = fs::remove_dir_all(path.join(part));
            }
        }
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep_logs();
        }
    }
}
