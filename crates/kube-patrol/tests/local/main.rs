//! Local mode as people run it: the binary on a folder, its files, its output, its end.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // a test fails loudly

mod faults;
mod once;
mod process;
mod receiver;
mod stopping;
mod waivers;

use std::fs;
use std::time::Duration;

use process::{Local, World, eventually};
use receiver::Receiver;

const BARE: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: registry.example.com/web:1}
";

fn mended() -> String {
    format!("{BARE}      - {{name: agent, image: registry.example.com/agent:1}}\n")
}

const POLICY: &str = "apiVersion: kubepatrol.io/v1alpha1
kind: PatrolPolicy
metadata: {name: production}
spec:
  schedule: {every: 10s}
  tickets: {clearAfter: 0s}
  checks:
  - name: agent
    severity: Critical
    sidecar: {container: agent}
";

fn world() -> World {
    let world = World::new();
    world.write("web.yaml", BARE);
    world.write("policy.yaml", POLICY);
    world
}

#[test]
fn a_gap_opens_a_ticket_and_mending_the_manifest_resolves_it() {
    let world = world();
    let local = world.start(&[]);
    let ticket = world.ticket_in("shop", "sidecar-missing", "Open");
    assert!(ticket.contains("subjectRef: Deployment/web"), "{ticket}");
    local.says("sidecar-missing shop/Deployment/web");
    world.write("web.yaml", &mended());
    let resolved = world.ticket_in("shop", "sidecar-missing", "Resolved");
    assert!(resolved.contains("resolution: Fixed"), "{resolved}");
    local.says("Fixed");
    assert_eq!(local.stop(), Some(0));
}

#[test]
fn a_removed_manifest_is_a_subject_that_is_gone() {
    let world = world();
    let _local = world.start(&[]);
    world.ticket_in("shop", "sidecar-missing", "Open");
    fs::remove_file(world.path("web.yaml")).unwrap();
    let ticket = world.ticket_in("shop", "sidecar-missing", "Resolved");
    assert!(ticket.contains("resolution: SubjectGone"), "{ticket}");
}

#[test]
fn what_cannot_be_read_resolves_nothing() {
    let world = world();
    let local = world.start(&[]);
    let open = world.ticket_in("shop", "sidecar-missing", "Open");
    for broken in ["", "kind: Deployment\nspec: [", "# nothing\n"] {
        world.write("web.yaml", broken);
        // A later change was seen, so the broken file was looked at before.
        world.write("marker.yaml", "kind: [\n");
        local.logs("marker.yaml:1: not inspected: is no valid YAML");
        fs::remove_file(world.path("marker.yaml")).unwrap();
        local.logs("mended: ");
        local.forget_log();
    }
    assert_eq!(
        world.phase_in("shop", "sidecar-missing").as_deref(),
        Some("Open")
    );
    drop(local);
    // Neither does a restart over the broken file.
    world.write("web.yaml", "");
    let again = world.start(&[]);
    world.write("marker.yaml", "kind: [\n");
    again.logs("marker.yaml:1: not inspected: is no valid YAML");
    assert_eq!(
        world.phase_in("shop", "sidecar-missing").as_deref(),
        Some("Open")
    );
    fs::remove_file(world.path("marker.yaml")).unwrap();
    world.write("web.yaml", &mended());
    let resolved = world.ticket_in("shop", "sidecar-missing", "Resolved");
    let uid = |text: &str| text.lines().find(|l| l.contains("uid:")).map(str::to_owned);
    assert_eq!(uid(&open), uid(&resolved));
}

#[test]
fn a_killed_process_loses_nothing() {
    let world = world();
    for i in 0..20 {
        let manifest = BARE.replace("name: web, namespace", &format!("name: web{i}, namespace"));
        world.write(&format!("web{i}.yaml"), &manifest);
    }
    let mut uids: Vec<(String, String)> = vec![];
    for delay in (0..12).map(|i| Duration::from_millis(60 * i)) {
        let mut local = world.start(&[]);
        // The instant matters and not the condition: any must do.
        local.kill_after(delay);
        for (name, text) in world.tickets("shop") {
            assert!(text.contains("kind: Ticket"), "half a file: {name}: {text}");
            let uid = text.lines().find(|l| l.trim_start().starts_with("uid:"));
            let uid = uid.unwrap_or_default().to_owned();
            match uids.iter().find(|(known, _)| *known == name) {
                Some((_, known)) => assert_eq!(*known, uid, "{name}"),
                None => uids.push((name, uid)),
            }
        }
    }
    let _local = world.start(&[]);
    eventually("every gap has its ticket", || {
        (world.tickets("shop").len() == 21).then_some(())
    });
    for (name, known) in uids {
        let (_, text) = world
            .tickets("shop")
            .into_iter()
            .find(|(n, _)| *n == name)
            .unwrap();
        assert!(text.contains(known.trim()), "{name}");
    }
}

/// Each gap is told, and whatever is told twice over a crash carries the same id.
#[test]
fn a_killed_process_tells_each_thing_under_one_id() {
    let world = world();
    let receiver = Receiver::start();
    world.write(
        "receiver.yaml",
        &format!(
            "apiVersion: kubepatrol.io/v1alpha1\nkind: AlertReceiver\nmetadata: {{name: hook}}\n\
             spec: {{webhook: {{url: '{}'}}}}\n",
            receiver.url()
        ),
    );
    let alerts = "  alerts: {groupWait: 0s, groupInterval: 1s, receivers: [{name: hook}]}\n";
    world.write("policy.yaml", &format!("{POLICY}{alerts}"));
    for delay in (0..12).map(|i| Duration::from_millis(50 * i)) {
        world.start(&[]).kill_after(delay);
    }
    let _local = world.start(&[]);
    let first = eventually("the gap is told", || receiver.told().into_iter().next());
    world.write("web.yaml", &mended());
    eventually("its end is told", || {
        let closed =
            |(name, state, _): &(String, String, String)| *name == first.0 && state == "Closed";
        receiver.told().iter().any(closed).then_some(())
    });
    for state in ["Firing", "Closed"] {
        let mut ids: Vec<_> = receiver
            .told()
            .into_iter()
            .filter(|(name, s, _)| *name == first.0 && s == state)
            .map(|(_, _, id)| id)
            .collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 1, "{state}: {ids:?}");
    }
}

#[test]
fn a_ticket_removed_or_broken_by_hand_comes_back() {
    let world = world();
    let _local = world.start(&[]);
    world.ticket_in("shop", "sidecar-missing", "Open");
    fs::remove_dir_all(world.path(".kube-patrol/tickets/shop")).unwrap();
    world.ticket_in("shop", "sidecar-missing", "Open");
    let (name, _) = world.tickets("shop").remove(0);
    let path = format!(".kube-patrol/tickets/shop/{name}");
    world.write(&path, "{half a tick");
    eventually("the broken file was put aside", || {
        world.path(&format!("{path}.broken")).exists().then_some(())
    });
    world.ticket_in("shop", "sidecar-missing", "Open");
}

#[test]
fn a_policy_that_is_removed_ends_its_tickets_and_says_so() {
    let world = world();
    let local = world.start(&[]);
    world.ticket_in("shop", "sidecar-missing", "Open");
    local.says("sidecar-missing shop/Deployment/web");
    fs::remove_file(world.path("policy.yaml")).unwrap();
    let ticket = world.ticket_in("shop", "sidecar-missing", "Resolved");
    assert!(ticket.contains("resolution: PolicyRemoved"), "{ticket}");
    local.says("PolicyRemoved");
    eventually("the policy is gone", || {
        (!world.path(".kube-patrol/policies/production.yaml").exists()).then_some(())
    });
}

#[test]
fn one_process_works_on_a_state_folder() {
    let world = world();
    let local = world.start(&[]);
    world.ticket_in("shop", "sidecar-missing", "Open");
    let (code, out, err) = world.run(&[]);
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains(&format!("process {}", local.id())), "{err}");
    assert!(err.starts_with("kube-patrol: "), "{err}");
}

#[test]
fn once_patrols_and_ends_with_what_it_found() {
    let world = world();
    let (code, out, err) = world.run(&["--once"]);
    assert_eq!(code, Some(1), "{out}{err}");
    world.ticket_in("shop", "sidecar-missing", "Open");
    world.write("web.yaml", &mended());
    let (code, out, err) = world.run(&["--once"]);
    assert_eq!(code, Some(0), "{out}{err}");
    world.write("broken.yaml", "kind: [\n");
    let (code, out, err) = world.run(&["--once"]);
    assert_eq!(code, Some(3), "{out}{err}");
    let (code, _, err) = process::command(&["local", "/nonexistent/folder", "--once"]);
    assert_eq!(code, Some(2));
    assert!(
        err.starts_with("kube-patrol: /nonexistent/folder: "),
        "{err}"
    );
}

#[test]
fn secrets_stay_in_their_place() {
    let world = world();
    let value = "https://hooks.invalid/T000/s3cr3t-token";
    world.write(
        "receiver.yaml",
        &format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: soc, namespace: kube-patrol}}\nstringData: {{url: '{value}'}}\n---\n\
             apiVersion: kubepatrol.io/v1alpha1\nkind: AlertReceiver\nmetadata: {{name: soc}}\n\
             spec: {{webhook: {{urlFrom: {{secretKeyRef: {{name: soc, key: url}}}}}}}}\n"
        ),
    );
    world.write(
        "policy.yaml",
        &format!("{POLICY}  alerts: {{groupWait: 0s, receivers: [{{name: soc}}]}}\n"),
    );
    let local = world.start(&["--log-level", "debug"]);
    world.ticket_in("shop", "sidecar-missing", "Open");
    local.logs("receiver did not accept");
    let everything = format!("{}{}{}", local.out(), local.log(), world.state_as_text());
    assert!(!everything.contains("s3cr3t"), "{everything}");
}

#[test]
fn metrics_and_probes_are_served_when_asked_for() {
    let world = world();
    let local: Local = world.start(&["--listen", "127.0.0.1:0"]);
    let address = local.listens_on();
    eventually("it is ready", || {
        process::get(&address, "/readyz").filter(|reply| reply.starts_with("HTTP/1.1 200"))
    });
    let metrics = process::get(&address, "/metrics").unwrap();
    assert!(metrics.contains("patrol_tickets"), "{metrics}");
}
