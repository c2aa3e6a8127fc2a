//! `--once`: it ends when all that is due is told or failed, and not before.

use super::process::World;
use super::receiver::Receiver;
use super::{BARE, POLICY, mended, world};

fn hook(world: &World, url: &str, wait: &str) {
    world.write(
        "receiver.yaml",
        &format!(
            "apiVersion: kubepatrol.io/v1alpha1\nkind: AlertReceiver\nmetadata: {{name: hook}}\n\
             spec: {{webhook: {{url: '{url}'}}}}\n"
        ),
    );
    let policy = POLICY.replace("clearAfter: 0s", "clearAfter: 1s");
    let alerts = format!("  alerts: {{groupWait: {wait}, receivers: [{{name: hook}}]}}\n");
    world.write("policy.yaml", &format!("{policy}{alerts}"));
}

#[test]
fn what_waits_for_company_is_told_before_the_end() {
    let world = world();
    let receiver = Receiver::start();
    hook(&world, &receiver.url(), "2s");
    let (code, out, err) = world.run(&["--once"]);
    assert_eq!(code, Some(1), "{out}{err}");
    let told = receiver.told();
    let sidecar = |state: &str| {
        told.iter()
            .any(|(name, s, _)| name.starts_with("sidecar-missing") && s == state)
    };
    assert!(sidecar("Firing"), "{told:?}");
    let text = world.ticket_in("shop", "sidecar-missing", "Open");
    assert!(text.contains("state: Firing"), "the ledger knows: {text}");
}

#[test]
fn what_passes_is_watched_until_its_ticket_resolves() {
    let world = world();
    let receiver = Receiver::start();
    hook(&world, &receiver.url(), "0s");
    world.run(&["--once"]);
    world.write("web.yaml", &mended());
    let (code, out, err) = world.run(&["--once"]);
    assert_eq!(code, Some(0), "{out}{err}");
    world.ticket_in("shop", "sidecar-missing", "Resolved");
    let told = receiver.told();
    assert!(
        told.iter().any(|(_, state, _)| state == "Closed"),
        "{told:?}"
    );
}

#[test]
fn a_receiver_that_takes_nothing_is_named_and_does_not_hold_it() {
    let world = world();
    // Nothing listens on this port, and nothing can.
    hook(&world, "http://127.0.0.1:1/s3cr3t-path", "0s");
    let (code, out, err) = world.run(&["--once"]);
    assert_eq!(code, Some(1), "{out}{err}");
    let said = "kube-patrol: receiver hook: 1 alert was not accepted: mend the receiver";
    assert!(err.contains(said), "{err}");
    assert!(!format!("{out}{err}").contains("s3cr3t"), "{err}");
}

#[test]
fn tickets_that_cannot_be_written_are_no_clean_world() {
    let world = world();
    std::fs::create_dir_all(world.path(".kube-patrol/tickets")).unwrap();
    world.write(".kube-patrol/tickets/shop", "a file where a folder belongs");
    let (code, out, err) = world.run(&["--once"]);
    assert_eq!(code, Some(2), "{out}{err}");
    let said = "kube-patrol: 1 finding: the tickets could not be written: ";
    assert!(err.contains(said), "{err}");
    let lines = err.matches("this and later writes are tried again").count();
    assert_eq!(lines, 1, "one line for as long as it lasts: {err}");
}

#[test]
fn each_run_is_a_patrol() {
    let world = world();
    world.write("policy.yaml", &POLICY.replace("every: 10s", "every: 24h"));
    let started = |world: &World| {
        let text = std::fs::read_to_string(world.path(".kube-patrol/policies/production.yaml"));
        let text = text.unwrap();
        let at = text.find("lastPatrol:").unwrap();
        text[at..]
            .lines()
            .find(|l| l.contains("startedAt:"))
            .unwrap()
            .to_owned()
    };
    world.run(&["--once"]);
    let first = started(&world);
    // Times have whole seconds.
    super::process::eventually("a second patrol has its own time", || {
        world.run(&["--once"]);
        (started(&world) != first).then_some(())
    });
}

#[test]
fn people_read_the_most_severe_first() {
    let world = World::new();
    world.write("web.yaml", BARE);
    let more = "  - {name: low, severity: Low, sidecar: {container: other}}\n\
                \x20 - {name: agents, severity: Medium, component: {anyOf: [{crd: {name: a.b.c}}]}}\n";
    world.write("policy.yaml", &format!("{POLICY}{more}"));
    world.write(
        "namespace.yaml",
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n",
    );
    let (_, out, err) = world.run(&["--once"]);
    let first = out.lines().next().unwrap_or_default();
    assert!(first.starts_with("Opened      Critical "), "{out}{err}");
}
