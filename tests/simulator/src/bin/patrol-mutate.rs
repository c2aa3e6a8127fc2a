//! Proves that the simulator finds bugs: puts each deliberate bug of `mutations.txt` into a
//! copy of the sources outside the work tree, builds that, and runs seeds until a promise
//! breaks. Exit code 0 when every bug was found, else 1.
//!
//! `patrol-mutate [--seeds N] [--only WORDS] [--list]`. Builds are kept under
//! `$HOME/.cache/kube-patrol/mutants` (or `KUBE_PATROL_MUTANTS`), so that only the first
//! run compiles the dependencies.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use patrol_simulator::mutations::{Mutation, apply, parse};

const COPIED: [&str; 4] = [
    "crates/patrol-api",
    "crates/patrol-core",
    "crates/patrol-checks",
    "tests/simulator",
];

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "patrol-mutate: {message}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, String> {
    let mut seeds = "600".to_owned();
    let mut only = String::new();
    let mut list = false;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seeds" => seeds = words.next().ok_or("--seeds: a number is missing")?,
            "--only" => only = words.next().ok_or("--only: words of a title are missing")?,
            "--list" => list = true,
            _ => {
                return Err(format!(
                    "{word}: unknown argument: use --seeds N, --only WORDS, --list"
                ));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mutations: Vec<Mutation> = parse(include_str!("../../mutations.txt"))?
        .into_iter()
        .filter(|m| m.title.contains(&only))
        .collect();
    if list {
        mutations.iter().for_each(|m| say(&m.title));
        return Ok(true);
    }
    let cache = cache()?;
    let tree = cache.join("tree");
    copy_workspace(&root, &tree)?;
    // Without a bug nothing may be found, or the finds below prove nothing.
    say("no bug: building and running");
    build(&tree, &cache)?;
    if let Some(found) = search(&cache, "100")? {
        return Err(format!("a promise breaks without any bug: {found}"));
    }
    let mut all = true;
    for mutation in &mutations {
        all &= try_one(mutation, &tree, &cache, &seeds)?;
    }
    Ok(all)
}

fn try_one(mutation: &Mutation, tree: &Path, cache: &Path, seeds: &str) -> Result<bool, String> {
    let path = tree.join(&mutation.file);
    let sound = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", mutation.file))?;
    let mutated = apply(mutation, &sound)?;
    fs::write(&path, mutated).map_err(|e| format!("{}: {e}", mutation.file))?;
    let began = Instant::now();
    let outcome = build(tree, cache)
        .map_err(|e| format!("{}: does not build: {e}", mutation.title))
        .and_then(|()| search(cache, seeds));
    fs::write(&path, sound).map_err(|e| format!("{}: {e}", mutation.file))?;
    let seconds = began.elapsed().as_secs();
    match outcome? {
        Some(found) => {
            say(&format!(
                "found  {:<55} {seconds:>4} s  {found}",
                mutation.title
            ));
            Ok(true)
        }
        None => {
            say(&format!(
                "MISSED {:<55} {seconds:>4} s  by {seeds} seeds",
                mutation.title
            ));
            Ok(false)
        }
    }
}

fn cache() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("KUBE_PATROL_MUTANTS") {
        return Ok(PathBuf::from(path));
    }
    let home = std::env::var_os("HOME").ok_or("HOME is not set: set KUBE_PATROL_MUTANTS")?;
    Ok(Path::new(&home).join(".cache/kube-patrol/mutants"))
}

/// A workspace of what the simulator needs and no more.
fn copy_workspace(root: &Path, tree: &Path) -> Result<(), String> {
    for part in COPIED {
        let to = tree.join(part);
        if to.exists() {
            fs::remove_dir_all(&to).map_err(|e| format!("{}: {e}", to.display()))?;
        }
        copy(&root.join(part), &to)?;
    }
    let manifest =
        fs::read_to_string(root.join("Cargo.toml")).map_err(|e| format!("Cargo.toml: {e}"))?;
    let manifest: Vec<String> = manifest
        .lines()
        .map(|line| match line.split('=').next().map(str::trim) {
            Some("members") => format!("members = {COPIED:?}"),
            Some("default-members") => String::new(),
            _ => line.to_owned(),
        })
        .collect();
    fs::write(tree.join("Cargo.toml"), manifest.join("\n"))
        .map_err(|e| format!("Cargo.toml: {e}"))?;
    fs::copy(root.join("Cargo.lock"), tree.join("Cargo.lock"))
        .map_err(|e| format!("Cargo.lock: {e}"))?;
    Ok(())
}

/// Copies a folder; files keep their times, so that what did not change is not built again.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let fail = |e: std::io::Error| format!("{}: {e}", from.display());
    fs::create_dir_all(to).map_err(fail)?;
    for entry in fs::read_dir(from).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let target = to.join(entry.file_name());
        let meta = entry.metadata().map_err(fail)?;
        if meta.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target).map_err(fail)?;
            let file = fs::File::options()
                .write(true)
                .open(&target)
                .map_err(fail)?;
            let time = meta.modified().map_err(fail)?;
            file.set_modified(time).map_err(fail)?;
        }
    }
    Ok(())
}

fn build(tree: &Path, cache: &Path) -> Result<(), String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "--quiet",
            "-p",
            "patrol-simulator",
            "--bin",
            "patrol-simulate",
        ])
        .current_dir(tree)
        .env("CARGO_TARGET_DIR", cache.join("target"))
        .env("RUSTFLAGS", "-Awarnings")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("cargo: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(text.lines().take(30).collect::<Vec<_>>().join("\n"))
}

/// The first broken promise, if any seed breaks one.
fn search(cache: &Path, seeds: &str) -> Result<Option<String>, String> {
    let output = Command::new(cache.join("target/debug/patrol-simulate"))
        .args(["--first", "--seeds", seeds])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("patrol-simulate: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => Ok(None),
        Some(1) => {
            let first = text.lines().find(|l| l.starts_with("seed ")).unwrap_or("");
            Ok(Some(first.chars().take(150).collect()))
        }
        code => Err(format!("patrol-simulate ended with {code:?}")),
    }
}
