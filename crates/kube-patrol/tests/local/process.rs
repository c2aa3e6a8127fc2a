//! The binary as a child process, with its output collected, and waiting on conditions.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for a condition, with a deadline that says which one it was.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A folder of manifests.
pub struct World {
    dir: PathBuf,
    /// Removes it at the end; a folder within another has none.
    _keep: Option<tempfile::TempDir>,
}

impl World {
    pub fn new() -> Self {
        let keep = tempfile::tempdir().unwrap();
        Self {
            dir: keep.path().to_path_buf(),
            _keep: Some(keep),
        }
    }

    /// A folder in this one.
    pub fn within(&self, name: &str) -> Self {
        Self {
            dir: self.path(name),
            _keep: None,
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Starts local mode on the folder.
    pub fn start(&self, args: &[&str]) -> Local {
        Local::start(&self.dir, args)
    }

    /// Starts local mode as a shell does in the background.
    pub fn start_ignoring_signals(&self) -> Local {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' INT TERM; exec \"$0\" local \"$1\""]);
        Local::spawn(shell.arg(binary().get_program()).arg(&self.dir))
    }

    /// Runs local mode to its end.
    pub fn run(&self, args: &[&str]) -> (Option<i32>, String, String) {
        let dir = self.dir.to_str().unwrap();
        command(&[&["local", dir], args].concat())
    }

    /// Tickets in a namespace, by file name.
    pub fn tickets(&self, namespace: &str) -> Vec<(String, String)> {
        let folder = self.path(".kube-patrol/tickets").join(namespace);
        let mut found: Vec<_> = fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let is_ticket = name.ends_with(".yaml") && !name.starts_with('.');
                is_ticket.then(|| Some((name, fs::read_to_string(entry.path()).ok()?)))?
            })
            .collect();
        found.sort();
        found
    }

    /// The phase of the ticket of a check.
    pub fn phase_in(&self, namespace: &str, check: &str) -> Option<String> {
        let (_, text) = self
            .tickets(namespace)
            .into_iter()
            .find(|(name, _)| name.starts_with(check))?;
        let line = text
            .lines()
            .find(|l| l.trim_start().starts_with("phase:"))?;
        Some(line.split(':').nth(1)?.trim().to_owned())
    }

    /// The ticket of a check, once it is in a phase.
    pub fn ticket_in(&self, namespace: &str, check: &str, phase: &str) -> String {
        eventually(&format!("{check} {phase}"), || {
            (self.phase_in(namespace, check)? == phase).then_some(())?;
            let found = self.tickets(namespace).into_iter();
            found
                .map(|(_, text)| text)
                .find(|text| text.contains(check))
        })
    }

    /// Every file of the state folder.
    pub fn state_as_text(&self) -> String {
        fn collect(folder: &Path, out: &mut String) {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    collect(&entry.path(), out);
                } else {
                    *out += &fs::read_to_string(entry.path()).unwrap_or_default();
                }
            }
        }
        let mut out = String::new();
        collect(&self.path(".kube-patrol"), &mut out);
        out
    }
}

/// A running local mode; it is killed at the end of a test.
pub struct Local {
    child: Child,
    out: Arc<Mutex<String>>,
    log: Arc<Mutex<String>>,
}

impl Local {
    fn start(dir: &Path, args: &[&str]) -> Self {
        Self::spawn(binary().arg("local").arg(dir).args(args))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = collect(child.stdout.take().unwrap());
        let log = collect(child.stderr.take().unwrap());
        Self { child, out, log }
    }

    /// Nobody reads what it says.
    pub fn unread(world: &World) -> Self {
        let child = binary()
            .arg("local")
            .arg(world.path(""))
            .args(["--log-level", "debug"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            child,
            out: Arc::default(),
            log: Arc::default(),
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn out(&self) -> String {
        self.out.lock().unwrap().clone()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn forget_log(&self) {
        self.log.lock().unwrap().clear();
    }

    /// Waits for a text on stdout.
    pub fn says(&self, text: &str) {
        eventually(&format!("stdout says {text:?}: {}", self.log()), || {
            self.out().contains(text).then_some(())
        });
    }

    /// Waits for a text on stderr.
    pub fn logs(&self, text: &str) {
        eventually(&format!("stderr says {text:?}"), || {
            self.log().contains(text).then_some(())
        });
    }

    /// The address of metrics and probes.
    pub fn listens_on(&self) -> String {
        eventually("it says where it listens", || {
            let log = self.log();
            let at = log.find("\"listen\":\"")? + "\"listen\":\"".len();
            Some(log.get(at..)?.split('"').next()?.to_owned())
        })
    }

    /// Kills it, as `kill -9` does, this long after its start.
    pub fn kill_after(&mut self, delay: Duration) {
        thread::sleep(delay);
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as a terminal does; returns its exit code and all it said.
    pub fn stop_and_read(mut self) -> (Option<i32>, String) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(sent.success());
        let code = eventually("it ends", || self.child.try_wait().unwrap()).code();
        eventually("its output ends", || {
            (Arc::strong_count(&self.out) == 1).then_some(())
        });
        (code, self.out())
    }

    /// Ends it as a terminal does; returns its exit code.
    pub fn stop(mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-INT", &id]).status().unwrap();
        assert!(sent.success());
        eventually("it ends", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let into = Arc::clone(&text);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            *into.lock().unwrap() += &String::from_utf8_lossy(&buffer[..count]);
        }
    });
    text
}

fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kube-patrol"))
}

/// Runs the binary to its end: exit code, stdout, stderr.
pub fn command(args: &[&str]) -> (Option<i32>, String, String) {
    command_with(args, &[])
}

/// The same in a changed environment.
pub fn command_with(args: &[&str], env: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut child = binary()
        .args(args)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = collect(child.stdout.take().unwrap());
    let log = collect(child.stderr.take().unwrap());
    let end = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            let _ = child.kill();
            panic!("never: {args:?} ends: {}", log.lock().unwrap());
        }
        thread::sleep(Duration::from_millis(20));
    };
    // The pipes end with the process; what is in them is read first.
    let read = |text: Arc<Mutex<String>>| {
        eventually("its output ends", || {
            (Arc::strong_count(&text) == 1).then_some(())
        });
        text.lock().unwrap().clone()
    };
    (status.code(), read(out), read(log))
}

/// One plain GET.
pub fn get(address: &str, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    )
    .ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    Some(reply)
}
