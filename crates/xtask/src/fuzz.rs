//! `cargo xtask fuzz`: the fuzz targets of `tests/fuzz`, driven by libFuzzer, two at a time. It builds their program with
//! the marks libFuzzer steers by, in a target folder of its own, and says how to run an input again that broke something.
//! Nothing here knows what a target asserts.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::{Failure, repo};

/// What makes rustc mark the paths of our code and of all it links. These passes are part of every stable compiler.
const MARKS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";
/// Names the target to the program.
const TARGET: &str = "KUBE_PATROL_FUZZ";
/// Seconds for one input, after which it counts as hanging: far more than a busy machine needs for any.
const HANGS: u32 = 60;
/// Megabytes, above which an input counts as a bomb.
const BOMB: u32 = 2048;
/// Bytes of the longest input that is made.
const LONGEST: u32 = 4096;

/// The options of the task.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this target; may be given several times
    #[arg(long, value_name = "TARGET")]
    target: Vec<String>,

    /// How long each target runs
    #[arg(long, default_value_t = 60)]
    seconds: u32,

    /// How many run at a time
    #[arg(long, default_value_t = 2)]
    jobs: usize,

    /// Run these inputs once instead, as after a failure
    #[arg(long, value_name = "FILE")]
    replay: Vec<PathBuf>,

    /// Afterwards, put what reached something new into the committed corpus
    #[arg(long)]
    keep: bool,
}

/// The task as a step of the tests.
pub(crate) fn test() -> Result<Vec<String>, Failure> {
    if repo::find_program("c++").is_none() {
        let why = "the whole step: libFuzzer needs a C++ compiler (Debian: package g++)";
        return Ok(vec![why.to_owned()]);
    }
    run(&Args {
        target: vec![],
        seconds: 60,
        jobs: 2,
        replay: vec![],
        keep: false,
    })?;
    Ok(vec![])
}

/// Runs the targets.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let known = targets()?;
    let names: Vec<&str> = match args.target.is_empty() {
        true => known.iter().map(String::as_str).collect(),
        false => args.target.iter().map(String::as_str).collect(),
    };
    if let Some(unknown) = names.iter().find(|name| !known.iter().any(|k| k == *name)) {
        return Err(format!("{unknown}: no such target: use one of {}", known.join(", ")).into());
    }
    let program = build()?;
    if !args.replay.is_empty() {
        return replay(&program, &names, &args.replay);
    }
    let mut waiting = names.into_iter();
    let mut running: Vec<Run> = vec![];
    let mut failed = vec![];
    loop {
        while running.len() < args.jobs.max(1)
            && let Some(name) = waiting.next()
        {
            running.push(Run::start(&program, name, args)?);
        }
        if running.is_empty() {
            break;
        }
        // Whoever began first ends first: all run for the same time.
        let run = running.remove(0);
        if let Err(error) = run.end() {
            eprintln!("xtask: {error}");
            failed.push(error.to_string());
        }
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(failed.join("; ").into()),
    }
}

/// The targets: each has a folder of inputs, and a test of theirs compares the two.
fn targets() -> Result<Vec<String>, Failure> {
    let folder = corpus();
    let entries = std::fs::read_dir(&folder)
        .map_err(|error| format!("{}: cannot be read: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect::<Result<_, std::io::Error>>()?;
    names.sort();
    Ok(names)
}

fn corpus() -> PathBuf {
    repo::root().join("tests/fuzz/corpus")
}

/// The target folder: beside everybody else's, for other flags build everything anew.
fn folder() -> PathBuf {
    let base = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repo::root().join("target"), PathBuf::from);
    base.join("fuzz")
}

/// Builds the program of all targets.
fn build() -> Result<PathBuf, Failure> {
    let host = host()?;
    let folder = folder();
    println!("building the fuzz targets in {}", folder.display());
    let status = repo::cargo()
        .args(["build", "--quiet", "--profile", "fuzz", "--target", &host])
        .args(["--package", "patrol-fuzz", "--features", "driver"])
        .args(["--bin", "patrol-fuzz", "--target-dir"])
        .arg(&folder)
        .env("RUSTFLAGS", MARKS)
        .status()?;
    match status.success() {
        true => Ok(folder.join(host).join("fuzz/patrol-fuzz")),
        false => Err(format!("fuzz targets: cannot be built: {status}").into()),
    }
}

/// This machine's name among compilers. Named to cargo, it keeps the marks out of build scripts.
fn host() -> Result<String, Failure> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = repo::command(rustc).arg("-vV").output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "rustc -vV: names no host: check the Rust installation".into())
}

/// A target that runs.
struct Run {
    name: String,
    child: Child,
    began: Instant,
    log: PathBuf,
    found: PathBuf,
    fresh: PathBuf,
    program: PathBuf,
    keep: bool,
}

impl Run {
    fn start(program: &Path, name: &str, args: &Args) -> Result<Self, Failure> {
        let place = folder().join("runs").join(name);
        let (found, fresh) = (place.join("found"), place.join("fresh"));
        // What an earlier run made is used again; what it found is mended or is found again.
        drop(std::fs::remove_dir_all(&found));
        std::fs::create_dir_all(&found)?;
        std::fs::create_dir_all(&fresh)?;
        let log = place.join("log");
        let output = std::fs::File::create(&log)?;
        let child = driver(program, name)
            .arg(format!("-max_total_time={}", args.seconds))
            .arg(format!("-artifact_prefix={}/", found.display()))
            .arg("-print_final_stats=1")
            .arg(&fresh)
            .arg(corpus().join(name))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()?;
        println!("{name}: runs for {} s", args.seconds);
        Ok(Self {
            name: name.to_owned(),
            child,
            began: Instant::now(),
            log,
            found,
            fresh,
            program: program.to_owned(),
            keep: args.keep,
        })
    }

    fn end(mut self) -> Result<(), Failure> {
        let status = self.child.wait()?;
        let log = std::fs::read(&self.log)?;
        let log = String::from_utf8_lossy(&log);
        let name = &self.name;
        if !status.success() {
            println!("{}", tail(&log));
            let reproducer = std::fs::read_dir(&self.found)?.next().transpose()?;
            let reproducer = reproducer.map(|entry| entry.path().display().to_string());
            return Err(match reproducer {
                Some(file) => format!(
                    "{name}: fails for {file}: replay it with `cargo xtask fuzz --target {name} --replay {file}`, and once it is mended copy it to tests/fuzz/corpus/{name}"
                ),
                None => format!("{name}: {status}: see {}", self.log.display()),
            }
            .into());
        }
        println!(
            "{name}: nothing found in {} inputs and {} s",
            stat(&log, "number_of_executed_units").unwrap_or("?"),
            self.began.elapsed().as_secs()
        );
        if self.keep {
            // Only what reaches more than the corpus does, and of that the smallest.
            let status = driver(&self.program, name)
                .arg("-merge=1")
                .arg(corpus().join(name))
                .arg(&self.fresh)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()?;
            if !status.success() {
                return Err(format!("{name}: its inputs cannot be merged: {status}").into());
            }
        }
        Ok(())
    }
}

fn driver(program: &Path, target: &str) -> Command {
    let mut command = repo::command(program);
    command
        .env(TARGET, target)
        .arg(format!("-timeout={HANGS}"))
        .arg(format!("-rss_limit_mb={BOMB}"))
        .arg(format!("-max_len={LONGEST}"));
    command
}

fn replay(program: &Path, names: &[&str], files: &[PathBuf]) -> Result<(), Failure> {
    let [name] = names else {
        return Err("--replay: needs one --target: say which target the files are for".into());
    };
    // The program runs in the top folder.
    let files: Vec<PathBuf> = files
        .iter()
        .map(|file| {
            file.canonicalize()
                .map_err(|error| format!("{}: {error}", file.display()))
        })
        .collect::<Result<_, _>>()?;
    let status = driver(program, name).args(&files).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("{name}: still fails: {status}").into()),
    }
}

/// A figure of libFuzzer's last lines.
fn stat<'a>(log: &'a str, name: &str) -> Option<&'a str> {
    let line = log.lines().find(|line| line.contains(name))?;
    line.split_whitespace().last()
}

/// The end of a log, where the message is.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    let begin = lines.len().saturating_sub(40);
    lines.get(begin..).unwrap_or_default().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_ends_are_read_from_a_log() {
        let log = "#2 INITED\nstat::number_of_executed_units: 815\nstat::peak_rss_mb: 60\n";
        assert_eq!(stat(log, "number_of_executed_units"), Some("815"));
        assert_eq!(stat(log, "nothing"), None);
        let long: Vec<String> = (0..100).map(|line| line.to_string()).collect();
        assert!(tail(&long.join("\n")).starts_with("60\n"));
        assert_eq!(tail("one"), "one");
    }
}
