//! The product installed on a control plane as `deploy/` installs it: CRDs, namespace and
//! exactly the shipped rights. The operator of a test runs under its service account,
//! never as an admin.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control_plane::{ADMIN, ControlPlane};
use crate::operator::{Builder, Process};
use crate::{Context, Result, wait_until};

/// The operator's namespace and service account.
pub const NAMESPACE: &str = "kube-patrol";
/// Deadline for what should take seconds.
pub const SOON: Duration = Duration::from_secs(60);

/// A file of this repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// Applies CRDs, namespace and rights, and waits until the kinds are served.
///
/// # Errors
/// A file is missing or refused.
pub fn install(plane: &ControlPlane) -> Result<()> {
    install_crds(plane)?;
    for file in ["namespace.yaml", "rbac.yaml"] {
        let path = repository("deploy/base").join(file);
        let text = std::fs::read_to_string(&path).context(&path.display().to_string())?;
        plane.apply(&text)?;
    }
    Ok(())
}

/// Applies the CRDs alone.
///
/// # Errors
/// As [`install`].
pub fn install_crds(plane: &ControlPlane) -> Result<()> {
    for kind in ["patrolpolicies", "tickets", "alertreceivers"] {
        let path = repository("crds").join(format!("kubepatrol.io_{kind}.yaml"));
        let text = std::fs::read_to_string(&path).context(&path.display().to_string())?;
        plane.apply(&text)?;
        let crd = format!("crd/{kind}.kubepatrol.io");
        plane
            .kubectl(
                ADMIN,
                ["wait", "--for=condition=Established", &crd, "--timeout=30s"],
            )?
            .success()?;
        wait_until(SOON, kind, || {
            plane.get(&[&format!("{kind}.kubepatrol.io"), "-A"])
        })?;
    }
    Ok(())
}

/// An operator on the control plane, with flags that make a test quick: no take-over wait,
/// receivers on loopback, metrics on a port of the kernel's choice.
///
/// # Errors
/// Its token cannot be had.
pub fn operator(plane: &ControlPlane, identity: &str) -> Result<Builder> {
    let kubeconfig = plane.service_account_kubeconfig(NAMESPACE, NAMESPACE)?;
    Ok(Process::builder()
        .args([
            "operator",
            "--namespace",
            NAMESPACE,
            "--identity",
            identity,
            "--listen",
            "127.0.0.1:0",
            "--takeover-wait",
            "0s",
            "--allow-loopback-receivers",
            "--log-format",
            "json",
        ])
        .kubeconfig(&kubeconfig))
}

/// A Secret in the operator's namespace.
///
/// # Errors
/// It is refused.
pub fn secret(plane: &ControlPlane, name: &str, entries: &Value) -> Result<()> {
    plane.apply(
        &json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "stringData": entries
        })
        .to_string(),
    )?;
    Ok(())
}

/// Every ticket, as JSON.
///
/// # Errors
/// The API server does not answer.
pub fn tickets(plane: &ControlPlane) -> Result<Vec<Value>> {
    let list = plane.get(&["tickets.kubepatrol.io", "-A"])?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// Waits for a ticket that is looked for.
///
/// # Errors
/// `<what>: not within <deadline>`, with the tickets there are.
pub fn ticket(plane: &ControlPlane, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    wait_until(SOON, what, || -> std::result::Result<Value, String> {
        let all = tickets(plane).map_err(|e| e.to_string())?;
        let seen: Vec<String> = all.iter().map(line).collect();
        all.into_iter()
            .find(|t| wanted(t))
            .ok_or_else(|| seen.join("; "))
    })
}

/// Check, subject and phase of a ticket, for failure messages and conditions.
pub fn line(ticket: &Value) -> String {
    format!(
        "{} {} {}",
        ticket["spec"]["finding"]["check"].as_str().unwrap_or("?"),
        ticket["spec"]["finding"]["subjectRef"]
            .as_str()
            .unwrap_or("?"),
        ticket["status"]["phase"].as_str().unwrap_or("-"),
    )
}

/// A bare pod with one application container, and the sidecar if asked for.
pub fn pod(namespace: &str, name: &str, sidecar: bool) -> Value {
    let mut containers = vec![json!({"name": "app", "image": "registry.example.com/shop/web:1"})];
    if sidecar {
        containers.push(json!({"name": "aegis", "image": "registry.example.com/security/aegis:3"}));
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": containers}
    })
}

/// A policy that requires the sidecar `aegis` in namespaces `shop*`, without any waiting,
/// and tells the receiver `soc`.
pub fn policy(name: &str) -> Value {
    json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy",
        "metadata": {"name": name},
        "spec": {
            "schedule": {"every": "10s"},
            "scope": {"namespaces": {"include": ["shop*"]}},
            "graces": {"podInjection": "0s", "podStart": "0s", "newNamespace": "0s", "newNode": "0s"},
            "tickets": {"clearAfter": "1s"},
            "checks": [{"name": "aegis", "severity": "Critical",
                "sidecar": {"container": "aegis", "images": ["security/aegis*"], "ready": {"required": false}}}],
            "alerts": {"receivers": [{"name": "soc"}], "groupWait": "0s", "groupInterval": "1s"}
        }
    })
}

/// The AlertReceiver `soc` at a URL, signing with the key `sign` of the Secret `soc`.
pub fn receiver(url: &str) -> Value {
    json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "AlertReceiver",
        "metadata": {"name": "soc"},
        "spec": {
            "webhook": {
                "url": url,
                "signingSecretRef": {"name": "soc", "key": "sign"}
            },
            "rate": {"perMinute": 6000}
        }
    })
}
