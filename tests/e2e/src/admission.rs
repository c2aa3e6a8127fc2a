//! Who may do what on a control plane: what its roles say, and whether the shipped
//! admission policies are in force yet.

use serde_json::{Value, json};

use crate::control_plane::{ADMIN, ApiClient, ControlPlane};
use crate::installed::SOON;
use crate::{Error, Result, wait_until};

/// A ticket that nothing found.
pub fn made_up(name: &str) -> Value {
    json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "Ticket",
        "metadata": {"name": name},
        "spec": {"finding": {
            "policy": "nobody", "check": "nothing", "layer": "L7",
            "subject": {"kind": "Cluster", "name": "cluster"}, "subjectRef": "Cluster/cluster",
        }},
    })
}

/// Waits until the API server refuses what the shipped policies refuse: it takes a moment
/// to notice them.
///
/// # Errors
/// It does not.
pub fn in_force(plane: &ControlPlane) -> Result<()> {
    let path = "/apis/kubepatrol.io/v1alpha1/namespaces/default/tickets?dryRun=All";
    wait_until(SOON, "the admission policies to be in force", || {
        let reply = plane.request(ADMIN, "POST", path, Some(&made_up("nobody")))?;
        match reply.status {
            403 => Ok(()),
            status => Err(Error::failed(format!("{status}: {}", reply.text()))),
        }
    })
}

/// Whether the roles let a user do something: `resource` may have a subresource, as in
/// `tickets/status`; an empty namespace is all of them.
///
/// # Errors
/// The API server does not answer.
pub fn may(
    admin: &mut ApiClient,
    user: &str,
    verb: &str,
    resource: &str,
    namespace: &str,
) -> Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
        "spec": {"user": user, "resourceAttributes": {
            "group": "kubepatrol.io", "verb": verb, "namespace": namespace,
            "resource": resource, "subresource": subresource,
        }},
    });
    let path = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let answer = admin.request("POST", path, Some(&review))?.success()?;
    let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool);
    allowed.ok_or_else(|| Error::failed(format!("no answer: {answer}")))
}
