//! Ten thousand objects that the API server takes and nobody would write: the operator
//! lives through them, sees all of them, and nothing of theirs steers who reads a ticket.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::crowd::{self, Family};
use patrol_e2e::installed::{self, SOON, Stage};
use patrol_e2e::operator::Process;
use patrol_e2e::random::{Random, from_environment};
use patrol_e2e::{Context, Error, Result, wait_until};
use serde_json::{Value, json};

/// Objects, those of the cluster apart; `KUBE_PATROL_OBJECTS` takes another number.
const OBJECTS: u64 = 10_000;
const NAMESPACES: usize = 40;
const NODES: usize = 40;
/// All tickets there, or all resolved.
const SETTLED: Duration = Duration::from_secs(240);
/// `resources.limits.memory` of the shipped Deployment, KiB.
const MEMORY_LIMIT: u64 = 128 * 1024;

const COLLECTIONS: [(&str, &str); 10] = [
    ("api/v1", "pods"),
    ("apis/apps/v1", "deployments"),
    ("apis/apps/v1", "replicasets"),
    ("apis/apps/v1", "statefulsets"),
    ("apis/apps/v1", "daemonsets"),
    ("apis/batch/v1", "jobs"),
    ("apis/batch/v1", "cronjobs"),
    ("api/v1", "replicationcontrollers"),
    ("api/v1", "services"),
    ("apis/discovery.k8s.io/v1", "endpointslices"),
];

/// The most memory that a process had, KiB.
fn peak_memory(process: &Process) -> Result<u64> {
    let path = format!("/proc/{}/status", process.id());
    let text = std::fs::read_to_string(&path).context(&path)?;
    text.lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse().ok())
        .ok_or_else(|| Error::failed(format!("{path}: no VmHWM")))
}

/// Every text in a JSON value, names of fields too.
fn texts<'a>(value: &'a Value, out: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => out.push(text),
        Value::Array(all) => all.iter().for_each(|v| texts(v, out)),
        Value::Object(fields) => fields.iter().for_each(|(name, v)| {
            out.push(name);
            texts(v, out);
        }),
        _ => {}
    }
}

fn harmless(what: &str, value: &Value) {
    let mut all = vec![];
    texts(value, &mut all);
    for text in all {
        assert!(crowd::is_harmless(text), "{what}: {text:?} in {value}");
    }
}

/// `namespace subject` of each ticket of the check in this phase.
fn subjects(plane: &ControlPlane, phase: &str) -> Result<BTreeMap<String, Value>> {
    let mut found = BTreeMap::new();
    for ticket in installed::tickets_of(plane, "sidecar-missing")? {
        if ticket["status"]["phase"] != phase {
            continue;
        }
        let namespace = ticket["metadata"]["namespace"].as_str().unwrap_or("?");
        let subject = ticket["spec"]["finding"]["subjectRef"].as_str();
        let subject = format!("{namespace} {}", subject.unwrap_or("?"));
        if let Some(other) = found.insert(subject, ticket) {
            return Err(Error::failed(format!(
                "two tickets of one subject: {other}"
            )));
        }
    }
    Ok(found)
}

/// Waits until exactly the families that lack the sidecar have a ticket each.
fn wait_for_verdicts(plane: &ControlPlane, families: &[Family]) -> Result<BTreeMap<String, Value>> {
    wait_until(SETTLED, "the right tickets and no others", || {
        let found = subjects(plane, "Open")?;
        let mut left: BTreeMap<&str, &Value> = found
            .iter()
            .map(|(subject, t)| (subject.as_str(), t))
            .collect();
        let mut wrong = vec![];
        for family in families {
            let place = |subject: &String| format!("{} {subject}", family.namespace);
            let seen = family.lacking.iter().map(place);
            let seen = seen.filter(|s| left.remove(s.as_str()).is_some()).count();
            if seen != family.lacking.len().min(1) {
                let all: Vec<_> = family.lacking.iter().map(place).collect();
                wrong.push(format!("{}: {seen} of {all:?}", family.what));
            }
        }
        wrong.extend(left.keys().map(|subject| format!("unexpected: {subject}")));
        match wrong.as_slice() {
            [] => Ok(found),
            [..] => Err(Error::failed(format!(
                "{} wrong of {} tickets: {}",
                wrong.len(),
                found.len(),
                wrong
                    .iter()
                    .take(8)
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join("\n")
            ))),
        }
    })
}

/// Names are those of DNS labels and a pure function of what they stand for.
fn judge_names(tickets: &[Value]) {
    for ticket in tickets {
        let name = ticket["metadata"]["name"].as_str().unwrap_or("");
        let check = ticket["spec"]["finding"]["check"].as_str().unwrap_or("");
        let hash = name
            .strip_prefix(check)
            .and_then(|rest| rest.strip_prefix('-'));
        let hash = hash.unwrap_or_default();
        let base32 = |c: char| matches!(c, 'a'..='z' | '2'..='7');
        assert!(hash.len() == 26 && hash.chars().all(base32), "{name}");
    }
}

fn nodes(plane: &ControlPlane, random: &mut Random) -> Result<()> {
    let mut client = plane.client(ADMIN)?;
    for n in 0..NODES {
        let node = json!({"metadata": {"name": format!("node-{n}"), "annotations": {
                "example.com/text": "\u{202e}\u{1b}[0m<b>"}},
            "spec": {"taints": [{"key": "example.com/odd", "value": "", "effect": "PreferNoSchedule"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True",
                "reason": "x", "message": "\u{1b}[0m".repeat(usize::try_from(random.below(99)).unwrap_or(0))}]}});
        client
            .request("POST", "/api/v1/nodes", Some(&node))?
            .success()?;
        // Nobody else takes the taint of new nodes away.
        let path = format!("/api/v1/nodes/node-{n}");
        let untainted = json!({"spec": {"taints": node["spec"]["taints"]}});
        client
            .request("PATCH", &path, Some(&untainted))?
            .success()?;
    }
    Ok(())
}

/// An agent that no node has, because what the scheduler says of its pods is nasty.
fn agent(plane: &ControlPlane, namespace: &str) -> Result<()> {
    let mut client = plane.client(ADMIN)?;
    let template = json!({"metadata": {"labels": {"app": "falco"}},
        "spec": {"containers": [{"name": "falco", "image": "falco:1"}, {"name": "aegis", "image": "security/aegis:3"}]}});
    let daemon = json!({"metadata": {"name": "falco"}, "spec": {
        "selector": {"matchLabels": {"app": "falco"}}, "template": template}});
    let path = format!("/apis/apps/v1/namespaces/{namespace}/daemonsets");
    let daemon = client.request("POST", &path, Some(&daemon))?.success()?;
    for n in 0..3 {
        let mut pod = template.clone();
        pod["metadata"]["name"] = json!(format!("falco-{n}"));
        pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet",
            "name": "falco", "uid": daemon["metadata"]["uid"], "controller": true}]);
        pod["spec"]["affinity"] = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{"matchFields": [
                {"key": "metadata.name", "operator": "In", "values": [format!("node-{n}")]}]}]}}});
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        client.request("POST", &path, Some(&pod))?.success()?;
        let said = "no room\u{202e}\u{1b}]0;x\u{7} <script>\u{0}\u{200b}\u{2028}";
        let status = json!({"status": {"conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}]}});
        let path = format!("{path}/falco-{n}/status");
        client.request("PATCH", &path, Some(&status))?.success()?;
    }
    Ok(())
}

#[test]
fn f30_f36_ten_thousand_hostile_objects_are_seen_ticketed_harmlessly_and_resolved() -> Result<()> {
    let Some(stage) = Stage::bare("hostile")? else {
        return Ok(());
    };
    let (plane, receiver) = (&stage.plane, &stage.receiver);
    let seed = from_environment("KUBE_PATROL_SEED", 1)?;
    let wanted = from_environment("KUBE_PATROL_OBJECTS", OBJECTS)?;
    eprintln!("{wanted} objects, KUBE_PATROL_SEED={seed}");
    let mut random = Random::new(seed);
    let namespaces = crowd::namespace_names(&mut random, NAMESPACES);
    for name in &namespaces {
        plane.create_namespace(name)?;
    }
    let mut families: Vec<Family> = vec![];
    let mut made = 0;
    while made < wanted {
        let number = families.len() + 1;
        let namespace = random.pick(&namespaces).cloned().unwrap_or_default();
        let family = crowd::family(&mut random, &namespace, number);
        made += u64::try_from(family.size()).unwrap_or(0);
        families.push(family);
    }
    let lacking = families.iter().filter(|f| !f.lacking.is_empty()).count();

    let mut policy = installed::policy("production");
    policy["spec"]["checks"]
        .as_array_mut()
        .into_iter()
        .for_each(|checks| checks.push(json!({"name": "falco", "nodeAgent": {"selector": {"matchLabels": {"app": "falco"}}}})));
    policy["spec"]["tickets"]["maxPerCheck"] = json!(wanted);
    plane.apply(&policy.to_string())?;
    let builder = installed::operator(plane, "one")?;
    let mut operator = builder.spawn()?;

    let started = Instant::now();
    nodes(plane, &mut random)?;
    agent(plane, "shop")?;
    crowd::make(plane, &families)?;
    eprintln!(
        "{made} objects in {} families, {lacking} of which lack the sidecar, after {:?}",
        families.len(),
        started.elapsed()
    );
    let tickets = wait_for_verdicts(plane, &families)?;
    eprintln!("ticketed after {:?}", started.elapsed());
    wait_until(SOON, "three nodes without their agent", || {
        let tickets = installed::tickets_of(plane, "node-agent-missing")?;
        let said = |t: &Value| {
            let (finding, status) = (&t["spec"]["finding"], &t["status"]);
            let reason = &status["evidence"]["reasons"][0];
            format!("{} {} {reason}", finding["subjectRef"], status["phase"])
        };
        let found: Vec<_> = tickets.iter().map(said).collect();
        let wanted = |n: usize| format!("\"Node/node-{n}\" \"Open\" \"pending\"");
        match (0..3).all(|n| found.contains(&wanted(n))) {
            true => Ok(()),
            false => Err(Error::failed(found.join("; "))),
        }
    })?;

    // All of it can be read, so nothing is a blind spot.
    installed::patrols(plane, "production", 1)?;
    installed::condition(plane, "production", "Covered", "True")?;
    installed::condition(plane, "production", "Compliant", "False")?;
    let all = installed::tickets(plane)?;
    let blind: Vec<_> = all
        .iter()
        .filter(|t| t["spec"]["finding"]["check"] == "kind-unreadable")
        .collect();
    assert!(blind.is_empty(), "{blind:?}");
    judge_names(&all);
    all.iter().for_each(|ticket| harmless("a ticket", ticket));
    harmless(
        "the policy's status",
        &installed::policy_now(plane, "production")?["status"],
    );
    for notice in receiver.notices()? {
        harmless("a notice", &notice.raw);
    }
    let peak = peak_memory(&operator)?;
    eprintln!("{peak} KiB at most");
    assert!(
        peak < MEMORY_LIMIT,
        "{peak} KiB, the limit is {MEMORY_LIMIT} KiB"
    );

    // Another life finds the same world under the same names.
    operator.check_alive()?;
    operator.kill()?;
    let words = operator.stderr()?;
    assert!(!words.contains("panicked"), "{words}");
    assert!(
        words.lines().all(crowd::is_harmless),
        "a log line that steers a terminal"
    );
    let mut operator = builder.spawn()?;
    installed::patrols(plane, "production", 1)?;
    let uids = |all: &BTreeMap<String, Value>| -> BTreeMap<String, Value> {
        all.iter()
            .map(|(s, t)| (s.clone(), t["metadata"]["uid"].clone()))
            .collect()
    };
    assert_eq!(uids(&subjects(plane, "Open")?), uids(&tickets));

    // Nothing of it left: nothing open.
    let mut client = plane.client(ADMIN)?;
    for namespace in namespaces.iter().map(String::as_str).chain(["shop"]) {
        for (api, resource) in COLLECTIONS {
            let path = format!(
                "/{api}/namespaces/{namespace}/{resource}?gracePeriodSeconds=0&propagationPolicy=Background"
            );
            client.request("DELETE", &path, None)?.success()?;
        }
    }
    client.request("DELETE", "/api/v1/nodes", None)?.success()?;
    wait_until(SETTLED, "every ticket to be resolved", || {
        let open: Vec<_> = installed::tickets(plane)?
            .iter()
            .filter(|t| t["status"]["phase"] != "Resolved")
            .map(|t| format!("{} {}", installed::line(t), t["status"]["message"]))
            .collect();
        match open.as_slice() {
            [] => Ok(()),
            [first, ..] => Err(Error::failed(format!("{} open: {first}", open.len()))),
        }
    })?;
    installed::condition(plane, "production", "Compliant", "True")?;
    wait_until(SOON, "nothing more to tell", || {
        let path = "/apis/kubepatrol.io/v1alpha1/alertreceivers/soc";
        let soc = plane.request(ADMIN, "GET", path, None)?.success()?;
        match soc["status"]["pending"] == 0 {
            true => Ok(()),
            false => Err(Error::failed(soc["status"].to_string())),
        }
    })?;
    eprintln!("resolved and told after {:?}", started.elapsed());
    operator.check_alive()
}
