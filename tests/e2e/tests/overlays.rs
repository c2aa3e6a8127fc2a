//! What people lay over tickets, from the command to the receiver and back: an acknowledgement, a waiver, a snooze, each by
//! who has the shipped role for it. Who may write what is in `writers.rs`.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::installed::{self, SOON, Stage};
use patrol_e2e::operator::Process;
use patrol_e2e::receiver::Receiver;
use patrol_e2e::{Error, Result, wait_until};
use serde_json::{Value, json};

use crate::people::{EDIT, OWNER, raise};

const WAIVERS: &str = "/apis/kubepatrol.io/v1alpha1/namespaces/shop/ticketwaivers";

/// Two gaps whose tickets are told and on record, `web` and `batch`, and the operator that keeps them.
fn open(stage: &Stage) -> Result<(Value, Value, Process)> {
    let plane = &stage.plane;
    for name in ["web", "batch"] {
        // The sidecar's name on a foreign image: the image of a pod can be mended, its containers cannot.
        let mut pod = installed::pod("shop", name, true);
        pod["spec"]["containers"][1]["image"] = json!("registry.example.com/shop/idle:1");
        installed::create_pod(plane, &pod)?;
    }
    let mut policy = installed::policy("production");
    policy["spec"]["tickets"]["sla"] = json!({"critical": "30d"});
    plane.apply(&policy.to_string())?;
    let operator = installed::operator(plane, "one")?.spawn()?;
    let told = |pod: &str| {
        let line = format!("sidecar-missing Pod/{pod} Open");
        installed::ticket(plane, &format!("{line}, told"), |t| {
            installed::line(t) == line
                && t["status"]["alerts"]
                    .as_array()
                    .is_some_and(|a| !a.is_empty())
        })
    };
    Ok((told("web")?, told("batch")?, operator))
}

/// A command about a ticket of `shop`, run by an editor.
fn patrol(plane: &ControlPlane, args: &[&str]) -> Result<()> {
    let builder = Process::builder().args(args).args(["-n", "shop"]);
    let mut process = builder.kubeconfig(&plane.kubeconfig(EDIT)?).spawn()?;
    let status = process.wait(SOON)?;
    assert_eq!(status.code(), Some(0), "{args:?}: {}", process.stderr()?);
    Ok(())
}

/// The ticket of a pod, once it is in a phase.
fn in_phase(plane: &ControlPlane, pod: &str, phase: &str) -> Result<Value> {
    installed::ticket_line(plane, &format!("sidecar-missing Pod/{pod} {phase}"))
}

/// What the receiver was told of a pod, repeated attempts too: state, episode, edge, telling, and how it ended or else why.
fn told(receiver: &Receiver, pod: &str) -> Result<Vec<String>> {
    let mut all = vec![];
    for notice in receiver.notices()? {
        let tickets = notice.raw["data"]["tickets"].as_array();
        for t in tickets.into_iter().flatten() {
            if t["subject"]["name"] == pod {
                let why = t["resolution"].as_str().or_else(|| t["kind"].as_str());
                let (state, why) = (t["state"].as_str().unwrap_or("?"), why.unwrap_or("?"));
                let (episode, seq, n) = (&t["episode"], &t["seq"], &t["n"]);
                all.push(format!("{state} {episode}.{seq}.{n} {why}"));
            }
        }
    }
    Ok(all)
}

/// Waits until this is the last that the receiver was told of a pod.
fn hears(receiver: &Receiver, pod: &str, wanted: &str) -> Result<()> {
    wait_until(SOON, &format!("{pod}: {wanted}"), || {
        let all = told(receiver, pod)?;
        match all.last().is_some_and(|last| last == wanted) {
            true => Ok(()),
            false => Err(Error::failed(format!("{all:?}"))),
        }
    })
}

/// Why a ticket changed its phase, each time, and who did it.
fn history(ticket: &Value) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let entries = ticket["status"]["history"].as_array();
    entries
        .into_iter()
        .flatten()
        .map(|entry| format!("{} by {}", word(&entry["reason"]), word(&entry["actor"])))
        .collect()
}

/// A waiver of the ticket of one pod by whoever administers the namespace, and what is reported on it.
fn waive(plane: &ControlPlane, pod: &str, until: &Value) -> Result<()> {
    let waiver = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "TicketWaiver",
        "metadata": {"name": "vendor"},
        "spec": {"checks": ["sidecar-missing"], "subjects": {"kind": "Pod", "names": [pod]},
            "expiresAt": until, "reason": "until the vendor ships it", "owner": "team shop",
            "approvedBy": OWNER},
    });
    plane
        .request(OWNER, "POST", WAIVERS, Some(&waiver))?
        .success()?;
    let ticket = in_phase(plane, pod, "Waived")?;
    let overlay = &ticket["status"]["overlay"];
    assert_eq!(overlay["ref"], "shop/vendor", "{overlay}");
    assert_eq!(overlay["by"], "team shop", "{overlay}");
    assert_eq!(&overlay["until"], until, "{overlay}");

    let path = format!("{WAIVERS}/vendor");
    let waiver = wait_until(SOON, "the waiver to stand over one ticket", || {
        let now = plane.request(OWNER, "GET", &path, None)?.success()?;
        let active = installed::condition_of(&now, "Active");
        match now["status"]["matched"] == 1 && active["status"] == "True" {
            true => Ok(now),
            false => Err(Error::failed(now["status"].to_string())),
        }
    })?;
    let status = &waiver["status"];
    assert_eq!(
        installed::condition_of(&waiver, "Active")["reason"],
        "Active"
    );
    assert_eq!(&status["expiresAt"], until, "{status}");
    assert_eq!(
        status["observedGeneration"], waiver["metadata"]["generation"],
        "{status}"
    );
    assert!(status["lastUsedTime"].is_string(), "{status}");
    Ok(())
}

/// Mends a gap in place, so that nothing is gone, and returns the ticket at its end.
fn mend(stage: &Stage, pod: &str) -> Result<Value> {
    let plane = &stage.plane;
    let target = format!("pod/{pod}");
    let image = "aegis=registry.example.com/security/aegis:3";
    let args = ["set", "image", &target, image, "-n", "shop"];
    plane.kubectl(ADMIN, args)?.success()?;
    let ticket = in_phase(plane, pod, "Resolved")?;
    let episode = &ticket["status"]["episode"];
    assert_eq!(episode["resolution"], "Fixed", "{episode}");
    hears(&stage.receiver, pod, "Closed 1.3.1 Fixed")?;
    Ok(ticket)
}

#[test]
fn what_people_lay_over_tickets_is_heard_once_and_comes_off_again() -> Result<()> {
    let Some(stage) = raise("overlays")? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    let (web, batch, mut operator) = open(&stage)?;
    for pod in ["web", "batch"] {
        hears(receiver, pod, "Firing 1.1.1 Opened")?;
    }

    let name = web["metadata"]["name"].as_str().unwrap_or("");
    patrol(plane, &["ack", name, "--reason", "in review"])?;
    let taken = in_phase(plane, "web", "Acknowledged")?;
    let overlay = &taken["status"]["overlay"];
    assert_eq!(overlay["by"], EDIT, "{overlay}");
    assert_eq!(
        overlay["until"], taken["spec"]["acknowledge"]["until"],
        "{overlay}"
    );

    // For thirty days, as the policy gives it.
    let before = &batch["status"]["episode"];
    waive(plane, "batch", &before["dueAt"])?;
    hears(receiver, "batch", "Closed 1.1.1 Waived")?;

    // Revoked, it is the same ticket and the same episode.
    let path = format!("{WAIVERS}/vendor");
    plane.request(OWNER, "DELETE", &path, None)?.success()?;
    let back = in_phase(plane, "batch", "Open")?;
    assert_eq!(back["metadata"]["uid"], batch["metadata"]["uid"]);
    assert_eq!(back["status"]["overlay"], Value::Null);
    assert_eq!(back["status"]["alertReason"], "WaiverEnded");
    for field in ["n", "openedAt", "resolution"] {
        assert_eq!(back["status"]["episode"][field], before[field], "{field}");
    }
    hears(receiver, "batch", "Firing 1.3.1 WaiverEnded")?;

    // Taken back by hand, as `ack --clear` does it.
    let patch = json!({"spec": {"acknowledge": null}}).to_string();
    let ticket = "tickets.kubepatrol.io";
    let args = [
        "patch",
        ticket,
        name,
        "-n",
        "shop",
        "--type=merge",
        "-p",
        &patch,
    ];
    plane.kubectl(EDIT, args)?.success()?;
    in_phase(plane, "web", "Open")?;
    hears(receiver, "web", "Firing 1.2.1 ReArmed")?;

    // Put off for a moment, it comes back by itself; the other one is mended meanwhile.
    let snooze = [
        "snooze",
        name,
        "--for",
        "30s",
        "--reason",
        "first the other",
    ];
    patrol(plane, &snooze)?;
    let put_off = in_phase(plane, "web", "Snoozed")?;
    assert_eq!(put_off["status"]["overlay"]["by"], EDIT);
    let batch = mend(&stage, "batch")?;
    in_phase(plane, "web", "Open")?;
    hears(receiver, "web", "Firing 1.3.1 ReArmed")?;
    let web = mend(&stage, "web")?;

    assert_eq!(
        history(&web),
        [
            "Opened by kube-patrol",
            "Acknowledged by edit",
            "ReArmed by kube-patrol",
            "Snoozed by edit",
            "ReArmed by kube-patrol",
            "Fixed by kube-patrol",
        ]
    );
    assert_eq!(
        history(&batch),
        [
            "Opened by kube-patrol",
            "Waived by team shop",
            "WaiverEnded by kube-patrol",
            "Fixed by kube-patrol",
        ]
    );
    // Each thing once, in its order, and nothing else.
    assert_eq!(
        told(receiver, "web")?,
        [
            "Firing 1.1.1 Opened",
            "Firing 1.2.1 ReArmed",
            "Firing 1.3.1 ReArmed",
            "Closed 1.3.1 Fixed",
        ]
    );
    assert_eq!(
        told(receiver, "batch")?,
        [
            "Firing 1.1.1 Opened",
            "Closed 1.1.1 Waived",
            "Firing 1.3.1 WaiverEnded",
            "Closed 1.3.1 Fixed",
        ]
    );
    operator.check_alive()
}
