//! The life of a ticket and its writes.

use patrol_api::time::Span;
use patrol_api::words::{Phase, Resolution};
use patrol_core::event::{Event, Refusal, WriteResult};
use patrol_core::kind::Kind;
use serde_json::json;

use crate::world::{Fate, Mood, World, key};

fn bad() -> serde_json::Value {
    json!({"bad": "yes"})
}

#[test]
fn a_failing_pod_opens_one_ticket_with_one_post() {
    let mut w = World::patrolled();
    let before = w.writes.len();
    w.run_for(Span::seconds(1));
    w.pod("shop/web", bad());
    w.settle();
    let writes = w.writes_since(before);
    let tickets = writes.iter().filter(|w| !w.starts_with("policy"));
    assert_eq!(tickets.count(), 1, "{writes:?}");
    let ticket = w.ticket("shop/web");
    assert_eq!(ticket.spec.finding.subject_ref, "Pod/web");
    assert_eq!(
        ticket.metadata.labels.unwrap()["kubepatrol.io/severity"],
        "high"
    );
    assert!(ticket.status.is_none());
    w.run_for(Span::seconds(10));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
    assert!(w.status("shop/web").episode.due_at.is_some());
}

#[test]
fn t6_passing_for_clear_after_resolves_as_fixed() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::seconds(20));
    w.pod("shop/web", json!({}));
    w.run_for(Span::seconds(28));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
    w.run_for(Span::seconds(4));
    let status = w.status("shop/web");
    assert_eq!(status.phase, Phase::Resolved);
    assert_eq!(status.episode.resolution, Some(Resolution::Fixed));
    let labels = w.ticket("shop/web").metadata.labels.unwrap();
    assert_eq!(labels["kubepatrol.io/state"], "resolved");
}

#[test]
fn failing_again_while_clearing_keeps_the_episode() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::seconds(20));
    w.pod("shop/web", json!({}));
    w.run_for(Span::seconds(20));
    w.pod("shop/web", bad());
    w.run_for(Span::seconds(5));
    w.pod("shop/web", json!({}));
    w.run_for(Span::seconds(28));
    let status = w.status("shop/web");
    assert_eq!((status.phase, status.episode.n), (Phase::Open, 1));
}

#[test]
fn a_deleted_subject_resolves_as_gone_at_once() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::seconds(20));
    w.delete(Kind::Pod, &key("shop", "web"));
    w.settle();
    let status = w.status("shop/web");
    assert_eq!(status.episode.resolution, Some(Resolution::SubjectGone));
}

#[test]
fn a_gap_that_comes_back_is_a_new_episode_of_the_same_ticket() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::seconds(20));
    let uid = w.ticket("shop/web").metadata.uid;
    w.pod("shop/web", json!({}));
    w.run_for(Span::seconds(60));
    w.pod("shop/web", bad());
    w.run_for(Span::seconds(2));
    let status = w.status("shop/web");
    assert_eq!((status.phase, status.episode.n), (Phase::Open, 2));
    assert_eq!((status.alert_seq, status.recurrences), (2, 1));
    assert_eq!(w.ticket("shop/web").metadata.uid, uid);
    assert_eq!(w.tickets().len(), 1);
}

#[test]
fn a_raised_severity_is_an_edge_and_moves_the_due_time_nearer() {
    let mut w = World::patrolled();
    w.pod("shop/web", json!({"bad": "yes", "severity": "Low"}));
    w.run_for(Span::seconds(20));
    let due = w.status("shop/web").episode.due_at.unwrap();
    w.pod("shop/web", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::seconds(2));
    let status = w.status("shop/web");
    assert_eq!(status.alert_seq, 2);
    assert!(status.episode.due_at.unwrap() < due);
    w.pod("shop/web", json!({"bad": "yes", "severity": "Low"}));
    w.run_for(Span::seconds(2));
    assert_eq!(w.status("shop/web").alert_seq, 2, "lowering is no edge");
}

#[test]
fn an_sla_that_passes_is_noted_even_when_the_first_status_was_never_written() {
    let mut w = World::patrolled();
    w.pod("shop/web", json!({"bad": "yes", "severity": "Critical"}));
    w.settle();
    assert!(w.ticket("shop/web").status.is_none());
    w.restart();
    w.run_for(Span::hours(25));
    let status = w.status("shop/web");
    assert!(status.episode.breached_at.is_some(), "{:?}", status.episode);
    let told = w.told("soc", "shop/web");
    assert!(told.iter().any(|t| t.contains("SLABreached")), "{told:?}");
}

#[test]
fn a_resolved_ticket_is_deleted_after_its_retention() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::seconds(60));
    w.delete(Kind::Pod, &key("shop", "web"));
    w.run_for(Span::days(29));
    assert_eq!(w.tickets().len(), 1);
    w.run_for(Span::days(2));
    assert_eq!(w.tickets().len(), 0);
}

#[test]
fn retention_waits_for_who_is_owed_the_end() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy("p", json!({"tickets": {"retention": "1h"}}));
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(5));
    w.mood(
        "soc",
        crate::world::Mood::Answer(patrol_core::event::DeliveryClass::Transient),
    );
    w.delete(Kind::Pod, &key("shop", "web"));
    w.run_for(Span::hours(5));
    assert_eq!(w.tickets().len(), 1, "the end is owed");
    w.mood("soc", crate::world::Mood::Accept);
    w.run_for(Span::minutes(30));
    assert_eq!(w.tickets().len(), 0);
    assert_eq!(
        w.told("soc", "shop/web").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

/// Nor does it go before somebody hears that it was there at all.
#[test]
fn retention_waits_for_who_never_heard_of_it() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy("p", json!({"tickets": {"retention": "1h"}}));
    w.mood(
        "soc",
        crate::world::Mood::Answer(patrol_core::event::DeliveryClass::Config("refused")),
    );
    w.pod("shop/web", bad());
    w.run_for(Span::hours(1));
    w.delete(Kind::Pod, &key("shop", "web"));
    w.run_for(Span::hours(5));
    assert_eq!(w.tickets().len(), 1, "it is owed");
    w.mood("soc", crate::world::Mood::Accept);
    w.run_for(Span::minutes(30));
    assert_eq!(w.told("soc", "shop/web"), ["Closed 1.1.1 Late"]);
    assert_eq!(w.tickets().len(), 0);
}

#[test]
fn an_unchanged_world_costs_one_status_write_a_patrol_and_few_ticks() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.pod("shop/fine", json!({}));
    w.run_for(Span::minutes(40));
    let (before, ticks) = (w.writes.len(), w.ticks);
    w.run_for(Span::hours(3));
    let writes = w.writes_since(before);
    assert_eq!(writes.len(), 12, "{writes:?}");
    assert!(writes.iter().all(|w| *w == "policy p"), "{writes:?}");
    assert!(w.ticks - ticks < 3 * 3600 / 8, "{} ticks", w.ticks - ticks);
}

#[test]
fn a_lost_answer_to_a_create_makes_no_second_ticket() {
    let mut w = World::patrolled();
    w.fate("create", [Fate::Unanswered]);
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(3));
    assert_eq!(w.tickets().len(), 1);
    assert_eq!(w.told("soc", "shop/web").len(), 1);
}

#[test]
fn a_lost_create_is_tried_again() {
    let mut w = World::patrolled();
    w.fate("create", [Fate::Lost, Fate::Answer(WriteResult::Failed)]);
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(3));
    assert_eq!(w.tickets().len(), 1);
}

#[test]
fn a_taken_name_that_is_free_again_when_it_is_read_is_created() {
    let mut w = World::patrolled();
    w.fate("create", [Fate::Answer(WriteResult::Exists(None))]);
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    assert_eq!(w.tickets().len(), 1);
}

#[test]
fn a_conflict_is_read_and_written_again() {
    let mut w = World::patrolled();
    w.fate("status", [Fate::Answer(WriteResult::Conflict)]);
    w.pod("shop/web", bad());
    // The read brings nothing newer than what is known: that must not be asked for ever.
    w.run_for(Span::seconds(30));
    assert!(w.ticket("shop/web").status.is_some());
    let reads = w.writes.iter().filter(|(_, what)| what.starts_with("read"));
    assert_eq!(reads.count(), 1);
}

#[test]
fn the_kind_ticket_goes_and_comes_back() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    for at in w.keys(Kind::Ticket, "shop") {
        w.server.delete(Kind::Ticket, &at);
    }
    w.pod("shop/new", bad());
    w.fate(
        "create",
        std::iter::repeat_n(Fate::Answer(WriteResult::NotFound), 3),
    );
    w.run_for(Span::seconds(10));
    let tries = w
        .writes
        .iter()
        .filter(|(_, what)| what.starts_with("create"));
    assert!(tries.count() < 6, "a 404 is no reason to hurry");
    w.event(Event::NotInstalled(Kind::Ticket));
    w.run_for(Span::minutes(5));
    assert_eq!(w.says("p", "Ready"), "False(TicketsUnreadable)");
    w.fates.clear();
    w.list(Kind::Ticket);
    w.run_for(Span::minutes(2));
    assert_eq!(w.open(), 2);
    assert_eq!(w.says("p", "Ready"), "True(Patrolling)");
    assert_eq!(
        w.told("soc", "shop/web").len(),
        1,
        "what was told is not told again"
    );
}

#[test]
fn findings_that_cannot_be_kept_show_and_are_kept_later() {
    let mut w = World::patrolled();
    let no = Fate::Answer(WriteResult::Refused(Refusal::Forbidden));
    w.fate("create", std::iter::repeat_n(no, 1000));
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(10));
    assert_eq!(w.says("p", "Ready"), "False(TicketWritesRejected)");
    assert_eq!(w.says("p", "Compliant"), "False(FindingsOpen)");
    let tries = w
        .writes
        .iter()
        .filter(|(_, what)| what.starts_with("create"));
    assert!(tries.count() < 20);
    w.fates.clear();
    w.run_for(Span::minutes(2));
    assert_eq!(w.tickets().len(), 1);
    assert_eq!(w.says("p", "Ready"), "True(Patrolling)");
}

#[test]
fn a_terminating_namespace_makes_no_storm() {
    let mut w = World::patrolled();
    w.server.terminating.insert("shop".into());
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(10));
    let tries = w
        .writes
        .iter()
        .filter(|(_, what)| what.starts_with("create"));
    assert!((2..15).contains(&tries.count()));
    w.end_namespace("shop");
    let before = w.writes.len();
    w.run_for(Span::minutes(10));
    let writes = w.writes_since(before);
    assert!(
        !writes.iter().any(|w| w.starts_with("create")),
        "{writes:?}"
    );
}

#[test]
fn a_ticket_deleted_by_hand_comes_back_with_its_history() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    let (before, at) = (w.status("shop/web"), w.ticket_key("shop/web"));
    w.delete(Kind::Ticket, &at);
    w.run_for(Span::seconds(2));
    let after = w.status("shop/web");
    assert_eq!(after.first_opened_at, before.first_opened_at);
    assert_eq!(after.alerts, before.alerts, "told counters never go back");
    assert!(after.history.iter().any(|h| h.reason == "Recreated"));
    w.run_for(Span::hours(1));
    assert_eq!(w.told("soc", "shop/web").len(), 1);
}

#[test]
fn a_ticket_deleted_while_nobody_can_look_comes_back_all_the_same() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    w.event(Event::Lost(
        Kind::Pod,
        patrol_core::inventory::Blindness::Denied("watch".into()),
    ));
    let at = w.ticket_key("shop/web");
    w.delete(Kind::Ticket, &at);
    w.run_for(Span::minutes(1));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
}

#[test]
fn deleted_and_mended_at_once_the_end_is_still_told() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    let at = w.ticket_key("shop/web");
    w.pod("shop/web", json!({}));
    w.delete(Kind::Ticket, &at);
    w.run_for(Span::minutes(2));
    assert_eq!(w.tickets().len(), 0);
    assert_eq!(
        w.told("soc", "shop/web").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

#[test]
fn a_forged_status_is_put_back_without_a_new_episode() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    let (before, at) = (w.status("shop/web"), w.ticket_key("shop/web"));
    w.edit(Kind::Ticket, &at, |t| {
        t["status"]["phase"] = json!("Resolved");
        t["status"]["alerts"] = json!([]);
    });
    w.run_for(Span::seconds(2));
    assert_eq!(w.status("shop/web"), before);
}

/// Its own change is yet to be written when a person asks for something: nobody has edited the status.
#[test]
fn what_is_yet_to_be_written_is_no_edit_of_the_status() {
    let mut w = World::patrolled();
    // What a process sees in its first minute may be the last words of the one before.
    w.run_for(Span::minutes(5));
    w.mood("soc", Mood::Slow(Span::seconds(5)));
    w.pod("shop/web", bad());
    w.run_for(Span::seconds(20));
    let at = w.ticket_key("shop/web");
    let failed = Fate::Answer(WriteResult::Failed);
    w.fate("status", std::iter::repeat_n(failed, 1_000));
    w.run_for(Span::seconds(60));
    let status = |w: &World| w.server.get(Kind::Ticket, &at).unwrap()["status"].clone();
    assert_eq!(w.told("soc", "shop/web").len(), 1);
    assert_eq!(status(&w)["phase"], "Open");
    assert_eq!(status(&w)["alerts"], json!(null), "not written yet");
    w.edit(Kind::Ticket, &at, |t| t["spec"]["assignee"] = json!("kim"));
    w.settle();
    w.fates.clear();
    w.run_for(Span::minutes(2));
    assert_eq!(w.status("shop/web").alerts.len(), 1);
    assert_eq!(w.snapshot().counters.statuses_restored, 0);
    w.edit(Kind::Ticket, &at, |t| {
        t["status"]["phase"] = json!("Resolved")
    });
    w.run_for(Span::seconds(5));
    assert_eq!(w.snapshot().counters.statuses_restored, 1);
}

#[test]
fn a_phase_that_silences_does_not_outlive_a_restart() {
    for phase in ["Acknowledged", "Snoozed", "Waived", "Resolved"] {
        let mut w = World::patrolled();
        w.pod("shop/web", bad());
        w.run_for(Span::seconds(10));
        let at = w.ticket_key("shop/web");
        w.die();
        w.edit(Kind::Ticket, &at, |t| t["status"]["phase"] = json!(phase));
        w.restart();
        w.run_for(Span::minutes(2));
        let status = w.status("shop/web");
        assert_eq!(
            (status.phase, status.episode.n),
            (Phase::Open, 1),
            "{phase}"
        );
        assert_eq!(w.told("soc", "shop/web").len(), 1, "{phase}");
    }
}

#[test]
fn a_rival_is_answered_ever_more_slowly() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    let at = w.ticket_key("shop/web");
    let before = w.writes.len();
    for i in 0..300 {
        w.edit(Kind::Ticket, &at, |t| {
            t["status"]["title"] = json!(format!("{i}"))
        });
        w.run_for(Span::seconds(1));
    }
    let writes = w.writes_since(before).len();
    assert!(writes < 20, "{writes} writes in five minutes");
    w.run_for(Span::minutes(2));
    assert_ne!(w.status("shop/web").title, "299");
}

#[test]
fn a_server_that_stores_something_else_is_not_fought() {
    let mut w = World::patrolled();
    // An older definition knows no history.
    w.rewrite = Some(|status| {
        status.as_object_mut().unwrap().remove("history");
    });
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    let before = w.writes.len();
    w.run_for(Span::hours(1));
    let writes = w.writes_since(before).len();
    assert!(writes < 80, "{writes} writes in an hour");
    assert_eq!(w.told("soc", "shop/web").len(), 1);
}

#[test]
fn a_ticket_that_cannot_be_decoded_is_there() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    let at = w.ticket_key("shop/web");
    w.edit(Kind::Ticket, &at, |t| {
        t["status"]["phase"] = json!("Someday")
    });
    w.list(Kind::Ticket);
    let before = w.writes.len();
    w.run_for(Span::minutes(10));
    let creates = w.writes_since(before);
    assert!(
        !creates.iter().any(|w| w.starts_with("create")),
        "{creates:?}"
    );
}

#[test]
fn after_a_restart_an_undecodable_ticket_is_not_asked_for_in_a_loop() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    let at = w.ticket_key("shop/web");
    w.edit(Kind::Ticket, &at, |t| {
        t["status"]["phase"] = json!("Someday")
    });
    let before = w.writes.len();
    w.restart();
    w.run_for(Span::minutes(10));
    assert!(w.writes_since(before).len() < 60);
}

#[test]
fn a_ticket_about_something_else_under_our_name_gives_way() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.settle();
    let at = w.ticket_key("shop/web");
    w.die();
    w.edit(Kind::Ticket, &at, |t| {
        t["spec"]["finding"]["subject"]["name"] = json!("other");
    });
    w.restart();
    w.run_for(Span::minutes(1));
    assert_eq!(
        w.ticket("shop/web").metadata.name.as_deref(),
        Some(&*at.name)
    );
    assert!(w.find("shop/other").is_none());
}

#[test]
fn a_ticket_that_someone_made_up_is_resolved() {
    let mut w = World::patrolled();
    w.pod("shop/web", json!({}));
    w.apply(
        Kind::Ticket,
        &key("shop", "made-up"),
        json!({"spec": {"finding": {"policy": "p", "check": "pod-bad", "layer": "L6",
            "subject": {"kind": "Pod", "namespace": "shop", "name": "web"},
            "subjectRef": "Pod/web"}}}),
    );
    w.run_for(Span::minutes(2));
    assert_eq!(w.status("shop/web").phase, Phase::Resolved);
}

#[test]
fn a_late_word_of_a_ticket_that_is_gone_tells_nobody_again() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    let at = w.ticket_key("shop/web");
    let old = w.server.get(Kind::Ticket, &at).cloned().unwrap();
    w.server.delete(Kind::Ticket, &at);
    w.delete(Kind::Pod, &key("shop", "web"));
    w.run_for(Span::minutes(1));
    let seen = patrol_core::facts::decode_value(Kind::Ticket, &old).unwrap();
    w.event(Event::Seen(Box::new(seen)));
    w.run_for(Span::minutes(2));
    let told = w.told("soc", "shop/web");
    assert_eq!(
        told.iter().filter(|t| t.starts_with("Closed")).count(),
        1,
        "{told:?}"
    );
}

#[test]
fn a_node_that_leaves_takes_its_finding_with_it() {
    let mut w = World::patrolled();
    w.node("n1", bad());
    w.run_for(Span::seconds(20));
    assert_eq!(
        w.ticket("n1").metadata.namespace.as_deref(),
        Some(crate::world::HOME)
    );
    w.delete(Kind::Node, &key("", "n1"));
    w.settle();
    let end = w.status("n1").episode.resolution;
    assert_eq!(end, Some(Resolution::SubjectGone));
}

#[test]
fn a_forged_end_of_an_open_edge_neither_silences_nor_repeats_for_ever() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    let at = w.ticket_key("shop/web");
    w.edit(Kind::Ticket, &at, |t| {
        t["status"]["alerts"][0]["state"] = json!("Closed");
    });
    w.run_for(Span::hours(2));
    assert_eq!(w.status("shop/web").alerts[0].state.as_str(), "Firing");
    assert!(w.told("soc", "shop/web").len() <= 2);
}

/// Someone else's edit of a label is put back: the watch of the ticket is heard.
fn is_followed(w: &mut World) -> bool {
    let at = w.ticket_key("shop/web");
    w.edit(Kind::Ticket, &at, |t| {
        t["metadata"]["labels"]["kubepatrol.io/state"] = json!("wrong");
    });
    w.run_for(Span::minutes(3));
    let labels = w.ticket("shop/web").metadata.labels.unwrap();
    labels["kubepatrol.io/state"] != "wrong"
}

#[test]
fn a_404_that_was_wrong_does_not_make_deaf_to_the_ticket() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    w.fate("status", [Fate::Answer(WriteResult::NotFound)]);
    w.pod("shop/web", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::seconds(10));
    assert_eq!(w.tickets().len(), 1);
    assert!(is_followed(&mut w));
}

#[test]
fn a_resolved_ticket_that_was_said_to_be_gone_is_known_again_when_it_is_seen() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    w.delete(Kind::Pod, &key("shop", "web"));
    w.run_for(Span::minutes(2));
    w.fate("labels", [Fate::Answer(WriteResult::NotFound)]);
    assert!(!is_followed(&mut w), "taken for gone");
    let reads = |w: &World| {
        let writes = w.writes.iter();
        writes.filter(|(_, w)| w.starts_with("read")).count()
    };
    assert_eq!(reads(&w), 0);
    assert!(is_followed(&mut w), "seen, read, believed");
    assert_eq!(reads(&w), 1);
    w.run_for(Span::days(31));
    assert_eq!(w.tickets().len(), 0, "and cleared away in the end");
}

#[test]
fn a_late_word_of_a_ticket_that_is_gone_costs_one_read() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    w.delete(Kind::Pod, &key("shop", "web"));
    w.run_for(Span::minutes(2));
    let at = w.ticket_key("shop/web");
    let late = w.server.get(Kind::Ticket, &at).cloned().unwrap();
    w.run_for(Span::days(31));
    assert_eq!(w.tickets().len(), 0);
    let before = w.writes.len();
    let seen = patrol_core::facts::decode_value(Kind::Ticket, &late).unwrap();
    // Words that come while the read is under way are as late as the first.
    for _ in 0..3 {
        w.event(Event::Seen(Box::new(seen.clone())));
    }
    w.settle();
    let writes = w.writes_since(before);
    assert!(writes.len() <= 1, "{writes:?}");
    assert_eq!(w.snapshot().tickets.len(), 0);
}

#[test]
fn who_was_told_the_end_of_a_deleted_ticket_is_not_told_again_by_its_late_words() {
    let mut w = World::patrolled();
    w.pod("shop/web", bad());
    w.run_for(Span::minutes(2));
    let at = w.ticket_key("shop/web");
    let late = w.server.get(Kind::Ticket, &at).cloned().unwrap();
    // Its namespace took it along; the watch has not said so yet.
    w.silent.insert(Kind::Ticket);
    w.delete(Kind::Ticket, &at);
    w.delete(Kind::Pod, &key("shop", "web"));
    w.run_for(Span::seconds(50));
    let told = w.told("soc", "shop/web").len();
    assert_eq!(told, 2, "that it fires and that it ended");
    let seen = patrol_core::facts::decode_value(Kind::Ticket, &late).unwrap();
    for _ in 0..3 {
        w.event(Event::Seen(Box::new(seen.clone())));
    }
    w.event(Event::Gone(Kind::Ticket, at));
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("soc", "shop/web").len(), told);
}

#[test]
fn a_list_that_is_older_than_an_adopted_ticket_does_not_lose_it() {
    let mut w = World::patrolled();
    w.silent.insert(Kind::Ticket);
    w.fate("create", [Fate::Unanswered]);
    w.fate("status", std::iter::repeat_n(Fate::Lost, 10));
    w.event(Event::ListStarted(Kind::Ticket));
    w.pod("shop/web", bad());
    // Counted as lost, made again, found to be there.
    w.run_for(Span::seconds(70));
    assert_eq!(w.snapshot().tickets.len(), 1, "adopted");
    w.event(Event::ListFinished(Kind::Ticket));
    w.settle();
    w.silent.clear();
    w.fates.clear();
    w.run_for(Span::minutes(2));
    assert_eq!(w.snapshot().counters.tickets_deleted_open, 0);
    assert_eq!(w.status("shop/web").phase, Phase::Open);
}

#[test]
fn a_pod_that_an_owner_takes_is_no_subject_any_more() {
    let mut w = World::patrolled();
    let owner = json!({"metadata": {}, "spec": {"template": {"spec": {"containers": []}}}});
    w.apply(Kind::ReplicaSet, &key("shop", "web"), owner);
    w.pod("shop/loose", bad());
    w.run_for(Span::seconds(20));
    assert_eq!(w.status("shop/loose").phase, Phase::Open);
    let uid =
        w.server.get(Kind::ReplicaSet, &key("shop", "web")).unwrap()["metadata"]["uid"].clone();
    w.edit(Kind::Pod, &key("shop", "loose"), |pod| {
        pod["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1",
            "kind": "ReplicaSet", "name": "web", "uid": uid, "controller": true}]);
    });
    w.run_for(Span::minutes(1));
    assert_eq!(w.status("shop/loose").phase, Phase::Resolved);
}
