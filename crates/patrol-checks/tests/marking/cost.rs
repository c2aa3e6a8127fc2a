//! What is marked stays in proportion to what changed.

use patrol_core::check::{Origin, Unit};
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::bed::{Bed, gone, seen};
use crate::objects::{Pod, falco, namespace, node, policy, workload};

/// A node with the agent and a hundred pods of ten workloads in one namespace.
fn crowded() -> Vec<Value> {
    let mut all = vec![
        policy(),
        node("n1", json!({}), true),
        node("n2", json!({}), true),
        namespace("shop", json!({"istio-injection": "disabled"})),
        namespace("sec", json!({})),
        workload("DaemonSet", "sec/falco", None),
        falco("n1", true, "falco:2.1"),
    ];
    for w in 0..10 {
        let name = format!("set-{w}");
        all.push(workload("StatefulSet", &format!("shop/{name}"), None));
        for p in 0..10 {
            let place = format!("shop/{name}-{p}");
            let pod = Pod {
                owner: Some(("StatefulSet", &name)),
                ..Pod::new(&place, "n1")
            };
            all.push(pod.build());
        }
    }
    all
}

fn roots(bed: &Bed) -> usize {
    let marked = bed.engine.marked();
    marked.iter().filter(|u| matches!(u, Unit::Root(_))).count()
}

#[test]
fn a_node_that_flaps_marks_the_roots_on_it_once() {
    let mut bed = Bed::new(&crowded(), Origin::Cluster);
    for ready in [false, true, false] {
        bed.step(seen(&node("n1", json!({}), ready)));
    }
    let marked = bed.engine.marked();
    // Ten workloads, the agent, the node, two namespaces, the cluster.
    assert_eq!(roots(&bed), 11);
    assert!(marked.contains(&Unit::Namespace("shop".into())));
    assert_eq!(marked.len(), 11 + 1 + 2 + 1, "{marked:?}");
}

#[test]
fn a_heartbeat_marks_nothing() {
    let mut bed = Bed::new(&crowded(), Origin::Cluster);
    let mut same = node("n1", json!({}), true);
    same["status"]["conditions"][0]["lastHeartbeatTime"] = json!("2027-01-01T00:00:00Z");
    same["metadata"]["resourceVersion"] = json!("99");
    bed.step(seen(&same));
    assert_eq!(bed.engine.marked().len(), 0);
    bed.step(seen(&falco("n1", true, "falco:2.1")));
    assert_eq!(bed.engine.marked().len(), 0);
}

#[test]
fn a_pod_that_stands_in_for_nothing_marks_its_own_root_alone() {
    let mut bed = Bed::new(&crowded(), Origin::Cluster);
    let pod = Pod {
        owner: Some(("StatefulSet", "set-0")),
        ready: false,
        ..Pod::new("shop/set-0-0", "n1")
    };
    bed.step(seen(&pod.build()));
    assert_eq!(roots(&bed), 1);
}

#[test]
fn an_agent_marks_its_neighbours_only_when_it_begins_or_ceases_to_stand_in() {
    let mut bed = Bed::new(&crowded(), Origin::Cluster);
    let down = falco("n1", false, "falco:2.1");
    bed.step(seen(&down));
    assert_eq!(roots(&bed), 11, "ten neighbours and its own");
    bed.settle();
    let mut worse = down.clone();
    worse["status"]["containerStatuses"][0]["restartCount"] = json!(7);
    worse["metadata"]["labels"]["more"] = json!("yes");
    bed.step(seen(&worse));
    assert_eq!(roots(&bed), 1);
    bed.settle();
    bed.step(gone(Kind::Pod, "sec", "falco-n1"));
    assert_eq!(roots(&bed), 1);
}

#[test]
fn a_daemon_set_s_status_marks_no_neighbour() {
    let mut bed = Bed::new(&crowded(), Origin::Cluster);
    let mut rolling = workload("DaemonSet", "sec/falco", None);
    rolling["status"]["numberAvailable"] = json!(0);
    bed.step(seen(&rolling));
    let marked = bed.engine.marked();
    let in_shop =
        |u: &&Unit| matches!(u, Unit::Root(root) if root.key.namespace.as_str() == "shop");
    assert_eq!(marked.iter().find(in_shop), None);
}
