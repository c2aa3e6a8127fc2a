//! checks.md B, `patrol-overdue`: what the engine says of its own patrols and alerts, and
//! what becomes of the ticket about them.

use patrol_api::time::Span;
use patrol_core::event::{DeliveryClass, Event, Term};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::catalogue::WITH_OWN_WORK;
use crate::world::{Mood, World};

fn bad() -> Value {
    json!({"bad": "yes"})
}

/// Whether what was sent was taken is not certain.
fn down() -> Mood {
    Mood::Answer(DeliveryClass::Transient)
}

/// Certainly nothing is taken.
fn refusing() -> Mood {
    Mood::Answer(DeliveryClass::Config("unauthorized"))
}

/// Phase of the ticket about policy `p`.
fn phase(w: &World) -> String {
    let ticket = w.find("p");
    ticket.map_or("none".into(), |t| {
        t.status.unwrap_or_default().phase.to_string()
    })
}

fn episodes(w: &World) -> u64 {
    w.status("p").episode.n
}

/// A policy `p` that tells `soc`, which is unwell, and `ciso`, which is not.
fn undelivered(mood: Mood) -> World {
    let mut w = World::with(WITH_OWN_WORK);
    for name in ["soc", "ciso"] {
        w.receiver(name, json!({}));
    }
    let both = json!({"alerts": {"receivers": [{"name": "soc"}, {"name": "ciso"}]}});
    w.policy("p", both);
    w.run_for(Span::minutes(3));
    w.mood("soc", mood);
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(30));
    w
}

#[test]
fn an_alert_is_undelivered_after_three_windows_and_whoever_can_hears_of_it() {
    let mut w = undelivered(down());
    assert_eq!(phase(&w), "none", "the group wait comes first");
    w.run_for(Span::minutes(1));
    assert_eq!(phase(&w), "Open");
    w.run_for(Span::minutes(1));
    assert_eq!(w.told("ciso", "p"), ["Firing 1.1.1 Opened"]);
    // The receiver is well again: it hears of both, and the end follows.
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(15));
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
    assert_eq!(phase(&w), "Resolved");
    let told = w.told("ciso", "p");
    assert_eq!(told, ["Firing 1.1.1 Opened", "Closed 1.1.1 Resolved"]);
    assert_eq!(episodes(&w), 1);
}

/// Nobody hears what a receiver that is not there should hear: a policy's condition alone would say so.
#[test]
fn a_receiver_that_is_not_there_is_an_alert_undelivered() {
    let mut w = World::with(WITH_OWN_WORK);
    w.receiver("ciso", json!({}));
    let both = json!({"alerts": {"receivers": [{"name": "soc"}, {"name": "ciso"}]}});
    w.policy("p", both);
    w.run_for(Span::hours(1));
    assert_eq!(phase(&w), "none", "nothing is to be told");
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(20));
    assert_eq!(phase(&w), "none", "it may be about to be made");
    w.run_for(Span::minutes(15));
    assert_eq!(phase(&w), "Open");
    assert_eq!(w.told("ciso", "p"), ["Firing 1.1.1 Opened"]);
    w.receiver("soc", json!({}));
    w.run_for(Span::minutes(10));
    assert_eq!(phase(&w), "Resolved");
    assert!(!w.told("soc", "shop/a").is_empty());
}

#[test]
fn it_costs_no_writes_while_it_lasts() {
    let mut w = undelivered(down());
    w.run_for(Span::minutes(5));
    let about = w.ticket_key("p");
    let before = w.writes.len();
    w.run_for(Span::hours(3));
    let writes = w.writes_since(before);
    let of_it = writes.iter().filter(|what| what.ends_with(&*about.name));
    assert_eq!(of_it.count(), 0, "{writes:?}");
    assert_eq!((phase(&w).as_str(), episodes(&w)), ("Open", 1));
}

#[test]
fn its_own_alert_does_not_keep_it_alive() {
    let mut w = undelivered(refusing());
    w.run_for(Span::minutes(2));
    assert_eq!(phase(&w), "Open");
    // It is named for this alert alone from now on, so it is owed nothing of what it missed.
    w.receiver("soc", json!({"coverage": true}));
    w.policy("p", json!({"alerts": {"receivers": [{"name": "ciso"}]}}));
    // What was owed is owed no more, and the receiver stays dead.
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(2));
    assert_eq!(phase(&w), "Resolved");
    // Nor does it open it again, however long it stays undelivered.
    w.run_for(Span::hours(8));
    assert_eq!((phase(&w).as_str(), episodes(&w)), ("Resolved", 1));
    assert!(w.told("soc", "p").is_empty());
}

#[test]
fn it_does_not_come_and_go_while_a_receiver_is_owed_something() {
    let mut w = undelivered(down());
    w.run_for(Span::minutes(2));
    // Whether soc was told is not certain: now the end is owed to it, and that is young.
    w.pod("shop/a", json!({}));
    w.run_for(Span::hours(2));
    assert_eq!((phase(&w).as_str(), episodes(&w)), ("Open", 1));
    w.restart();
    w.run_for(Span::minutes(10));
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(10));
    assert_eq!((phase(&w).as_str(), episodes(&w)), ("Open", 1));
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(12));
    assert_eq!((phase(&w).as_str(), episodes(&w)), ("Resolved", 1));
}

#[test]
fn a_restart_neither_ends_nor_repeats_it() {
    let mut w = undelivered(down());
    w.run_for(Span::minutes(3));
    for _ in 0..3 {
        w.restart();
        w.run_for(Span::seconds(100));
        assert_eq!(phase(&w), "Open");
    }
    // Nor does one that comes just when it would have been said.
    w.run_for(Span::minutes(5));
    assert_eq!((phase(&w).as_str(), episodes(&w)), ("Open", 1));
    assert_eq!(w.told("ciso", "p").len(), 1);
}

#[test]
fn nobody_is_blamed_for_the_time_the_process_was_away() {
    let mut w = World::patrolled_with(WITH_OWN_WORK);
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(1));
    w.die();
    w.mono += 30 * 3_600_000;
    w.restart();
    w.run_for(Span::minutes(10));
    assert_eq!(phase(&w), "none");
    assert_eq!(w.told("soc", "shop/a").len(), 2, "the reminder went out");
}

#[test]
fn what_cannot_be_looked_through_ends_nothing() {
    let mut w = undelivered(down());
    w.run_for(Span::minutes(2));
    // A process that never learns who is to be told.
    w.die();
    for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::AlertReceiver) {
        w.list(kind);
    }
    w.event(Event::Lost(
        Kind::AlertReceiver,
        Blindness::Denied("list".into()),
    ));
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(20));
    assert_eq!(phase(&w), "Open");
    w.list(Kind::AlertReceiver);
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(20));
    assert_eq!(phase(&w), "Resolved");
}

#[test]
fn a_long_group_interval_makes_longer_windows() {
    let mut w = World::with(WITH_OWN_WORK);
    w.receiver("soc", json!({}));
    let alerts = json!({"receivers": [{"name": "soc"}], "groupInterval": "1h"});
    w.policy("p", json!({"alerts": alerts}));
    w.run_for(Span::minutes(3));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(1));
    // It waits for the interval of its group: that is no failure.
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(58));
    assert_eq!(w.told_subjects("soc").len(), 1);
    assert_eq!(phase(&w), "none");
    w.mood("soc", down());
    w.run_for(Span::minutes(119));
    assert_eq!(phase(&w), "none");
    w.run_for(Span::minutes(5));
    assert_eq!(phase(&w), "Open");
}

#[test]
fn content_that_a_receiver_refuses_is_undelivered_too() {
    let mut w = World::patrolled_with(WITH_OWN_WORK);
    w.mood("soc", Mood::Refuse("a"));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(32));
    assert_eq!(phase(&w), "Open");
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(40));
    assert_eq!(phase(&w), "Resolved");
}

#[test]
fn an_undelivered_alert_about_coverage_counts_for_whoever_names_the_receiver() {
    let mut w = World::with(WITH_OWN_WORK);
    w.receiver("soc", json!({"coverage": true}));
    w.receiver("ciso", json!({}));
    w.policy("p", json!({"alerts": {"receivers": [{"name": "soc"}]}}));
    w.policy("q", json!({"alerts": {"receivers": [{"name": "ciso"}]}}));
    w.run_for(Span::minutes(3));
    w.mood("soc", down());
    w.namespace("shop", bad());
    w.run_for(Span::minutes(40));
    assert_eq!(phase(&w), "Open");
    assert!(w.find("q").is_none());
}

#[test]
fn an_overdue_patrol_stays_so_until_one_is_complete() {
    let mut w = World::patrolled_with(WITH_OWN_WORK);
    let cut = || Event::Lost(Kind::Pod, Blindness::Failing("timeout".into()));
    w.event(cut());
    // Every patrol waits for the watch, and ends incomplete.
    w.run_for(Span::hours(2));
    assert_eq!((phase(&w).as_str(), episodes(&w)), ("Open", 1));
    for _ in 0..3 {
        w.die();
        for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::Pod) {
            w.list(kind);
        }
        w.event(cut());
        w.event(Event::Leading(Some(Term(1))));
        w.run_for(Span::minutes(4));
        assert_eq!((phase(&w).as_str(), episodes(&w)), ("Open", 1));
    }
    // Nor is a clock that is set back a patrol.
    w.skew -= 7_200;
    w.run_for(Span::minutes(4));
    assert_eq!((phase(&w).as_str(), episodes(&w)), ("Open", 1));
    w.skew += 7_200;
    w.list(Kind::Pod);
    w.run_for(Span::minutes(20));
    assert_eq!(phase(&w), "Resolved");
}

#[test]
fn what_a_window_held_back_is_not_late_when_it_opens() {
    let mut w = World::with(WITH_OWN_WORK);
    w.receiver("soc", json!({}));
    let begin = w.wall().chrono();
    let clock = |minutes: i64| {
        (begin + chrono::TimeDelta::minutes(minutes))
            .format("%H:%M")
            .to_string()
    };
    w.policy(
        "p",
        json!({"alerts": {
            "receivers": [{"name": "soc"}],
            "windows": [{"mode": "Mute", "from": clock(3), "to": clock(300)}],
        }}),
    );
    w.run_for(Span::seconds(3));
    // Due before it closes, and not taken in time.
    w.mood("soc", down());
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(302));
    w.mood("soc", Mood::Accept);
    w.run_for(Span::hours(1));
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Firing 1.1.1 Opened"
    );
    assert!(w.find("p").is_none(), "{:?}", w.announced);
}
