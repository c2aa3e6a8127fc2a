//! Parts that go away for a while: the API server, the receiver, our own kinds, a policy.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use std::time::Duration;

use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::installed::{self, SOON, Stage};
use patrol_e2e::receiver::Receiver;
use patrol_e2e::skip::or_skip;
use patrol_e2e::{Error, Result, wait_until};
use serde_json::{Value, json};

/// How long the API server is away.
const AWAY: Duration = Duration::from_secs(10);
/// Back-off of a receiver that was down for a while.
const RECOVERY: Duration = Duration::from_secs(180);

/// Waits until there is such an object, looked at by its status.
fn status(plane: &ControlPlane, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let path = format!("/apis/kubepatrol.io/v1alpha1/{path}");
    wait_until(RECOVERY, &path, || {
        let object = plane.request(ADMIN, "GET", &path, None)?.success()?;
        match wanted(&object) {
            true => Ok(object),
            false => Err(Error::failed(object["status"].to_string())),
        }
    })
}

#[test]
fn f4_f25_an_api_server_outage_changes_nothing_and_ends_by_itself() -> Result<()> {
    let Some(stage) = Stage::bare("api_server_outage")? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    for name in ["web", "db"] {
        installed::create_pod(plane, &installed::pod("shop", name, false))?;
    }
    plane.apply(&installed::policy("production").to_string())?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;
    for name in ["web", "db"] {
        installed::ticket_line(plane, &format!("sidecar-missing Pod/{name} Open"))?;
        receiver.wait_for_event(SOON, "the opening", |e| {
            e.subject.name == name && e.state == "Firing"
        })?;
    }

    // In the middle of whatever it does.
    plane.kill_api_server()?;
    // The operator must live through all of it: its end is what is waited for in vain.
    let end = operator.wait(AWAY);
    assert!(
        end.is_err(),
        "it ended in the outage: {}",
        operator.stderr()?
    );
    plane.start_api_server()?;

    installed::create_pod(plane, &installed::pod("shop", "late", false))?;
    installed::ticket_line(plane, "sidecar-missing Pod/late Open")?;
    receiver.wait_for_event(SOON, "the late one", |e| {
        e.subject.name == "late" && e.state == "Firing"
    })?;
    installed::patrols(plane, "production", 1)?;
    let gaps = installed::tickets_of(plane, "sidecar-missing")?;
    assert_eq!(gaps.len(), 3);
    for gap in &gaps {
        assert!(installed::line(gap).ends_with("Open"), "{gap}");
        assert_eq!(gap["status"]["episode"]["n"], 1, "{gap}");
    }
    let wrong = receiver
        .events()?
        .into_iter()
        .find(|e| e.check == "sidecar-missing" && (e.state == "Closed" || e.episode != 1));
    assert_eq!(wrong, None);
    installed::condition(plane, "production", "Covered", "True")?;
    installed::replace_pod(plane, "shop", "web", true)?;
    installed::ticket_line(plane, "sidecar-missing Pod/web Resolved")?;
    operator.check_alive()
}

#[test]
fn what_is_due_while_the_receiver_is_down_arrives_once_it_is_up() -> Result<()> {
    let Some(stage) = Stage::bare("receiver_outage")? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    receiver.down();
    for name in ["web", "db", "cache"] {
        installed::create_pod(plane, &installed::pod("shop", name, false))?;
    }
    plane.apply(&installed::policy("production").to_string())?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;
    for name in ["web", "db", "cache"] {
        installed::ticket_line(plane, &format!("sidecar-missing Pod/{name} Open"))?;
    }
    installed::condition(plane, "production", "Alerting", "False")?;
    status(plane, "alertreceivers/soc", |r| {
        r["status"]["pending"].as_u64() >= Some(1) && r["status"]["oldestPendingTime"].is_string()
    })?;

    receiver.up()?;
    for name in ["web", "db", "cache"] {
        receiver.wait_for_event(RECOVERY, "what was due", |e| {
            e.subject.name == name && e.state == "Firing"
        })?;
    }
    status(plane, "alertreceivers/soc", |r| r["status"]["pending"] == 0)?;
    installed::condition(plane, "production", "Alerting", "True")?;
    for name in ["web", "db", "cache"] {
        let mut ids: Vec<_> = receiver
            .events()?
            .into_iter()
            .filter(|e| e.subject.name == name && (e.seq, e.n) == (1, 1) && e.state == "Firing")
            .map(|e| e.event_id)
            .collect();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{name} under several ids: {ids:?}");
    }
    operator.check_alive()
}

#[test]
fn our_own_kinds_may_be_installed_after_the_operator() -> Result<()> {
    let plane = ControlPlane::builder()
        .api_server_flag("--disable-admission-plugins=ServiceAccount")
        .start();
    let Some(plane) = or_skip("kind_missing", plane)? else {
        return Ok(());
    };
    installed::install(&plane)?;
    let delete = |kind: &str| {
        let crd = format!("{kind}.kubepatrol.io");
        plane.kubectl(ADMIN, ["delete", "crd", &crd])?.success()
    };
    for kind in ["patrolpolicies", "tickets", "alertreceivers"] {
        delete(kind)?;
    }
    plane.create_namespace("shop")?;
    installed::create_pod(&plane, &installed::pod("shop", "web", false))?;
    let receiver = Receiver::start()?;
    installed::secret(&plane, "soc", &json!({"sign": installed::SIGNING}))?;
    let mut operator = installed::operator(&plane, "one")?.spawn()?;
    // It says what it misses and what to do about it, and lives.
    for kind in ["PatrolPolicy", "Ticket", "AlertReceiver"] {
        let said = wait_until(SOON, kind, || {
            operator.check_alive()?;
            let words = operator.stderr()?;
            let named = format!("\"kind\":\"{kind}\"");
            let line = words
                .lines()
                .find(|line| line.contains("not installed") && line.contains(&named));
            line.map(str::to_owned)
                .ok_or_else(|| Error::failed(words.clone()))
        })?;
        assert!(said.contains("apply the definitions"), "{said}");
    }

    // With the other two, the policy itself says it.
    installed::install_crds(&plane)?;
    delete("tickets")?;
    plane.apply(&installed::receiver(&receiver.url("/hook")).to_string())?;
    plane.apply(&installed::policy("production").to_string())?;
    let ready = installed::condition(&plane, "production", "Ready", "False")?;
    assert_eq!(ready["reason"], "TicketsUnreadable", "{ready}");
    let message = ready["message"].as_str().unwrap_or("");
    assert!(message.contains("apply the definitions"), "{ready}");
    operator.check_alive()?;

    installed::install_crds(&plane)?;
    installed::ticket_line(&plane, "sidecar-missing Pod/web Open")?;
    receiver.wait_for_event(SOON, "the opening", |e| {
        e.subject.name == "web" && e.state == "Firing"
    })?;
    installed::condition(&plane, "production", "Ready", "True")?;
    operator.check_alive()
}

#[test]
fn f29_a_deleted_policy_closes_what_it_told_and_a_deleted_receiver_is_missed() -> Result<()> {
    let Some(stage) = Stage::bare("policy_deleted")? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    installed::create_pod(plane, &installed::pod("shop", "web", false))?;
    for name in ["production", "second"] {
        plane.apply(&installed::policy(name).to_string())?;
    }
    let mut operator = installed::operator(plane, "one")?.spawn()?;
    let of = |policy: &'static str, phase: &'static str| {
        move |t: &Value| {
            t["spec"]["finding"]["policy"] == policy
                && t["spec"]["finding"]["check"] == "sidecar-missing"
                && t["status"]["phase"] == phase
        }
    };
    for name in ["production", "second"] {
        let ticket = installed::ticket(plane, name, of(name, "Open"))?;
        let uid = ticket["metadata"]["uid"].clone();
        receiver.wait_for_event(SOON, "the opening", |e| {
            uid == e.ticket.uid.as_str() && e.state == "Firing"
        })?;
    }

    let delete = |what: &str, name: &str| {
        plane
            .kubectl(ADMIN, ["delete", what, name, "--timeout=60s"])?
            .success()
    };
    delete("patrolpolicies.kubepatrol.io", "second")?;
    let ended = installed::ticket(plane, "the ticket to end", of("second", "Resolved"))?;
    assert_eq!(
        ended["status"]["episode"]["resolution"], "PolicyRemoved",
        "{ended}"
    );
    receiver.wait_for_event(SOON, "the closing", |e| {
        ended["metadata"]["uid"] == e.ticket.uid.as_str()
            && e.state == "Closed"
            && e.resolution.as_deref() == Some("PolicyRemoved")
    })?;
    installed::ticket(plane, "the other policy's stays", of("production", "Open"))?;

    delete("alertreceivers.kubepatrol.io", "soc")?;
    let alerting = installed::condition(plane, "production", "Alerting", "False")?;
    let message = alerting["message"].as_str().unwrap_or("");
    assert!(message.contains("soc"), "{alerting}");
    installed::ticket(plane, "the ticket stays", of("production", "Open"))?;

    plane.apply(&installed::receiver(&receiver.url("/again")).to_string())?;
    installed::condition(plane, "production", "Alerting", "True")?;
    operator.check_alive()
}
