//! The whole loop on a real API server: policy, ticket, signed webhook again and again,
//! mended, resolved, told. The operator runs with exactly the shipped rights.

use std::time::Duration;

use patrol_e2e::admission;
use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::http;
use patrol_e2e::installed::{self, SOON};
use patrol_e2e::operator::Process;
use patrol_e2e::receiver::{Receiver, Signature};
use patrol_e2e::skip::or_skip;
use patrol_e2e::{Result, wait_until};
use serde_json::json;

const SIGNING: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn a_gap_is_ticketed_told_until_mended_and_then_told_as_closed() -> Result<()> {
    let plane = ControlPlane::builder()
        .api_server_flag("--disable-admission-plugins=ServiceAccount")
        .start();
    let Some(plane) = or_skip("whole_loop", plane)? else {
        return Ok(());
    };
    installed::install(&plane)?;
    // They bind everyone but the operator, from its first write to its last.
    admission::in_force(&plane)?;
    let receiver = Receiver::start()?;
    receiver.verify_with(&[SIGNING])?;
    installed::secret(&plane, "soc", &json!({"sign": SIGNING}))?;
    plane.apply(&installed::receiver(&receiver.url("/hook")).to_string())?;
    plane.create_namespace("shop")?;
    plane.apply(&installed::pod("shop", "web", false).to_string())?;
    plane.apply(&installed::pod("shop", "db", true).to_string())?;
    plane.apply(&installed::policy("production").to_string())?;
    let mut operator = installed::operator(&plane, "one")?.spawn()?;

    let ticket = installed::ticket(&plane, "a ticket for pod web", |t| {
        installed::line(t) == "sidecar-missing Pod/web Open"
    })?;
    assert_eq!(ticket["metadata"]["namespace"], "shop");
    assert_eq!(
        ticket["metadata"]["labels"]["kubepatrol.io/severity"],
        "critical"
    );
    let told = receiver.wait_for_event(SOON, "the opening to be told", |e| {
        e.check == "sidecar-missing" && e.subject.name == "web" && e.state == "Firing"
    })?;
    assert_eq!((told.episode, told.seq, told.n), (1, 1, 1));
    for request in receiver.requests() {
        assert!(
            matches!(request.signature, Signature::Valid(_)),
            "{request:?}"
        );
    }
    for condition in ["Ready", "Covered", "Alerting"] {
        let wait = format!("--for=condition={condition}");
        plane
            .kubectl(
                ADMIN,
                ["wait", &wait, "patrolpolicy/production", "--timeout=60s"],
            )?
            .success()?;
    }
    plane
        .kubectl(
            ADMIN,
            [
                "wait",
                "--for=condition=Compliant=false",
                "patrolpolicy/production",
                "--timeout=60s",
            ],
        )?
        .success()?;

    // Mend it: a pod with the sidecar takes the place of the one without.
    plane
        .kubectl(
            ADMIN,
            [
                "delete",
                "pod",
                "web",
                "-n",
                "shop",
                "--wait",
                "--force",
                "--grace-period=0",
            ],
        )?
        .success()?;
    plane.apply(&installed::pod("shop", "web", true).to_string())?;
    let name = ticket["metadata"]["name"].as_str().unwrap_or("").to_owned();
    plane
        .kubectl(
            ADMIN,
            [
                "wait",
                "--for=condition=Resolved",
                &format!("ticket/{name}"),
                "-n",
                "shop",
                "--timeout=60s",
            ],
        )?
        .success()?;
    receiver.wait_for_event(SOON, "the end to be told", |e| {
        e.check == "sidecar-missing" && e.subject.name == "web" && e.state == "Closed"
    })?;
    plane
        .kubectl(
            ADMIN,
            [
                "wait",
                "--for=condition=Compliant",
                "patrolpolicy/production",
                "--timeout=60s",
            ],
        )?
        .success()?;

    // What it counted is told to anyone who asks: numbers, and no secret.
    let metrics = metrics(&operator)?;
    assert!(metrics.contains("patrol_tickets_opened_total"), "{metrics}");
    assert!(!metrics.contains(SIGNING), "a secret reached the metrics");
    assert!(!metrics.contains("/hook"), "an address reached the metrics");

    // It stops in order: within ten seconds, with its lease released.
    let status = operator.terminate(Duration::from_secs(10))?;
    assert_eq!(status.code(), Some(0), "{}", operator.stderr()?);
    let lease = wait_until(SOON, "the lease", || {
        plane.get(&["lease", "kube-patrol", "-n", installed::NAMESPACE])
    })?;
    assert_eq!(lease["spec"]["holderIdentity"].as_str().unwrap_or(""), "");
    let words = operator.stderr()?;
    assert!(!words.contains(SIGNING), "a secret reached the log");
    Ok(())
}

fn metrics(operator: &Process) -> Result<String> {
    let address = wait_until(SOON, "the address it listens on", || {
        let log = operator.stderr().ok()?;
        let (_, rest) = log.split_once("\"listen\":\"")?;
        rest.split('"').next()?.parse().ok()
    })?;
    Ok(http::get(address, "/metrics")?.text())
}
