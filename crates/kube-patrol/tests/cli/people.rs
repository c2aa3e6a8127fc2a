//! `ack`, `snooze`, `assign`, `recheck` and `explain` on a state folder, as people use them.

use patrol_api::ticket::Ticket;
use serde_json::Value;

use super::process::{World, command, command_with, eventually};
use super::{BARE, COVERED, POLICY, deployment};

/// A folder with one gap, patrolled once: the ticket is open, of severity Medium.
fn patrolled() -> World {
    let world = World::new();
    world.write(
        "policy.yaml",
        &POLICY.replace("spec:", "spec:\n  tickets: {clearAfter: 0s}"),
    );
    world.write("web.yaml", &deployment("web", BARE));
    let (code, _, err) = world.run(&["--once"]);
    assert_eq!(code, Some(1), "{err}");
    world
}

/// Runs a command about the tickets of a world, as a user of this name.
fn ask(world: &World, user: &str, args: &[&str]) -> (Option<i32>, String, String) {
    let state = world.path(".kube-patrol");
    let all = [args, &["--state", state.to_str().unwrap()]].concat();
    command_with(&all, &[("USER", user)])
}

fn ticket(world: &World) -> Ticket {
    let (_, text) = world.tickets("shop").remove(0);
    let value: Value = serde_saphyr::from_str(&text).unwrap();
    serde_json::from_value(value).unwrap()
}

#[test]
fn an_acknowledgement_says_what_follows_and_survives_the_next_patrol() {
    let world = patrolled();
    let name = ticket(&world).metadata.name.unwrap();
    let (code, out, err) = ask(
        &world,
        "alice",
        &[
            "ack",
            "sidecar-missing",
            "--for",
            "8h",
            "--reason",
            "fix is in review",
        ],
    );
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let asked = ticket(&world).spec.acknowledge.unwrap();
    assert_eq!(
        (&*asked.reason, asked.by.as_deref()),
        ("fix is in review", Some("alice"))
    );
    let until = asked.until.chrono().format("%Y-%m-%d %H:%M UTC");
    assert!(
        out.starts_with(&format!(
            "Ticket shop/{name} acknowledged until {until} by alice: no reminders until then; the due time "
        )),
        "{out}"
    );
    let (code, ..) = ask(&world, "bob", &["assign", &name, "-n", "shop", "ann"]);
    assert_eq!(code, Some(0));
    let (code, ..) = ask(&world, "bob", &["recheck", &name]);
    assert_eq!(code, Some(0));
    let before = ticket(&world).spec;
    assert!(before.recheck.is_some());
    let (code, _, err) = world.run(&["--once"]);
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(ticket(&world).spec, before);
}

#[test]
fn a_running_patrol_takes_the_edit_and_keeps_it_over_its_own_writes() {
    let world = patrolled();
    let local = world.start(&[]);
    local.logs("patrolling");
    let (code, out, err) = ask(
        &world,
        "alice",
        &["snooze", "sidecar-missing", "--reason", "later"],
    );
    assert_eq!(code, Some(0), "{out}{err}");
    let snooze = ticket(&world).spec.snooze.unwrap();
    world.write("web.yaml", &deployment("web", COVERED));
    world.ticket_in("shop", "sidecar-missing", "Resolved");
    assert_eq!(ticket(&world).spec.snooze, Some(snooze));
    assert_eq!(local.stop(), Some(0));
}

#[test]
fn what_cannot_be_done_is_one_sentence_and_writes_nothing() {
    let world = patrolled();
    let before = world.state_as_text();
    let refused = |args: &[&str], words: &str| {
        let (code, out, err) = ask(&world, "alice", args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(err.contains(words), "{args:?}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
        assert!(err.starts_with("kube-patrol: ticket "), "{err}");
    };
    // Medium: an acknowledgement of 7 days, a snooze of 14.
    let long = ["ack", "sidecar-missing", "--for", "7d1s", "--reason", "x"];
    refused(
        &long,
        "an acknowledgement of severity Medium lasts at most 7d, until ",
    );
    let late = [
        "snooze",
        "sidecar-missing",
        "--until",
        "2020-01-01",
        "--reason",
        "x",
    ];
    refused(&late, "2020-01-01 00:00 UTC is not in the future");
    refused(&["ack", "nothing-like-it", "--reason", "x"], "not found");
    // One that cannot be found keeps the others from being written.
    refused(
        &["recheck", "sidecar-missing", "nothing-like-it"],
        "not found",
    );
    let endless = "x".repeat(1025);
    let wordy = ["ack", "sidecar-missing", "--reason", &endless];
    refused(&wordy, "spec.acknowledge.reason");
    assert_eq!(world.state_as_text(), before);

    world.write("web.yaml", &deployment("web", COVERED));
    assert_eq!(world.run(&["--once"]).0, Some(0));
    let ack = ["ack", "sidecar-missing", "--reason", "x"];
    refused(&ack, "it is resolved (Fixed), so there is nothing to do");
    refused(
        &["assign", "sidecar-missing", "ann"],
        "it is resolved (Fixed)",
    );
}

#[test]
fn usage_is_checked_before_anything_is_looked_at() {
    for args in [
        &["ack", "t"][..],
        &["ack", "t", "--clear", "--reason", "x"],
        &[
            "ack",
            "t",
            "--reason",
            "x",
            "--for",
            "1h",
            "--until",
            "2030-01-01",
        ],
        &["snooze", "t", "--reason", "x", "--until", "soon"],
        &["assign", "t"],
        &["assign", "t", "ann", "--none"],
        &["recheck"],
        &["close", "t"],
    ] {
        let (code, out, _) = command(args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}");
    }
    let (_, help, _) = command(&["ack", "--help"]);
    assert!(
        help.contains("There is no command that closes a ticket"),
        "{help}"
    );
}

#[test]
fn an_acknowledgement_can_be_taken_back() {
    let world = patrolled();
    ask(
        &world,
        "alice",
        &["ack", "sidecar-missing", "--reason", "x"],
    );
    let (code, out, _) = ask(&world, "bob", &["ack", "sidecar-missing", "--clear"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("is no longer acknowledged"), "{out}");
    assert_eq!(ticket(&world).spec.acknowledge, None);
    let (code, out, _) = ask(&world, "bob", &["ack", "sidecar-missing", "--clear"]);
    assert_eq!(code, Some(0));
    assert!(
        out.contains("is not acknowledged: nothing to take back"),
        "{out}"
    );
}

#[test]
fn explain_says_who_was_told_what_comes_and_how_to_waive() {
    let world = patrolled();
    ask(&world, "alice", &["assign", "sidecar-missing", "ann"]);
    let (code, out, err) = ask(&world, "alice", &["explain", "sidecar-missing"]);
    assert_eq!(code, Some(0), "{err}");
    let section = |title: &str| {
        let (_, rest) = out.split_once(&format!("\n{title}")).unwrap();
        rest.split("\n\n").next().unwrap().to_owned()
    };
    assert!(out.contains("Turn:      the customer's (layer "), "{out}");
    assert!(out.contains(", assigned to ann\n"), "{out}");
    assert!(
        section("Told").contains("terminal: Firing (Opened, edge 1, telling 1)"),
        "{out}"
    );
    let next = section("Next");
    for words in [
        "terminal is reminded",
        "it is due: whoever is told hears SLABreached",
        "the next patrol of production",
    ] {
        assert!(next.contains(words), "{words}: {next}");
    }
    let (_, waiver) = out.split_once("then apply this\n").unwrap();
    let waiver = waiver.replace("\n  ", "\n");
    world.write("waiver.yaml", waiver.trim_start());
    let path = world.path("waiver.yaml");
    let (code, _, err) = command(&["lint", path.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{waiver}{err}");
}

#[test]
fn who_edits_at_the_same_moment_loses_nothing() {
    let world = patrolled();
    let state = world.path(".kube-patrol");
    let state = state.to_str().unwrap();
    let asked = [
        vec!["ack", "sidecar-missing", "--reason", "x"],
        vec!["assign", "sidecar-missing", "ann"],
        vec!["recheck", "sidecar-missing"],
    ];
    std::thread::scope(|scope| {
        for args in &asked {
            scope.spawn(move || {
                let all = [&args[..], &["--state", state]].concat();
                assert_eq!(command(&all).0, Some(0), "{all:?}");
            });
        }
    });
    let spec = eventually("all three", || {
        let spec = ticket(&world).spec;
        (spec.acknowledge.is_some() && spec.assignee.is_some() && spec.recheck.is_some())
            .then_some(spec)
    });
    assert_eq!(spec.assignee.as_deref(), Some("ann"));
}
