//! The engine in numbers: what metrics are made of.

use patrol_api::time::Span;
use patrol_api::words::Severity;
use patrol_core::event::{DeliveryClass, WriteResult};
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::world::{Fate, Mood, World};

fn bad() -> Value {
    json!({"bad": "yes"})
}

/// How many of a distribution took at most so long.
fn within(of: &patrol_core::engine::Distribution, span: Span) -> u64 {
    let mut bounds = of.cumulative();
    bounds
        .find(|(bound, _)| *bound == span.as_secs())
        .unwrap()
        .1
}

#[test]
fn how_long_people_took_is_counted_by_severity() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(10));
    let until = w.wall().plus(Span::hours(24)).to_string();
    let place = w.ticket_key("shop/a");
    w.edit(Kind::Ticket, &place, |ticket| {
        ticket["spec"]["acknowledge"] = json!({"until": until, "reason": "on it", "by": "alice"});
    });
    w.settle();
    w.run_for(Span::hours(2));
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(5));

    let counters = w.snapshot().counters;
    let taken = &counters.acknowledge_seconds[&Severity::High];
    assert_eq!(taken.count(), 1);
    assert_eq!(within(taken, Span::minutes(5)), 0);
    assert_eq!(within(taken, Span::minutes(15)), 1);
    let mended = &counters.resolution_seconds[&Severity::High];
    assert_eq!(mended.count(), 1);
    assert_eq!(within(mended, Span::hours(1)), 0);
    assert_eq!(within(mended, Span::hours(6)), 1);
    assert_eq!(counters.resolution_seconds.len(), 1);
}

#[test]
fn a_ticket_whose_policy_went_says_nothing_of_how_long_people_took() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(10));
    w.delete_policy("p");
    w.run_for(Span::minutes(10));
    assert!(w.snapshot().counters.resolution_seconds.is_empty());
}

#[test]
fn what_waits_is_counted_by_what_it_waits_for() {
    let mut w = World::patrolled();
    let opens = w.wall().plus(Span::hours(5)).chrono();
    let clock = |h: i64| {
        let at = opens + chrono::TimeDelta::hours(h);
        at.format("%H:%M").to_string()
    };
    let policy =
        |windows: Value| json!({"alerts": {"receivers": [{"name": "soc"}], "windows": windows}});
    w.policy("p", policy(json!([{"from": clock(0), "to": clock(2)}])));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(10));
    let deferred = |w: &World, cause: &str| {
        let receivers = w.snapshot().receivers;
        let soc = receivers.into_iter().find(|r| r.name == "soc").unwrap();
        soc.deferred[cause]
    };
    assert_eq!(deferred(&w, "Window"), 1);
    w.mood(
        "soc",
        Mood::Answer(DeliveryClass::Throttled(Some(Span::minutes(30)))),
    );
    w.policy("p", policy(json!([])));
    w.run_for(Span::minutes(10));
    assert_eq!((deferred(&w, "Window"), deferred(&w, "Throttled")), (0, 1));
    assert_eq!(deferred(&w, "BackOff"), 0);
    w.mood("soc", Mood::Accept);
    w.run_for(Span::hours(1));
    assert_eq!(deferred(&w, "Throttled"), 0);

    w.mood("soc", Mood::Answer(DeliveryClass::Payload));
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(2));
    assert_eq!(deferred(&w, "Refused"), 1);
}

#[test]
fn what_may_have_been_told_twice_and_what_is_not_recorded_is_counted() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    assert_eq!(w.snapshot().counters.duplicates_possible, 0);
    assert_eq!(w.snapshot().alerts_unrecorded, 0);

    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    w.pod("shop/b", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(2));
    let doubtful = w.snapshot().counters.duplicates_possible;
    assert_eq!(
        doubtful, 1,
        "tried again and again, and always the same words"
    );

    w.mood("soc", Mood::Accept);
    let no = std::iter::repeat_n(Fate::Answer(WriteResult::Failed), 1000);
    w.fate("status", no);
    w.run_for(Span::minutes(15));
    assert_eq!(w.told("soc", "shop/b").len(), 1);
    assert_eq!(w.snapshot().alerts_unrecorded, 1);
    w.fates.clear();
    w.run_for(Span::minutes(5));
    assert_eq!(w.snapshot().alerts_unrecorded, 0);
}

#[test]
fn each_time_another_receiver_stands_in_is_counted() {
    let mut w = World::new();
    w.receiver("backup", json!({}));
    let failover = json!({"receiver": "backup", "after": "15m", "minSeverity": "High"});
    w.receiver("soc", json!({"failover": failover}));
    w.policy("p", json!({"alerts": {"receivers": [{"name": "soc"}]}}));
    for n in 1..=2 {
        w.mood("soc", Mood::Answer(DeliveryClass::Transient));
        w.pod("shop/a", bad());
        w.run_for(Span::minutes(30));
        assert_eq!(w.snapshot().counters.failovers.get("soc"), Some(&n));
        w.mood("soc", Mood::Accept);
        w.pod("shop/a", json!({}));
        w.run_for(Span::hours(1));
    }
}

#[test]
fn what_happens_in_one_moment_is_counted_each() {
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes", "severity": "High"}));
    w.run_for(Span::days(2));
    let announced = w.announced.len();
    // Critical is due after a day, which is over.
    w.pod("shop/a", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(1));
    let breached = w.snapshot().counters.breached;
    assert_eq!(breached[&("p".to_owned(), Severity::Critical)], 1);
    let said: Vec<&str> = w.announced[announced..]
        .iter()
        .filter_map(|note| note.split(' ').next())
        .collect();
    assert_eq!(said, ["TicketSeverityRaised", "TicketSLABreached"]);
}

#[test]
fn whoever_acknowledges_again_is_counted_once() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(10));
    let place = w.ticket_key("shop/a");
    for hours in [1, 30] {
        let until = w.wall().plus(Span::hours(hours)).to_string();
        w.edit(Kind::Ticket, &place, |ticket| {
            ticket["spec"]["acknowledge"] =
                json!({"until": until, "reason": "on it", "by": "alice"});
        });
        w.run_for(Span::hours(2));
    }
    let counters = w.snapshot().counters;
    assert_eq!(counters.acknowledge_seconds[&Severity::High].count(), 1);
}
