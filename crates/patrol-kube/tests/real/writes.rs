//! Every write and question of the engine, on objects that are as they should be.

use patrol_api::ticket::TicketStatus;
use patrol_core::effect::{About, Announcement, Effect, Precondition};
use patrol_core::event::{Event, Term, WriteResult, Written};
use patrol_core::facts::ObjectKey;
use patrol_core::inventory::{Blindness, Instances};
use patrol_core::kind::Kind;
use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::wait_until;
use patrol_kube::secrets::Secrets;
use serde_json::{Value, json};

use crate::stage::{
    DEADLINE, ID, POLICIES, TICKETS, Writing, create, get, operator, other, raise, send, stale,
};

fn status(value: Value) -> Box<TicketStatus> {
    Box::new(serde_json::from_value(value).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_write_does_what_it_says_under_the_shipped_rights() {
    let Some(plane) = raise("each_write_does_what_it_says") else {
        return;
    };
    let connection = operator(&plane).await;
    let (major, minor) = connection.reads.server_version().await.unwrap();
    assert!(major == 1 && minor >= 33, "{major}.{minor}");
    let mut writing = Writing::start(connection.clone());

    tickets(&plane, &mut writing).await;
    policies_and_receivers(&plane, &mut writing).await;
    announcements(&plane, &mut writing).await;
    counts(&plane, &mut writing).await;
    secrets(
        &plane,
        &Secrets::new(connection.reads.clone(), "kube-patrol"),
    )
    .await;
    reviews(&plane, &mut writing).await;
}

async fn tickets(plane: &ControlPlane, writing: &mut Writing) {
    let path = format!("{TICKETS}/t");
    let at = writing.done(create("shop", "t")).await;
    match writing.write(create("shop", "t")).await {
        WriteResult::Exists(Some(ticket)) => assert_eq!(ticket.metadata.uid, Some(at.uid.clone())),
        other => panic!("{other:?}"),
    }
    let made = get(plane, &path);
    assert_eq!(
        made["status"],
        Value::Null,
        "a create has no status: {made}"
    );
    assert_eq!(
        made["metadata"]["managedFields"][0]["manager"],
        "kube-patrol"
    );

    // A status is replaced: what is not in the new one is gone.
    let write = |at: Precondition, value: Value| Effect::WriteTicketStatus {
        id: ID,
        at,
        status: status(value),
    };
    let full = json!({"title": "Sidecar missing", "message": "No sidecar.", "severity": "High",
        "alerts": [{"receiver": "soc", "uid": "r", "seq": 1, "n": 1, "state": "Firing",
            "at": "2026-01-01T00:00:00Z", "episode": 1}],
        "history": [{"at": "2026-01-01T00:00:00Z", "to": "Open", "reason": "Found", "actor": "patrol"}]});
    let first = writing.done(write(at.clone(), full)).await;
    assert_eq!(get(plane, &path)["status"]["alerts"][0]["receiver"], "soc");
    let second = writing
        .done(write(first.clone(), json!({"title": "Only this"})))
        .await;
    let now = get(plane, &path);
    assert_eq!(now["status"]["title"], "Only this");
    for gone in ["alerts", "history", "message", "severity"] {
        assert_eq!(
            now["status"][gone],
            Value::Null,
            "{gone} is still there: {now}"
        );
    }
    assert_eq!(now["spec"], made["spec"]);
    assert_eq!(now["metadata"]["labels"], made["metadata"]["labels"]);
    assert_eq!(now["metadata"]["resourceVersion"], second.version.as_str());

    // Labels are set, others stay.
    let label = |at: Precondition, state: &str| Effect::WriteTicketLabels {
        id: ID,
        at,
        labels: [("kubepatrol.io/state".to_owned(), state.to_owned())].into(),
    };
    let third = writing.done(label(second.clone(), "resolved")).await;
    let labels = get(plane, &path)["metadata"]["labels"].clone();
    assert_eq!(
        labels,
        json!({"kubepatrol.io/state": "resolved", "kubepatrol.io/policy": "p"})
    );

    // Nothing is written on another state or another object than the one that was meant.
    let delete = |at: Precondition| Effect::DeleteTicket { id: ID, at };
    for wrong in [stale(&third), other(&third), second] {
        for effect in [
            write(wrong.clone(), json!({"title": "no"})),
            label(wrong.clone(), "no"),
            delete(wrong.clone()),
        ] {
            let what = format!("{effect:?}");
            let result = writing.write(effect).await;
            assert!(
                matches!(result, WriteResult::Conflict),
                "{what}: {result:?}"
            );
        }
    }
    let unchanged = get(plane, &path);
    assert_eq!(
        unchanged["metadata"]["resourceVersion"],
        third.version.as_str()
    );

    let read = |name: &str| Effect::ReadTicket {
        id: ID,
        key: ObjectKey::new("shop", name),
    };
    match writing.write(read("t")).await {
        WriteResult::Done(Written::Ticket(ticket)) => {
            assert_eq!(
                ticket.metadata.resource_version,
                Some(third.version.clone())
            );
        }
        other => panic!("{other:?}"),
    }
    let missing = writing.write(read("missing")).await;
    assert!(matches!(missing, WriteResult::NotFound), "{missing:?}");

    let result = writing.write(delete(third.clone())).await;
    assert!(
        matches!(result, WriteResult::Done(Written::Nothing)),
        "{result:?}"
    );
    for effect in [
        delete(third.clone()),
        write(third.clone(), json!({})),
        label(third, "x"),
    ] {
        let what = format!("{effect:?}");
        let result = writing.write(effect).await;
        assert!(
            matches!(result, WriteResult::NotFound),
            "{what}: {result:?}"
        );
    }
}

async fn policies_and_receivers(plane: &ControlPlane, writing: &mut Writing) {
    let made = send(
        plane,
        "POST",
        POLICIES,
        &json!({"apiVersion": "kubepatrol.io/v1alpha1",
        "kind": "PatrolPolicy", "metadata": {"name": "prod", "finalizers": ["example.com/theirs"]},
        "spec": {"baselines": ["agent-coverage"]}}),
    );
    let at = Precondition {
        key: ObjectKey::new("", "prod"),
        uid: made["metadata"]["uid"].as_str().unwrap().to_owned(),
        version: made["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .to_owned(),
    };
    let path = format!("{POLICIES}/prod");
    let finalizer = |at: &Precondition, present| Effect::WritePolicyFinalizer {
        id: ID,
        at: at.clone(),
        present,
    };
    let mut current = at.clone();
    for (present, expected) in [
        (true, json!(["example.com/theirs", "kubepatrol.io/closing"])),
        // Twice is once.
        (true, json!(["example.com/theirs", "kubepatrol.io/closing"])),
        (false, json!(["example.com/theirs"])),
    ] {
        current = writing.done(finalizer(&current, present)).await;
        assert_eq!(get(plane, &path)["metadata"]["finalizers"], expected);
    }
    for wrong in [&at, &other(&current)] {
        let result = writing.write(finalizer(wrong, true)).await;
        assert!(matches!(result, WriteResult::Conflict), "{result:?}");
    }
    let status = |at: &Precondition, value: Value| Effect::WritePolicyStatus {
        id: ID,
        at: at.clone(),
        status: Box::new(serde_json::from_value(value).unwrap()),
    };
    let full = json!({"observedGeneration": 1, "nextPatrolAt": "2026-01-01T00:00:00Z"});
    current = writing.done(status(&current, full)).await;
    assert_eq!(get(plane, &path)["status"]["observedGeneration"], 1);
    let less = json!({"observedGeneration": 2});
    current = writing.done(status(&current, less)).await;
    assert_eq!(get(plane, &path)["status"]["nextPatrolAt"], Value::Null);
    let result = writing.write(status(&at, json!({}))).await;
    assert!(matches!(result, WriteResult::Conflict), "{result:?}");
    let missing = Precondition {
        key: ObjectKey::new("", "gone"),
        ..current
    };
    for effect in [finalizer(&missing, true), status(&missing, json!({}))] {
        let result = writing.write(effect).await;
        assert!(matches!(result, WriteResult::NotFound), "{result:?}");
    }

    let receivers = "/apis/kubepatrol.io/v1alpha1/alertreceivers";
    let made = send(
        plane,
        "POST",
        receivers,
        &json!({"apiVersion": "kubepatrol.io/v1alpha1",
        "kind": "AlertReceiver", "metadata": {"name": "soc"},
        "spec": {"webhook": {"url": "https://soc.example/hook"}}}),
    );
    let at = Precondition {
        key: ObjectKey::new("", "soc"),
        uid: made["metadata"]["uid"].as_str().unwrap().to_owned(),
        version: made["metadata"]["resourceVersion"]
            .as_str()
            .unwrap()
            .to_owned(),
    };
    let value = json!({"pending": 3});
    writing
        .done(Effect::WriteReceiverStatus {
            id: ID,
            at,
            status: Box::new(serde_json::from_value(value).unwrap()),
        })
        .await;
    assert_eq!(
        get(plane, &format!("{receivers}/soc"))["status"]["pending"],
        3
    );
}

async fn announcements(plane: &ControlPlane, writing: &mut Writing) {
    for (kind, namespace, name) in [
        (Kind::Ticket, "shop", "t"),
        (Kind::PatrolPolicy, "", "prod"),
    ] {
        let announcement = Announcement {
            about: About {
                kind,
                key: ObjectKey::new(namespace, name),
                uid: "5b1a4a5e-0000-4000-8000-000000000000".to_owned(),
            },
            reason: "Opened".to_owned(),
            note: format!("About {name}."),
            warning: true,
        };
        for _ in 0..3 {
            let effect = Effect::Announce(announcement.clone());
            writing
                .writer
                .carry_out(effect, Some(Term(1)), &writing.answers);
        }
        let home = if namespace.is_empty() {
            "default"
        } else {
            namespace
        };
        let path = format!("/apis/events.k8s.io/v1/namespaces/{home}/events");
        let event = wait_until(DEADLINE, "the event", || {
            let all = get(plane, &path)["items"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            all.into_iter().find(|e| e["regarding"]["name"] == name)
        })
        .unwrap();
        assert_eq!(event["reason"], "Opened");
        assert_eq!(event["type"], "Warning");
        assert_eq!(event["note"], format!("About {name}."));
        assert_eq!(event["regarding"]["kind"], kind.info().kind);
        assert_eq!(event["reportingController"], "kubepatrol.io/kube-patrol");
    }
}

async fn counts(plane: &ControlPlane, writing: &mut Writing) {
    plane
        .apply(
            &json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "things.example.com"},
                "spec": {"group": "example.com", "scope": "Namespaced",
                    "names": {"kind": "Thing", "plural": "things"},
                    "versions": [{"name": "v1", "served": true, "storage": true,
                        "schema": {"openAPIV3Schema": {"type": "object"}}}]}})
            .to_string(),
        )
        .unwrap();
    let mut count = async |crd: &str| {
        let effect = Effect::Count(vec![(crd.to_owned(), 5)]);
        match writing.event(effect).await {
            Event::Counted(name, instances) => {
                assert_eq!(name, crd);
                instances
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        count("patrolpolicies.kubepatrol.io").await,
        Instances::AtLeast(1)
    );
    assert_eq!(count("nothing.example.com").await, Instances::AtLeast(0));
    // Nobody granted the operator rights on it: not zero, but unknown.
    let foreign = count("things.example.com").await;
    assert_eq!(foreign, Instances::Unknown("AccessDenied".to_owned()));
}

async fn secrets(plane: &ControlPlane, secrets: &Secrets) {
    let path = "/api/v1/namespaces/kube-patrol/secrets";
    send(
        plane,
        "POST",
        path,
        &json!({"metadata": {"name": "soc"}, "data": {"key": "aHVudGVyMg=="}}),
    );
    let value = secrets.read("soc", "key", false).await.unwrap();
    assert_eq!(value.0, b"hunter2");
    assert!(!format!("{value:?} {:?}", Some(&value)).contains("hunter2"));
    assert_eq!(secrets.read("soc", "other", false).await, None);
    assert_eq!(secrets.read("missing", "key", false).await, None);

    // A rotated value is read at once when asked for, else from memory for a while.
    send(
        plane,
        "PATCH",
        &format!("{path}/soc"),
        &json!({"data": {"key": "bmV3"}}),
    );
    assert_eq!(
        secrets.read("soc", "key", false).await.unwrap().0,
        b"hunter2"
    );
    assert_eq!(secrets.read("soc", "key", true).await.unwrap().0, b"new");
    assert_eq!(secrets.read("soc", "key", false).await.unwrap().0, b"new");

    // Taken away on purpose is gone from memory too.
    send(
        plane,
        "PATCH",
        &format!("{path}/soc"),
        &json!({"data": {"key": null, "other": "eA=="}}),
    );
    assert_eq!(secrets.read("soc", "key", true).await, None);
    assert_eq!(secrets.read("soc", "key", false).await, None);
}

async fn reviews(plane: &ControlPlane, writing: &mut Writing) {
    let mut review = async || match writing.event(Effect::Review(Kind::ALL.to_vec())).await {
        Event::Reviewed(answers) => answers,
        other => panic!("{other:?}"),
    };
    let all = review().await;
    assert_eq!(all.len(), Kind::ALL.len());
    for (kind, answer) in all {
        assert_eq!(answer, Ok(()), "{kind}");
    }
    plane
        .kubectl(ADMIN, ["delete", "clusterrolebinding", "kube-patrol"])
        .unwrap()
        .success()
        .unwrap();
    let until = std::time::Instant::now() + DEADLINE;
    loop {
        let answers = review().await;
        let denied = |a: &Result<(), Blindness>| matches!(a, Err(Blindness::Denied(_)));
        if answers.values().all(denied) {
            break;
        }
        assert!(std::time::Instant::now() < until, "{answers:?}");
    }
}
