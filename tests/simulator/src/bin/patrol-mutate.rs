//! Proves that the simulator finds bugs: plants the deliberate bugs of `mutations.txt`, each
//! behind a switch, in one copy of the sources outside the work tree, builds that once, and
//! runs seeds with one bug switched on until a promise breaks, several bugs at a time. A seed
//! that finds a bug must keep every promise without one. Exit code 0 when every bug was found,
//! else 1.
//!
//! Each bug's own seed is tried first. When that finds nothing any more, because the runs have
//! changed, the others are tried in order, and the line that the list should have is said.
//!
//! `patrol-mutate [--seeds N] [--only WORDS] [--list]`. The copy and its builds are kept
//! under `$HOME/.cache/kube-patrol/mutants` (or `KUBE_PATROL_MUTANTS`), so that only the
//! first run compiles the dependencies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use patrol_simulator::mutations::{Mutation, SWITCH, parse, plant, with_switches};

const COPIED: [&str; 4] = [
    "crates/patrol-api",
    "crates/patrol-core",
    "crates/patrol-checks",
    "tests/simulator",
];
/// The root of the crate with the switches.
const CORE: &str = "crates/patrol-core/src/lib.rs";

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
    let mut seeds = 2_000;
    let mut only = String::new();
    let mut list = false;
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seeds" => {
                let number = words.next().and_then(|word| word.parse().ok());
                seeds = number.ok_or("--seeds: a number is missing")?;
            }
            "--only" => only = words.next().ok_or("--only: words of a title are missing")?,
            "--list" => list = true,
            _ => {
                return Err(format!(
                    "{word}: unknown argument: use --seeds N, --only WORDS, --list"
                ));
            }
        }
    }
    let mutations = parse(include_str!("../../mutations.txt"))?;
    if list {
        mutations.iter().for_each(|m| say(&m.title));
        return Ok(true);
    }
    let began = Instant::now();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let cache = cache()?;
    let tree = cache.join("tree");
    copy_workspace(&root, &tree, &planted(&root, &mutations)?)?;
    build(&tree, &cache)?;
    say(&format!("built: {} s", began.elapsed().as_secs()));
    let wanted: Vec<(usize, &Mutation)> = mutations
        .iter()
        .enumerate()
        .filter(|(_, mutation)| mutation.title.contains(&only))
        .collect();
    let all = try_all(&wanted, &cache, seeds)?;
    say(&format!("{} s in all", began.elapsed().as_secs()));
    Ok(all)
}

/// Tries them all, as many at a time as there are processors. Whether each was found.
fn try_all(wanted: &[(usize, &Mutation)], cache: &Path, seeds: u64) -> Result<bool, String> {
    let next = AtomicUsize::new(0);
    let sound = Mutex::new(BTreeSet::new());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut all = true;
        while let Some((number, mutation)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            all &= try_one(*number, mutation, cache, seeds, &sound)?;
        }
        Ok(all)
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        running
            .into_iter()
            .map(|worker| match worker.join() {
                Ok(done) => done,
                Err(_) => Err("a worker ended early".to_owned()),
            })
            .try_fold(true, |all, one| Ok(one? && all))
    })
}

fn try_one(
    number: usize,
    mutation: &Mutation,
    cache: &Path,
    seeds: u64,
    sound: &Mutex<BTreeSet<u64>>,
) -> Result<bool, String> {
    let began = Instant::now();
    let mut found = None;
    if let Some(seed) = mutation.seed {
        found = search(cache, Some(number), seed, 1)?;
    }
    let known = found.is_some();
    if !known {
        found = search(cache, Some(number), 0, seeds)?;
    }
    let seconds = began.elapsed().as_secs();
    let Some((seed, how)) = found else {
        say(&format!(
            "MISSED {:<64} {seconds:>4} s  by {seeds} seeds",
            mutation.title
        ));
        return Ok(false);
    };
    say(&format!(
        "found  {:<64} {seconds:>4} s  {how}",
        mutation.title
    ));
    if !known {
        say(&format!("       its line in the list: seed: {seed}"));
    }
    let checked = |sound: &Mutex<BTreeSet<u64>>| {
        let mut sound = sound.lock().unwrap_or_else(PoisonError::into_inner);
        !sound.insert(seed)
    };
    // Without the bug nothing may be found, or the find proves nothing.
    if !checked(sound)
        && let Some((_, how)) = search(cache, None, seed, 1)?
    {
        return Err(format!("a promise breaks without any bug: {how}"));
    }
    Ok(true)
}

fn cache() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("KUBE_PATROL_MUTANTS") {
        return Ok(PathBuf::from(path));
    }
    let home = std::env::var_os("HOME").ok_or("HOME is not set: set KUBE_PATROL_MUTANTS")?;
    Ok(Path::new(&home).join(".cache/kube-patrol/mutants"))
}

/// The files that differ in the copy, by path in the tree.
fn planted(root: &Path, mutations: &[Mutation]) -> Result<BTreeMap<String, String>, String> {
    let read = |file: &str| fs::read_to_string(root.join(file)).map_err(|e| format!("{file}: {e}"));
    let mut texts = BTreeMap::from([(CORE.to_owned(), with_switches(&read(CORE)?))]);
    for (number, mutation) in mutations.iter().enumerate() {
        let text = match texts.remove(&mutation.file) {
            Some(text) => text,
            None => read(&mutation.file)?,
        };
        texts.insert(mutation.file.clone(), plant(mutation, number, &text)?);
    }
    let manifest = read("Cargo.toml")?
        .lines()
        .map(|line| match line.split('=').next().map(str::trim) {
            Some("members") => format!("members = {COPIED:?}\n"),
            Some("default-members") => String::new(),
            _ => format!("{line}\n"),
        })
        .collect();
    texts.insert("Cargo.toml".into(), manifest);
    texts.insert("Cargo.lock".into(), read("Cargo.lock")?);
    Ok(texts)
}

/// A workspace of what the simulator needs and no more, with some texts of its own.
fn copy_workspace(
    root: &Path,
    tree: &Path,
    planted: &BTreeMap<String, String>,
) -> Result<(), String> {
    for part in COPIED {
        copy(&root.join(part), &tree.join(part), &|from| {
            let name = from.strip_prefix(root).ok()?.to_str()?;
            planted.get(name).map(|text| text.clone().into_bytes())
        })?;
    }
    for name in ["Cargo.toml", "Cargo.lock"] {
        let text = planted.get(name).map_or("", String::as_str);
        store(&tree.join(name), text.as_bytes())?;
    }
    Ok(())
}

/// Copies a folder, removes what is no longer there, and leaves alone what did not change,
/// so that it is not built again.
fn copy(from: &Path, to: &Path, instead: &impl Fn(&Path) -> Option<Vec<u8>>) -> Result<(), String> {
    let fail = |e: std::io::Error| format!("{}: {e}", from.display());
    fs::create_dir_all(to).map_err(fail)?;
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(from).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let target = to.join(entry.file_name());
        names.insert(entry.file_name());
        if entry.metadata().map_err(fail)?.is_dir() {
            copy(&entry.path(), &target, instead)?;
            continue;
        }
        let bytes = match instead(&entry.path()) {
            Some(bytes) => bytes,
            None => fs::read(entry.path()).map_err(fail)?,
        };
        store(&target, &bytes)?;
    }
    for entry in fs::read_dir(to).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        if names.contains(&entry.file_name()) {
            continue;
        }
        if entry.metadata().map_err(fail)?.is_dir() {
            fs::remove_dir_all(entry.path()).map_err(fail)?;
        } else {
            fs::remove_file(entry.path()).map_err(fail)?;
        }
    }
    Ok(())
}

fn store(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).map_err(|e| format!("{}: {e}", path.display()))
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
    let lines: Vec<&str> = text.lines().take(60).collect();
    Err(format!(
        "the planted copy does not build: {}",
        lines.join("\n")
    ))
}

/// The first promise that breaks with a bug switched on in so many seeds from one on, if any
/// does: the seed, and what it says.
fn search(
    cache: &Path,
    bug: Option<usize>,
    from: u64,
    seeds: u64,
) -> Result<Option<(u64, String)>, String> {
    let mut command = Command::new(cache.join("target/debug/patrol-simulate"));
    command.args(["--first", "--threads", "1"]);
    command.args(["--from", &from.to_string(), "--seeds", &seeds.to_string()]);
    match bug {
        Some(number) => command.env(SWITCH, number.to_string()),
        None => command.env_remove(SWITCH),
    };
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("patrol-simulate: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => Ok(None),
        Some(1) => {
            let first = text.lines().find(|l| l.starts_with("seed ")).unwrap_or("");
            let number = first.split(&[' ', ':']).nth(1).and_then(|n| n.parse().ok());
            let seed = number.ok_or_else(|| format!("patrol-simulate said: {first}"))?;
            Ok(Some((seed, first.chars().take(150).collect())))
        }
        code => Err(format!("patrol-simulate ended with {code:?}")),
    }
}
