//! A process of ours that never outlives us.
//!
//! `Drop` ends it by its id. Should this process itself be killed first, `Drop` never
//! runs: so each child has a watchdog, a small shell that reads from a pipe we hold and
//! kills the child when the pipe closes. Both have a process group of their own, so
//! that Ctrl-C reaches only us and the order of the ending stays ours.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
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

/// Runs a command to its end and returns what it wrote, within a deadline.
pub(crate) fn run(
    command: &mut Command,
    input: Option<&str>,
    within: Duration,
) -> Result<(ExitStatus, String, String)> {
    let name = format!("{command:?}");
    let what = format!("{name}: cannot run it");
    // Files instead of pipes: no reader threads, and no dead-lock on a full pipe.
    let mut files = Vec::new();
    for content in [input.unwrap_or_default(), "", ""] {
        let mut file = tempfile::tempfile().context(&what)?;
        std::io::Write::write_all(&mut file, content.as_bytes()).context(&what)?;
        file.rewind().context(&what)?;
        files.push(file);
    }
    let [stdin, stdout, stderr] = <[File; 3]>::try_from(files)
        .map_err(|_| Error::failed(format!("{what}: three files expected")))?;
    let mut child = command
        .stdin(stdin)
        .stdout(stdout.try_clone().context(&what)?)
        .stderr(stderr.try_clone().context(&what)?)
        .spawn()
        .context(&what)?;
    let ended = wait_until(within, &name, || match child.try_wait() {
        Ok(Some(status)) => Ok(status),
        Ok(None) => Err("still running".to_owned()),
        Err(error) => Err(error.to_string()),
    });
    let status = match ended {
        Ok(status) => status,
        Err(error) => {
            let _ = child.kill();
            let _ = child.wait();
            return Err(error);
        }
    };
    let text = |mut file: File| -> Result<String> {
        file.rewind().context(&what)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).context(&what)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok((status, text(stdout)?, text(stderr)?))
}
