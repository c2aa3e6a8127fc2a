//! How many resolved tickets are kept.

use std::collections::BTreeSet;

use patrol_api::time::Span;
use patrol_api::words::Phase;
use serde_json::json;

use crate::world::{Fate, World};

#[test]
fn a_policy_keeps_its_last_five_thousand_resolved_tickets_and_deletes_the_others_slowly() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy("p", json!({"tickets": {"maxPerCheck": 10000}}));
    let place = |n: usize| format!("shop/a{n:04}");
    for n in 0..5_060 {
        w.pod(&place(n), json!({"bad": "yes"}));
    }
    w.run_for(Span::minutes(3));
    assert_eq!(w.open(), 5_060);
    // The first forty are mended before the others.
    for n in 0..40 {
        w.pod(&place(n), json!({}));
    }
    w.run_for(Span::minutes(5));
    assert_eq!((w.tickets().len(), w.open()), (5_060, 5_020));
    for n in 40..5_060 {
        w.pod(&place(n), json!({}));
    }
    w.run_for(Span::minutes(4));
    let tickets = w.tickets();
    assert_eq!(tickets.len(), 5_000);
    let resolved = |t: &patrol_api::ticket::Ticket| {
        t.status
            .as_ref()
            .is_some_and(|s| s.phase == Phase::Resolved)
    };
    assert!(tickets.iter().all(resolved));
    let names: BTreeSet<&str> = tickets
        .iter()
        .map(|t| t.spec.finding.subject.name.as_str())
        .collect();
    assert!((0..40).all(|n| !names.contains(&place(n)[5..])));
    let mut deletes: Vec<_> = w
        .writes
        .iter()
        .filter(|(_, what)| what.starts_with("delete"))
        .map(|(at, _)| *at)
        .collect();
    deletes.sort_unstable();
    assert_eq!(deletes.len(), 60);
    assert!(
        deletes
            .windows(21)
            .all(|w| w[20] >= w[0].plus(Span::seconds(1)))
    );
}

/// Nobody who watches sees an open ticket vanish.
#[test]
fn that_a_ticket_ended_is_written_before_it_is_deleted() {
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(3));
    w.fate("status", [Fate::Lost]);
    w.pod("shop/a", json!({}));
    w.run_for(Span::seconds(40));
    assert_eq!(
        w.status("shop/a").phase,
        Phase::Open,
        "the end was not stored"
    );
    // Its time is over all at once.
    w.skew += 40 * 86_400;
    let before = w.writes.len();
    w.run_for(Span::minutes(5));
    assert!(w.find("shop/a").is_none());
    let writes = w.writes_since(before);
    let of_ticket = |what: &&&str| what.contains("shop/");
    let first = writes.iter().find(of_ticket).unwrap();
    assert!(first.starts_with("status"), "{writes:?}");
}
