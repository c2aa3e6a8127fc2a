//! Real programs of others on loopback: Debian's Alertmanager, Prometheus, and a relay that reads Alertmanager's webhook.
//!
//! They are looked for on `PATH`; where one is missing the caller gets [`Error::Unavailable`] and has to say what it
//! skipped. `.ci/run` unpacks them from Debian's packages and starts nothing.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::child::Guarded;
use crate::folder::RunFolder;
use crate::{Context, Error, Result, http, wait_until};

/// Where Debian's Alertmanager looks for its own templates.
const TEMPLATE: &str = "/usr/share/prometheus/alertmanager/default.tmpl";
/// A server starts within this time on a loaded machine.
const START: Duration = Duration::from_secs(60);

/// A program of others that listens on one port of loopback.
#[derive(Debug)]
pub struct Peer {
    // Dropped first: nothing may write when the folder goes.
    process: Option<Guarded>,
    program: PathBuf,
    name: &'static str,
    address: SocketAddr,
    ready: &'static str,
    run: RunFolder,
}

/// Where a program is, by any of its names.
///
/// # Errors
/// [`Error::Unavailable`] where none is on `PATH`.
fn find(names: &[&str]) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|file| file.is_file())
        .ok_or_else(|| Error::Unavailable(format!("{} is not on PATH", names.join(" or "))))
}

/// A free port of loopback. It is given back before the program binds it, for none of these programs shares a port: where
/// somebody else takes it in between, the program ends, and the test fails and says so.
///
/// # Errors
/// There is none.
pub fn free_address() -> Result<SocketAddr> {
    let what = "loopback port: cannot take it";
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context(what)?;
    listener.local_addr().context(what)
}

impl Peer {
    fn new(
        name: &'static str,
        names: &[&str],
        ready: &'static str,
        config: impl FnOnce(SocketAddr) -> String,
    ) -> Result<Self> {
        let program = find(names)?;
        let run = RunFolder::new(name)?;
        let address = free_address()?;
        let file = run.data().join("config.yml");
        std::fs::write(&file, config(address)).context(file.display())?;
        let mut peer = Self {
            process: None,
            program,
            name,
            address,
            ready,
            run,
        };
        peer.start()?;
        Ok(peer)
    }

    /// Debian's Alertmanager, with this configuration. It is a cluster of one.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it is not installed.
    pub fn alertmanager(config: &str) -> Result<Self> {
        let names = ["prometheus-alertmanager", "alertmanager"];
        let program = find(&names)?;
        if program.ends_with("prometheus-alertmanager") && !Path::new(TEMPLATE).is_file() {
            let why = format!("Debian's Alertmanager does not start without {TEMPLATE}");
            return Err(Error::Unavailable(why));
        }
        Self::new("alertmanager", &names, "/-/ready", |_| config.to_owned())
    }

    /// Debian's Prometheus, with this configuration and these rules in `rules.yml` beside it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it is not installed.
    pub fn prometheus(config: &str, rules: &str) -> Result<Self> {
        let program = find(&["prometheus"])?;
        let run = RunFolder::new("prometheus")?;
        for (name, text) in [("config.yml", config), ("rules.yml", rules)] {
            let file = run.data().join(name);
            std::fs::write(&file, text).context(file.display())?;
        }
        let mut peer = Self {
            process: None,
            program,
            name: "prometheus",
            address: free_address()?,
            ready: "/-/ready",
            run,
        };
        peer.start()?;
        Ok(peer)
    }

    /// Debian's relay from Alertmanager's webhook to IRC, whose server is at this address.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where it is not installed.
    pub fn relay(irc: SocketAddr) -> Result<Self> {
        Self::new("relay", &["alertmanager-irc-relay"], "", |address| {
            format!(
                "http_host: {}\nhttp_port: {}\nirc_host: {}\nirc_port: {}\nirc_use_ssl: no\n\
                 irc_nickname: patrol\nirc_realname: patrol\nirc_channels: [{{name: \"#patrol\"}}]\n\
                 msg_once_per_alert_group: no\n\
                 msg_template: \"{{{{ .Status }}}} {{{{ .Labels.alertname }}}} {{{{ .Labels.subject_name }}}}\"\n",
                address.ip(),
                address.port(),
                irc.ip(),
                irc.port()
            )
        })
    }

    /// Starts it, or starts it again after [`Peer::stop`], at the same address.
    ///
    /// # Errors
    /// It does not come up.
    pub fn start(&mut self) -> Result<()> {
        let data = self.run.data();
        let mut command = Command::new(&self.program);
        command.args(self.arguments(&data)).current_dir(&data);
        let log = self.run.logs().join(format!("{}.log", self.name));
        let mut process = Guarded::spawn(self.name, &mut command, &log, None, None)?;
        wait_until(START, self.name, || {
            process.check_alive().map_err(|error| error.to_string())?;
            match self.ready {
                "" => std::net::TcpStream::connect(self.address)
                    .map(|_| ())
                    .map_err(|error| error.to_string()),
                path => match http::get(self.address, path) {
                    Ok(reply) if reply.status == 200 => Ok(()),
                    Ok(reply) => Err(reply.text()),
                    Err(error) => Err(error.to_string()),
                },
            }
        })?;
        self.process = Some(process);
        Ok(())
    }

    fn arguments(&self, data: &Path) -> Vec<String> {
        let listen = format!("--web.listen-address={}", self.address);
        let config = format!("--config.file={}", data.join("config.yml").display());
        let storage = data.join("storage");
        match self.name {
            "alertmanager" => vec![
                config,
                listen,
                format!("--storage.path={}", storage.display()),
                "--cluster.listen-address=".to_owned(),
            ],
            "prometheus" => vec![
                config,
                listen,
                format!("--storage.tsdb.path={}", storage.display()),
            ],
            _ => vec![format!("--config={}", data.join("config.yml").display())],
        }
    }

    /// Kills it. What it held in memory is gone.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn stop(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.kill().map(|_| ()),
            None => Ok(()),
        }
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn id(&self) -> Option<u32> {
        self.process.as_ref().map(Guarded::id)
    }

    /// Posts JSON to a path.
    ///
    /// # Errors
    /// It does not answer, or does not take it.
    pub fn post(&self, path: &str, body: &Value) -> Result<()> {
        let reply = http::post(self.address, path, body)?;
        match reply.status {
            200..=299 => Ok(()),
            _ => Err(Error::Failed(format!(
                "{}{path}: {}: {}",
                self.name,
                reply.status,
                reply.text()
            ))),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The JSON at a path.
    ///
    /// # Errors
    /// It does not answer, or with something else.
    pub fn json(&self, path: &str) -> Result<Value> {
        http::get(self.address, path)?.success()
    }
}
