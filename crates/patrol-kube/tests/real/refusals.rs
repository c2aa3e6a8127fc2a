//! Writes that a real API server refuses, each for its own reason.

use patrol_core::event::{Refusal, WriteResult};
use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use serde_json::json;

use crate::stage::{DEADLINE, Writing, create, operator, raise, send};

/// Creates tickets until one is refused as expected: admission takes a moment to learn.
async fn until_refused(writing: &mut Writing, namespace: &str, expected: Refusal) {
    let until = std::time::Instant::now() + DEADLINE;
    for n in 0.. {
        let result = writing
            .write(create(namespace, &format!("until-{n}")))
            .await;
        match result {
            WriteResult::Refused(refusal) if refusal == expected => return,
            WriteResult::Done(_) if std::time::Instant::now() < until => {}
            other => panic!("{expected:?} was expected: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_refusal_is_told_by_its_own_word() {
    let Some(plane) = raise("each_refusal_is_told_by_its_own_word") else {
        return;
    };
    let mut writing = Writing::start(operator(&plane).await);

    let result = writing.write(create("nowhere", "t")).await;
    assert!(
        matches!(result, WriteResult::Refused(Refusal::NamespaceNotFound)),
        "{result:?}"
    );

    let result = writing.write(create("shop", "Not_A_Name")).await;
    assert!(
        matches!(result, WriteResult::Refused(Refusal::Invalid)),
        "{result:?}"
    );

    // Without a namespace controller it stays in this state.
    plane.create_namespace("ending").unwrap();
    let wait = ["delete", "namespace", "ending", "--wait=false"];
    plane.kubectl(ADMIN, wait).unwrap().success().unwrap();
    until_refused(&mut writing, "ending", Refusal::NamespaceTerminating).await;

    quota(&plane);
    until_refused(&mut writing, "full", Refusal::QuotaExceeded).await;

    policy(&plane);
    until_refused(&mut writing, "denied", Refusal::AdmissionDenied).await;

    // A webhook that nobody answers is no refusal: it may work next time.
    webhook(&plane);
    let until = std::time::Instant::now() + DEADLINE;
    let mut n = 0;
    loop {
        n += 1;
        match writing.write(create("hooked", &format!("t-{n}"))).await {
            WriteResult::Failed => break,
            WriteResult::Done(_) => assert!(std::time::Instant::now() < until),
            other => panic!("{other:?}"),
        }
    }

    let role = ["delete", "clusterrolebinding", "kube-patrol"];
    plane.kubectl(ADMIN, role).unwrap().success().unwrap();
    until_refused(&mut writing, "shop", Refusal::Forbidden).await;
}

/// A quota whose use is written by hand, as no controller computes it here.
fn quota(plane: &ControlPlane) {
    plane.create_namespace("full").unwrap();
    let path = "/api/v1/namespaces/full/resourcequotas";
    let hard = json!({"count/tickets.kubepatrol.io": "0"});
    send(
        plane,
        "POST",
        path,
        &json!({"metadata": {"name": "none"}, "spec": {"hard": hard}}),
    );
    let status = json!({"status": {"hard": hard, "used": hard}});
    send(plane, "PATCH", &format!("{path}/none/status"), &status);
}

fn policy(plane: &ControlPlane) {
    plane.create_namespace("denied").unwrap();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "no-tickets"},
            "spec": {"failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [{"apiGroups": ["kubepatrol.io"],
                    "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["tickets"]}]},
                "validations": [{"expression": "object.metadata.namespace != 'denied'"}]}},
        {"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "no-tickets"},
            "spec": {"policyName": "no-tickets", "validationActions": ["Deny"]}}]});
    plane.apply(&list.to_string()).unwrap();
}

fn webhook(plane: &ControlPlane) {
    plane.create_namespace("hooked").unwrap();
    let configuration = json!({"apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration", "metadata": {"name": "dead"},
        "webhooks": [{"name": "dead.example.com", "failurePolicy": "Fail", "sideEffects": "None",
            "timeoutSeconds": 1, "admissionReviewVersions": ["v1"],
            "clientConfig": {"url": "https://127.0.0.1:1/"},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "hooked"}},
            "rules": [{"apiGroups": ["kubepatrol.io"], "apiVersions": ["*"],
                "operations": ["CREATE"], "resources": ["tickets"], "scope": "*"}]}]});
    plane.apply(&configuration.to_string()).unwrap();
}
