//! Every condition that the contract names, waited for with `kubectl wait` in each status
//! that it can have.

use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::installed::{self, Stage};
use patrol_e2e::{Context, Result};
use serde_json::{Value, json};

const POLICY: &str = "patrolpolicies.kubepatrol.io/production";
const RECEIVER: &str = "alertreceivers.kubepatrol.io/soc";

/// Waits for conditions, such as `Ready=True`, of an object.
fn wait(plane: &ControlPlane, object: &str, conditions: &[&str]) -> Result<()> {
    for condition in conditions {
        let wanted = format!("--for=condition={condition}");
        let args = ["wait", &wanted, object, "-n", "shop", "--timeout=120s"];
        let waited = plane.kubectl(ADMIN, args)?.success();
        waited.context(format_args!("{object}: {condition}"))?;
    }
    Ok(())
}

fn patch(plane: &ControlPlane, object: &str, patch: &Value) -> Result<()> {
    let patch = patch.to_string();
    let args = ["patch", object, "--type=merge", "-p", &patch];
    plane.kubectl(ADMIN, args)?.success().map(drop)
}

/// The ticket of a pod, as kubectl names it.
fn ticket_of(plane: &ControlPlane, pod: &str) -> Result<String> {
    let ticket = installed::ticket_line(plane, &format!("sidecar-missing Pod/{pod} Open"))?;
    let name = ticket.pointer("/metadata/name").and_then(Value::as_str);
    Ok(format!("tickets.kubepatrol.io/{}", name.unwrap_or("?")))
}

#[test]
fn every_condition_can_be_waited_for() -> Result<()> {
    let Some(stage) = Stage::bare("conditions")? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    let gap = |name: &str| installed::create_pod(plane, &installed::pod("shop", name, false));

    // Nobody may ask what they may do: no patrol gets beyond its first question.
    let basic = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:basic-user";
    let mut binding = plane.request(ADMIN, "GET", basic, None)?.success()?;
    plane.request(ADMIN, "DELETE", basic, None)?.success()?;
    installed::revoke(plane, "selfsubjectaccessreviews")?;
    plane.apply(&installed::policy("production").to_string())?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;
    wait(plane, POLICY, &["Reconciling=True", "Ready=Unknown"])?;
    wait(plane, POLICY, &["Covered=Unknown", "Compliant=Unknown"])?;
    // Nothing was ever sent.
    wait(
        plane,
        RECEIVER,
        &["Ready=Unknown", "AddressAllowed=Unknown"],
    )?;
    wait(plane, RECEIVER, &["SecretResolved=Unknown"])?;

    if let Some(metadata) = binding.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("resourceVersion");
        metadata.remove("uid");
    }
    let bindings = basic.trim_end_matches("/system:basic-user");
    plane
        .request(ADMIN, "POST", bindings, Some(&binding))?
        .success()?;
    installed::grant(plane)?;
    wait(plane, POLICY, &["Ready=True", "Reconciling=False"])?;
    wait(plane, POLICY, &["Stalled=False", "Covered=True"])?;
    wait(plane, POLICY, &["Compliant=True", "Alerting=True"])?;

    gap("web")?;
    let web = ticket_of(plane, "web")?;
    wait(plane, &web, &["Resolved=False", "Verified=True"])?;
    wait(plane, POLICY, &["Compliant=False"])?;
    wait(plane, RECEIVER, &["Ready=True", "AddressAllowed=True"])?;
    wait(plane, RECEIVER, &["SecretResolved=True"])?;

    installed::revoke(plane, "pods")?;
    wait(plane, POLICY, &["Covered=False"])?;
    wait(plane, &web, &["Verified=Unknown", "Resolved=False"])?;
    installed::grant(plane)?;
    wait(plane, POLICY, &["Covered=True"])?;
    wait(plane, &web, &["Verified=True"])?;

    receiver.down();
    gap("db")?;
    wait(plane, POLICY, &["Alerting=False"])?;
    wait(plane, RECEIVER, &["Ready=False"])?;
    receiver.up()?;
    wait(plane, RECEIVER, &["Ready=True"])?;
    wait(plane, POLICY, &["Alerting=True"])?;

    let elsewhere = json!({"spec": {"addresses": {"allow": ["192.0.2.0/24"]}}});
    patch(plane, RECEIVER, &elsewhere)?;
    gap("cache")?;
    wait(plane, RECEIVER, &["AddressAllowed=False", "Ready=False"])?;
    patch(plane, RECEIVER, &json!({"spec": {"addresses": null}}))?;
    wait(plane, RECEIVER, &["AddressAllowed=True", "Ready=True"])?;

    let secret = "/api/v1/namespaces/kube-patrol/secrets/soc";
    plane.request(ADMIN, "DELETE", secret, None)?.success()?;
    gap("queue")?;
    wait(plane, RECEIVER, &["SecretResolved=False", "Ready=False"])?;
    installed::secret(plane, "soc", &json!({"sign": installed::SIGNING}))?;
    wait(plane, RECEIVER, &["SecretResolved=True", "Ready=True"])?;

    patch(plane, POLICY, &json!({"spec": {"baselines": ["no-such"]}}))?;
    wait(plane, POLICY, &["Ready=False", "Stalled=True"])?;
    wait(plane, POLICY, &["Compliant=Unknown", "Covered=Unknown"])?;
    patch(plane, POLICY, &json!({"spec": {"baselines": null}}))?;
    wait(plane, POLICY, &["Stalled=False", "Ready=True"])?;

    for name in ["web", "db", "cache", "queue"] {
        installed::replace_pod(plane, "shop", name, true)?;
    }
    wait(plane, &web, &["Resolved=True"])?;
    wait(plane, POLICY, &["Compliant=True"])?;
    operator.check_alive()
}
