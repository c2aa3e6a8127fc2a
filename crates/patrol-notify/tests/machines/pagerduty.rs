//! Events for PagerDuty: one incident a group, one more for what must be heard in spite of an acknowledgement.

use std::collections::BTreeSet;

use patrol_api::words::{AlertReason, Severity};
use patrol_core::notice::{Notice, NoticeKind, NoticeTicket};
use serde_json::Value;

use crate::samples::*;

fn events(notice: &Notice) -> Vec<(Value, Vec<String>)> {
    render(&pagerduty(), notice)
        .into_iter()
        .map(|part| (body(&part), part.event_ids))
        .collect()
}

fn standing(tickets: Vec<NoticeTicket>, standing: u32) -> Notice {
    Notice {
        standing,
        ..notice(tickets)
    }
}

/// Action and key of each event.
fn acts(notice: &Notice) -> Vec<(String, String)> {
    events(notice)
        .into_iter()
        .map(|(event, _)| {
            let word = |name: &str| event[name].as_str().unwrap().to_owned();
            (word("event_action"), word("dedup_key"))
        })
        .collect()
}

#[test]
fn a_group_is_one_incident_until_its_last_ticket_closes() {
    let opened = acts(&standing(vec![ticket(1), ticket(2)], 2));
    let [(action, key)] = opened.as_slice() else {
        panic!("{opened:?}");
    };
    assert_eq!(action, "trigger");
    let one_left = acts(&standing(vec![closed(1)], 1));
    assert_eq!(one_left, [("trigger".to_owned(), key.clone())]);
    let last = acts(&standing(vec![closed(2)], 0));
    assert_eq!(last, [("resolve".to_owned(), key.clone())]);
    // And when its tickets are gone with their namespace.
    let vanished = acts(&standing(vec![], 0));
    assert_eq!(vanished, [("resolve".to_owned(), key.clone())]);
}

#[test]
fn other_groups_policies_receivers_and_clusters_are_other_incidents() {
    let plain = standing(vec![ticket(1)], 1);
    let mut keys = BTreeSet::from([acts(&plain)[0].1.clone()]);
    let mut group = plain.clone();
    group.group.key = "check=other".into();
    let mut policy = plain.clone();
    policy.policy = "other".into();
    let mut receiver = plain.clone();
    receiver.receiver = "other".into();
    let mut cluster = plain.clone();
    cluster.cluster.id = "other".into();
    for other in [group, policy, receiver, cluster] {
        assert!(keys.insert(acts(&other)[0].1.clone()));
    }
    // The name of a cluster may be given later.
    let mut named = plain;
    named.cluster.name = "other".into();
    assert!(!keys.insert(acts(&named)[0].1.clone()));
    assert!(keys.iter().all(|key| key.len() <= 255));
}

/// Somebody acknowledged the incident that stands: what must be heard begins the next one, however many tickets are concerned.
#[test]
fn a_missed_deadline_is_heard_in_spite_of_an_acknowledgement() {
    let first = acts(&standing(vec![ticket(1), ticket(2), ticket(3)], 3));
    let mut escalated = ticket(3);
    escalated.reason = AlertReason::Escalated;
    escalated.level = 1;
    let mut next = standing(vec![ticket(2), breached(1), escalated], 3);
    (next.incident, next.begins_incident) = (1, true);
    let acted = acts(&next);
    assert_eq!(acted[0].0, "trigger");
    assert_ne!(acted[0].1, first[0].1, "another incident");
    // Only once that stands is the one before over.
    assert_eq!(acted[1..], [("resolve".to_owned(), first[0].1.clone())]);
    let all = events(&next);
    assert_eq!(all[0].1.len(), 3, "all is told by the first event");
    let summary = all[0].0["payload"]["summary"].as_str().unwrap();
    assert!(
        summary.contains("web-1"),
        "what passed comes first: {summary}"
    );

    // What is told later goes there, and the end ends it and those whose end may have been lost.
    next.begins_incident = false;
    next.tickets = vec![ticket(2)];
    assert_eq!(acts(&next), [("trigger".to_owned(), acted[0].1.clone())]);
    next.incident = 9;
    next.tickets = vec![closed(1), closed(2)];
    next.standing = 0;
    let ended = acts(&next);
    assert_eq!(ended.len(), 4);
    assert!(ended.iter().all(|(action, _)| action == "resolve"));
    let keys: BTreeSet<&String> = ended.iter().map(|(_, key)| key).collect();
    assert_eq!(keys.len(), 4);
    let told: Vec<usize> = events(&next).iter().map(|(_, ids)| ids.len()).collect();
    assert_eq!(told, [0, 0, 0, 2], "recorded when all of them are over");
}

/// It came and went while PagerDuty could not be reached: nobody was called, so it shows up, and is over.
#[test]
fn what_is_told_late_shows_up_and_is_over() {
    let mut late = closed(1);
    late.reason = AlertReason::Late;
    let notice = standing(vec![late], 0);
    let acted = acts(&notice);
    let actions: Vec<&str> = acted.iter().map(|(action, _)| action.as_str()).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    assert_eq!(acted[0].1, acted[1].1);
    let all = events(&notice);
    assert_eq!((all[0].1.len(), all[1].1.len()), (0, 1));
    let summary = all[0].0["payload"]["summary"].as_str().unwrap();
    assert!(summary.contains("web-1"), "{summary}");
}

#[test]
fn the_fields_of_an_event_are_within_their_limits() {
    let mut long = ticket(1);
    long.title = "ä".repeat(5_000);
    let mut many: Vec<NoticeTicket> = (2..1_000).map(ticket).collect();
    many.insert(0, long);
    let parts = render(&pagerduty(), &standing(many, 999));
    assert_eq!(parts.len(), 1);
    assert!(parts[0].body.len() <= 256 * 1024, "{}", parts[0].body.len());
    let event = body(&parts[0]);
    let payload = &event["payload"];
    assert!(payload["summary"].as_str().unwrap().chars().count() <= 1_024);
    let listed = payload["custom_details"]["tickets"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(
        listed + parts[0].by_number,
        999,
        "the rest is told by number"
    );
    assert!(listed > 100);
    assert_eq!(payload["custom_details"]["standing"], 999);
    for field in ["source", "severity", "summary"] {
        assert!(!payload[field].as_str().unwrap().is_empty(), "{field}");
    }
}

#[test]
fn severities_are_pagerdutys() {
    for (ours, theirs) in [
        (Severity::Critical, "critical"),
        (Severity::High, "error"),
        (Severity::Medium, "warning"),
        (Severity::Low, "info"),
        (Severity::Info, "info"),
    ] {
        let mut one = ticket(1);
        one.severity = ours;
        let (event, _) = &events(&standing(vec![one], 1))[0];
        assert_eq!(event["payload"]["severity"], theirs);
    }
}

#[test]
fn a_probe_shows_and_ends_and_a_sign_of_life_wakes_nobody() {
    let probe = acts(&bare(NoticeKind::Test));
    assert_eq!(
        (probe[0].0.as_str(), probe[1].0.as_str()),
        ("trigger", "resolve")
    );
    assert_eq!(probe[0].1, probe[1].1);
    let beat = acts(&bare(NoticeKind::Heartbeat));
    assert_eq!(beat.len(), 1);
    assert_eq!(beat[0].0, "resolve");
    assert_ne!(beat[0].1, probe[0].1);
}

/// PagerDuty refuses an event without a source.
#[test]
fn a_cluster_whose_name_nobody_sees_is_known_by_its_id() {
    let mut unseen = Notice {
        standing: 1,
        ..notice(vec![ticket(1)])
    };
    unseen.cluster.name = "\u{200b}\u{7}".into();
    let event = body(&render(&pagerduty(), &unseen)[0]);
    assert_eq!(event["payload"]["source"], "0c1b2a3d");
    unseen.cluster.id = "\u{feff}".into();
    let event = body(&render(&pagerduty(), &unseen)[0]);
    assert_eq!(event["payload"]["source"], "kube-patrol");
}
