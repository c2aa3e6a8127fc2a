//! The product as a process: the `kube-patrol` program, its signals and its words.
//!
//! It is always the program of this work tree, built if it is not, or the one that
//! `KUBE_PATROL_BIN` names. It never gets the user's own kubeconfig.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::child::{Guarded, Output, Signal, run, tail};
use crate::folder::RunFolder;
use crate::{Context, Error, Result, wait_until};

/// Names the program to test instead of the one that cargo builds.
pub const PROGRAM: &str = "KUBE_PATROL_BIN";

/// A cold build on a loaded machine.
const BUILD_DEADLINE: Duration = Duration::from_secs(1800);

/// The program under test. Built with cargo once in each test process, so that no test
/// runs against an older program.
///
/// # Errors
/// [`PROGRAM`] names no file, or the build fails.
pub fn program() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf>> = OnceLock::new();
    if let Some(path) = std::env::var_os(PROGRAM).filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        return match path.is_file() {
            true => Ok(path),
            false => Err(Error::failed(format!(
                "{PROGRAM}={}: there is no such file",
                path.display()
            ))),
        };
    }
    BUILT.get_or_init(build).clone()
}

fn build() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--package", "kube-patrol", "--bin", "kube-patrol"])
        .arg("--message-format=json-render-diagnostics");
    // What the outer cargo tells this test of its package would make build scripts that
    // watch it (ring's) run again, and everything above them compile again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    let name = "cargo build --package kube-patrol";
    let mut built = run(name, &mut command, None, BUILD_DEADLINE)?;
    // For the failure message the diagnostics on standard error say it all.
    let messages = std::mem::take(&mut built.stdout);
    built.success()?;
    // One JSON object a line; the artifact of the program has `executable`.
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .next_back()
        .ok_or_else(|| Error::failed(format!("{name}: told of no executable")))
}

/// Runs the program to its end, such as `kube-patrol lint FILE`.
///
/// # Errors
/// It cannot be run, or does not end within the deadline. A failure exit is an
/// [`Output`].
pub fn run_once<I, S>(args: I, input: Option<&str>, within: Duration) -> Result<Output>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let mut command = Command::new(program()?);
    command.args(args).env_remove("KUBECONFIG");
    let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
    let name = format!("kube-patrol {}", arguments.join(" "));
    run(&name, &mut command, input, within)
}

/// Describes a process to start.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    program: Option<PathBuf>,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
}

impl Builder {
    /// Another program than the product's.
    #[must_use]
    pub fn program(mut self, path: impl Into<PathBuf>) -> Self {
        self.program = Some(path.into());
        self
    }

    /// One argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Several arguments.
    #[must_use]
    pub fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        let args = args.into_iter().map(|arg| arg.as_ref().to_owned());
        self.args.extend(args);
        self
    }

    /// One environment variable beside those of the test.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let pair = (name.as_ref().to_owned(), value.as_ref().to_owned());
        self.env.push(pair);
        self
    }

    /// The kubeconfig it works with, that of a restricted identity for the operator.
    #[must_use]
    pub fn kubeconfig(self, path: &Path) -> Self {
        self.env("KUBECONFIG", path)
    }

    /// The folder it runs in; its own empty one otherwise.
    #[must_use]
    pub fn folder(mut self, path: impl Into<PathBuf>) -> Self {
        self.folder = Some(path.into());
        self
    }

    /// Starts it. A builder can start several, each with its own output.
    ///
    /// # Errors
    /// The program cannot be built or started.
    pub fn spawn(&self) -> Result<Process> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => program()?,
        };
        let own = RunFolder::new("process")?;
        let (stdout, stderr) = (own.logs().join("stdout"), own.logs().join("stderr"));
        let mut command = Command::new(&program);
        command
            .args(&self.args)
            .env_remove("KUBECONFIG")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.as_ref().unwrap_or(&own.data()));
        let name = program.file_name().unwrap_or_default().to_string_lossy();
        let file = File::create(&stdout).context(stdout.display())?;
        let process = Guarded::spawn(&name, &mut command, &stderr, Some(file), None)?;
        Ok(Process {
            process,
            stdout,
            _own: own,
        })
    }
}

/// A running program; killed when dropped. Its output stays for a while, and where it is
/// is printed at the start.
#[derive(Debug)]
pub struct Process {
    // Dropped first: nothing may write when the folder goes.
    process: Guarded,
    stdout: PathBuf,
    _own: RunFolder,
}

impl Process {
    /// Describes a process to start.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Sends any signal.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        self.process.signal(signal)
    }

    /// SIGTERM, and waits for the end it makes by itself.
    ///
    /// # Errors
    /// It has not ended within the deadline.
    pub fn terminate(&mut self, within: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(within)
    }

    /// SIGKILL, and waits for the end.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.process.kill()
    }

    /// SIGSTOP: it stands still, its sockets stay open.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT after [`Process::pause`].
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// It has not ended within the deadline.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        self.process.wait(within)
    }

    /// Fails if it has ended, with the end of its standard error.
    ///
    /// # Errors
    /// It has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        self.process.check_alive()
    }

    /// What it has written to standard output so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stdout(&self) -> Result<String> {
        std::fs::read_to_string(&self.stdout).context(self.stdout.display())
    }

    /// What it has written to standard error so far.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn stderr(&self) -> Result<String> {
        let path = self.process.log();
        std::fs::read_to_string(path).context(path.display())
    }

    /// Waits for a line on standard error that contains `text`, and returns the line.
    ///
    /// # Errors
    /// It ended, or there is no such line within the deadline.
    pub fn wait_for_line(&mut self, within: Duration, text: &str) -> Result<String> {
        let mut ended = false;
        let line = wait_until(within, &format!("a line with {text:?}"), || {
            // Asked before reading: the last words of an ended process count.
            ended = self.process.try_wait()?.is_some();
            let words = self.stderr()?;
            let line = words.lines().find(|line| line.contains(text));
            match line {
                Some(line) => Ok(Some(line.to_owned())),
                None if ended => Ok(None),
                None => Err(Error::failed(tail(self.process.log()))),
            }
        })?;
        line.ok_or_else(|| {
            Error::failed(format!(
                "it ended without a line with {text:?}: {}",
                tail(self.process.log())
            ))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn sh(script: &str) -> Process {
        let sh = Process::builder().program("/bin/sh").args(["-c", script]);
        sh.spawn().unwrap()
    }

    #[test]
    fn the_program_under_test_is_built_and_runs() {
        let path = program().unwrap();
        assert_eq!(path.file_name().unwrap(), "kube-patrol");
        run_once(["--help"], None, MINUTE)
            .unwrap()
            .success()
            .unwrap();
    }

    #[test]
    fn streams_are_kept_apart_and_lines_waited_for() {
        let mut process = sh("echo out; echo first words >&2; echo last words >&2; exit 4");
        let line = process.wait_for_line(MINUTE, "last").unwrap();
        assert_eq!(line, "last words");
        assert_eq!(process.wait(MINUTE).unwrap().code(), Some(4));
        assert_eq!(process.stdout().unwrap(), "out\n");
        let error = process.wait_for_line(MINUTE, "never").unwrap_err();
        assert!(error.to_string().contains("ended without"), "{error}");
        process.check_alive().unwrap_err();
    }

    #[test]
    fn a_paused_process_does_nothing_until_resumed() {
        let mut process = sh("trap 'echo stopped >&2; exit 0' TERM; echo up >&2; \
             while :; do sleep 0.01; done");
        process.wait_for_line(MINUTE, "up").unwrap();
        process.pause().unwrap();
        let error = process.terminate(Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("still running"), "{error}");
        process.resume().unwrap();
        assert!(process.wait(MINUTE).unwrap().success());
        process.wait_for_line(MINUTE, "stopped").unwrap();
    }

    #[test]
    fn the_users_kubeconfig_is_not_passed_on() {
        let mut none = sh("echo \"[$KUBECONFIG]\" >&2");
        none.wait_for_line(MINUTE, "[]").unwrap();
        let own = Process::builder()
            .program("/bin/sh")
            .args(["-c", "echo \"[$KUBECONFIG]\" >&2"])
            .kubeconfig(Path::new("/own"));
        own.spawn()
            .unwrap()
            .wait_for_line(MINUTE, "[/own]")
            .unwrap();
    }
}
