//! The scheduled proof.

use patrol_api::time::{Span, Time};
use patrol_api::words::Trigger;
use patrol_core::event::{Event, Term};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use serde_json::json;

use crate::world::{World, key};

#[test]
fn the_first_patrol_closes_the_account() {
    let mut w = World::new();
    w.pod("shop/bad", json!({"bad": "yes"}));
    w.pod("shop/fine", json!({}));
    w.pod("shop/empty", json!({"empty": "yes"}));
    w.pod("shop/unknown", json!({"unknown": "yes"}));
    w.policy("p", json!({}));
    w.run_for(Span::seconds(3));
    let status = w.policy_status("p");
    let last = status.last_patrol.unwrap();
    assert!(last.complete);
    assert_eq!(last.trigger, Trigger::Startup);
    let s = last.subjects;
    assert_eq!(
        (s.inspected, s.passed, s.failed, s.not_applicable, s.unknown),
        (4, 1, 1, 1, 1)
    );
    assert_eq!(status.observed_generation, Some(1));
    assert_eq!(status.tickets.open, 1);
    assert_eq!(w.says("p", "Ready"), "True(Patrolling)");
    assert_eq!(w.says("p", "Covered"), "True(Complete)");
    assert_eq!(w.says("p", "Compliant"), "False(FindingsOpen)");
}

#[test]
fn the_first_patrol_waits_for_the_lists_it_needs() {
    let mut w = World::unsynced();
    w.namespace("shop", json!({}));
    w.pod("shop/web", json!({"bad": "yes"}));
    w.receiver("soc", json!({}));
    w.policy("p", json!({}));
    w.die();
    for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::Pod) {
        w.list(kind);
    }
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::seconds(20));
    assert!(w.policy_status("p").last_patrol.is_none());
    w.list(Kind::Pod);
    w.run_for(Span::seconds(3));
    assert!(w.policy_status("p").last_patrol.unwrap().complete);
    assert_eq!(w.says("p", "Covered"), "True(Complete)");
}

#[test]
fn a_patrol_that_waits_in_vain_ends_incomplete() {
    let mut w = World::patrolled();
    w.silent.insert(Kind::Pod);
    w.run_for(Span::minutes(20));
    let last = w.policy_status("p").last_patrol.unwrap();
    assert!(!last.complete);
    assert_eq!(w.says("p", "Covered"), "False(Incomplete)");
}

#[test]
fn a_period_starts_a_patrol_and_a_missed_one_runs_once() {
    let mut w = World::patrolled();
    let first = w.policy_status("p").last_patrol.unwrap().started_at;
    w.run_for(Span::minutes(15));
    let second = w.policy_status("p").last_patrol.unwrap();
    assert_eq!(second.started_at.since(first), Span::minutes(15));
    assert_eq!(second.trigger, Trigger::Schedule);
    w.die();
    w.mono += 5 * 3_600_000;
    w.restart();
    w.run_for(Span::minutes(14));
    let writes = w
        .writes
        .iter()
        .filter(|(_, what)| what == "policy p")
        .count();
    assert!(writes <= 6, "{writes}");
    let third = w.policy_status("p").last_patrol.unwrap().started_at;
    assert!(third.since(second.started_at) >= Span::hours(5));
}

#[test]
fn a_cron_starts_in_its_zone_with_a_bounded_delay() {
    let mut w = World::new();
    w.policy(
        "p",
        json!({"schedule": {"cron": "30 2 * * *", "timeZone": "Asia/Shanghai"}}),
    );
    w.run_for(Span::hours(50));
    let last = w.policy_status("p").last_patrol.unwrap().started_at;
    let minute = last.unix().rem_euclid(86_400) / 60;
    assert_eq!(minute, 18 * 60 + 30, "02:30 in Shanghai is 18:30 UTC");
    let next = w.policy_status("p").next_patrol_at.unwrap();
    assert!(next.since(last) <= Span::hours(24).plus(Span::seconds(61)));
}

#[test]
fn a_patrol_now_that_comes_during_a_patrol_is_answered_by_another() {
    let mut w = World::patrolled();
    let at = key("", "p");
    let ask = |w: &mut World, value: &str| {
        let value = value.to_owned();
        w.edit(Kind::PatrolPolicy, &key("", "p"), |p| {
            p["metadata"]["annotations"] = json!({"kubepatrol.io/patrol-now": value});
        });
    };
    w.reviews_answered = false;
    ask(&mut w, "one");
    w.run_for(Span::seconds(5));
    ask(&mut w, "two");
    w.run_for(Span::seconds(5));
    w.reviews_answered = true;
    let starts = |w: &World| w.policy_status("p").last_patrol.unwrap().started_at;
    let before = starts(&w);
    w.run_for(Span::seconds(60));
    assert!(starts(&w) > before);
    assert_eq!(
        w.policy_status("p").observed_patrol_now.as_deref(),
        Some("two")
    );
    let asked: Time = w.wall();
    assert!(
        asked.since(starts(&w)) < Span::seconds(50),
        "started after the second question"
    );
    let _ = at;
}

#[test]
fn a_review_without_an_answer_is_asked_again() {
    let mut w = World::new();
    w.reviews_answered = false;
    w.policy("p", json!({}));
    w.run_for(Span::seconds(20));
    w.reviews_answered = true;
    w.run_for(Span::seconds(40));
    assert!(w.policy_status("p").last_patrol.is_some());
}

#[test]
fn a_right_that_is_taken_away_shows_and_is_overdue_after_two_periods() {
    let mut w = World::patrolled();
    w.run_for(Span::minutes(16));
    w.denied.insert(Kind::Pod);
    w.run_for(Span::minutes(15));
    let last = w.policy_status("p").last_patrol.unwrap();
    assert!(!last.complete);
    assert_eq!(last.blind_spots, 1);
    assert_eq!(w.says("p", "Covered"), "False(AccessDenied)");
    let rows = w.policy_status("p").coverage;
    assert!(
        rows.iter()
            .any(|r| r.kind == "Pod" && r.reasons == ["AccessDenied"]),
        "{rows:?}"
    );
    w.run_for(Span::minutes(20));
    assert_eq!(w.snapshot().overdue_policies, ["p"]);
    w.denied.clear();
    w.run_for(Span::minutes(16));
    assert_eq!(w.says("p", "Covered"), "True(Complete)");
    assert!(w.snapshot().overdue_policies.is_empty());
}

#[test]
fn nothing_is_overdue_before_there_was_a_chance_to_do_it() {
    let mut w = World::patrolled();
    w.run_for(Span::minutes(1));
    w.die();
    w.mono += 24 * 3_600_000;
    w.list_all();
    w.settle();
    assert!(
        w.snapshot().overdue_policies.is_empty(),
        "after a long downtime"
    );
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(5));
    assert!(w.snapshot().overdue_policies.is_empty());
    // But a patrol that cannot be made is overdue, however often the process restarts.
    w.reviews_answered = false;
    w.run_for(Span::hours(2));
    w.restart();
    w.run_for(Span::minutes(3));
    assert_eq!(w.snapshot().overdue_policies, ["p"]);
}

#[test]
fn a_watch_that_is_lost_ends_no_patrol_as_complete() {
    let mut w = World::patrolled();
    w.event(Event::Lost(Kind::Pod, Blindness::Failing("timeout".into())));
    w.run_for(Span::minutes(18));
    assert!(!w.policy_status("p").last_patrol.unwrap().complete);
    assert_eq!(w.says("p", "Covered"), "False(WatchFailing)");
}

#[test]
fn a_patrol_waits_for_a_watch_that_is_cut_off_for_moments() {
    let mut w = World::patrolled();
    w.run_for(Span::minutes(14));
    let before = w.policy_status("p").last_patrol.unwrap().started_at;
    let cut = || Event::Lost(Kind::Pod, Blindness::Failing("timeout".into()));
    w.event(cut());
    w.run_for(Span::minutes(2));
    let waiting = w.policy_status("p").last_patrol.unwrap();
    assert_eq!(waiting.started_at, before, "it is not over");
    w.list(Kind::Pod);
    w.run_for(Span::seconds(5));
    let last = w.policy_status("p").last_patrol.unwrap();
    assert!(last.complete && last.started_at > before);
    assert!(w.snapshot().overdue_policies.is_empty());
}

#[test]
fn a_refusal_is_confirmed_by_a_review_at_once() {
    let mut w = World::patrolled();
    w.denied.insert(Kind::Pod);
    w.event(Event::Lost(Kind::Pod, Blindness::Denied("watch".into())));
    w.settle();
    assert!(w.engine.inventory().sight(Kind::Pod).is_refused());
    // A refusal that the review does not confirm was a slip of the server's.
    w.event(Event::Lost(Kind::Node, Blindness::Denied("watch".into())));
    w.settle();
    assert!(!w.engine.inventory().sight(Kind::Node).is_refused());
}
