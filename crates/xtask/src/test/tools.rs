//! Programs that the steps need and that cargo can install, kept in a folder outside the
//! tree. Nothing here installs anything for the whole machine.

use std::path::PathBuf;

use crate::{Failure, repo};

/// Pinned, so that a new release changes nothing by itself.
const DENY: &str = "0.20.2";

/// cargo-deny: the pinned one of the cache folder, installed there when missing.
pub(super) fn cargo_deny() -> Result<PathBuf, Failure> {
    let root = repo::cache()?.join("tools");
    let program = root.join("bin/cargo-deny");
    if is_pinned(&program) {
        return Ok(program);
    }
    println!("installing cargo-deny {DENY} into {}", root.display());
    let build = tempfile::tempdir()?;
    let status = repo::cargo()
        .args([
            "install",
            "--quiet",
            "--locked",
            "--force",
            "--no-default-features",
        ])
        .args(["--version", DENY, "cargo-deny", "--root"])
        .arg(&root)
        .env("CARGO_TARGET_DIR", build.path())
        // It runs for a second: building it quickly matters more.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .status()?;
    match status.success() {
        true => Ok(program),
        false => Err(format!("cargo-deny: cannot be installed: {status}").into()),
    }
}

fn is_pinned(program: &PathBuf) -> bool {
    repo::command(program)
        .arg("--version")
        .output()
        .is_ok_and(|said| {
            String::from_utf8_lossy(&said.stdout).trim() == format!("cargo-deny {DENY}")
        })
}
