//! The folder of one run: `data` goes with the run, `logs` stay for a while.
//!
//! Whether a test failed is not known when its values are dropped (it may have returned
//! an error), so the logs of the last runs are kept and older ones removed. Where they
//! are is printed at the start: the test runner shows it when the test fails.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{Context, Result};

/// How many ended runs keep their logs.
const KEPT: usize = 50;

#[derive(Debug)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// A fresh folder, `<temp>/kube-patrol-e2e-<user id>/<kind>-<random>`.
    pub(crate) fn new(kind: &str) -> Result<Self> {
        let base = std::env::temp_dir().join(format!(
            "kube-patrol-e2e-{}",
            rustix::process::getuid().as_raw()
        ));
        let what = format!("{}: cannot make a folder for this run", base.display());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&base)
            .context(&what)?;
        prune(&base);
        let path = tempfile::Builder::new()
            .prefix(&format!("{kind}-"))
            .tempdir_in(&base)
            .context(&what)?
            .keep();
        let folder = Self { path };
        for part in [folder.data(), folder.logs()] {
            fs::create_dir(&part).context(&what)?;
        }
        eprintln!("{kind}: logs in {}", folder.logs().display());
        Ok(folder)
    }

    /// Everything but the logs. Its presence says that the run is not over.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// What the processes write.
    pub(crate) fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// The whole folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        let data = self.data();
        if let Err(error) = fs::remove_dir_all(&data) {
            eprintln!("{}: cannot remove it: {error}", data.display());
        }
    }
}

/// Removes the oldest ended runs. Another process may do the same at the same time, so
/// what cannot be read or removed is left to the next run.
fn prune(base: &Path) {
    let mut ended: Vec<(SystemTime, PathBuf)> = fs::read_dir(base)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let made = entry.metadata().ok()?.modified().ok()?;
            let path = entry.path();
            // A run without logs is just being made.
            let over = path.join("logs").exists() && !path.join("data").exists();
            over.then_some((made, path))
        })
        .collect();
    ended.sort();
    let surplus = ended.len().saturating_sub(KEPT);
    for (_, path) in ended.into_iter().take(surplus) {
        let _ = fs::remove_dir_all(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_goes_and_the_logs_of_the_last_runs_stay() {
        let base = tempfile::tempdir().unwrap();
        let run = |n: usize| base.path().join(format!("run-{n}"));
        for n in 0..KEPT + 3 {
            fs::create_dir_all(run(n).join("logs")).unwrap();
            if n == 0 {
                fs::create_dir(run(n).join("data")).unwrap();
            }
            let made = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000 + n as u64);
            fs::File::open(run(n)).unwrap().set_modified(made).unwrap();
        }
        prune(base.path());
        let left: Vec<bool> = (0..4).map(|n| run(n).exists()).collect();
        assert_eq!(
            left,
            [true, false, false, true],
            "the oldest runs, but not a running one"
        );

        let folder = RunFolder::new("test").unwrap();
        let path = folder.path().to_owned();
        drop(folder);
        assert!(path.join("logs").exists() && !path.join("data").exists());
        fs::remove_dir_all(path).unwrap();
    }
}
