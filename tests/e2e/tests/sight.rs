//! Losing sight on a real API server: what cannot be seen is neither resolved nor held
//! right, and it is said loudly.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use std::time::Duration;

use patrol_e2e::control_plane::ADMIN;
use patrol_e2e::installed::{self, SOON, Stage};
use patrol_e2e::{Error, Result, wait_until};
use serde_json::{Value, json};

/// The blind spot of a resource and its phase.
fn blind_spot(stage: &Stage, resource: &str, phase: &str) -> Result<Value> {
    let what = format!("kind-unreadable of {resource} {phase}");
    installed::ticket(&stage.plane, &what, |t| {
        t["spec"]["finding"]["check"] == "kind-unreadable"
            && t["spec"]["finding"]["subject"]["name"] == resource
            && t["status"]["phase"] == phase
    })
}

#[test]
fn a_gap_mended_out_of_sight_stays_open_until_it_is_seen_mended() -> Result<()> {
    let Some(stage) = Stage::bare("out_of_sight")? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    for name in ["web", "gone"] {
        installed::create_pod(plane, &installed::pod("shop", name, false))?;
    }
    plane.apply(&installed::policy("production").to_string())?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;
    for name in ["web", "gone"] {
        installed::ticket_line(plane, &format!("sidecar-missing Pod/{name} Open"))?;
        receiver.wait_for_event(SOON, "the opening to be told", |e| {
            e.subject.name == name && e.state == "Firing"
        })?;
    }
    installed::condition(plane, "production", "Covered", "True")?;

    // A watch outlives the right it began with: only its end shows the loss. The gaps
    // go away while nobody looks.
    installed::revoke(plane, "pods")?;
    plane.kill_api_server()?;
    plane.start_api_server()?;
    installed::replace_pod(plane, "shop", "web", true)?;
    installed::delete_pod(plane, "shop", "gone")?;

    // A server that has just started refuses more than it should for a moment.
    wait_until(SOON, "the pods to be named as refused", || {
        let policy = installed::policy_now(plane, "production")?;
        let covered = installed::condition_of(&policy, "Covered");
        let message = covered["message"].as_str().unwrap_or("");
        match (covered["status"].as_str(), covered["reason"].as_str()) {
            (Some("False"), Some("AccessDenied")) if message.starts_with("pods ") => Ok(()),
            _ => Err(Error::failed(covered.to_string())),
        }
    })?;
    blind_spot(&stage, "pods", "Open")?;
    receiver.wait_for_event(SOON, "the blind spot to be told", |e| {
        e.check == "kind-unreadable" && e.state == "Firing"
    })?;
    installed::patrols(plane, "production", 1)?;
    for name in ["web", "gone"] {
        installed::ticket_line(plane, &format!("sidecar-missing Pod/{name} Open"))?;
    }
    let closed = receiver.events()?.into_iter().find(|e| e.state == "Closed");
    assert_eq!(closed, None, "told as closed without having seen it");
    let compliant =
        installed::condition_of(&installed::policy_now(plane, "production")?, "Compliant");
    assert_ne!(compliant["status"], "True", "{compliant}");

    installed::grant(plane)?;
    for name in ["web", "gone"] {
        installed::ticket_line(plane, &format!("sidecar-missing Pod/{name} Resolved"))?;
        receiver.wait_for_event(SOON, "the end to be told", |e| {
            e.check == "sidecar-missing" && e.subject.name == name && e.state == "Closed"
        })?;
    }
    installed::condition(plane, "production", "Covered", "True")?;
    installed::condition(plane, "production", "Compliant", "True")?;
    blind_spot(&stage, "pods", "Resolved")?;
    // All kinds were out of sight while the API server was away, and no patrol was complete:
    // that may be ticketed, and ends too. Whether all alerts were delivered is not known for
    // two minutes to whoever took the lease anew.
    let left = wait_until(
        SOON + Duration::from_secs(120),
        "every ticket to be resolved",
        || {
            let all = installed::tickets(plane)?;
            match all.iter().all(|t| t["status"]["phase"] == "Resolved") {
                true => Ok(all),
                false => Err(Error::failed(format!(
                    "{:?}",
                    all.iter().map(installed::line).collect::<Vec<_>>()
                ))),
            }
        },
    )?;
    let gaps: Vec<_> = left
        .iter()
        .filter(|t| t["spec"]["finding"]["check"] == "sidecar-missing")
        .collect();
    assert_eq!(gaps.len(), 2, "{gaps:?}");
    for gap in gaps {
        assert_eq!(gap["status"]["episode"]["n"], 1, "{gap}");
    }
    operator.check_alive()
}

#[test]
fn f24_a_right_revoked_under_an_open_watch_is_noticed_by_the_next_patrol() -> Result<()> {
    let Some(stage) = Stage::bare("revoked_right")? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    for name in ["web", "gone"] {
        installed::create_pod(plane, &installed::pod("shop", name, false))?;
    }
    plane.apply(&installed::policy("production").to_string())?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;
    for name in ["web", "gone"] {
        installed::ticket_line(plane, &format!("sidecar-missing Pod/{name} Open"))?;
        receiver.wait_for_event(SOON, "the opening to be told", |e| {
            e.subject.name == name && e.state == "Firing"
        })?;
    }
    installed::condition(plane, "production", "Covered", "True")?;

    // The API server goes on serving the watches that are open: only who asks learns of it.
    installed::revoke(plane, "pods")?;
    let covered = installed::condition(plane, "production", "Covered", "False")?;
    assert_eq!(covered["reason"], "AccessDenied", "{covered}");
    blind_spot(&stage, "pods", "Open")?;
    receiver.wait_for_event(SOON, "the blind spot to be told", |e| {
        e.check == "kind-unreadable" && e.state == "Firing"
    })?;
    // What the watch still says proves nothing: nobody may rely on it any more.
    installed::replace_pod(plane, "shop", "web", true)?;
    installed::delete_pod(plane, "shop", "gone")?;
    installed::patrols(plane, "production", 1)?;
    for name in ["web", "gone"] {
        installed::ticket_line(plane, &format!("sidecar-missing Pod/{name} Open"))?;
    }
    let closed = receiver.events()?.into_iter().find(|e| e.state == "Closed");
    assert_eq!(closed, None, "told as closed without having seen it");
    let last = &installed::policy_now(plane, "production")?["status"]["lastPatrol"];
    assert_eq!(last["complete"], false, "{last}");

    installed::grant(plane)?;
    for name in ["web", "gone"] {
        installed::ticket_line(plane, &format!("sidecar-missing Pod/{name} Resolved"))?;
    }
    installed::condition(plane, "production", "Covered", "True")?;
    installed::condition(plane, "production", "Compliant", "True")?;
    blind_spot(&stage, "pods", "Resolved")?;
    operator.check_alive()
}

/// A kind that others define, without a schema: the API server takes anything.
const SIDECAR_SETS: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: sidecarsets.apps.kruise.io}
spec:
  group: apps.kruise.io
  scope: Cluster
  names: {kind: SidecarSet, plural: sidecarsets, singular: sidecarset, listKind: SidecarSetList}
  versions:
  - name: v1alpha1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"#;

fn sidecar_set(name: &str, containers: &Value) -> String {
    json!({
        "apiVersion": "apps.kruise.io/v1alpha1", "kind": "SidecarSet",
        "metadata": {"name": name},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, "containers": containers}
    })
    .to_string()
}

#[test]
fn one_object_that_cannot_be_read_is_a_blind_spot_and_the_rest_goes_on() -> Result<()> {
    let Some(stage) = Stage::bare("undecodable")? else {
        return Ok(());
    };
    let plane = &stage.plane;
    plane.apply(SIDECAR_SETS)?;
    let served = "crd/sidecarsets.apps.kruise.io";
    plane
        .kubectl(
            ADMIN,
            [
                "wait",
                "--for=condition=Established",
                served,
                "--timeout=30s",
            ],
        )?
        .success()?;
    let good = json!([{"name": "aegis", "image": "registry.example.com/security/aegis:3"}]);
    wait_until(SOON, "SidecarSets to be served", || {
        plane.apply(&sidecar_set("good", &good))
    })?;
    plane.apply(&sidecar_set("broken", &json!("not a list")))?;
    plane.apply(&installed::policy("production").to_string())?;
    let mut operator = installed::operator(plane, "one")?.spawn()?;

    let spot = blind_spot(&stage, "sidecarsets", "Open")?;
    assert_eq!(
        spot["status"]["evidence"]["reasons"][0], "undecodable",
        "{spot}"
    );
    // Sight of everything else is as good as before, of what comes later too.
    installed::create_pod(plane, &installed::pod("shop", "web", false))?;
    installed::ticket_line(plane, "sidecar-missing Pod/web Open")?;
    plane.apply(&sidecar_set("broken", &good))?;
    blind_spot(&stage, "sidecarsets", "Resolved")?;
    operator.check_alive()
}
