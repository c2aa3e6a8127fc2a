//! The shipped program: the one that is named, or the one that cargo builds with the
//! profile `dist`, which is quick when nothing changed.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;

use crate::{Failure, repo};

/// The program to measure.
pub fn find(named: Option<&Path>) -> Result<PathBuf, Failure> {
    if let Some(path) = named {
        return match path.is_file() {
            true => Ok(std::path::absolute(path)?),
            false => Err(format!("--binary {}: there is no such file", path.display()).into()),
        };
    }
    eprintln!("Building kube-patrol with the profile dist (many minutes the first time) ...");
    let built = repo::cargo()
        .args(["build", "--profile", "dist", "--package", "kube-patrol"])
        .args([
            "--bin",
            "kube-patrol",
            "--message-format=json-render-diagnostics",
        ])
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        return Err(format!("cargo build --profile dist: {}", built.status).into());
    }
    String::from_utf8_lossy(&built.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .next_back()
        .ok_or_else(|| "cargo build --profile dist: told of no executable".into())
}
