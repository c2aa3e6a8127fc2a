//! The ceiling and its aggregate ticket.

use patrol_api::time::Span;
use patrol_api::words::Phase;
use patrol_core::event::{Event, Term};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use serde_json::json;

use crate::world::{World, key};

fn flooded(max: u32, pods: usize) -> World {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy("p", json!({"tickets": {"maxPerCheck": max}}));
    for i in 0..pods {
        w.pod(&format!("shop/a{i:03}"), json!({"bad": "yes"}));
    }
    w.run_for(Span::seconds(30));
    w
}

fn single(w: &World) -> usize {
    let tickets = w.tickets();
    let own = tickets.iter().filter(|t| {
        t.spec.finding.subject.kind == "Pod"
            && t.status.as_ref().is_none_or(|s| s.phase == Phase::Open)
    });
    own.count()
}

fn counted(w: &World) -> u64 {
    w.status("shop/shop").evidence.affected.count
}

#[test]
fn a_burst_stops_at_the_ceiling_and_the_rest_is_counted_in_one_ticket() {
    let w = flooded(10, 300);
    assert_eq!(single(&w), 10);
    assert_eq!(counted(&w), 290);
    assert_eq!(w.tickets().len(), 11);
    assert_eq!(w.snapshot().overflowed, 290);
}

#[test]
fn a_place_that_is_left_is_taken_by_one_that_waits() {
    let mut w = flooded(10, 13);
    let first = w.tickets()[0].spec.finding.subject.name.clone();
    w.delete(Kind::Pod, &key("shop", &first));
    w.run_for(Span::seconds(10));
    assert_eq!((single(&w), counted(&w)), (10, 2));
}

#[test]
fn the_aggregate_ends_when_nobody_waits() {
    let mut w = flooded(10, 13);
    w.policy("p", json!({"tickets": {"maxPerCheck": 50}}));
    w.run_for(Span::seconds(60));
    assert_eq!(single(&w), 13);
    assert_eq!(w.status("shop/shop").phase, Phase::Resolved);
}

#[test]
fn a_restart_opens_no_more_and_keeps_the_aggregate() {
    let mut w = flooded(10, 30);
    w.restart();
    w.run_for(Span::minutes(5));
    assert_eq!((single(&w), counted(&w)), (10, 20));
    assert_eq!(w.status("shop/shop").phase, Phase::Open);
    assert_eq!(w.status("shop/shop").episode.n, 1);
}

#[test]
fn blindness_does_not_end_the_aggregate() {
    let mut w = flooded(10, 30);
    w.event(Event::Lost(Kind::Pod, Blindness::Denied("list".into())));
    w.run_for(Span::minutes(5));
    assert_eq!(w.status("shop/shop").phase, Phase::Open);
    assert_eq!(w.snapshot().overflowed, 20);
    // Nor does a restart in the dark.
    w.die();
    for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::Pod) {
        w.list(kind);
    }
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(5));
    assert_eq!(w.status("shop/shop").phase, Phase::Open);
    w.list(Kind::Pod);
    w.run_for(Span::minutes(2));
    assert_eq!((single(&w), counted(&w)), (10, 20));
}

#[test]
fn one_that_waits_and_cannot_be_judged_still_counts() {
    let mut w = flooded(10, 12);
    for i in 0..12 {
        let name = format!("shop/a{i:03}");
        if w.find(&name).is_none() {
            w.pod(&name, json!({"unknown": "yes"}));
        }
    }
    w.run_for(Span::minutes(2));
    assert_eq!(w.status("shop/shop").phase, Phase::Open);
}

#[test]
fn a_ticket_deleted_by_hand_keeps_its_place() {
    let mut w = flooded(10, 30);
    let at = w.keys(Kind::Ticket, "shop").into_iter().find(|k| {
        let ticket = w.server.get(Kind::Ticket, k).unwrap();
        ticket["spec"]["finding"]["subject"]["kind"] == "Pod"
    });
    let at = at.unwrap();
    w.delete(Kind::Ticket, &at);
    w.run_for(Span::seconds(10));
    assert!(w.server.get(Kind::Ticket, &at).is_some());
    assert_eq!((single(&w), counted(&w)), (10, 20));
}

#[test]
fn a_deleted_policy_ends_its_aggregate_too() {
    let mut w = flooded(10, 30);
    w.delete_policy("p");
    w.run_for(Span::minutes(1));
    assert_eq!(w.open(), 0);
}

/// What a receiver costs is its own, so their number is what bounds the process.
#[test]
fn more_than_512_receivers_are_not_served_and_say_so() {
    let mut w = World::new();
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "r0512"}, {"name": "r0513"}]}}),
    );
    for n in 1..=513 {
        w.receiver(&format!("r{n:04}"), json!({}));
    }
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(3));
    assert_eq!(w.told("r0512", "shop/a").len(), 1);
    assert_eq!(w.told("r0513", "shop/a").len(), 0);
    let ready = w.condition(Kind::AlertReceiver, "r0513", "Ready");
    assert_eq!(ready, "False(Config)");
    // There is room for it again.
    w.delete(Kind::AlertReceiver, &key("", "r0001"));
    w.run_for(Span::minutes(3));
    assert_eq!(w.told("r0513", "shop/a").len(), 1);
    assert_eq!(
        w.condition(Kind::AlertReceiver, "r0513", "Ready"),
        "True(Accepting)"
    );
}
