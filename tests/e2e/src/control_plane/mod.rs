//! A control plane on loopback: etcd and kube-apiserver, and when asked for
//! kube-controller-manager, kube-scheduler and kwok.
//!
//! Every run has its own folder, ports, keys and tokens, so that tests run side by
//! side. RBAC decides what an identity may do, as in production; only `admin` is in
//! `system:masters`. Dropping the value ends the processes and removes the data; the
//! logs stay for a while, and where they are is printed at the start.

mod age;
mod audit;
mod builder;
mod kubectl;
mod parts;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{Value, json};

pub use audit::AuditMark;
pub use builder::Builder;

pub use crate::api_client::ApiClient;
use crate::child::{Guarded, Signal};
use crate::folder::RunFolder;
use crate::http::Response;
use crate::ports::HeldPort;
use crate::{Context, Error, Result, wait_until};
use parts::{ApiServerOptions, Layout};

/// The identity that may do everything.
pub const ADMIN: &str = "admin";

/// The annotation, key and value, of the nodes that kwok plays the kubelet for.
pub const KWOK_NODE: (&str, &str) = ("kwok.x-k8s.io/node", "fake");

/// How long the API server may take to end on SIGTERM before it is killed.
const API_SERVER_GRACE: Duration = Duration::from_secs(20);

/// How long the API server may take to be ready again.
const RESTART_DEADLINE: Duration = Duration::from_secs(60);

/// The processes by name.
#[derive(Debug, Default)]
struct Processes(BTreeMap<&'static str, Guarded>);

/// A running control plane. All methods take `&self`: threads of one test may share it.
#[derive(Debug)]
pub struct ControlPlane {
    // Dropped first: nothing may run when the folder goes.
    processes: Mutex<Processes>,
    api_server: (PathBuf, ApiServerOptions),
    kubectl: PathBuf,
    /// Identity to bearer token.
    tokens: BTreeMap<String, String>,
    layout: Layout,
    _ports: [HeldPort; 3],
    folder: RunFolder,
}

impl ControlPlane {
    /// Describes a control plane to raise.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The URL of the API server.
    pub fn server(&self) -> String {
        format!("https://{}", self.layout.api_server)
    }

    /// The address of the API server.
    pub fn address(&self) -> SocketAddr {
        self.layout.api_server
    }

    /// The folder with one log for each process.
    pub fn logs(&self) -> PathBuf {
        self.folder.logs()
    }

    /// The folder of this run; all in it but the logs goes with this value.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Ends it and removes the logs too.
    ///
    /// # Errors
    /// The logs cannot be removed.
    pub fn discard(self) -> Result<()> {
        let path = self.folder.path().to_owned();
        drop(self);
        std::fs::remove_dir_all(&path).context(path.display())
    }

    /// The ids of the processes by name.
    pub fn process_ids(&self) -> BTreeMap<&'static str, u32> {
        let processes = self.processes();
        processes
            .0
            .iter()
            .map(|(name, p)| (*name, p.id()))
            .collect()
    }

    /// The `kubectl` that belongs to it.
    pub fn kubectl_path(&self) -> &Path {
        &self.kubectl
    }

    /// The kubeconfig file of an identity.
    ///
    /// # Errors
    /// The identity was not asked for.
    pub fn kubeconfig(&self, identity: &str) -> Result<PathBuf> {
        self.token(identity)?;
        Ok(self.kubeconfig_path(identity))
    }

    /// The kubeconfig file of a service account, with a fresh token of one hour
    /// (TokenRequest). The service account has to exist.
    ///
    /// # Errors
    /// The API server refuses the token.
    pub fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self
            .kubectl(
                ADMIN,
                ["create", "token", name, "-n", namespace, "--duration=1h"],
            )?
            .success()?;
        let identity = format!("serviceaccount-{namespace}-{name}");
        self.write_kubeconfig(&identity, token.trim())?;
        Ok(self.kubeconfig_path(&identity))
    }

    /// A client for raw requests as an identity.
    ///
    /// # Errors
    /// The identity was not asked for, or the authority cannot be read.
    pub fn client(&self, identity: &str) -> Result<ApiClient> {
        let authority = self.layout.authority();
        ApiClient::new(self.layout.api_server, &authority, self.token(identity)?)
    }

    /// One raw request on a connection of its own; any status is a reply.
    ///
    /// # Errors
    /// As [`ControlPlane::client`], or the connection fails.
    pub fn request(
        &self,
        identity: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Response> {
        self.client(identity)?.request(method, path, body)
    }

    /// Makes a namespace and waits until objects can be made in it: where controllers
    /// run, that is when its default service account is there.
    ///
    /// # Errors
    /// The API server refuses, or the service account does not come.
    pub fn create_namespace(&self, name: &str) -> Result<()> {
        let body = json!({"metadata": {"name": name}});
        let reply = self.request(ADMIN, "POST", "/api/v1/namespaces", Some(&body))?;
        reply.success()?;
        self.wait_for_namespace(name, RESTART_DEADLINE)
    }

    /// Ends the API server in good order and waits for its end. Connections are refused
    /// from now on.
    ///
    /// # Errors
    /// It does not run.
    pub fn stop_api_server(&self) -> Result<()> {
        self.take("kube-apiserver")?.stop(API_SERVER_GRACE)?;
        Ok(())
    }

    /// Kills the API server in the middle of whatever it does.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill_api_server(&self) -> Result<()> {
        self.take("kube-apiserver")?.kill()?;
        Ok(())
    }

    /// Starts the API server again, at the same address with the same data, keys and
    /// certificate, and waits until it is ready.
    ///
    /// # Errors
    /// It runs already, or is not ready in time.
    pub fn start_api_server(&self) -> Result<()> {
        if self.processes().0.contains_key("kube-apiserver") {
            return Err(Error::failed(
                "kube-apiserver: it is running: stop it first",
            ));
        }
        self.start_api_server_within(RESTART_DEADLINE)
    }

    /// Sends a signal to one process: `etcd`, `kube-apiserver`,
    /// `kube-controller-manager`, `kube-scheduler` or `kwok`.
    ///
    /// # Errors
    /// No such process runs.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        match self.processes().0.get_mut(name) {
            Some(process) => process.signal(signal),
            None => Err(not_running(name)),
        }
    }

    /// Ends one process for good, such as `kube-controller-manager`.
    ///
    /// # Errors
    /// No such process runs.
    pub fn kill(&self, name: &str) -> Result<()> {
        self.take(name)?.kill().map(drop)
    }

    /// Fails if a process has ended by itself, with the end of its log.
    ///
    /// # Errors
    /// One has.
    pub fn check_alive(&self) -> Result<()> {
        self.processes()
            .0
            .values_mut()
            .try_for_each(Guarded::check_alive)
    }

    /// The certificate (PEM) that the API server proves itself with, its own authority.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn authority(&self) -> Result<String> {
        let path = self.layout.authority();
        std::fs::read_to_string(&path).context(path.display())
    }

    fn processes(&self) -> MutexGuard<'_, Processes> {
        // A panicking test must still be able to end its processes.
        self.processes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, name: &str) -> Result<Guarded> {
        let process = self.processes().0.remove(name);
        process.ok_or_else(|| not_running(name))
    }

    fn token(&self, identity: &str) -> Result<&str> {
        self.tokens
            .get(identity)
            .map(String::as_str)
            .ok_or_else(|| {
                Error::failed(format!(
                    "identity {identity}: ask for it with Builder::identity"
                ))
            })
    }

    fn kubeconfig_path(&self, identity: &str) -> PathBuf {
        self.layout.kubeconfig(identity)
    }

    /// Writes a kubeconfig with everything inline, as JSON, which is YAML.
    fn write_kubeconfig(&self, identity: &str, token: &str) -> Result<()> {
        let authority = self.layout.authority();
        let authority = std::fs::read(&authority).context(authority.display())?;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "e2e", "cluster": {
                "server": self.server(),
                "certificate-authority-data": BASE64.encode(&authority),
            }}],
            "users": [{"name": identity, "user": {"token": token}}],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": identity}}],
            "current-context": "e2e",
        });
        builder::write_private(&self.kubeconfig_path(identity), &config.to_string())
    }

    /// Whether the API server says that it is ready.
    fn ready(&self) -> Result<()> {
        let reply = self.request(ADMIN, "GET", "/readyz?verbose", None)?;
        match reply.status {
            200 => Ok(()),
            status => Err(Error::failed(format!("{status}: {}", reply.text()))),
        }
    }

    fn wait_for_namespace(&self, name: &str, within: Duration) -> Result<()> {
        let (_, options) = &self.api_server;
        let path = if options.service_accounts {
            format!("/api/v1/namespaces/{name}/serviceaccounts/default")
        } else {
            format!("/api/v1/namespaces/{name}")
        };
        wait_until(within, &format!("{path} to exist"), || {
            self.check_alive()?;
            self.request(ADMIN, "GET", &path, None)?.success()
        })
        .map(drop)
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // All at once: the run is over, nobody needs a goodbye.
        self.processes().0.clear();
    }
}

fn not_running(name: &str) -> Error {
    Error::failed(format!("{name}: it is not running"))
}
