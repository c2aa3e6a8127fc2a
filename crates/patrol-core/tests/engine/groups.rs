//! The groups a receiver holds an alarm for: none outlives its tickets, and none ends while what was told under it is open.

use patrol_api::receiver::GroupRecord;
use patrol_api::time::Span;
use patrol_api::words::ToldState;
use patrol_core::event::{DeliveryClass, WriteResult};
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::world::{Fate, HOME, Mood, World, key};

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

/// Mutes everything in one namespace for a day.
fn mute_shop(w: &mut World) {
    let mute = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "TicketWaiver",
        "metadata": {"namespace": "shop", "name": "quiet", "uid": "w", "creationTimestamp": w.wall().to_string()},
        "spec": {"checks": ["*"], "reason": "is being moved", "owner": "payments", "treatment": "Mute",
            "expiresAt": w.wall().plus(Span::days(1)).to_string()},
    });
    w.apply(Kind::TicketWaiver, &key("shop", "quiet"), mute);
    w.settle();
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
fn f26_a_policy_that_groups_differently_moves_its_alarms() {
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
fn f26_a_ticket_that_becomes_milder_keeps_its_alarm() {
    let mut w = told_by("severity");
    w.pod("shop/a", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(3));
    assert_eq!(incidents(&w), ["severity=Critical"]);
    w.pod("shop/a", json!({"bad": "yes", "severity": "Low"}));
    w.run_for(Span::minutes(15));
    assert_eq!(incidents(&w), ["severity=Low"]);
}

/// A reader of Alertmanager's messages takes a group without a firing alert for mended.
#[test]
fn a_message_of_ends_names_what_stands_where_groups_are_read_as_a_whole() {
    let mut w = World::new();
    w.receiver(
        "reader",
        json!({"webhook": {"url": "https://reader.example.com/", "format": "alertmanager/v4"}}),
    );
    w.policy("p", json!({"alerts": {"receivers": [{"name": "reader"}]}}));
    w.pod("shop/a", bad());
    w.pod("shop/b", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(3));
    assert!(w.sent.iter().all(|(_, _, n)| n.others.is_empty()));
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(10));
    let notice = &w.sent.last().unwrap().2;
    let named = |tickets: &[patrol_core::notice::NoticeTicket]| -> Vec<String> {
        tickets.iter().map(|t| t.subject.name.clone()).collect()
    };
    assert_eq!(
        (named(&notice.tickets), named(&notice.others)),
        (vec!["a".into()], vec!["b".into()])
    );
    w.pod("shop/b", json!({}));
    w.run_for(Span::minutes(10));
    assert!(w.sent.last().unwrap().2.others.is_empty());
}

/// What is news of a ticket brings the alarm of its new group: what was told before is not told once more ahead of it.
#[test]
fn a_ticket_that_becomes_graver_moves_with_its_news() {
    let mut w = told_by("severity");
    let mut policy = grouping_by("severity");
    policy["alerts"]["groupWait"] = json!("5m");
    w.policy("p", policy);
    w.pod("shop/a", json!({"bad": "yes", "severity": "Low"}));
    w.run_for(Span::minutes(8));
    assert_eq!(w.told("pd", "shop/a"), ["Firing 1.1.1 Opened"]);
    w.pod("shop/a", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(4));
    assert_eq!(incidents(&w), ["severity=Low"], "until the news is told");
    w.run_for(Span::minutes(10));
    assert_eq!(
        w.told("pd", "shop/a"),
        ["Firing 1.1.1 Opened", "Firing 1.2.1 SeverityRaised"]
    );
    assert_eq!(incidents(&w), ["severity=Critical"]);
}

/// Whoever took a ticket is not called because a policy groups differently: the alarm he knows of stands, until the ticket ends or
/// is open again.
#[test]
fn a_ticket_that_somebody_took_keeps_the_alarm_it_has() {
    let mut w = told_by("check");
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(3));
    let before = incidents(&w);
    let until = w.wall().plus(Span::hours(1)).to_string();
    w.edit(Kind::Ticket, &w.ticket_key("shop/a"), |ticket| {
        ticket["spec"]["snooze"] = json!({"until": until, "reason": "next week"});
    });
    w.policy("p", grouping_by("namespace"));
    w.run_for(Span::minutes(50));
    assert_eq!(w.told("pd", "shop/a"), ["Firing 1.1.1 Opened"]);
    assert_eq!(incidents(&w), before);
    w.run_for(Span::minutes(20));
    assert_eq!(
        w.told("pd", "shop/a"),
        ["Firing 1.1.1 Opened", "Firing 1.2.1 ReArmed"]
    );
    assert_eq!(incidents(&w), ["namespace=shop"]);
}

#[test]
fn what_is_muted_is_not_told_again_and_keeps_the_alarm_it_has() {
    let mut w = told_by("check");
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(3));
    mute_shop(&mut w);
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

/// What it groups by cannot be read, and whom it names neither: that is no end.
#[test]
fn f26_a_policy_that_cannot_be_read_ends_no_alarm() {
    let mut w = told_by("namespace");
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(3));
    w.die();
    w.lead_without_policy("p");
    w.run_for(Span::minutes(30));
    assert_eq!(incidents(&w), ["namespace=shop"]);
    assert_eq!(groups(&w)[0].state, ToldState::Firing);
}

/// A ticket that somebody deleted is about to be there again, however long that takes.
#[test]
fn f27_a_ticket_that_cannot_be_made_again_keeps_its_alarm() {
    let mut w = told_by("check");
    w.pod("shop/a", bad());
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(3));
    let refused = Fate::Answer(WriteResult::Failed);
    w.fate("create", std::iter::repeat_n(refused, 1000));
    let ticket = w.ticket_key("shop/a");
    w.delete(Kind::Ticket, &ticket);
    w.run_for(Span::minutes(5));
    assert!(w.find("shop/a").is_none());
    assert_eq!(incidents(&w), ["check=pod-bad"]);
    // The end of another one of the group is not the end of the group.
    w.pod("shop/b", json!({}));
    w.run_for(Span::minutes(20));
    assert_eq!(
        w.told("pd", "shop/b").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
    assert_eq!(incidents(&w), ["check=pod-bad"]);
}

/// A ticket that cannot be told again yet holds back only the end of what it may have been in.
#[test]
fn what_is_muted_holds_back_no_end_of_something_else() {
    let mut w = World::new();
    w.receiver(
        "pd",
        json!({"webhook": null, "pagerduty": {"routingKeySecretRef": {"name": "pd", "key": "key"}}}),
    );
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "pd"}], "groupBy": ["namespace", "severity"]}}),
    );
    w.namespace("gone", json!({}));
    w.pod("shop/a", json!({"bad": "yes", "severity": "Critical"}));
    w.pod("gone/b", bad());
    w.run_for(Span::minutes(3));
    mute_shop(&mut w);
    w.pod("shop/a", json!({"bad": "yes", "severity": "Low"}));
    w.run_for(Span::minutes(3));
    w.die();
    w.end_namespace("gone");
    w.restart();
    w.run_for(Span::minutes(30));
    assert_eq!(incidents(&w), ["namespace=shop,severity=Critical"]);
}

/// The groups of now and of then have no label in common: what the ticket itself is says where it cannot have been.
#[test]
fn what_is_muted_holds_back_no_end_of_another_namespace_where_the_grouping_changed() {
    let mut w = told_by("namespace");
    w.namespace("gone", json!({}));
    w.pod("shop/a", bad());
    w.pod("gone/b", bad());
    w.run_for(Span::minutes(3));
    assert_eq!(incidents(&w), ["namespace=gone", "namespace=shop"]);
    mute_shop(&mut w);
    w.die();
    w.end_namespace("gone");
    w.restart();
    w.policy("p", grouping_by("check"));
    w.run_for(Span::minutes(30));
    assert_eq!(incidents(&w), ["namespace=shop"]);
}

/// The process dies right after a receiver was told, and what it told of goes before the next one looks.
#[test]
fn f26_an_alarm_is_written_down_before_it_begins() {
    for answers in [Mood::Accept, Mood::Unanswered] {
        let mut w = told_by("namespace");
        for name in ["one", "two"] {
            w.namespace(name, json!({}));
        }
        w.pod("one/a", bad());
        w.run_for(Span::seconds(45));
        w.mood("pd", answers);
        w.pod("two/a", bad());
        let told = |w: &World| {
            w.sent
                .iter()
                .any(|(_, _, n)| n.group.key == "namespace=two")
        };
        for _ in 0..180 {
            w.run_for(Span::seconds(1));
            if told(&w) {
                break;
            }
        }
        assert!(told(&w));
        w.die();
        w.end_namespace("one");
        w.end_namespace("two");
        w.mood("pd", Mood::Accept);
        w.restart();
        w.run_for(Span::minutes(15));
        assert_eq!(incidents(&w), Vec::<String>::new());
    }
}

#[test]
fn groups_that_move_are_not_counted_twice() {
    let mut w = told_by("namespace");
    for n in 0..600 {
        w.namespace(&format!("n{n}"), json!({}));
        w.pod(&format!("n{n}/a"), bad());
    }
    w.run_for(Span::minutes(12));
    assert_eq!(incidents(&w).len(), 600);
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "pd"}], "groupBy": ["namespace", "check"]}}),
    );
    w.run_for(Span::hours(1));
    let says = w.condition(Kind::AlertReceiver, "pd", "GroupsCoarsened");
    assert_ne!(says, "True(TooManyGroups)");
    let stand = incidents(&w);
    assert_eq!(stand.len(), 600);
    assert!(stand.iter().all(|key| key.contains("check=")), "{stand:?}");
}

/// Another key is another place, which knows nothing yet.
#[test]
fn a_receiver_with_another_address_is_told_what_is_open() {
    let mut w = told_by("check");
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(3));
    assert_eq!(w.told("pd", "shop/a").len(), 1);
    w.receiver(
        "pd",
        json!({"webhook": null, "pagerduty": {"routingKeySecretRef": {"name": "other", "key": "key"}}}),
    );
    w.run_for(Span::minutes(5));
    assert_eq!(
        w.told("pd", "shop/a"),
        ["Firing 1.1.1 Opened", "Firing 1.1.1 Reminder"]
    );
}

/// alerting.md 2.6, rule 1.
#[test]
fn who_is_no_longer_named_holds_no_alarm_and_has_it_again_when_he_is() {
    let mut w = told_by("check");
    w.receiver("soc", json!({}));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(3));
    assert_eq!(incidents(&w), ["check=pod-bad"]);
    w.policy("p", json!({"alerts": {"receivers": [{"name": "soc"}]}}));
    w.run_for(Span::minutes(5));
    let at_pd = |w: &World| {
        let of = w.sent.iter().filter(|(_, name, _)| name == "pd");
        of.map(|(_, _, notice)| notice.standing).collect::<Vec<_>>()
    };
    assert_eq!(at_pd(&w), [1, 0]);
    assert_eq!(w.status("shop/a").phase.as_str(), "Open");
    w.policy("p", grouping_by("check"));
    w.run_for(Span::minutes(5));
    assert_eq!(at_pd(&w), [1, 0, 1]);
}

/// The new incident may have begun, for all that is known, when the group changes once more.
#[test]
fn an_alarm_that_moved_without_an_answer_ends_too() {
    let mut w = told_by("severity");
    w.pod("shop/a", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(3));
    // It takes what moves, and its answers are lost.
    w.mood("pd", Mood::Mumble);
    w.pod("shop/a", json!({"bad": "yes", "severity": "Low"}));
    w.run_for(Span::minutes(5));
    assert_eq!(incidents(&w), ["severity=Critical", "severity=Low"]);
    w.policy("p", grouping_by("check"));
    w.run_for(Span::minutes(3));
    w.mood("pd", Mood::Accept);
    w.run_for(Span::minutes(20));
    assert_eq!(incidents(&w), ["check=pod-bad"]);
}
