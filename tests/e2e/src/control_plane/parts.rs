//! The command lines of the parts. Only flags that the ordinary programs have, so that
//! those of `KUBEBUILDER_ASSETS` can take the place of ours.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ADMIN, KWOK_NODE};

/// Everything the parts have to agree on.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    pub(crate) data: PathBuf,
    pub(crate) etcd: SocketAddr,
    pub(crate) etcd_peer: SocketAddr,
    pub(crate) api_server: SocketAddr,
}

impl Layout {
    fn file(&self, name: &str) -> PathBuf {
        self.data.join(name)
    }

    /// Kubeconfigs and what kubectl remembers.
    pub(crate) fn kube(&self) -> PathBuf {
        self.file("kube")
    }

    /// The kubeconfig of an identity.
    pub(crate) fn kubeconfig(&self, identity: &str) -> PathBuf {
        self.kube().join(format!("{identity}.kubeconfig"))
    }

    /// The certificate that the API server signs for itself, with its authority.
    pub(crate) fn authority(&self) -> PathBuf {
        self.file("certificates").join("apiserver.crt")
    }

    /// `token,user,uid,"group,group"` a line.
    pub(crate) fn tokens(&self) -> PathBuf {
        self.file("tokens.csv")
    }

    pub(crate) fn private_key(&self) -> PathBuf {
        self.file("service-account.key")
    }

    pub(crate) fn public_key(&self) -> PathBuf {
        self.file("service-account.pub")
    }

    pub(crate) fn audit_policy(&self) -> PathBuf {
        self.file("audit-policy.yaml")
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.file("audit.jsonl")
    }
}

/// Builds `--name=value` arguments.
fn flag(name: &str, value: impl AsRef<Path>) -> String {
    format!("--{name}={}", value.as_ref().display())
}

pub(crate) fn etcd(program: &Path, layout: &Layout, durable: bool) -> Command {
    let (client, peer) = (layout.etcd, layout.etcd_peer);
    let mut command = Command::new(program);
    command
        .arg(flag("data-dir", layout.file("etcd")))
        .arg(format!("--listen-client-urls=http://{client}"))
        .arg(format!("--advertise-client-urls=http://{client}"))
        .arg(format!("--listen-peer-urls=http://{peer}"))
        .arg(format!("--initial-advertise-peer-urls=http://{peer}"))
        .arg(format!("--initial-cluster=default=http://{peer}"))
        // The ports are held by sockets of ours: see `ports`.
        .arg("--socket-reuse-port=true")
        .arg("--log-level=error");
    if !durable {
        command.arg("--unsafe-no-fsync=true");
    }
    command
}

/// What the API server can do beyond the minimum.
#[derive(Debug, Clone, Default)]
pub(crate) struct ApiServerOptions {
    /// Whether bare pods need a service account that nobody would create.
    pub(crate) service_accounts: bool,
    pub(crate) audit: bool,
    /// Further flags, last, so that they win.
    pub(crate) extra: Vec<String>,
}

pub(crate) fn api_server(program: &Path, layout: &Layout, options: &ApiServerOptions) -> Command {
    let mut command = Command::new(program);
    command
        .arg(format!("--etcd-servers=http://{}", layout.etcd))
        .arg("--bind-address=127.0.0.1")
        .arg("--advertise-address=127.0.0.1")
        .arg(format!("--secure-port={}", layout.api_server.port()))
        .arg("--permit-port-sharing=true")
        .arg(flag("cert-dir", layout.file("certificates")))
        .arg("--service-cluster-ip-range=10.96.0.0/16")
        // A loopback address is no legal endpoint of the `kubernetes` service.
        .arg("--endpoint-reconciler-type=none")
        .arg(flag("service-account-key-file", layout.public_key()))
        .arg(flag(
            "service-account-signing-key-file",
            layout.private_key(),
        ))
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        .arg(flag("token-auth-file", layout.tokens()))
        .arg("--authorization-mode=RBAC")
        .arg("--allow-privileged=true");
    if !options.service_accounts {
        command.arg("--disable-admission-plugins=ServiceAccount");
    }
    if options.audit {
        command
            .arg(flag("audit-policy-file", layout.audit_policy()))
            .arg(flag("audit-log-path", layout.audit_log()))
            .arg("--audit-log-mode=blocking-strict");
    }
    command.args(&options.extra);
    command
}

pub(crate) fn controller_manager(program: &Path, layout: &Layout, controllers: &str) -> Command {
    let mut command = Command::new(program);
    command
        .arg(flag("kubeconfig", layout.kubeconfig(ADMIN)))
        .arg(flag("root-ca-file", layout.authority()))
        .arg(flag(
            "service-account-private-key-file",
            layout.private_key(),
        ))
        .arg(format!("--controllers={controllers}"))
        .arg("--leader-elect=false")
        // It serves nothing: no port, no certificate to make.
        .arg("--secure-port=0");
    command
}

pub(crate) fn scheduler(program: &Path, layout: &Layout) -> Command {
    let mut command = Command::new(program);
    command
        .arg(flag("kubeconfig", layout.kubeconfig(ADMIN)))
        .arg("--leader-elect=false")
        .arg("--secure-port=0");
    command
}

pub(crate) fn kwok(program: &Path, layout: &Layout, stages: &[PathBuf]) -> Command {
    let mut command = Command::new(program);
    command
        .arg(flag("kubeconfig", layout.kubeconfig(ADMIN)))
        .arg(format!(
            "--manage-nodes-with-annotation-selector={}={}",
            KWOK_NODE.0, KWOK_NODE.1
        ));
    for file in stages {
        command.arg(flag("config", file));
    }
    command
}
