//! Clocks that jump while the boot clock goes on.

use patrol_api::time::Span;
use patrol_api::words::Phase;
use patrol_core::kind::Kind;
use serde_json::json;

use crate::world::{Fate, World, key};

fn starts(w: &World) -> i64 {
    w.policy_status("p").last_patrol.unwrap().started_at.unix()
}

#[test]
fn an_hour_back_stops_neither_patrols_nor_alerts() {
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(5));
    w.pod("shop/b", json!({"bad": "yes"}));
    w.run_for(Span::seconds(10));
    w.skew -= 3600;
    w.run_for(Span::minutes(6));
    assert_eq!(w.told("soc", "shop/a").len(), 1, "no repeat");
    assert_eq!(
        w.told("soc", "shop/b").len(),
        1,
        "the opening is not an hour late"
    );
    let before = starts(&w);
    w.run_for(Span::minutes(16));
    let now = w.wall().unix();
    assert_ne!(starts(&w), before);
    assert!((now - starts(&w)) < 16 * 60, "the schedule goes on");
    // Nor is an end late, nor a wait for cleanness longer.
    w.pod("shop/a", json!({}));
    w.run_for(Span::seconds(15));
    w.skew -= 3600;
    w.run_for(Span::minutes(2));
    assert_eq!(w.status("shop/a").phase, Phase::Resolved);
    w.run_for(Span::minutes(6));
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

/// T4: a word is no younger for that the clock was set back since.
#[test]
fn f20_a_clock_set_back_makes_no_word_of_a_watch_younger() {
    let mut w = World::patrolled();
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}]}, "tickets": {"clearAfter": "45s"}}),
    );
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(5));
    w.pod("shop/a", json!({}));
    w.settle();
    w.silent.insert(Kind::Pod);
    w.run_for(Span::seconds(40));
    // The wait begins anew, and the last word seems to be of five seconds ago.
    w.skew -= 35;
    w.run_for(Span::minutes(5));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
    w.silent.clear();
    w.run_for(Span::minutes(2));
    assert_eq!(w.status("shop/a").phase, Phase::Resolved);
}

#[test]
fn f20_a_day_back_delays_a_reminder_by_one_interval_at_most() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}], "repeat": {"high": "1h"}}}),
    );
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(10));
    w.skew -= 86_400;
    w.run_for(Span::minutes(75));
    assert_eq!(w.told("soc", "shop/a").len(), 2);
    // The same after a restart that never saw the jump.
    w.die();
    w.skew -= 86_400;
    w.restart();
    w.run_for(Span::minutes(75));
    assert_eq!(w.told("soc", "shop/a").len(), 3);
}

#[test]
fn f20_a_day_forward_makes_one_patrol_and_resolves_nothing() {
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes"}));
    w.pod("shop/b", json!({"bad": "yes"}));
    w.run_for(Span::minutes(5));
    w.pod("shop/a", json!({}));
    w.run_for(Span::seconds(5));
    let writes = w.writes.len();
    w.skew += 86_400;
    w.run_for(Span::seconds(20));
    assert_eq!(
        w.status("shop/a").phase,
        Phase::Open,
        "clean for 25 seconds only"
    );
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/a").phase, Phase::Resolved);
    let patrols = w.writes[writes..]
        .iter()
        .filter(|(_, what)| what == "policy p");
    assert!(patrols.count() <= 5);
    assert!(w.snapshot().overdue_policies.is_empty());
    let told = w.told("soc", "shop/b");
    assert!(told.len() <= 2, "at most one reminder more: {told:?}");
}

#[test]
fn f20_a_clock_that_swings_makes_no_noise() {
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    for i in 0..60 {
        w.skew += if i % 2 == 0 { 600 } else { -600 };
        w.run_for(Span::minutes(1));
    }
    assert_eq!(w.told("soc", "shop/a").len(), 1);
    assert_eq!(w.status("shop/a").episode.n, 1);
}

#[test]
fn a_word_from_before_the_clock_was_set_back_is_not_fresh() {
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::seconds(20));
    w.pod("shop/a", json!({}));
    w.settle();
    w.silent.insert(Kind::Pod);
    w.skew -= 3600;
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
}

#[test]
fn retention_outlives_a_clock_that_was_wrong() {
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    w.delete(Kind::Pod, &key("shop", "a"));
    w.run_for(Span::minutes(2));
    w.skew -= 86_400;
    w.run_for(Span::days(33));
    assert_eq!(w.tickets().len(), 0);
}

#[test]
fn an_end_that_only_memory_owes_outlives_a_jump_of_the_clock() {
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    w.mood(
        "soc",
        crate::world::Mood::Answer(patrol_core::event::DeliveryClass::Transient),
    );
    w.end_namespace("shop");
    w.run_for(Span::minutes(1));
    w.skew += 2 * 86_400;
    w.run_for(Span::minutes(1));
    w.mood("soc", crate::world::Mood::Accept);
    w.run_for(Span::minutes(10));
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

#[test]
fn a_ticket_that_comes_back_under_a_clock_that_was_set_back_opened_when_it_did() {
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    let (before, at) = (w.status("shop/a"), w.ticket_key("shop/a"));
    w.skew -= 3600;
    w.run_for(Span::minutes(1));
    w.delete(Kind::Ticket, &at);
    // It is made, and nobody says so until it is asked for again.
    w.silent.insert(Kind::Ticket);
    w.fate("create", [Fate::Unanswered]);
    w.run_for(Span::minutes(3));
    w.silent.clear();
    w.run_for(Span::minutes(1));
    let after = w.status("shop/a");
    assert!(after.history.iter().any(|h| h.reason == "Recreated"));
    assert_eq!(after.first_opened_at, before.first_opened_at);
}

#[test]
fn what_waits_under_a_clock_that_was_set_back_is_not_reported_at_every_look() {
    let mut w = World::patrolled();
    w.mood("soc", crate::world::Mood::Refuse("a"));
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(5));
    assert_eq!(w.told("soc", "shop/a").len(), 0);
    w.skew -= 7200;
    let before = w.writes.len();
    w.run_for(Span::minutes(40));
    let reports = w.writes[before..]
        .iter()
        .filter(|(_, what)| what == "receiver soc");
    let reports = reports.count();
    assert!((1..=8).contains(&reports), "{reports}");
}

#[test]
fn a_wrong_clock_shows_where_alerts_are_reported_and_a_failing_receiver_goes_first() {
    use patrol_core::event::{DeliveryClass, Event};
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    assert_eq!(w.says("p", "Alerting"), "True(Accepting)");
    w.event(Event::Skewed(-290));
    w.run_for(Span::minutes(1));
    assert_eq!(w.says("p", "Alerting"), "Unknown(ClockSkew)");
    let says = w.policy_status("p").conditions;
    let says = says.iter().find(|c| c.type_ == "Alerting").unwrap();
    assert!(
        says.message.contains("5 minutes behind"),
        "{}",
        says.message
    );
    w.mood("soc", crate::world::Mood::Answer(DeliveryClass::Transient));
    w.pod("shop/b", json!({"bad": "yes"}));
    w.run_for(Span::minutes(10));
    assert_eq!(w.says("p", "Alerting"), "False(ReceiverUnavailable)");
    w.mood("soc", crate::world::Mood::Accept);
    w.event(Event::Skewed(0));
    w.run_for(Span::minutes(20));
    assert_eq!(w.says("p", "Alerting"), "True(Accepting)");
}
