//! PagerDuty's incidents: one for a group, and the next one when something must be heard although somebody acknowledged it.

use patrol_api::receiver::GroupRecord;
use patrol_api::time::Span;
use patrol_api::words::ToldState;
use patrol_core::event::{DeliveryClass, Event, Term};
use patrol_core::kind::Kind;
use patrol_core::notice::Notice;
use serde_json::{Value, json};

use crate::world::{Mood, World, key};

/// A policy that tells `pd`, with a due time of four hours.
fn told_to_pd() -> World {
    let mut w = World::new();
    w.receiver(
        "pd",
        json!({
            "webhook": null, "sendResolved": false,
            "pagerduty": {"routingKeySecretRef": {"name": "pd", "key": "key"}},
        }),
    );
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "pd"}]}, "tickets": {"sla": {"high": "4h"}}}),
    );
    w
}

fn bad() -> Value {
    json!({"bad": "yes"})
}

fn group(w: &World) -> GroupRecord {
    let stored = w.server.get(Kind::AlertReceiver, &key("", "pd")).unwrap();
    serde_json::from_value(stored["status"]["groups"][0].clone()).unwrap()
}

fn last(w: &World) -> &Notice {
    &w.sent.last().unwrap().2
}

#[test]
fn what_must_be_heard_begins_the_next_incident_once_for_all_tickets() {
    let mut w = told_to_pd();
    for n in 0..40 {
        w.pod(&format!("shop/p{n:02}"), bad());
    }
    w.run_for(Span::minutes(5));
    assert_eq!((last(&w).incident, last(&w).begins_incident), (0, false));
    let before = w.sent.len();
    w.run_for(Span::hours(4));
    let sent: Vec<(u64, bool, usize)> = w.sent[before..]
        .iter()
        .map(|(_, _, n)| (n.incident, n.begins_incident, n.tickets.len()))
        .collect();
    assert_eq!(sent, [(1, true, 40)], "one page for all that passed");
    assert_eq!(group(&w).incident, 1);
    // What comes later goes there.
    w.pod("shop/late", bad());
    w.run_for(Span::minutes(10));
    assert_eq!((last(&w).incident, last(&w).begins_incident), (1, false));
    // And the end is told, though the receiver wants none, for it holds an incident.
    for n in 0..40 {
        w.pod(&format!("shop/p{n:02}"), json!({}));
    }
    w.pod("shop/late", json!({}));
    w.run_for(Span::minutes(20));
    assert_eq!((last(&w).incident, last(&w).standing), (1, 0));
    let over = group(&w);
    assert_eq!((over.state, over.incident), (ToldState::Closed, 0));
}

/// The next process ends it, though the process that began it saw no answer, and though the tickets are gone.
#[test]
fn the_next_incident_is_written_down_before_it_begins() {
    let mut w = told_to_pd();
    w.namespace("gone", json!({}));
    w.pod("gone/a", bad());
    w.run_for(Span::hours(3));
    w.mood("pd", Mood::Answer(DeliveryClass::Transient));
    let before = w.sent.len();
    w.run_for(Span::hours(2));
    let tried: Vec<u64> = w.sent[before..]
        .iter()
        .map(|(_, _, n)| n.incident)
        .collect();
    assert!(
        tried.len() > 1 && tried.iter().all(|n| *n == 1),
        "{tried:?}"
    );
    assert_eq!(group(&w).incident, 1);
    w.die();
    w.end_namespace("gone");
    w.restart();
    w.mood("pd", Mood::Accept);
    w.run_for(Span::minutes(20));
    assert_eq!((last(&w).incident, last(&w).standing), (1, 0));
    assert_eq!(group(&w).state, ToldState::Closed);
}

/// A new leader whose watch lags: what the one before noted in its last moment arrives late, and is not written over.
#[test]
fn f6_an_incident_that_the_old_leader_began_in_its_last_moment_is_ended() {
    let mut w = told_to_pd();
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    w.event(Event::Leading(None));
    w.settle();
    w.silent.insert(Kind::AlertReceiver);
    let now = w.wall().to_string();
    w.edit(Kind::AlertReceiver, &key("", "pd"), |pd| {
        let groups = pd["status"]["groups"].as_array_mut().unwrap();
        groups.push(json!({"key": "p/check=gone", "toldCount": 0, "state": "Firing", "at": now}));
    });
    w.event(Event::Leading(Some(Term(2))));
    w.run_for(Span::seconds(5));
    w.silent.clear();
    w.list(Kind::AlertReceiver);
    w.run_for(Span::minutes(5));
    let ends = w
        .sent
        .iter()
        .filter(|(_, _, notice)| notice.group.key == "check=gone" && notice.standing == 0);
    assert_eq!(ends.count(), 1);
    let stored = w.server.get(Kind::AlertReceiver, &key("", "pd")).unwrap();
    let groups: Vec<GroupRecord> =
        serde_json::from_value(stored["status"]["groups"].clone()).unwrap();
    let stands = |group: &&GroupRecord| group.state == ToldState::Firing;
    let standing: Vec<&str> = groups.iter().filter(stands).map(|g| &*g.key).collect();
    assert_eq!(standing.len(), 1);
    assert_ne!(standing[0], "p/check=gone");
}
