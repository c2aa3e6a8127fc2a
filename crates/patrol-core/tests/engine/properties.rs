//! What holds in any order and whatever receivers answer.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::time::Span;
use patrol_core::event::{DeliveryClass, Event, Term};
use patrol_core::fingerprint::hash64;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::world::{Mood, World, key};

fn bad(severity: &str) -> Value {
    json!({"bad": "yes", "severity": severity})
}

/// A world in which some was told, some is owed, and people laid this and that over it.
fn eventful() -> World {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.receiver(
        "am",
        json!({"webhook": null, "alertmanager": {"url": "https://am.example.com"}}),
    );
    w.receiver(
        "pd",
        json!({"webhook": null, "pagerduty": {"routingKeySecretRef": {"name": "pd", "key": "key"}}}),
    );
    let receivers = json!([{"name": "soc"}, {"name": "am"}, {"name": "pd", "minSeverity": "High"}]);
    w.policy(
        "p",
        json!({"alerts": {"receivers": receivers, "repeat": {"high": "1h", "low": "90m"}}}),
    );
    w.policy(
        "q",
        json!({"alerts": {"receivers": receivers, "groupBy": ["namespace"]}, "schedule": {"every": "20m"}}),
    );
    for n in 0..12 {
        let severity = ["Critical", "High", "Low"][n % 3];
        w.pod(&format!("shop/a{n}"), bad(severity));
    }
    w.run_for(Span::minutes(40));
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    for n in 0..6 {
        w.pod(&format!("bank/b{n}"), bad("High"));
    }
    let pause = json!({"until": w.wall().plus(Span::hours(9)).to_string(), "reason": "on it"});
    for (subject, field) in [("shop/a1", "acknowledge"), ("shop/a4", "snooze")] {
        let at = w.ticket_key(subject);
        w.edit(Kind::Ticket, &at, |ticket| {
            ticket["spec"][field] = pause.clone()
        });
    }
    w.pod("shop/a2", json!({}));
    w.run_for(Span::minutes(30));
    w.mood("soc", Mood::Accept);
    w
}

/// alerting.md 2.6: same tickets, policies and time, same obligations, in whatever order they were learnt.
#[test]
fn what_is_owed_does_not_depend_on_the_order_in_which_it_was_learnt() {
    let learnt = |seed: Option<u64>| -> BTreeMap<(String, String), usize> {
        let mut w = eventful();
        w.die();
        let before = w.taken.len();
        match seed {
            None => w.list_all(),
            Some(seed) => {
                w.list_all_shuffled(|what| hash64(&[&seed.to_be_bytes(), what.as_bytes()]))
            }
        }
        w.event(Event::Leading(Some(Term(1))));
        w.run_for(Span::hours(3));
        let mut told = BTreeMap::new();
        for taken in &w.taken[before..] {
            let what = (taken.receiver.clone(), taken.ticket.event_id.clone());
            *told.entry(what).or_default() += 1;
        }
        told
    };
    let plain = learnt(None);
    assert!(plain.len() > 30, "{} tellings", plain.len());
    for seed in 0..12 {
        assert_eq!(learnt(Some(seed)), plain, "seed {seed}");
    }
}

/// alerting.md AD-13: a ticket is recorded as told exactly when it was in a part that was accepted.
#[test]
fn f13_the_parts_that_were_accepted_are_what_was_due() {
    for seed in 0..12 {
        let mut w = World::new();
        w.receiver("soc", json!({}));
        w.policy(
            "p",
            json!({"alerts": {"receivers": [{"name": "soc"}], "groupBy": ["namespace"], "groupInterval": "1s"}}),
        );
        w.mood("soc", Mood::Dice(seed));
        for n in 0..90 {
            w.pod(&format!("{}/a{n}", ["shop", "bank"][n % 2]), bad("High"));
        }
        for _ in 0..30 {
            w.run_for(Span::minutes(2));
            let taken: BTreeSet<String> = w.told_subjects("soc");
            for ticket in w.tickets() {
                let subject = &ticket.spec.finding.subject.name;
                let status = ticket.status.unwrap_or_default();
                let recorded = status.alerts.iter().any(|r| r.receiver == "soc");
                assert!(
                    !recorded || taken.contains(subject),
                    "{subject} was never accepted"
                );
            }
        }
        w.mood("soc", Mood::Accept);
        // What was refused for its content is asked for again after an hour.
        w.run_for(Span::hours(2));
        assert_eq!(w.told_subjects("soc").len(), 90, "seed {seed}");
        let unrecorded = w.tickets().into_iter().filter(|t| {
            let status = t.status.clone().unwrap_or_default();
            status.alerts.iter().all(|r| r.receiver != "soc")
        });
        assert_eq!(unrecorded.count(), 0, "seed {seed}");
        let stored = w.server.get(Kind::AlertReceiver, &key("", "soc")).unwrap();
        assert_eq!(stored["status"]["pending"], 0);
    }
}
