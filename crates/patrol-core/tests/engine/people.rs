//! People: pauses, waivers, mutes, and what their receivers hear of them.

use patrol_api::time::Span;
use patrol_api::words::{AlertReason, Phase, Severity};
use patrol_core::event::{DeliveryClass, Event, Term};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::catalogue::{WITH_OWN_WORK, WITH_WAIVERS};
use crate::world::{Mood, World, key};

fn bad() -> Value {
    json!({"bad": "yes"})
}

fn later(w: &World, span: Span) -> String {
    w.wall().plus(span).to_string()
}

fn want(w: &mut World, subject: &str, field: &str, value: Value) {
    let place = w.ticket_key(subject);
    w.edit(Kind::Ticket, &place, |ticket| {
        ticket["spec"][field] = value;
    });
    w.settle();
}

fn waive(w: &mut World, place: &str, spec: Value) {
    let (namespace, name) = place.split_once('/').unwrap();
    let mut whole = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "TicketWaiver",
        "metadata": {
            "namespace": namespace, "name": name, "uid": format!("w-{name}"),
            "creationTimestamp": w.wall().to_string(),
        },
        "spec": {"checks": ["*"], "reason": "goes away in spring", "owner": "payments"}
    });
    for (key, value) in spec.as_object().unwrap() {
        whole["spec"][key] = value.clone();
    }
    w.apply(Kind::TicketWaiver, &key(namespace, name), whole);
    w.settle();
}

fn told_and_open() -> World {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
    w
}

#[test]
fn t13_an_acknowledged_ticket_is_not_repeated_until_its_time_is_over() {
    let mut w = told_and_open();
    let until = later(&w, Span::hours(60));
    want(
        &mut w,
        "shop/a",
        "acknowledge",
        json!({"until": until, "reason": "on it", "by": "alice"}),
    );
    let status = w.status("shop/a");
    assert_eq!(status.phase, Phase::Acknowledged);
    assert_eq!(status.overlay.unwrap().by.as_deref(), Some("alice"));
    w.run_for(Span::hours(59));
    assert_eq!(w.told("soc", "shop/a").len(), 1, "no reminder in between");
    // T15.
    w.run_for(Span::hours(2));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Firing 1.2.1 ReArmed"
    );
}

/// So whoever asked for something sees when it was taken in.
#[test]
fn a_status_says_which_edition_of_the_spec_it_is_about() {
    let mut w = told_and_open();
    let generation = |w: &World| {
        let ticket = w.server.get(Kind::Ticket, &w.ticket_key("shop/a")).unwrap();
        ticket["metadata"]["generation"].as_i64()
    };
    assert_eq!(generation(&w), Some(1));
    assert_eq!(w.status("shop/a").observed_generation, Some(1));
    want(&mut w, "shop/a", "assignee", json!("alice"));
    assert_eq!(generation(&w), Some(2));
    assert_eq!(w.status("shop/a").observed_generation, Some(2));
}

#[test]
fn t21_an_inspection_that_is_asked_for_is_made_at_once_and_once_a_minute_at_most() {
    let mut w = told_and_open();
    let seen = w.status("shop/a").last_seen_at;
    w.run_for(Span::hours(1));
    assert_eq!(w.status("shop/a").last_seen_at, seen);
    let asked = w.wall();
    want(&mut w, "shop/a", "recheck", json!("one"));
    let status = w.status("shop/a");
    let answer = status.rechecked.unwrap();
    assert_eq!((answer.asked.as_str(), answer.at), ("one", asked));
    assert_eq!(status.last_seen_at, Some(asked));
    assert_eq!(status.evidence.verdict_at, Some(asked));
    // Another within the same minute waits for its end, and nothing is asked for twice.
    want(&mut w, "shop/a", "recheck", json!("two"));
    assert_eq!(w.status("shop/a").rechecked.unwrap().asked, "one");
    w.run_for(Span::minutes(5));
    let answer = w.status("shop/a").rechecked.unwrap();
    assert_eq!(answer.asked, "two");
    assert!(answer.at >= asked.plus(Span::minutes(1)));
    assert!(answer.at <= asked.plus(Span::seconds(75)), "{}", answer.at);
    assert_eq!(w.told("soc", "shop/a").len(), 1, "nobody is told of it");
}

#[test]
fn t21_an_inspection_that_is_asked_for_looks_anew() {
    let mut w = World::patrolled();
    let from = w.wall().plus(Span::seconds(65)).unix().to_string();
    w.pod("shop/a", json!({"bad": "yes", "worse-from": from}));
    w.run_for(Span::seconds(70));
    assert_eq!(
        w.status("shop/a").severity,
        Some(Severity::High),
        "no reason to look"
    );
    want(&mut w, "shop/a", "recheck", json!("now"));
    assert_eq!(w.status("shop/a").severity, Some(Severity::Critical));
}

#[test]
fn t20_a_due_time_is_told_under_an_acknowledgement() {
    let mut w = World::patrolled();
    w.policy(
        "p",
        json!({"tickets": {"sla": {"high": "2h"}}, "alerts": {"receivers": [{"name": "soc"}]}}),
    );
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    let until = later(&w, Span::hours(24));
    want(
        &mut w,
        "shop/a",
        "acknowledge",
        json!({"until": until, "reason": "on it"}),
    );
    w.run_for(Span::hours(3));
    let told = w.told("soc", "shop/a");
    assert_eq!(told, ["Firing 1.1.1 Opened", "Firing 1.2.1 SLABreached"]);
    assert_eq!(w.status("shop/a").phase, Phase::Acknowledged);
}

#[test]
fn an_end_is_told_whatever_lies_over_the_ticket() {
    for field in ["acknowledge", "snooze"] {
        let mut w = told_and_open();
        let until = later(&w, Span::hours(24));
        want(
            &mut w,
            "shop/a",
            field,
            json!({"until": until, "reason": "on it"}),
        );
        w.pod("shop/a", json!({}));
        w.run_for(Span::minutes(10));
        assert_eq!(
            w.told("soc", "shop/a").last().unwrap(),
            "Closed 1.1.1 Resolved"
        );
        // The next episode begins without it.
        w.pod("shop/a", bad());
        w.run_for(Span::minutes(10));
        assert_eq!(w.status("shop/a").phase, Phase::Open, "{field}");
        assert_eq!(
            w.told("soc", "shop/a").last().unwrap(),
            "Firing 2.2.1 Reopened"
        );
    }
}

#[test]
fn t16_t17_a_waiver_closes_at_the_receiver_and_its_end_brings_the_ticket_back() {
    let mut w = told_and_open();
    let until = later(&w, Span::days(30));
    waive(&mut w, "shop/legacy", json!({"expiresAt": until}));
    w.run_for(Span::minutes(1));
    let status = w.status("shop/a");
    assert_eq!(status.phase, Phase::Waived);
    assert_eq!(
        status.overlay.unwrap().waiver.as_deref(),
        Some("shop/legacy")
    );
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Closed 1.1.1 Waived"
    );
    assert_eq!(w.policy_status("p").tickets.waived, 1);
    w.run_for(Span::days(29));
    assert_eq!(w.told("soc", "shop/a").len(), 2, "silence under the waiver");
    let waiver = w.condition(Kind::TicketWaiver, "shop/legacy", "Active");
    assert_eq!(waiver, "True(Expiring)");
    w.run_for(Span::days(2));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Firing 1.3.1 WaiverEnded"
    );
    assert_eq!(
        w.status("shop/a").episode.n,
        1,
        "one episode, with its history"
    );
    assert_eq!(
        w.condition(Kind::TicketWaiver, "shop/legacy", "Active"),
        "False(Expired)"
    );
}

#[test]
fn revoking_a_waiver_brings_the_ticket_back_at_once_with_its_due_time_moved() {
    let mut w = told_and_open();
    let due = w.status("shop/a").episode.due_at.unwrap();
    waive(&mut w, "shop/legacy", json!({}));
    w.run_for(Span::hours(10));
    w.delete(Kind::TicketWaiver, &key("shop", "legacy"));
    w.run_for(Span::minutes(1));
    let status = w.status("shop/a");
    assert_eq!(status.phase, Phase::Open);
    assert_eq!(status.alert_reason, Some(AlertReason::WaiverEnded));
    let moved = status.episode.due_at.unwrap().since(due);
    assert!(
        moved >= Span::hours(10) && moved <= Span::hours(11),
        "{moved}"
    );
}

#[test]
fn a_waiver_that_was_never_heard_of_is_heard_of_by_nobody() {
    let mut w = World::patrolled();
    waive(&mut w, "shop/legacy", json!({}));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/a").phase, Phase::Waived);
    assert_eq!(w.told("soc", "shop/a"), Vec::<String>::new());
}

/// Nobody knows whether the opening arrived: whoever may hold it open is told that the risk was taken.
#[test]
fn a_waiver_is_told_to_who_may_have_heard_of_the_ticket() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Unanswered);
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(1));
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
    w.die();
    w.mood("soc", Mood::Accept);
    waive(&mut w, "shop/legacy", json!({}));
    w.list_all();
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/a").phase, Phase::Waived);
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Closed 1.1.1 Waived"
    );
}

#[test]
fn waivers_that_cannot_be_seen_end_nothing() {
    let mut w = told_and_open();
    waive(&mut w, "shop/legacy", json!({}));
    w.run_for(Span::minutes(1));
    w.event(Event::Lost(
        Kind::TicketWaiver,
        Blindness::Denied("list".into()),
    ));
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/a").phase, Phase::Waived);
    w.list(Kind::TicketWaiver);
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/a").phase, Phase::Waived);
}

const BATCH: &str = r#"{"subjects": {"selector": {"matchLabels": {"tier": "batch"}}}}"#;

/// A pod that such a waiver selects, as the next process finds it, which sees everything but pods.
fn restarted_without_pods(treatment: &str) -> World {
    let mut w = World::patrolled();
    let mut spec: Value = serde_json::from_str(BATCH).unwrap();
    spec["treatment"] = json!(treatment);
    waive(&mut w, "shop/legacy", spec);
    w.pod("shop/a", json!({"bad": "yes", "tier": "batch"}));
    w.pod("shop/b", json!({"bad": "yes", "tier": "web"}));
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("soc", "shop/a"), [""; 0]);
    assert_eq!(w.told("soc", "shop/b").len(), 1);
    w.die();
    for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Pod) {
        w.list(kind);
    }
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(5));
    w
}

/// Unknown labels are not other labels.
#[test]
fn a_waiver_by_labels_stands_while_its_subjects_are_not_seen() {
    let mut w = restarted_without_pods("Waive");
    assert_eq!(w.status("shop/a").phase, Phase::Waived);
    let denied = Blindness::Denied("list".into());
    w.event(Event::Lost(Kind::Pod, denied));
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/a").phase, Phase::Waived);
    w.list(Kind::Pod);
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/a").phase, Phase::Waived);
    assert_eq!(w.told("soc", "shop/a"), [""; 0]);
    w.pod("shop/a", json!({"bad": "yes", "tier": "web"}));
    w.run_for(Span::minutes(2));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.3.1 WaiverEnded"]);
}

/// Before the first list nobody knows who is muted. Where there will be none, it is told: silence must be sure.
#[test]
fn a_mute_by_labels_holds_until_its_subjects_are_listed_or_cannot_be() {
    for (listed, told) in [(true, 0), (false, 1)] {
        let mut w = restarted_without_pods("Mute");
        assert_eq!(w.told("soc", "shop/a"), [""; 0]);
        match listed {
            true => w.list(Kind::Pod),
            false => w.event(Event::Lost(Kind::Pod, Blindness::Denied("list".into()))),
        }
        w.run_for(Span::minutes(5));
        assert_eq!(w.told("soc", "shop/a").len(), told);
        w.list(Kind::Pod);
        w.run_for(Span::minutes(5));
        w.pod("shop/a", json!({"bad": "yes", "tier": "web"}));
        w.run_for(Span::minutes(5));
        assert_eq!(w.told("soc", "shop/a").len(), 1);
    }
}

#[test]
fn a_ticket_that_is_deleted_under_what_lies_over_it_keeps_its_waiver_and_its_history() {
    for field in ["", "acknowledge"] {
        let mut w = told_and_open();
        let until = later(&w, Span::hours(24));
        match field {
            "" => waive(&mut w, "shop/legacy", json!({})),
            field => want(
                &mut w,
                "shop/a",
                field,
                json!({"until": until, "reason": "on it"}),
            ),
        }
        w.run_for(Span::minutes(1));
        let told = w.told("soc", "shop/a");
        let place = w.ticket_key("shop/a");
        w.delete(Kind::Ticket, &place);
        w.run_for(Span::minutes(5));
        let status = w.status("shop/a");
        for pair in status.history.windows(2) {
            assert_eq!(pair[1].from, Some(pair[0].to), "{:?}", status.history);
        }
        if field.is_empty() {
            assert_eq!(status.phase, Phase::Waived);
            assert_eq!(w.told("soc", "shop/a"), told, "nobody hears of it");
        } else {
            // The wish went with the ticket it was written in.
            assert_eq!(status.phase, Phase::Open);
        }
    }
}

/// A ticket under a waiver that became unreadable, seen by a process that never read it.
fn under_an_unreadable_waiver() -> World {
    let mut w = told_and_open();
    waive(&mut w, "shop/legacy", json!({}));
    w.run_for(Span::minutes(1));
    w.edit(Kind::TicketWaiver, &key("shop", "legacy"), |waiver| {
        waiver["spec"]["checks"] = json!(7);
    });
    w.restart();
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/a").phase, Phase::Waived);
    w
}

#[test]
fn a_list_under_way_ends_no_waiver_that_nobody_can_read() {
    let mut w = under_an_unreadable_waiver();
    w.event(Event::ListStarted(Kind::TicketWaiver));
    w.pod("shop/a", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(1));
    assert_eq!(w.status("shop/a").phase, Phase::Waived);
    w.list(Kind::TicketWaiver);
    w.run_for(Span::minutes(1));
    assert_eq!(w.status("shop/a").phase, Phase::Waived);
}

#[test]
fn revoking_a_waiver_that_nobody_can_read_ends_it() {
    let mut w = under_an_unreadable_waiver();
    w.delete(Kind::TicketWaiver, &key("shop", "legacy"));
    w.run_for(Span::minutes(1));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
}

#[test]
fn a_restart_forgets_neither_pause_nor_waiver() {
    let mut w = told_and_open();
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(6));
    let until = later(&w, Span::hours(24));
    want(
        &mut w,
        "shop/a",
        "acknowledge",
        json!({"until": until, "reason": "on it"}),
    );
    waive(&mut w, "shop/legacy", json!({"subjects": {"names": ["b"]}}));
    w.run_for(Span::minutes(1));
    let before = (w.told("soc", "shop/a"), w.told("soc", "shop/b"));
    w.restart();
    w.run_for(Span::minutes(30));
    assert_eq!(w.status("shop/a").phase, Phase::Acknowledged);
    assert_eq!(w.status("shop/b").phase, Phase::Waived);
    assert_eq!((w.told("soc", "shop/a"), w.told("soc", "shop/b")), before);
}

#[test]
fn a_mute_leaves_the_ticket_open_and_silent_and_an_end_is_told() {
    let mut w = told_and_open();
    let until = later(&w, Span::days(6));
    waive(
        &mut w,
        "shop/quiet",
        json!({"treatment": "Mute", "expiresAt": until}),
    );
    w.run_for(Span::days(5));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
    assert_eq!(w.told("soc", "shop/a").len(), 1);
    w.run_for(Span::hours(30));
    assert_eq!(w.told("soc", "shop/a").len(), 2, "the reminder that waited");
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(10));
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

#[test]
fn t18_a_worse_ticket_breaks_an_acknowledgement_and_a_limited_waiver() {
    let mut w = told_and_open();
    let until = later(&w, Span::hours(24));
    want(
        &mut w,
        "shop/a",
        "acknowledge",
        json!({"until": until, "reason": "on it"}),
    );
    w.pod("shop/a", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(2));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Firing 1.2.1 SeverityRaised"
    );

    let mut w = told_and_open();
    waive(&mut w, "shop/legacy", json!({"maxSeverity": "High"}));
    w.run_for(Span::minutes(1));
    assert_eq!(w.status("shop/a").phase, Phase::Waived);
    w.pod("shop/a", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(2));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
}

#[test]
fn the_longest_quiet_ends_a_long_snooze_of_words() {
    let mut w = World::patrolled();
    w.policy(
        "p",
        json!({"alerts": {
            "receivers": [{"name": "soc"}], "maxQuiet": {"high": "5h"}, "repeat": {"high": "30d"},
        }}),
    );
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    let until = later(&w, Span::hours(60));
    want(
        &mut w,
        "shop/a",
        "snooze",
        json!({"until": until, "reason": "next week"}),
    );
    w.run_for(Span::hours(6));
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Firing 1.2.1 Overdue"
    );
    assert_eq!(w.status("shop/a").phase, Phase::Snoozed);
}

#[test]
fn a_broken_waiver_says_so_and_waives_nothing() {
    let mut w = told_and_open();
    let far = later(&w, Span::days(400));
    waive(&mut w, "shop/far", json!({"expiresAt": far}));
    waive(
        &mut w,
        "shop/near",
        json!({"subjects": {"names": ["nobody"]}}),
    );
    w.run_for(Span::minutes(1));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
    assert_eq!(
        w.condition(Kind::TicketWaiver, "shop/far", "Active"),
        "False(Unbounded)"
    );
    assert_eq!(
        w.condition(Kind::TicketWaiver, "shop/near", "Active"),
        "True(Active)"
    );
}

#[test]
fn a_waiver_that_is_over_is_found_until_it_is_deleted() {
    let mut w = World::patrolled();
    let until = later(&w, Span::days(2));
    waive(&mut w, "shop/old", json!({"expiresAt": until}));
    w.run_for(Span::days(3));
    assert_eq!(
        w.condition(Kind::TicketWaiver, "shop/old", "Active"),
        "False(Expired)"
    );
    w.delete(Kind::TicketWaiver, &key("shop", "old"));
    w.run_for(Span::minutes(10));
    assert_eq!(w.open(), 0);
}

#[test]
fn a_new_leader_doubts_no_waiver_of_which_everybody_has_heard() {
    let mut w = told_and_open();
    waive(&mut w, "shop/legacy", json!({}));
    w.run_for(Span::minutes(1));
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Closed 1.1.1 Waived"
    );
    let told = w.told("soc", "shop/a");
    w.restart();
    w.run_for(Span::minutes(2));
    // Mended under the waiver: whoever heard the end once hears no second one.
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/a").phase, Phase::Resolved);
    assert_eq!(w.told("soc", "shop/a"), told);
}

#[test]
fn whoever_may_have_been_told_hears_that_somebody_took_the_risk() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Unanswered);
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(1));
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
    w.mood("soc", Mood::Accept);
    waive(&mut w, "shop/legacy", json!({}));
    w.run_for(Span::minutes(10));
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Closed 1.1.1 Waived"
    );
}

#[test]
fn a_new_leader_ends_no_ticket_about_a_waiver_that_is_still_there() {
    let mut w = World::patrolled_with(WITH_WAIVERS);
    let until = later(&w, Span::days(2));
    waive(&mut w, "shop/old", json!({"expiresAt": until}));
    w.run_for(Span::days(3));
    assert_eq!(w.status("shop/old").phase, Phase::Open);
    w.restart();
    w.run_for(Span::minutes(10));
    let status = w.status("shop/old");
    assert_eq!((status.phase, status.episode.n), (Phase::Open, 1));
    w.delete(Kind::TicketWaiver, &key("shop", "old"));
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/old").phase, Phase::Resolved);
}

#[test]
fn what_a_mute_held_back_is_not_late_when_it_ends() {
    let mut w = World::with(WITH_OWN_WORK);
    w.receiver("soc", json!({}));
    w.policy("p", json!({}));
    w.run_for(Span::seconds(3));
    let until = later(&w, Span::hours(6));
    waive(
        &mut w,
        "shop/quiet",
        json!({"treatment": "Mute", "expiresAt": until}),
    );
    w.pod("shop/a", bad());
    // It is only a minute late when the mute ends.
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    w.run_for(Span::minutes(361));
    w.mood("soc", Mood::Accept);
    w.run_for(Span::hours(1));
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Firing 1.1.1 Opened"
    );
    assert!(w.find("p").is_none(), "{:?}", w.announced);
}

#[test]
fn a_mute_holds_under_a_clock_that_was_set_back() {
    let mut w = World::patrolled();
    let until = later(&w, Span::days(1));
    waive(
        &mut w,
        "shop/quiet",
        json!({"treatment": "Mute", "expiresAt": until}),
    );
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(10));
    w.skew -= 3600;
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
    assert!(w.told("soc", "shop/a").is_empty());
}

#[test]
fn a_history_goes_on_from_where_it_was_whatever_somebody_wrote() {
    for phase in ["Open", "Acknowledged", "Resolved"] {
        let mut w = told_and_open();
        waive(&mut w, "shop/legacy", json!({}));
        w.run_for(Span::minutes(1));
        let at = w.ticket_key("shop/a");
        w.die();
        w.edit(Kind::Ticket, &at, |t| t["status"]["phase"] = json!(phase));
        w.restart();
        w.run_for(Span::minutes(1));
        let status = w.status("shop/a");
        assert_eq!(status.phase, Phase::Waived, "{phase}");
        let mut last = None;
        for entry in &status.history {
            assert_eq!(entry.from, last, "{phase}: {:?}", status.history);
            last = Some(entry.to);
        }
        assert_eq!(last, Some(Phase::Waived));
    }
}

#[test]
fn a_new_leader_disturbs_nobody_before_it_knows_what_is_muted() {
    let mut w = World::patrolled();
    let until = later(&w, Span::days(1));
    waive(
        &mut w,
        "shop/quiet",
        json!({"treatment": "Mute", "expiresAt": until}),
    );
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(10));
    w.die();
    for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::TicketWaiver) {
        w.list(kind);
    }
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(1));
    w.list(Kind::TicketWaiver);
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
    assert!(w.told("soc", "shop/a").is_empty());
}

#[test]
fn a_waiver_that_holds_again_after_the_clock_was_set_back_is_not_overdue() {
    let mut w = World::patrolled_with(WITH_WAIVERS);
    let until = later(&w, Span::days(2));
    waive(&mut w, "shop/old", json!({"expiresAt": until}));
    w.run_for(Span::days(3));
    assert_eq!(w.status("shop/old").phase, Phase::Open);
    w.skew -= 2 * 86_400;
    w.run_for(Span::minutes(30));
    assert_eq!(w.status("shop/old").phase, Phase::Resolved);
}

/// alerting.md AD-9: pauses in a row are no way to silence a ticket for ever.
#[test]
fn pauses_in_a_row_do_not_pass_the_longest_quiet() {
    let mut w = told_and_open();
    // High: 14 days. Each pause is asked for before the end of the one before was told.
    for n in 0..100 {
        let until = later(&w, Span::hours(70));
        let pause = json!({"until": until, "reason": format!("again {n}")});
        want(&mut w, "shop/a", "snooze", pause);
        w.run_for(Span::hours(70).plus(Span::seconds(5)));
        if w.told("soc", "shop/a")
            .iter()
            .any(|t| t.ends_with("Overdue"))
        {
            break;
        }
    }
    let overdue = w.status("shop/a").episode.overdue_at.unwrap();
    let opened = w.status("shop/a").episode.opened_at.unwrap();
    // That its time passed, after seven days, was the last that was told.
    assert!(overdue.since(opened) <= Span::days(22));
}
