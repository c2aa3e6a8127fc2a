//! The product installed on a control plane as `deploy/` installs it: CRDs, namespace,
//! exactly the shipped rights, and the admission policies. The operator of a test runs
//! under its service account, never as an admin.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::control_plane::{ADMIN, ControlPlane};
use crate::operator::{Builder, Process};
use crate::receiver::Receiver;
use crate::skip::or_skip;
use crate::{Context, Error, Result, control_plane, wait_until};

/// The operator's namespace and service account.
pub const NAMESPACE: &str = "kube-patrol";
/// Our kinds, as resources.
pub const KINDS: [&str; 4] = [
    "patrolpolicies",
    "tickets",
    "alertreceivers",
    "ticketwaivers",
];
/// Who may write what, in `deploy/base`.
const ADMISSION: &str = "admission.yaml";
/// Deadline for what should take seconds.
pub const SOON: Duration = Duration::from_secs(60);

/// The signing secret of [`receiver`].
pub const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A control plane with the product's objects, a recording receiver that the
/// AlertReceiver `soc` leads to, and the namespace `shop`; no operator and no policy yet.
pub struct Stage {
    /// The control plane.
    pub plane: ControlPlane,
    /// The receiver.
    pub receiver: Receiver,
}

impl Stage {
    /// Raises it, or says that `test` is skipped.
    ///
    /// # Errors
    /// Something does not come up.
    pub fn raise(test: &str, builder: control_plane::Builder) -> Result<Option<Self>> {
        let stage = Self::unguarded(test, builder)?;
        if let Some(stage) = &stage {
            apply_file(&stage.plane, ADMISSION)?;
        }
        Ok(stage)
    }

    /// [`Stage::raise`] without the admission policies: a cluster whose admins left them out.
    ///
    /// # Errors
    /// As [`Stage::raise`].
    pub fn unguarded(test: &str, builder: control_plane::Builder) -> Result<Option<Self>> {
        let Some(plane) = or_skip(test, builder.start())? else {
            return Ok(None);
        };
        install_unguarded(&plane)?;
        let receiver = Receiver::start()?;
        receiver.verify_with(&[SIGNING])?;
        secret(&plane, "soc", &json!({"sign": SIGNING}))?;
        plane.apply(&self::receiver(&receiver.url("/hook")).to_string())?;
        plane.create_namespace("shop")?;
        Ok(Some(Self { plane, receiver }))
    }

    /// [`Stage::raise`] with the API server alone: pods need no service account.
    ///
    /// # Errors
    /// As [`Stage::raise`].
    pub fn bare(test: &str) -> Result<Option<Self>> {
        Self::raise(test, Self::bare_builder())
    }

    /// The control plane of [`Stage::bare`].
    pub fn bare_builder() -> control_plane::Builder {
        ControlPlane::builder().api_server_flag("--disable-admission-plugins=ServiceAccount")
    }
}

/// A file of this repository.
pub fn repository(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

/// Applies CRDs, namespace, rights and admission policies, and waits until the kinds are
/// served; the policies are in force a moment later: see [`crate::admission`].
///
/// # Errors
/// A file is missing or refused.
pub fn install(plane: &ControlPlane) -> Result<()> {
    install_unguarded(plane)?;
    apply_file(plane, ADMISSION)
}

/// [`install`] without the admission policies.
///
/// # Errors
/// As [`install`].
pub fn install_unguarded(plane: &ControlPlane) -> Result<()> {
    install_crds(plane)?;
    ["namespace.yaml", "rbac.yaml", "roles.yaml"]
        .iter()
        .try_for_each(|file| apply_file(plane, file))
}

/// Applies a file of `deploy/base`.
fn apply_file(plane: &ControlPlane, file: &str) -> Result<()> {
    let path = repository("deploy/base").join(file);
    let text = std::fs::read_to_string(&path).context(path.display())?;
    plane.apply(&text).map(drop)
}

/// Applies the CRDs alone.
///
/// # Errors
/// As [`install`].
pub fn install_crds(plane: &ControlPlane) -> Result<()> {
    for kind in KINDS {
        let path = repository("crds").join(format!("kubepatrol.io_{kind}.yaml"));
        let text = std::fs::read_to_string(&path).context(path.display())?;
        plane.apply(&text)?;
        established(plane, kind)?;
        wait_until(SOON, kind, || {
            plane.get(&[&format!("{kind}.kubepatrol.io"), "-A"])
        })?;
    }
    Ok(())
}

/// Waits until one of our kinds is established.
///
/// # Errors
/// It is not.
pub fn established(plane: &ControlPlane, kind: &str) -> Result<()> {
    let crd = format!("crd/{kind}.kubepatrol.io");
    // kubectl does not wait for an object that has no conditions yet: it fails.
    wait_until(SOON, &crd, || {
        let wait = ["wait", "--for=condition=Established", &crd, "--timeout=30s"];
        plane.kubectl(ADMIN, wait)?.success()
    })?;
    Ok(())
}

/// An operator on the control plane, with flags that make a test quick: no take-over wait,
/// receivers on loopback, metrics on a port of the kernel's choice.
///
/// # Errors
/// Its token cannot be had.
pub fn operator(plane: &ControlPlane, identity: &str) -> Result<Builder> {
    operator_as(plane, identity, NAMESPACE)
}

/// [`operator`] under another service account of the same namespace: see [`account`].
///
/// # Errors
/// Its token cannot be had.
pub fn operator_as(plane: &ControlPlane, identity: &str, account: &str) -> Result<Builder> {
    let kubeconfig = plane.service_account_kubeconfig(NAMESPACE, account)?;
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

/// Makes a further service account with exactly the shipped rights, so that the audit log
/// tells two operators apart. The admission policies know one alone: this needs
/// [`Stage::unguarded`].
///
/// # Errors
/// The API server refuses.
pub fn account(plane: &ControlPlane, name: &str) -> Result<()> {
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let subject = json!({"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE});
    let accounts = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts");
    let body = json!({"metadata": {"name": name}});
    plane
        .request(ADMIN, "POST", &accounts, Some(&body))?
        .success()?;
    for path in [
        format!("{rbac}/clusterrolebindings/kube-patrol"),
        format!("{rbac}/namespaces/{NAMESPACE}/rolebindings/kube-patrol"),
    ] {
        let mut binding = plane.request(ADMIN, "GET", &path, None)?.success()?;
        if let Some(subjects) = binding.get_mut("subjects").and_then(Value::as_array_mut) {
            subjects.push(subject.clone());
        }
        plane
            .request(ADMIN, "PUT", &path, Some(&binding))?
            .success()?;
    }
    Ok(())
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
    let path = "/apis/kubepatrol.io/v1alpha1/tickets";
    let list = plane.request(ADMIN, "GET", path, None)?.success()?;
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

/// The tickets of one check.
///
/// # Errors
/// As [`tickets`].
pub fn tickets_of(plane: &ControlPlane, check: &str) -> Result<Vec<Value>> {
    let mut all = tickets(plane)?;
    all.retain(|t| t["spec"]["finding"]["check"] == check);
    Ok(all)
}

/// Waits until the ticket with this [`line`] is there.
///
/// # Errors
/// As [`ticket`].
pub fn ticket_line(plane: &ControlPlane, wanted: &str) -> Result<Value> {
    ticket(plane, wanted, |t| line(t) == wanted)
}

/// One policy, as JSON.
///
/// # Errors
/// It is not there.
pub fn policy_now(plane: &ControlPlane, name: &str) -> Result<Value> {
    let path = format!("/apis/kubepatrol.io/v1alpha1/patrolpolicies/{name}");
    plane.request(ADMIN, "GET", &path, None)?.success()
}

/// The condition of an object, `Null` where it has none of this type.
pub fn condition_of(object: &Value, kind: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .and_then(|all| all.iter().find(|c| c["type"] == kind))
        .cloned()
        .unwrap_or_default()
}

/// Waits until a condition of a policy has this status, and returns the condition.
///
/// # Errors
/// `<what>: not within <deadline>`, with the status there is.
pub fn condition(plane: &ControlPlane, policy: &str, kind: &str, status: &str) -> Result<Value> {
    let what = format!("{policy}: {kind}={status}");
    wait_until(SOON, &what, || {
        let now = policy_now(plane, policy)?;
        let condition = condition_of(&now, kind);
        match condition["status"] == status {
            true => Ok(condition),
            false => Err(Error::failed(now["status"].to_string())),
        }
    })
}

/// Waits until a number of patrols have begun and ended after this call: what the
/// operator had not done by then it does not do.
///
/// # Errors
/// They do not come.
pub fn patrols(plane: &ControlPlane, policy: &str, count: usize) -> Result<()> {
    let finished = || -> Result<(String, String)> {
        let now = policy_now(plane, policy)?;
        let time = |name: &str| {
            now["status"]["lastPatrol"][name]
                .as_str()
                .map(str::to_owned)
        };
        let (Some(start), Some(end)) = (time("startedAt"), time("finishedAt")) else {
            return Err(Error::failed(now["status"].to_string()));
        };
        match end >= start {
            true => Ok((start, end)),
            false => Err(Error::failed("a patrol is under way")),
        }
    };
    // The first one may have begun before the call.
    let mut last = wait_until(SOON, "a patrol", finished)?.0;
    for n in 0..=count {
        last = wait_until(SOON, &format!("patrol {n} of {count} of {policy}"), || {
            let (start, _) = finished()?;
            match start != last {
                true => Ok(start),
                false => Err(Error::failed(format!("the one of {start}"))),
            }
        })?;
    }
    Ok(())
}

/// Makes a namespaced core object, such as a pod.
///
/// # Errors
/// It is refused.
pub fn create_pod(plane: &ControlPlane, pod: &Value) -> Result<()> {
    let namespace = pod["metadata"]["namespace"].as_str().unwrap_or("default");
    let path = format!("/api/v1/namespaces/{namespace}/pods");
    plane.request(ADMIN, "POST", &path, Some(pod))?.success()?;
    Ok(())
}

/// Deletes a pod at once.
///
/// # Errors
/// It is refused.
pub fn delete_pod(plane: &ControlPlane, namespace: &str, name: &str) -> Result<()> {
    let path = format!("/api/v1/namespaces/{namespace}/pods/{name}?gracePeriodSeconds=0");
    plane.request(ADMIN, "DELETE", &path, None)?.success()?;
    Ok(())
}

/// Puts a pod with the sidecar in the place of one without, or the other way round.
///
/// # Errors
/// It is refused.
pub fn replace_pod(plane: &ControlPlane, namespace: &str, name: &str, sidecar: bool) -> Result<()> {
    delete_pod(plane, namespace, name)?;
    create_pod(plane, &pod(namespace, name, sidecar))
}

/// Takes the operator's right on a resource of the core group away.
///
/// # Errors
/// The API server refuses the edit.
pub fn revoke(plane: &ControlPlane, resource: &str) -> Result<()> {
    let path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/kube-patrol";
    let mut role = plane.request(ADMIN, "GET", path, None)?.success()?;
    for rule in role
        .get_mut("rules")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        if let Some(resources) = rule.get_mut("resources").and_then(Value::as_array_mut) {
            resources.retain(|r| r != resource);
        }
    }
    // A rule about nothing is not allowed.
    if let Some(rules) = role.get_mut("rules").and_then(Value::as_array_mut) {
        rules.retain(|rule| rule["resources"].as_array().is_some_and(|r| !r.is_empty()));
    }
    plane.request(ADMIN, "PUT", path, Some(&role))?.success()?;
    Ok(())
}

/// Gives the operator exactly the shipped rights again.
///
/// # Errors
/// As [`install`].
pub fn grant(plane: &ControlPlane) -> Result<()> {
    apply_file(plane, "rbac.yaml")
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
