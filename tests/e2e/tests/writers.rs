//! Who may write what of a ticket and a waiver: the shipped admission policies with real
//! requests of people. What the roles give is in `roles.rs`.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use std::time::Duration;

use patrol_e2e::admission::made_up;
use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::http::Response;
use patrol_e2e::installed::{self, SOON, Stage};
use patrol_e2e::{Error, Result, wait_until};
use serde_json::{Value, json};

use crate::people::{EDIT, OTHER, OWNER, raise};

/// A ticket that people write to.
struct Desk<'a> {
    plane: &'a ControlPlane,
    path: String,
}

impl Desk<'_> {
    fn request(&self, who: &str, verb: &str, body: &Value) -> Result<Response> {
        self.plane.request(who, verb, &self.path, Some(body))
    }

    /// A change that is taken.
    fn takes(&self, who: &str, body: &Value) -> Result<Value> {
        self.request(who, "PATCH", body)?.success()
    }

    /// A change that is refused in these words.
    fn refuses(&self, who: &str, body: &Value, words: &str) -> Result<()> {
        refused(&self.request(who, "PATCH", body)?, words)
    }

    fn now(&self) -> Result<Value> {
        self.plane
            .request(ADMIN, "GET", &self.path, None)?
            .success()
    }
}

fn refused(reply: &Response, words: &str) -> Result<()> {
    let text = reply.text();
    match reply.status == 403 && text.contains(words) {
        true => Ok(()),
        false => Err(Error::failed(format!(
            "not refused with {words:?}: {} {text}",
            reply.status
        ))),
    }
}

/// The ticket of the pod `web`, told and on record, with the operator that keeps it.
fn open(stage: &Stage) -> Result<(Desk<'_>, patrol_e2e::operator::Process)> {
    let plane = &stage.plane;
    installed::create_pod(plane, &installed::pod("shop", "web", false))?;
    plane.apply(&installed::policy("production").to_string())?;
    let operator = installed::operator(plane, "one")?.spawn()?;
    let ticket = installed::ticket(plane, "the ticket of web, told", |t| {
        installed::line(t) == "sidecar-missing Pod/web Open"
            && t["status"]["alerts"]
                .as_array()
                .is_some_and(|a| !a.is_empty())
    })?;
    let name = ticket["metadata"]["name"].as_str().unwrap_or("");
    let path = format!("/apis/kubepatrol.io/v1alpha1/namespaces/shop/tickets/{name}");
    Ok((Desk { plane, path }, operator))
}

/// An hour from now by the clock of the API server.
fn soon(plane: &ControlPlane) -> Result<String> {
    let token = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600},
    });
    let path = "/api/v1/namespaces/shop/serviceaccounts/default/token";
    let reply = plane
        .request(ADMIN, "POST", path, Some(&token))?
        .success()?;
    let until = reply["status"]["expirationTimestamp"].as_str();
    until
        .map(str::to_owned)
        .ok_or_else(|| Error::failed(format!("no time: {reply}")))
}

#[test]
fn people_write_their_fields_of_a_ticket_and_nothing_else() -> Result<()> {
    let Some(stage) = raise("writers")? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    let (desk, mut operator) = open(&stage)?;
    let until = soon(plane)?;
    let pause = |reason: &str, by: &str| json!({"until": until, "reason": reason, "by": by});

    // Their own four fields, each by itself and all of them as `kubectl edit` sends them.
    let taken = desk.takes(EDIT, &json!({"spec": {"acknowledge": pause("mine", EDIT)}}))?;
    assert_eq!(taken["spec"]["acknowledge"]["by"], EDIT);
    let unsaid = json!({"until": until, "reason": "vendor"});
    desk.takes(EDIT, &json!({"spec": {"snooze": unsaid}}))?;
    desk.takes(OTHER, &json!({"spec": {"assignee": "the platform team"}}))?;
    desk.takes(OWNER, &json!({"spec": {"recheck": "1"}}))?;
    wait_until(SOON, "a whole ticket to be replaced", || {
        let mut whole = desk.now()?;
        whole["spec"]["assignee"] = json!("somebody else");
        whole["metadata"]["labels"]["team.example.com/queue"] = json!("night");
        desk.request(OTHER, "PUT", &whole)?.success()
    })?;

    // Nobody does so in another's name, not even under one that was written rightly.
    let theirs = "spec.acknowledge.by names someone else than who asks: \
                  use \\\"kubectl patrol ack\\\", or write other-editor";
    desk.refuses(
        OTHER,
        &json!({"spec": {"acknowledge": {"reason": "not said so"}}}),
        theirs,
    )?;
    desk.refuses(
        OTHER,
        &json!({"spec": {"acknowledge": {"by": "boss"}}}),
        theirs,
    )?;
    let theirs = "spec.snooze.by names someone else than who asks";
    desk.refuses(ADMIN, &json!({"spec": {"snooze": {"by": EDIT}}}), theirs)?;
    desk.takes(
        OTHER,
        &json!({"spec": {"acknowledge": pause("now mine", OTHER)}}),
    )?;
    desk.takes(
        EDIT,
        &json!({"spec": {"acknowledge": null, "snooze": null}}),
    )?;

    guarded(&desk, EDIT)?;
    // The roles give an editor less than that; whoever has more is refused all the same.
    guarded(&desk, ADMIN)?;
    installed::ticket_line(plane, "sidecar-missing Pod/web Open")?;

    operator_is_free(&stage, &desk)?;
    receiver.wait_for_event(SOON, "the end", |e| {
        e.subject.name == "web" && e.state == "Closed"
    })?;
    // What is resolved may be cleared away by whoever has the right to.
    plane
        .request(ADMIN, "DELETE", &desk.path, None)?
        .success()?;
    let end = operator.terminate(Duration::from_secs(10))?;
    assert_eq!(end.code(), Some(0), "{}", operator.stderr()?);
    Ok(())
}

/// What only the operator writes, tried by someone.
fn guarded(desk: &Desk<'_>, who: &str) -> Result<()> {
    let label = "only kube-patrol writes the labels kubepatrol.io/*";
    for labels in [
        json!({"kubepatrol.io/severity": "low"}),
        json!({"kubepatrol.io/state": null}),
        json!({"kubepatrol.io/of-my-own": "1"}),
    ] {
        desk.refuses(who, &json!({"metadata": {"labels": labels}}), label)?;
    }
    let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "gone", "uid": "0-0"});
    for metadata in [
        json!({"ownerReferences": [owner]}),
        json!({"finalizers": ["example.com/stay"]}),
    ] {
        let words = "owners and finalizers would end a ticket or keep it";
        desk.refuses(who, &json!({"metadata": metadata}), words)?;
    }
    // The definition says so of the finding, whoever asks.
    let finding = json!({"spec": {"finding": {"subjectRef": "Pod/other"}}});
    let reply = desk.request(who, "PATCH", &finding)?;
    assert_eq!(reply.status, 422, "{}", reply.text());
    assert!(reply.text().contains("is immutable"), "{}", reply.text());

    let plane = desk.plane;
    let status = format!("{}/status", desk.path);
    let resolved = json!({"status": {"phase": "Resolved"}});
    let reply = plane.request(who, "PATCH", &status, Some(&resolved))?;
    refused(
        &reply,
        if who == ADMIN {
            "only kube-patrol writes the status of a ticket"
        } else {
            "cannot patch"
        },
    )?;

    let all = desk.path.rsplit_once('/').map_or("", |(all, _)| all);
    let kept = "an open ticket is not deleted";
    for (path, verb) in [(desk.path.as_str(), "delete"), (all, "deletecollection")] {
        let reply = plane.request(who, "DELETE", path, None)?;
        let words = format!("cannot {verb}");
        refused(&reply, if who == ADMIN { kept } else { &words })?;
    }
    let reply = plane.request(who, "POST", all, Some(&made_up("made-up")))?;
    let opened = "only kube-patrol opens tickets";
    refused(
        &reply,
        if who == ADMIN {
            opened
        } else {
            "cannot create"
        },
    )
}

/// The operator itself goes on as if there were no policies: it opens again what a
/// controller of Kubernetes deleted, and resolves what is mended.
fn operator_is_free(stage: &Stage, desk: &Desk<'_>) -> Result<()> {
    let plane = &stage.plane;
    let before = desk.now()?;
    let name = before["metadata"]["name"].as_str().unwrap_or("");
    let collector = "--as=system:serviceaccount:kube-system:generic-garbage-collector";
    let args = [
        "delete",
        "-n",
        "shop",
        "tickets.kubepatrol.io",
        name,
        collector,
    ];
    plane.kubectl(ADMIN, args)?.success()?;
    installed::ticket(plane, "the deleted ticket to come back", |t| {
        installed::line(t) == "sidecar-missing Pod/web Open"
            && t["metadata"]["uid"] != before["metadata"]["uid"]
    })?;
    installed::replace_pod(plane, "shop", "web", true)?;
    installed::ticket_line(plane, "sidecar-missing Pod/web Resolved").map(drop)
}

/// Without the operator: it resolves what goes, and what is resolved may be deleted.
#[test]
fn f26_open_tickets_go_with_their_namespace_and_with_their_kind() -> Result<()> {
    let Some(stage) = raise("guarded_ends")? else {
        return Ok(());
    };
    let plane = &stage.plane;
    let (desk, mut operator) = open(&stage)?;
    operator.terminate(Duration::from_secs(10))?;
    let args = ["delete", "namespace", "shop", "--timeout=60s"];
    plane.kubectl(ADMIN, args)?.success()?;
    let gone = plane.request(ADMIN, "GET", &desk.path, None)?;
    assert_eq!(gone.status, 404, "{}", gone.text());

    open_by_the_operator(plane, "default")?;
    let args = ["delete", "crd", "tickets.kubepatrol.io", "--timeout=60s"];
    plane.kubectl(ADMIN, args)?.success().map(drop)
}

/// A ticket that the operator opened, or someone who may speak for it.
fn open_by_the_operator(plane: &ControlPlane, namespace: &str) -> Result<()> {
    let operator = "--as=system:serviceaccount:kube-patrol:kube-patrol";
    let ticket = made_up("kept").to_string();
    let args = ["create", "-n", namespace, "-f", "-", operator];
    let created = plane.kubectl_with_input(ADMIN, args, Some(&ticket))?;
    created.success().map(drop)
}

#[test]
fn the_policies_fit_the_kinds_they_are_about() -> Result<()> {
    let Some(stage) = raise("policies_fit")? else {
        return Ok(());
    };
    for name in ["kube-patrol-tickets", "kube-patrol-ticketwaivers"] {
        let judged = wait_until(SOON, &format!("{name} to be judged"), || {
            let policy = stage.plane.get(&["validatingadmissionpolicy", name])?;
            let seen = &policy["status"]["observedGeneration"];
            match *seen == policy["metadata"]["generation"] {
                true => Ok(policy),
                false => Err(Error::failed(policy["status"].to_string())),
            }
        })?;
        let warnings = &judged["status"]["typeChecking"]["expressionWarnings"];
        assert!(warnings.is_null(), "{name}: {warnings}");
    }
    Ok(())
}

#[test]
fn a_waiver_is_approved_by_its_writer_and_not_by_an_editor() -> Result<()> {
    let Some(stage) = raise("waivers")? else {
        return Ok(());
    };
    let plane = &stage.plane;
    let all = "/apis/kubepatrol.io/v1alpha1/namespaces/shop/ticketwaivers";
    let waiver = |name: &str, approved_by: Option<&str>| {
        let mut waiver = json!({
            "apiVersion": "kubepatrol.io/v1alpha1", "kind": "TicketWaiver",
            "metadata": {"name": name},
            "spec": {"checks": ["sidecar-missing"], "reason": "until the vendor ships it",
                "owner": "team shop"},
        });
        if let Some(user) = approved_by {
            waiver["spec"]["approvedBy"] = json!(user);
        }
        waiver
    };
    let create = |who: &str, body: &Value| plane.request(who, "POST", all, Some(body));
    refused(&create(EDIT, &waiver("mine", Some(EDIT)))?, "cannot create")?;
    let theirs =
        format!("spec.approvedBy names someone else than who asks: approve it yourself as {OWNER}");
    refused(&create(OWNER, &waiver("theirs", Some(EDIT)))?, &theirs)?;
    create(OWNER, &waiver("unsaid", None))?.success()?;
    create(OWNER, &waiver("web", Some(OWNER)))?.success()?;

    let desk = Desk {
        plane,
        path: format!("{all}/web"),
    };
    let longer = json!({"spec": {"reason": "until the vendor ships it again"}});
    let theirs = "spec.approvedBy names someone else than who asks";
    desk.refuses(ADMIN, &longer, theirs)?;
    desk.takes(OWNER, &longer)?;
    // What is no part of the approval needs none.
    desk.takes(ADMIN, &json!({"metadata": {"labels": {"team": "shop"}}}))?;
    let status = format!("{}/status", desk.path);
    let used = json!({"status": {"matched": 1}});
    let reply = plane.request(ADMIN, "PATCH", &status, Some(&used))?;
    refused(&reply, "only kube-patrol writes the status of a waiver")?;
    let gone = plane.request(OWNER, "DELETE", &desk.path, None)?;
    gone.success().map(drop)
}

#[test]
fn the_finding_is_guarded_also_where_its_definition_does_not_guard_it() -> Result<()> {
    let Some(stage) = Stage::bare("finding_guarded")? else {
        return Ok(());
    };
    let plane = &stage.plane;
    open_by_the_operator(plane, "shop")?;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/tickets.kubepatrol.io";
    let mut crd = plane.request(ADMIN, "GET", path, None)?.success()?;
    let finding = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/finding";
    let rules = crd.pointer_mut(finding).and_then(Value::as_object_mut);
    let rules = rules.and_then(|finding| finding.remove("x-kubernetes-validations"));
    assert!(rules.is_some(), "it has no rule: {crd}");
    plane.request(ADMIN, "PUT", path, Some(&crd))?.success()?;

    let desk = Desk {
        plane,
        path: "/apis/kubepatrol.io/v1alpha1/namespaces/shop/tickets/kept".to_owned(),
    };
    // The server may take a moment to see that its rule is gone, or that ours is there. An
    // edit that got through then would change nothing the second time: each is another.
    let mut edits = 0;
    wait_until(SOON, "the policy alone to refuse it", || {
        edits += 1;
        let other = json!({"spec": {"finding": {"subjectRef": format!("Cluster/other-{edits}")}}});
        desk.refuses(ADMIN, &other, "spec.finding says what kube-patrol found")
    })
}
