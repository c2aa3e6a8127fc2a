//! What a control plane shall consist of, and raising it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use super::parts::{self, ApiServerOptions, Layout};
use super::{ADMIN, ControlPlane, Processes};
use crate::child::Guarded;
use crate::folder::RunFolder;
use crate::ports::HeldPort;
use crate::{Context, Error, Result, build, keys, wait_until};

/// From the start of the processes to a usable API: 3 s on two idle cores.
const READY_DEADLINE: Duration = Duration::from_secs(120);

/// Our stages of pods, beside kwok's own of nodes.
const POD_STAGES: &str = include_str!("../../stages/pods.yaml");

/// Every request once, when it is answered. Watches are recorded when they end.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"], "rules": [{"level": "Metadata"}]}"#;

/// Describes a control plane; [`Builder::start`] raises it.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    identities: Vec<(String, Vec<String>)>,
    controllers: Option<String>,
    scheduler: bool,
    kwok: bool,
    stages: Vec<String>,
    durable: bool,
    api_server: ApiServerOptions,
}

impl Builder {
    /// A further identity, a user of this name in these groups, without any rights of
    /// its own: RBAC objects give them. The administrator `admin` is always there.
    #[must_use]
    pub fn identity(mut self, name: &str, groups: &[&str]) -> Self {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        self.identities.push((name.to_owned(), groups));
        self
    }

    /// Runs kube-controller-manager with all its controllers: namespaces finish
    /// terminating, owned objects go, workloads get their pods, namespaces their
    /// service account.
    #[must_use]
    pub fn controllers(self) -> Self {
        self.only_controllers(&["*"])
    }

    /// Runs kube-controller-manager with these controllers alone, as its
    /// `--controllers` names them.
    #[must_use]
    pub fn only_controllers(mut self, names: &[&str]) -> Self {
        self.controllers = Some(names.join(","));
        self
    }

    /// Runs kube-scheduler.
    #[must_use]
    pub fn scheduler(mut self) -> Self {
        self.scheduler = true;
        self
    }

    /// Runs kwok as the kubelet of every node that carries [`super::KWOK_NODE`]. Pods there
    /// become Ready at once; the annotation `e2e.kubepatrol.io/behaviour` scripts
    /// others (see `stages/pods.yaml`).
    #[must_use]
    pub fn kwok(mut self) -> Self {
        self.kwok = true;
        self
    }

    /// Gives kwok further `Stage` objects (YAML).
    #[must_use]
    pub fn stages(mut self, yaml: &str) -> Self {
        self.stages.push(yaml.to_owned());
        self
    }

    /// Makes etcd wait for the disk, for tests of durability. Slower.
    #[must_use]
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// Records every answered request: see [`ControlPlane::audit`].
    #[must_use]
    pub fn audit(mut self) -> Self {
        self.api_server.audit = true;
        self
    }

    /// A further flag of kube-apiserver, such as `--feature-gates=WatchList=false`.
    #[must_use]
    pub fn api_server_flag(mut self, flag: &str) -> Self {
        self.api_server.extra.push(flag.to_owned());
        self
    }

    /// Raises it and waits until it can be used.
    ///
    /// # Errors
    /// [`Error::Unavailable`] if a program cannot be had on this machine; any other
    /// error names the log that says why.
    pub fn start(mut self) -> Result<ControlPlane> {
        let programs = build::control_plane()?;
        // Asked for before anything runs: a missing part is known at once.
        let controller_manager = self
            .controllers
            .is_some()
            .then(|| programs.path("kube-controller-manager"))
            .transpose()?;
        let scheduler = self
            .scheduler
            .then(|| programs.path("kube-scheduler"))
            .transpose()?;
        let kwok = self.kwok.then(build::kwok).transpose()?;
        // Without its controller nobody makes the service account that pods need.
        self.api_server.service_accounts = self.controllers.is_some();

        let folder = RunFolder::new("control-plane")?;
        let (etcd, peer, port) = (HeldPort::take()?, HeldPort::take()?, HeldPort::take()?);
        let layout = Layout {
            data: folder.data(),
            etcd: etcd.address(),
            etcd_peer: peer.address(),
            api_server: port.address(),
        };
        let tokens = self.write_files(&layout)?;
        let etcd_command = parts::etcd(&programs.path("etcd")?, &layout, self.durable);
        let plane = ControlPlane {
            processes: Mutex::new(Processes::default()),
            api_server: (programs.path("kube-apiserver")?, self.api_server.clone()),
            kubectl: programs.path("kubectl")?,
            tokens,
            layout,
            _ports: [etcd, peer, port],
            folder,
        };
        self.raise(&plane, etcd_command, controller_manager, scheduler, kwok)?;
        Ok(plane)
    }

    fn raise(
        &self,
        plane: &ControlPlane,
        etcd: std::process::Command,
        controller_manager: Option<PathBuf>,
        scheduler: Option<PathBuf>,
        kwok: Option<PathBuf>,
    ) -> Result<()> {
        plane.spawn("etcd", etcd)?;
        plane.start_api_server_within(READY_DEADLINE)?;
        for identity in plane.tokens.keys() {
            plane.write_kubeconfig(identity, plane.token(identity)?)?;
        }
        let layout = &plane.layout;
        if let (Some(program), Some(controllers)) = (controller_manager, &self.controllers) {
            let command = parts::controller_manager(&program, layout, controllers);
            plane.spawn("kube-controller-manager", command)?;
        }
        if let Some(program) = scheduler {
            plane.spawn("kube-scheduler", parts::scheduler(&program, layout))?;
        }
        if let Some(program) = kwok {
            let mut files = Vec::new();
            for (n, yaml) in [POD_STAGES]
                .into_iter()
                .chain(self.stages.iter().map(String::as_str))
                .enumerate()
            {
                let file = layout.data.join(format!("stages-{n}.yaml"));
                write_private(&file, yaml)?;
                files.push(file);
            }
            plane.spawn("kwok", parts::kwok(&program, layout, &files))?;
        }
        plane.wait_for_namespace("default", READY_DEADLINE)
    }

    /// Keys, tokens and policies; returns the token of each identity.
    fn write_files(&self, layout: &Layout) -> Result<BTreeMap<String, String>> {
        let kube = layout.kube();
        fs::create_dir(&kube).context(kube.display())?;
        let key = keys::signing_key()?;
        write_private(&layout.private_key(), &key.private)?;
        write_private(&layout.public_key(), &key.public)?;
        write_private(&layout.audit_policy(), AUDIT_POLICY)?;
        let admin = (ADMIN.to_owned(), vec!["system:masters".to_owned()]);
        let mut tokens = BTreeMap::new();
        let mut lines = String::new();
        for (name, groups) in [admin].iter().chain(&self.identities) {
            let token = keys::token()?;
            lines.push_str(&format!("{token},{name},{name},\"{}\"\n", groups.join(",")));
            if tokens.insert(name.clone(), token).is_some() {
                return Err(Error::failed(format!("identity {name}: asked for twice")));
            }
        }
        write_private(&layout.tokens(), &lines)?;
        Ok(tokens)
    }
}

/// Writes a file that only we may read.
pub(super) fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let what = format!("{}: cannot write it", path.display());
    fs::write(path, text).context(&what)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).context(&what)
}

impl ControlPlane {
    pub(super) fn spawn(
        &self,
        name: &'static str,
        mut command: std::process::Command,
    ) -> Result<()> {
        let log = self.folder.logs().join(format!("{name}.log"));
        // In the run's folder: what a program writes beside itself is found and removed.
        command
            .current_dir(self.folder.data())
            .env_remove("KUBECONFIG");
        let scratch = (name == "etcd").then(|| self.folder.data());
        let process = Guarded::spawn(name, &mut command, &log, None, scratch.as_deref())?;
        self.processes().0.insert(name, process);
        Ok(())
    }

    pub(super) fn start_api_server_within(&self, within: Duration) -> Result<()> {
        let (program, options) = &self.api_server;
        self.spawn(
            "kube-apiserver",
            parts::api_server(program, &self.layout, options),
        )?;
        let mut dead = None;
        let ready = wait_until(within, "the API server to be ready", || {
            if let Err(error) = self.check_alive() {
                dead = Some(error);
                return Ok(());
            }
            self.ready()
        });
        match dead {
            Some(error) => Err(error),
            None => ready.map_err(|error| {
                Error::failed(format!("{error}: see {}", self.folder.logs().display()))
            }),
        }
    }
}
