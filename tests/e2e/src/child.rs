//! A process of ours that never outlives us.
//!
//! `Drop` ends it by its id. Should this process itself be killed first, `Drop` never
//! runs: so each child has a watchdog, a small shell that reads from a pipe we hold and
//! kills the child when the pipe closes. Both have a process group of their own, so
//! that Ctrl-C reaches only us and the order of the ending stays ours.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::{Context, Error, Result, wait_until};

/// Reads until the pipe closes, then kills `$1` and removes the folder `$2`, if any.
const WATCHDOG: &str = r#"trap '' HUP INT TERM
read -r _
kill -KILL "$1" 2>/dev/null
[ -z "$2" ] || rm -rf -- "$2""#;

/// How much of a log a failure message repeats, bytes.
const LOG_TAIL: i64 = 4096;

/// A running process, ended when dropped.
#[derive(Debug)]
pub struct Guarded {
    name: String,
    child: Child,
    watchdog: Option<Child>,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Guarded {
    /// Starts `command` with its standard error, and its standard output unless that
    /// was set before, appended to `log`. When we die first the watchdog also removes
    /// `scratch`.
    ///
    /// # Errors
    /// The program is not there or the log cannot be written.
    pub fn spawn(
        name: &str,
        command: &mut Command,
        log: &Path,
        stdout: Option<File>,
        scratch: Option<&Path>,
    ) -> Result<Self> {
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(log)
                .context(format_args!("{}: cannot write the log", log.display()))
        };
        let stdout = match stdout {
            Some(file) => file,
            None => open()?,
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(open()?)
            .process_group(0)
            .spawn()
            .context(format_args!(
                "{name}: cannot start {}",
                command.get_program().to_string_lossy()
            ))?;
        let mut guarded = Self {
            name: name.to_owned(),
            child,
            watchdog: None,
            log: log.to_owned(),
            status: None,
        };
        guarded.watchdog = Some(watch(guarded.id(), scratch)?);
        Ok(guarded)
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file its output goes to.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The exit status, once it has ended.
    ///
    /// # Errors
    /// The operating system refuses to say.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        if self.status.is_none() {
            self.status = self
                .child
                .try_wait()
                .context(format_args!("{}: cannot wait for it", self.name))?;
            if self.status.is_some() {
                self.call_off();
            }
        }
        Ok(self.status)
    }

    /// Fails with the end of the log if the process has ended.
    ///
    /// # Errors
    /// It has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.try_wait()? {
            None => Ok(()),
            Some(status) => Err(Error::failed(format!(
                "{} ended unasked ({status}): see {}\n{}",
                self.name,
                self.log.display(),
                tail(&self.log)
            ))),
        }
    }

    /// Sends a signal; nothing happens if the process has already ended.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.try_wait()?.is_some() {
            return Ok(());
        }
        let what = format!("{}: cannot signal process {}", self.name, self.id());
        // Not reaped yet, so the id is still its own.
        let pid = i32::try_from(self.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Error::failed(what.clone()))?;
        kill_process(pid, signal).context(what)
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    /// It has not ended within the deadline.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let what = format!("{} (process {}) to end", self.name, self.id());
        wait_until(within, &what, || match self.try_wait() {
            Ok(Some(status)) => Ok(status),
            Ok(None) => Err("it is still running".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Asks it to end (SIGTERM), and kills it when it has not after `grace`. Says
    /// whether it ended by itself.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn stop(&mut self, grace: Duration) -> Result<bool> {
        self.signal(Signal::TERM)?;
        if self.wait(grace).is_ok() {
            return Ok(true);
        }
        self.kill()?;
        Ok(false)
    }

    /// Kills it (SIGKILL) and waits for the end.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        self.call_off();
        if self.status.is_none() {
            let ended = self.child.wait();
            self.status = Some(ended.context(format_args!("{}: cannot end it", self.name))?);
        }
        self.status
            .ok_or_else(|| Error::failed(format!("{}: ended without a status", self.name)))
    }

    /// Ends the watchdog. Called before the child is reaped or as soon as it is, so
    /// that the watchdog never kills a stranger that got the same id.
    fn call_off(&mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            // An error means that it has already gone, which is what we want.
            let _ = watchdog.kill();
            let _ = watchdog.wait();
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if let Err(error) = self.kill() {
            eprintln!("{error}");
        }
    }
}

fn watch(id: u32, scratch: Option<&Path>) -> Result<Child> {
    Command::new("sh")
        .args(["-c", WATCHDOG, "watchdog", &id.to_string()])
        .arg(scratch.map_or(OsStr::new(""), Path::as_os_str))
        // Held in the returned child, closed by the kernel when we die.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("watchdog: cannot start sh")
}

/// The last lines of a log, or why it cannot be read.
pub fn tail(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let end = file.seek(SeekFrom::End(0))?;
        if end > LOG_TAIL.unsigned_abs() {
            file.seek(SeekFrom::End(-LOG_TAIL))?;
        } else {
            file.rewind()?;
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_else(|error| format!("{}: {error}", log.display()))
}

/// What a command wrote and how it ended.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command, for messages.
    pub command: String,
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The standard output of a command that must succeed.
    ///
    /// # Errors
    /// It failed, with what it wrote.
    pub fn success(self) -> Result<String> {
        if self.code == Some(0) {
            return Ok(self.stdout);
        }
        Err(Error::failed(format!(
            "{}: ended with {:?}: {}{}",
            self.command, self.code, self.stderr, self.stdout
        )))
    }

    /// The standard error of a command that must fail.
    ///
    /// # Errors
    /// It succeeded, with what it wrote.
    pub fn failure(self) -> Result<String> {
        if self.code != Some(0) {
            return Ok(self.stderr);
        }
        Err(Error::failed(format!(
            "{}: should have failed: {}",
            self.command, self.stdout
        )))
    }
}

/// Runs a command to its end, `input` on its standard input, and returns what it wrote.
///
/// # Errors
/// It cannot be started, or has not ended within the deadline: it is killed then.
pub fn run(
    name: &str,
    command: &mut Command,
    input: Option<&str>,
    within: Duration,
) -> Result<Output> {
    let what = format!("{name}: cannot run it");
    // Files instead of pipes: no reader threads, and no dead-lock on a full pipe.
    let mut stdin = tempfile::tempfile().context(&what)?;
    let (stdout, stderr) = (
        tempfile::tempfile().context(&what)?,
        tempfile::tempfile().context(&what)?,
    );
    stdin
        .write_all(input.unwrap_or_default().as_bytes())
        .context(&what)?;
    stdin.rewind().context(&what)?;
    let mut child = command
        .stdin(stdin)
        .stdout(stdout.try_clone().context(&what)?)
        .stderr(stderr.try_clone().context(&what)?)
        .spawn()
        .context(&what)?;
    let ended = wait_until(within, name, || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        Ok(None) => Err("still running".to_owned()),
        Err(error) => Err(error.to_string()),
    });
    let status = ended.inspect_err(|_| {
        // Errors mean that it has gone in the meantime.
        let _ = child.kill();
        let _ = child.wait();
    })?;
    Ok(Output {
        command: name.to_owned(),
        code: status.code(),
        stdout: read_whole(stdout).context(&what)?,
        stderr: read_whole(stderr).context(&what)?,
    })
}

fn read_whole(mut file: File) -> std::io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MINUTE: Duration = Duration::from_secs(60);

    fn sh(script: &str, log: &Path) -> Guarded {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Guarded::spawn("sh", &mut command, log, None, None).unwrap()
    }

    fn runs(id: u32) -> bool {
        let pid = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        rustix::process::test_kill_process(pid).is_ok()
    }

    #[test]
    fn stop_says_whether_it_ended_by_itself() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut polite = sh(
            "trap 'exit 3' TERM; echo up >&2; while :; do sleep 0.01; done",
            &log,
        );
        wait_until(MINUTE, "the trap", || {
            tail(&log).contains("up").then_some(())
        })
        .unwrap();
        assert!(polite.stop(MINUTE).unwrap());
        assert_eq!(polite.try_wait().unwrap().unwrap().code(), Some(3));

        let log = folder.path().join("other");
        let mut deaf = sh(
            "trap '' TERM; echo up >&2; while :; do sleep 0.01; done",
            &log,
        );
        wait_until(MINUTE, "the trap", || {
            tail(&log).contains("up").then_some(())
        })
        .unwrap();
        assert!(!deaf.stop(Duration::from_millis(50)).unwrap());
    }

    #[test]
    fn an_unasked_end_is_told_with_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut short = sh("echo because >&2; exit 7", &folder.path().join("log"));
        short.wait(MINUTE).unwrap();
        let error = short.check_alive().unwrap_err().to_string();
        assert!(error.contains("because") && error.contains('7'), "{error}");
        short.signal(Signal::TERM).unwrap();
    }

    #[test]
    fn a_stopped_process_is_ended_on_drop() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = sh("while :; do sleep 0.01; done", &folder.path().join("log"));
        let id = child.id();
        child.signal(Signal::STOP).unwrap();
        drop(child);
        assert!(!runs(id));
    }

    #[test]
    fn a_command_has_input_output_and_a_deadline() {
        let mut cat = Command::new("cat");
        let output = run("cat", &mut cat, Some("text"), MINUTE).unwrap();
        assert_eq!(output.success().unwrap(), "text");
        let mut forever = Command::new("sleep");
        let error = run("sleep", forever.arg("600"), None, Duration::from_millis(1)).unwrap_err();
        assert!(error.to_string().contains("still running"), "{error}");
    }

    /// Set in the process that the next test starts and kills.
    const VICTIM: &str = "PATROL_E2E_VICTIM";

    #[test]
    fn when_we_are_killed_the_watchdog_ends_the_child_and_its_data() {
        if let Some(folder) = std::env::var_os(VICTIM) {
            return be_the_victim(Path::new(&folder));
        }
        let folder = tempfile::tempdir().unwrap();
        let mut victim = Command::new(std::env::current_exe().unwrap());
        victim
            .args(["--exact", "--nocapture"])
            .arg("child::tests::when_we_are_killed_the_watchdog_ends_the_child_and_its_data")
            .env(VICTIM, folder.path());
        let log = folder.path().join("victim.log");
        let mut victim = Guarded::spawn("victim", &mut victim, &log, None, None).unwrap();
        let id: u32 = wait_until(MINUTE, "the victim's child", || {
            let text =
                std::fs::read_to_string(folder.path().join("id")).map_err(|e| e.to_string())?;
            text.parse().map_err(|_| format!("not an id: {text}"))
        })
        .unwrap();
        assert!(runs(id) && folder.path().join("data").exists());
        victim.kill().unwrap();
        wait_until(MINUTE, "the watchdog", || {
            (!runs(id) && !folder.path().join("data").exists()).then_some(())
        })
        .unwrap();
    }

    fn be_the_victim(folder: &Path) {
        let data = folder.join("data");
        std::fs::create_dir(&data).unwrap();
        let mut command = Command::new("sleep");
        let log = folder.join("child.log");
        let child = Guarded::spawn("sleep", command.arg("600"), &log, None, Some(&data)).unwrap();
        std::fs::write(folder.join("id"), child.id().to_string()).unwrap();
        loop {
            std::thread::park();
        }
    }
}
