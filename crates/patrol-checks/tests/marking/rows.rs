//! The table: one row for each thing that changes, with the checks it must alter.

use std::collections::{BTreeMap, BTreeSet};

use patrol_checks::CATALOGUE;
use patrol_core::check::Origin;
use patrol_core::event::Event;
use patrol_core::facts::{DecodeError, ObjectKey};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::bed::{Bed, gone, kind_of, seen};
use crate::objects::{
    Pod, api_service, falco, linkerd_injector, namespace, node, policy, slice, workload, world,
    ztunnel,
};

/// What changes, and in which kind.
struct Row {
    what: String,
    kind: Kind,
    /// What happens, and is judged, before.
    first: Vec<Event>,
    events: Vec<Event>,
    /// Checks that it must alter, so that the row cannot become idle.
    alters: &'static [&'static str],
}

fn put(what: &str, object: &Value, alters: &'static [&'static str]) -> Row {
    Row {
        what: what.to_owned(),
        kind: kind_of(object),
        first: vec![],
        events: vec![seen(object)],
        alters,
    }
}

fn delete(kind: Kind, place: &str, alters: &'static [&'static str]) -> Row {
    let (namespace, name) = place.split_once('/').unwrap_or(("", place));
    Row {
        what: format!("{kind} {place} goes"),
        kind,
        first: vec![],
        events: vec![gone(kind, namespace, name)],
        alters,
    }
}

const SIDECAR: &[&str] = &[
    "sidecar-injection-opted-out",
    "sidecar-missing",
    "sidecar-not-injectable",
    "sidecar-not-ready",
    "virtual-node-pod-uncovered",
];

fn rows() -> Vec<Row> {
    let image = "docker.io/falcosecurity/falco:2.1";
    let mut rows = vec![
        put(
            "the node agent that stands in for a sidecar is not ready",
            &falco("n1", false, image),
            &[
                "sidecar-missing",
                "sidecar-injection-opted-out",
                "node-agent-not-ready",
            ],
        ),
        delete(
            Kind::Pod,
            "sec/falco-n1",
            &[
                "sidecar-missing",
                "sidecar-injection-opted-out",
                "node-agent-missing",
            ],
        ),
        put(
            "the node agent comes to a node",
            &falco("n3", true, image),
            &[
                "sidecar-missing",
                "sidecar-injection-opted-out",
                "node-agent-missing",
            ],
        ),
        put(
            "the node agent becomes old",
            &falco("n1", true, "docker.io/falcosecurity/falco:1.0"),
            &["agent-version-mismatch"],
        ),
        put(
            "the ambient proxy is not ready",
            &ztunnel(false),
            &["sidecar-missing"],
        ),
        put(
            "Linkerd's injector is upgraded to what the pod carries",
            &linkerd_injector("stable-2.13"),
            &["agent-version-mismatch"],
        ),
        delete(Kind::Pod, "linkerd/injector-1", &["agent-version-mismatch"]),
        delete(Kind::Pod, "bank/far", &["sidecar-injection-opted-out"]),
        put(
            "a pod comes to a namespace that is switched off",
            &Pod::new("bank/new", "n3").build(),
            &["sidecar-injection-opted-out", "sidecar-missing"],
        ),
        put(
            "a pod comes that waits for a node",
            &Pod::new("bank/waiting", "").build(),
            &["sidecar-injection-opted-out"],
        ),
        put(
            "a node does not answer",
            &node("n1", json!({}), false),
            &[
                "sidecar-missing",
                "node-agent-missing",
                "sidecar-injection-opted-out",
            ],
        ),
        put(
            "a node becomes virtual",
            &node("n3", json!({"type": "virtual-kubelet"}), true),
            SIDECAR_ON_VIRTUAL,
        ),
        put(
            "a node pool makes the cluster a managed one",
            &node(
                "n2",
                json!({"node-role.kubernetes.io/control-plane": ""}),
                true,
            ),
            &["node-agent-missing"],
        ),
        delete(Kind::Node, "v1", &["virtual-node-pod-uncovered"]),
        delete(
            Kind::Node,
            "n3",
            &[
                "node-agent-missing",
                "sidecar-not-ready",
                "node-agent-excluded",
            ],
        ),
        put(
            "a namespace switches the injection off",
            &namespace("shop", json!({"istio-injection": "disabled"})),
            &[
                "sidecar-injection-opted-out",
                "agent-version-mismatch",
                "injector-unhealthy",
            ],
        ),
        put("a namespace is being deleted", &leaving("shop"), SIDECAR),
        put(
            "an agent that exists nowhere comes to a node",
            &Pod {
                labels: json!({"app": "tetragon"}),
                ..Pod::new("sec/tetragon", "n3")
            }
            .build(),
            &["component-missing", "node-agent-missing"],
        ),
        put(
            "an agent comes to a node that its DaemonSet cannot reach",
            &Pod {
                labels: json!({"app": "falco"}),
                ..Pod::new("sec/by-hand", "n4")
            }
            .build(),
            &["node-agent-excluded", "node-agent-missing"],
        ),
        put(
            "the agent is for another platform",
            &for_windows(),
            &["node-agent-missing", "node-agent-not-ready"],
        ),
        delete(Kind::Pod, "mesh/down-1-a", &["component-unavailable"]),
        delete(Kind::ReplicaSet, "mesh/down-1", &["component-unavailable"]),
        put(
            "a namespace gets a level",
            &namespace(
                "shop",
                json!({"pod-security.kubernetes.io/enforce": "privileged"}),
            ),
            &["namespace-psa-unlabelled", "namespace-psa-below-required"],
        ),
        delete(Kind::Namespace, "free", &["namespace-unpatrolled"]),
        delete(
            Kind::MutatingWebhookConfiguration,
            "istio-sidecar-injector",
            &[
                "injector-unhealthy",
                "component-missing",
                "component-unavailable",
                "agent-version-mismatch",
                "sidecar-injection-opted-out",
            ],
        ),
        delete(
            Kind::ValidatingWebhookConfiguration,
            "kyverno",
            &["component-missing", "component-unavailable"],
        ),
        delete(Kind::SidecarSet, "agents", &["agent-version-mismatch"]),
        delete(Kind::Service, "mesh/injector", &["injector-unhealthy"]),
        Row {
            first: vec![seen(&slice(false))],
            ..delete(Kind::Service, "mesh/injector", &["component-unavailable"])
        },
        put(
            "the injector's endpoint is down",
            &slice(false),
            &["injector-unhealthy", "component-unavailable"],
        ),
        delete(
            Kind::CustomResourceDefinition,
            "policies.example.com",
            &["component-missing", "component-unavailable"],
        ),
        put(
            "an API is down",
            &api_service("False"),
            &["component-unavailable"],
        ),
        delete(
            Kind::ApiService,
            "v1.metrics.example.com",
            &["component-missing"],
        ),
        delete(
            Kind::DaemonSet,
            "sec/falco",
            &["node-agent-excluded", "node-agent-missing"],
        ),
        put(
            "an agent that can stand in for a template's sidecar is installed",
            &workload("DaemonSet", "sec/tetragon", None),
            &["sidecar-missing", "component-missing"],
        ),
        delete(
            Kind::Deployment,
            "mesh/istiod",
            &["component-missing", "component-unavailable"],
        ),
        delete(
            Kind::StatefulSet,
            "mesh/vault",
            &["component-missing", "component-unavailable"],
        ),
        delete(
            Kind::DaemonSet,
            "mesh/cni",
            &["component-missing", "component-unavailable"],
        ),
    ];
    for (kind, name) in [
        (Kind::Deployment, "web"),
        (Kind::ReplicaSet, "web-1"),
        (Kind::ReplicaSet, "alone"),
        (Kind::StatefulSet, "db"),
        (Kind::DaemonSet, "log"),
        (Kind::Job, "once"),
        (Kind::Job, "nightly-1"),
        (Kind::CronJob, "nightly"),
        (Kind::ReplicationController, "old"),
    ] {
        rows.push(delete(kind, &format!("shop/{name}"), SIDECAR));
    }
    rows
}

fn leaving(name: &str) -> Value {
    let mut namespace = namespace(name, json!({"istio.io/rev": "1-20", "picky": "yes"}));
    namespace["status"]["phase"] = json!("Terminating");
    namespace
}

fn for_windows() -> Value {
    let mut daemon = workload("DaemonSet", "sec/falco", None);
    daemon["spec"]["template"]["spec"]["nodeSelector"] = json!({"kubernetes.io/os": "windows"});
    daemon
}

const SIDECAR_ON_VIRTUAL: &[&str] = &["virtual-node-pod-uncovered", "node-agent-missing"];

/// What a check claims to read although no single change of it alters a verdict here, and
/// why that is so.
const SILENT: &[(&str, Kind, &str)] = &[(
    "waiver-overdue",
    Kind::TicketWaiver,
    "how a waiver stands is counted over the tickets by the process that leads: tests/engine/people.rs of the core",
)];

#[test]
fn a_change_that_alters_a_verdict_marks_the_unit_and_every_claim_to_read_is_true() {
    let world = world();
    let mut proven: BTreeMap<String, BTreeSet<Kind>> = BTreeMap::new();
    let mut wrong: Vec<String> = vec![];
    for row in rows() {
        let mut bed = Bed::new(&world, Origin::Cluster);
        row.first.into_iter().for_each(|event| bed.step(event));
        bed.settle();
        let altered = bed.change(&row.what, row.events);
        for check in row.alters {
            if !altered.contains(*check) {
                wrong.push(format!("{}: {check} is as it was", row.what));
            }
        }
        for check in altered {
            proven.entry(check).or_default().insert(row.kind);
        }
    }
    for check in CATALOGUE.checks {
        let meta = check.meta();
        for kind in meta.reads {
            let seen = proven
                .get(meta.id)
                .is_some_and(|kinds| kinds.contains(kind));
            let told = SILENT.iter().any(|(id, k, _)| *id == meta.id && k == kind);
            if seen == told {
                let id = meta.id;
                wrong.push(format!("{id} reads {kind}: shown {seen}, excused {told}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_kind_that_is_lost_found_or_spoiled_marks_whatever_it_alters() {
    let world = world();
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.is_ours()) {
        let mut bed = Bed::new(&world, Origin::Cluster);
        let lost = Event::Lost(kind, Blindness::Failing("cut".into()));
        bed.change(&format!("{kind} is lost"), vec![lost]);
        bed.settle();
        let before = bed.verdicts();
        bed.list(kind, &world);
        let after = bed.verdicts();
        let marked = bed.engine.marked();
        for place in after
            .keys()
            .filter(|place| before.get(*place) != after.get(*place))
        {
            assert!(marked.contains(&place.2), "{kind} is listed: {place:?}");
        }
        bed.settle();
        // An object without a readable name, which a later list no longer mentions.
        let error = DecodeError {
            kind,
            key: None,
            reason: "odd".into(),
        };
        bed.change(
            &format!("a {kind} is undecodable"),
            vec![Event::Undecodable(error)],
        );
        bed.settle();
        let mut events = vec![Event::ListStarted(kind)];
        events.extend(world.iter().filter(|o| kind_of(o) == kind).map(seen));
        events.push(Event::ListFinished(kind));
        bed.change(&format!("{kind} is decodable again"), events);
    }
}

#[test]
fn an_object_that_is_spoiled_and_mended_marks_whatever_it_alters() {
    let world = world();
    for object in world.iter().filter(|o| !kind_of(o).is_ours()) {
        let kind = kind_of(object);
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let key = ObjectKey::new(text("namespace"), text("name"));
        let mut bed = Bed::new(&world, Origin::Cluster);
        let error = || DecodeError {
            kind,
            key: Some(key.clone()),
            reason: "odd".into(),
        };
        bed.change(
            &format!("{kind} {key} is spoiled"),
            vec![Event::Undecodable(error())],
        );
        bed.settle();
        bed.change(&format!("{kind} {key} is mended"), vec![seen(object)]);
        bed.settle();
        bed.change(
            &format!("{kind} {key} is spoiled again"),
            vec![Event::Undecodable(error())],
        );
        bed.settle();
        // By a list, with the very content it had before.
        let mut events = vec![Event::ListStarted(kind)];
        events.extend(world.iter().filter(|o| kind_of(o) == kind).map(seen));
        events.push(Event::ListFinished(kind));
        bed.change(&format!("{kind} {key} is mended by a list"), events);
        bed.settle();
        bed.change(
            &format!("{kind} {key} is spoiled once more"),
            vec![Event::Undecodable(error())],
        );
        bed.settle();
        bed.change(
            &format!("{kind} {key} goes while spoiled"),
            vec![Event::Gone(kind, key.clone())],
        );
        bed.settle();
        // Gone in a gap that a list closes.
        let mut bed = Bed::new(&world, Origin::Cluster);
        let mut events = vec![Event::ListStarted(kind)];
        events.extend(
            world
                .iter()
                .filter(|o| kind_of(o) == kind && *o != object)
                .map(seen),
        );
        events.push(Event::ListFinished(kind));
        bed.change(&format!("{kind} {key} is not listed any more"), events);
    }
}

#[test]
fn a_policy_marks_what_it_alters() {
    let world = world();
    let mut wider = policy();
    wider["metadata"]["resourceVersion"] = json!("2");
    wider["metadata"]["generation"] = json!(2);
    wider["spec"]["scope"] = json!({"namespaces": {"include": ["free", "bank"]}});
    let mut bed = Bed::new(&world, Origin::Cluster);
    let altered = bed.change("the scope moves", vec![seen(&wider)]);
    for check in [
        "namespace-unpatrolled",
        "sidecar-missing",
        "sidecar-injection-opted-out",
    ] {
        assert!(altered.contains(check), "{check}: {altered:?}");
    }
}
