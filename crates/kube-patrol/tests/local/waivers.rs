//! What people lay over tickets in local mode: an acknowledgement is a command, a waiver a file that comes and goes.

use std::fs;

use patrol_api::ticket::Ticket;
use patrol_api::words::{Phase, Resolution};
use serde_json::Value;

use super::process::{World, command_with, eventually};
use super::{BARE, mended, world};

const WAIVER: &str = "apiVersion: kubepatrol.io/v1alpha1
kind: TicketWaiver
metadata: {name: vendor, namespace: shop}
spec:
  checks: [sidecar-missing]
  subjects: {names: [batch]}
  reason: until the vendor ships it
  owner: team shop
";

/// The same manifest of another Deployment.
fn of_batch(manifest: &str) -> String {
    manifest.replace("web", "batch")
}

/// The ticket of a Deployment, once it is in a phase.
fn ticket(world: &World, name: &str, phase: Phase) -> Ticket {
    eventually(&format!("{name} {phase}"), || {
        let texts = world.tickets("shop").into_iter().map(|(_, text)| text);
        texts
            .filter_map(|text| {
                let value: Value = serde_saphyr::from_str(&text).ok()?;
                serde_json::from_value::<Ticket>(value).ok()
            })
            .find(|ticket| {
                ticket.spec.finding.subject.name == name
                    && ticket.status.as_ref().is_some_and(|s| s.phase == phase)
            })
    })
}

/// Runs a command about the tickets of a world.
fn ask(world: &World, args: &[&str]) {
    let state = world.path(".kube-patrol");
    let all = [args, &["--state", state.to_str().unwrap()]].concat();
    let (code, out, err) = command_with(&all, &[("USER", "alice")]);
    assert_eq!(code, Some(0), "{args:?}: {out}{err}");
}

/// The first line that is said of a Deployment.
fn line(word: &str, name: &str) -> String {
    format!("{word:<11} Critical sidecar-missing shop/Deployment/{name}")
}

#[test]
fn what_people_lay_over_tickets_holds_and_comes_off_again() {
    let world = world();
    world.write("batch.yaml", &of_batch(BARE));
    let local = world.start(&[]);
    let web = ticket(&world, "web", Phase::Open);
    let batch = ticket(&world, "batch", Phase::Open);
    local.says(&line("Opened", "web"));
    local.says(&line("Opened", "batch"));

    let name = web.metadata.name.unwrap();
    ask(&world, &["ack", &name, "--reason", "in review"]);
    let taken = ticket(&world, "web", Phase::Acknowledged).status.unwrap();
    assert_eq!(taken.overlay.unwrap().by.as_deref(), Some("alice"));

    world.write("waiver.yaml", WAIVER);
    let waived = ticket(&world, "batch", Phase::Waived).status.unwrap();
    let waiver = waived.overlay.unwrap().waiver;
    assert_eq!(waiver.as_deref(), Some("shop/vendor"));
    local.says(&line("Waived", "batch"));
    let kept = world.path(".kube-patrol/waivers/shop.vendor.yaml");
    eventually("the waiver says that it stands over one ticket", || {
        let text = fs::read_to_string(&kept).ok()?;
        (text.contains("matched: 1") && text.contains("reason: Active")).then_some(())
    });

    // Taken away, it leaves the same ticket with its history.
    fs::remove_file(world.path("waiver.yaml")).unwrap();
    let back = ticket(&world, "batch", Phase::Open);
    assert_eq!(back.metadata.uid, batch.metadata.uid);
    let (back, before) = (back.status.unwrap(), batch.status.unwrap());
    assert_eq!(back.overlay, None);
    assert_eq!(back.episode.n, 1);
    assert_eq!(back.episode.opened_at, before.episode.opened_at);
    let reasons: Vec<_> = back.history.iter().map(|h| h.reason.as_str()).collect();
    assert_eq!(reasons, ["Opened", "Waived", "WaiverEnded"]);
    local.says(&line("WaiverEnded", "batch"));
    assert!(!kept.exists(), "it is kept without its manifest");

    ask(&world, &["ack", &name, "--clear"]);
    ticket(&world, "web", Phase::Open);
    local.says(&line("ReArmed", "web"));

    world.write("web.yaml", &mended());
    world.write("batch.yaml", &of_batch(&mended()));
    for name in ["web", "batch"] {
        let ended = ticket(&world, name, Phase::Resolved).status.unwrap();
        assert_eq!(ended.episode.resolution, Some(Resolution::Fixed), "{name}");
        local.says(&line("Fixed", name));
    }
    let (code, out) = local.stop_and_read();
    assert_eq!(code, Some(0));
    // Each thing once, and nothing else.
    for (name, words) in [
        ("web", &["Opened", "ReArmed", "Fixed"][..]),
        ("batch", &["Opened", "Waived", "WaiverEnded", "Fixed"]),
    ] {
        let said: Vec<&str> = out
            .lines()
            .filter(|said| said.contains(&format!("shop/Deployment/{name}")))
            .filter_map(|said| said.split_whitespace().next())
            .collect();
        assert_eq!(said, words, "{out}");
    }
}
