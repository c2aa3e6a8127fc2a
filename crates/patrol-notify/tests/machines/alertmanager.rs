//! Alerts for Alertmanager: identity, ends, and large groups.

use std::collections::BTreeMap;

use patrol_api::time::Time;
use patrol_api::words::{Party, Severity};
use patrol_core::notice::{Alarm, Notice, NoticeTicket};
use serde_json::Value;

use crate::samples::*;

fn alerts(notice: &Notice) -> Vec<Value> {
    render(&alertmanager(), notice)
        .iter()
        .flat_map(|part| body(part).as_array().unwrap().clone())
        .collect()
}

fn one(ticket: NoticeTicket) -> Value {
    let all = alerts(&notice(vec![ticket]));
    assert_eq!(all.len(), 1);
    all[0].clone()
}

fn at(seconds: i64) -> String {
    Time::from_unix(seconds).to_string()
}

#[test]
fn the_labels_of_the_contract() {
    let expected: BTreeMap<&str, &str> = [
        ("alertname", "KubePatrolSidecarMissing"),
        ("policy", "production"),
        ("check", "sidecar-missing"),
        ("severity", "high"),
        ("namespace", "shop"),
        ("subject_kind", "Deployment"),
        ("subject_name", "web-1"),
        ("layer", "L4"),
        ("party", "customer"),
        ("ticket", "shop/sidecar-missing-1"),
        ("cluster", "prod"),
    ]
    .into();
    let alert = one(ticket(1));
    let labels = alert["labels"].as_object().unwrap();
    let labels: BTreeMap<&str, &str> = labels
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
        .collect();
    assert_eq!(labels, expected);
}

/// Whatever counts, ages or is a sentence is no part of the identity.
#[test]
fn labels_stay_while_a_ticket_lives() {
    let first = one(ticket(1));
    let mut later = breached(1);
    later.severity = Severity::High;
    later.n = 7;
    later.affected = 99;
    later.title = "Other words".into();
    later.message = "Other words".into();
    later.assignee = None;
    later.recurrences = 5;
    let later = one(later);
    assert_eq!(first["labels"], later["labels"]);
    assert_ne!(first["annotations"], later["annotations"]);
    let mut over = closed(1);
    over.n = 3;
    assert_eq!(one(over)["labels"], first["labels"]);
    let mut other = ticket(1);
    other.party = Party::Platform;
    assert_ne!(one(other)["labels"], first["labels"]);
}

/// F35: an absence of ours shorter than `holdFor` is no end.
#[test]
fn f35_an_open_ticket_is_held_and_a_closed_one_has_ended() {
    let open = one(ticket(1));
    assert_eq!(open["startsAt"], at(NOW - 3_600));
    assert_eq!(open["endsAt"], at(NOW + 86_400));
    assert_eq!(one(closed(1))["endsAt"], at(NOW - 30));
    // Without a time of its own an end is now, and each repetition is certain to be past for a slower clock.
    let mut waived = closed(1);
    waived.resolved_at = None;
    assert_eq!(one(waived.clone())["endsAt"], at(NOW));
    waived.n = 3;
    assert_eq!(one(waived.clone())["endsAt"], at(NOW - 600));
    // Never before its begin, which Alertmanager refuses.
    waived.opened_at = Time::from_unix(NOW);
    assert_eq!(one(waived)["endsAt"], at(NOW));
}

#[test]
fn a_severity_that_changed_ends_the_alert_it_had() {
    let mut raised = ticket(1);
    raised.severity = Severity::Critical;
    raised.alarm.former = vec![Severity::Low, Severity::Critical];
    let all = alerts(&notice(vec![raised]));
    assert_eq!(all.len(), 2, "not its own");
    assert_eq!(all[0]["labels"]["severity"], "low");
    assert!(all[0]["endsAt"].as_str().unwrap() <= at(NOW).as_str());
    assert_eq!(all[1]["labels"]["severity"], "critical");
    assert_eq!(all[1]["endsAt"], at(NOW + 86_400));
}

fn storm(tickets: Vec<NoticeTicket>, standing: u32, numbered: u32) -> Notice {
    Notice {
        standing,
        numbered,
        ..notice(tickets)
    }
}

#[test]
fn new_tickets_of_a_very_large_group_are_one_alert() {
    let parts = render(
        &alertmanager(),
        &storm((0..300).map(ticket).collect(), 1_001, 0),
    );
    assert_eq!(parts.len(), 1);
    assert_eq!((parts[0].event_ids.len(), parts[0].by_number), (300, 300));
    let alert = &body(&parts[0])[0];
    assert_eq!(alert["labels"]["alertname"], "KubePatrolManyTickets");
    assert_eq!(alert["labels"]["group"], "check=sidecar-missing");
    assert_eq!(alert["annotations"]["open"], "300");
    // With 1,000 each has its own.
    assert_eq!(
        alerts(&storm((0..300).map(ticket).collect(), 1_000, 0)).len(),
        300
    );
}

/// A label without a value is no label.
#[test]
fn a_group_of_everything_has_no_key_to_be_labelled_with() {
    let mut all = storm((0..300).map(ticket).collect(), 1_001, 0);
    all.group.key = String::new();
    let labels = alerts(&all)[0]["labels"].clone();
    assert_eq!(labels["alertname"], "KubePatrolManyTickets");
    assert_eq!(labels.get("group"), None);
}

/// An alert that is not repeated looks like one that was resolved.
#[test]
fn who_has_an_alert_of_its_own_keeps_it_and_who_has_none_gets_none() {
    let mut named = ticket(1);
    named.alarm.named = true;
    let mut numbered = ticket(2);
    numbered.alarm = Alarm {
        numbered: true,
        ..Alarm::default()
    };
    let all = alerts(&storm(vec![named.clone(), numbered.clone()], 2_000, 10));
    assert_eq!(all.len(), 2);
    assert_eq!(all[0]["labels"]["subject_name"], "web-1");
    assert_eq!(all[1]["annotations"]["open"], "11");
    let few = alerts(&storm(vec![named, numbered], 2, 0));
    assert_eq!(few.len(), 2, "not even when the group shrinks");
}

#[test]
fn the_alert_of_a_group_ends_with_the_last_that_it_stands_for() {
    let mut over = closed(1);
    over.alarm = Alarm {
        numbered: true,
        ..Alarm::default()
    };
    let all = alerts(&storm(vec![over.clone()], 5, 4));
    assert_eq!(all[0]["endsAt"], at(NOW + 86_400));
    let all = alerts(&storm(vec![over], 1, 0));
    assert!(all[0]["endsAt"].as_str().unwrap() <= at(NOW).as_str());
}

#[test]
fn a_batch_holds_256_tickets() {
    let parts = render(
        &alertmanager(),
        &storm((0..600).map(ticket).collect(), 600, 0),
    );
    let sizes: Vec<usize> = parts.iter().map(|p| p.event_ids.len()).collect();
    assert_eq!(sizes, [256, 256, 88]);
}
