//! The groups a receiver holds an alarm for: none outlives its tickets, and none ends while what was told under it is open.

use patrol_api::receiver::GroupRecord;
use patrol_api::time::Span;
use patrol_api::words::ToldState;
use patrol_core::event::DeliveryClass;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::world::{HOME, Mood, World, key};

fn bad() -> Value {
    json!({"bad": "yes"})
}

fn grouping_by(by: &str) -> Value {
    json!({"alerts": {"receivers": [{"name": "pd"}], "groupBy": [by]}})
}

/// A world with one policy that tells `pd`, a PagerDuty.
fn told_by(by: &str) -> World {
    let mut w = World::new();
    w.receiver(
        "pd",
        json!({"webhook": null, "pagerduty": {"routingKeySecretRef": {"name": "pd", "key": "key"}}}),
    );
    w.policy("p", grouping_by(by));
    w
}

fn groups(w: &World) -> Vec<GroupRecord> {
    let stored = w.server.get(Kind::AlertReceiver, &key("", "pd")).unwrap();
    let groups = &stored["status"]["groups"];
    match groups.is_null() {
        true => vec![],
        false => serde_json::from_value(groups.clone()).unwrap(),
    }
}

/// The groups that stand at the receiver, by what it accepted: an incident begins with a message under which tickets stand, and ends with
/// one under which none do.
fn incidents(w: &World) -> Vec<String> {
    let mut open = std::collections::BTreeSet::new();
    for (_, _, notice) in &w.sent {
        match notice.standing {
            0 => open.remove(&notice.group.key),
            _ => open.insert(notice.group.key.clone()),
        };
    }
    open.into_iter().collect()
}

/// F26: the tickets of a namespace are gone, and the operator did not see them go.
#[test]
fn f26_a_group_whose_tickets_vanished_while_nobody_looked_is_closed() {
    let mut w = told_by("check");
    w.namespace("gone", json!({}));
    w.pod("gone/a", bad());
    w.run_for(Span::minutes(3));
    assert_eq!(groups(&w)[0].state, ToldState::Firing);
    let sent = w.sent.len();
    w.die();
    w.end_namespace("gone");
    w.mood("pd", Mood::Answer(DeliveryClass::Transient));
    w.restart();
    w.run_for(Span::minutes(3));
    assert!(w.sent.len() > sent, "it is tried");
    assert_eq!(groups(&w)[0].state, ToldState::Firing);
    w.mood("pd", Mood::Accept);
    w.run_for(Span::minutes(15));
    let (_, _, notice) = w.sent.last().unwrap();
    assert_eq!((notice.tickets.len(), notice.standing), (0, 0));
    assert_eq!(notice.policy, "p");
    assert_eq!(groups(&w)[0].state, ToldState::Closed);
    let sent = w.sent.len();
    w.run_for(Span::hours(2));
    assert_eq!(w.sent.len(), sent, "once is enough");
    assert!(groups(&w).is_empty(), "and it is forgotten");
}

/// The alarm of the new group comes before the end of the old one, under the ids that were told.
#[test]
fn a_policy_that_groups_differently_moves_its_alarms() {
    let mut w = told_by("check");
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(3));
    let before = groups(&w)[0].key.clone();
    assert_eq!(w.told("pd", "shop/a"), ["Firing 1.1.1 Opened"]);
    w.mood("pd", Mood::Answer(DeliveryClass::Transient));
    w.policy("p", grouping_by("namespace"));
    w.run_for(Span::minutes(30));
    let stands = |w: &World, key: &str| {
        groups(w)
            .iter()
            .any(|g| g.key == key && g.state == ToldState::Firing)
    };
    assert!(
        stands(&w, &before),
        "no end while the new alarm is not there"
    );
    w.mood("pd", Mood::Accept);
    w.run_for(Span::minutes(20));
    assert!(!stands(&w, &before));
    assert!(stands(&w, "p/namespace=shop"));
    assert_eq!(incidents(&w), ["namespace=shop"]);
    assert_eq!(
        w.told("pd", "shop/a"),
        ["Firing 1.1.1 Opened", "Firing 1.1.1 Reminder"]
    );
    assert_eq!(w.open(), 1, "{HOME}");
    let sent = w.sent.len();
    w.run_for(Span::hours(2));
    assert_eq!(w.sent.len(), sent, "once is enough");
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(12));
    assert_eq!(incidents(&w), Vec::<String>::new());
}

#[test]
fn a_ticket_that_becomes_milder_keeps_its_alarm() {
    let mut w = told_by("severity");
    w.pod("shop/a", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(3));
    assert_eq!(incidents(&w), ["severity=Critical"]);
    w.pod("shop/a", json!({"bad": "yes", "severity": "Low"}));
    w.run_for(Span::minutes(15));
    assert_eq!(incidents(&w), ["severity=Low"]);
}

#[test]
fn what_is_muted_is_not_told_again_and_keeps_the_alarm_it_has() {
    let mut w = told_by("check");
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(3));
    let mute = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "TicketWaiver",
        "metadata": {"namespace": "shop", "name": "quiet", "uid": "w", "creationTimestamp": w.wall().to_string()},
        "spec": {"checks": ["*"], "reason": "is being moved", "owner": "payments", "treatment": "Mute",
            "expiresAt": w.wall().plus(Span::days(1)).to_string()},
    });
    w.apply(Kind::TicketWaiver, &key("shop", "quiet"), mute);
    w.settle();
    w.policy("p", grouping_by("namespace"));
    w.run_for(Span::hours(1));
    assert_eq!(incidents(&w).len(), 1);
    assert_eq!(w.told("pd", "shop/a"), ["Firing 1.1.1 Opened"]);
    w.run_for(Span::hours(24));
    assert_eq!(incidents(&w), ["namespace=shop"]);
}

/// None of them is told while the receiver is down.
#[test]
fn too_many_groups_at_once_are_coarse_from_the_first_message() {
    let mut w = told_by("namespace");
    w.mood("pd", Mood::Answer(DeliveryClass::Transient));
    for n in 0..1030 {
        w.namespace(&format!("n{n}"), json!({}));
        w.pod(&format!("n{n}/a"), bad());
    }
    w.run_for(Span::minutes(30));
    assert_eq!(incidents(&w), [""]);
    assert!(
        w.sent
            .iter()
            .all(|(_, _, notice)| notice.group.key.is_empty())
    );
    assert_eq!(
        w.condition(Kind::AlertReceiver, "pd", "GroupsCoarsened"),
        "True(TooManyGroups)"
    );
}

/// alerting.md 2.4: a receiver's status has room for 1,024 groups.
#[test]
fn too_many_groups_leave_the_namespace_out_until_there_are_few() {
    let mut w = told_by("namespace");
    let pods = |w: &mut World, from: usize, to: usize, labels: &Value| {
        for n in from..to {
            w.namespace(&format!("n{n}"), json!({}));
            w.pod(&format!("n{n}/a"), labels.clone());
        }
    };
    let says = |w: &World| w.condition(Kind::AlertReceiver, "pd", "GroupsCoarsened");
    pods(&mut w, 0, 1000, &bad());
    w.run_for(Span::minutes(20));
    assert_eq!(incidents(&w).len(), 1000);
    pods(&mut w, 1000, 1030, &bad());
    w.run_for(Span::minutes(3));
    assert_eq!(says(&w), "True(TooManyGroups)");
    w.run_for(Span::hours(3));
    assert_eq!(incidents(&w), [""]);
    assert_eq!(groups(&w).iter().map(|g| g.told_count).sum::<u64>(), 1030);
    w.die();
    w.restart();
    w.run_for(Span::hours(1));
    assert_eq!(incidents(&w), [""], "the next process knows");
    pods(&mut w, 3, 1030, &json!({}));
    w.run_for(Span::hours(1));
    assert_eq!(says(&w), "False(AsWanted)");
    assert_eq!(
        incidents(&w),
        ["namespace=n0", "namespace=n1", "namespace=n2"]
    );
}
