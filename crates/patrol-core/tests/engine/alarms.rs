//! Receivers that hold alarms: those that forget are told again and again, and no group's alarm outlives its tickets.

use patrol_api::receiver::GroupRecord;
use patrol_api::time::Span;
use patrol_api::words::{Severity, ToldState};
use patrol_core::event::DeliveryClass;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::world::{Mood, World, key};

fn bad() -> Value {
    json!({"bad": "yes"})
}

/// A world with one policy that tells `am`, an Alertmanager, or `pd`, a PagerDuty.
fn told_to(name: &str) -> World {
    let mut w = World::new();
    w.receiver(
        name,
        match name {
            "am" => json!({"webhook": null, "alertmanager": {"url": "https://am.example.com"}}),
            _ => json!({"webhook": null,
                "pagerduty": {"routingKeySecretRef": {"name": "pd", "key": "key"}}}),
        },
    );
    w.policy("p", json!({"alerts": {"receivers": [{"name": name}]}}));
    w
}

fn groups(w: &World, name: &str) -> Vec<GroupRecord> {
    let stored = w.server.get(Kind::AlertReceiver, &key("", name)).unwrap();
    let groups = &stored["status"]["groups"];
    match groups.is_null() {
        true => vec![],
        false => serde_json::from_value(groups.clone()).unwrap(),
    }
}

#[test]
fn an_alertmanager_is_told_every_five_minutes_and_nothing_is_written_for_it() {
    let mut w = told_to("am");
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("am", "shop/a"), ["Firing 1.1.1 Opened"]);
    let writes = w.writes.len();
    w.run_for(Span::minutes(60));
    let told = w.told("am", "shop/a");
    assert!((11..=14).contains(&told.len()), "{told:?}");
    assert!(told[1..].iter().all(|t| t == "Firing 1.1.2 Reminder"));
    let tickets: Vec<&str> = w
        .writes_since(writes)
        .into_iter()
        .filter(|what| what.contains("shop"))
        .collect();
    assert_eq!(tickets, Vec::<&str>::new());
    // No wait is longer than it may be.
    let times: Vec<u64> = w.sent.iter().map(|(at, _, _)| at.0).collect();
    for pair in times.windows(2) {
        assert!(pair[1] - pair[0] <= 331_000, "{times:?}");
    }
}

#[test]
fn an_end_reaches_an_alertmanager_over_a_quarter_of_an_hour_and_then_no_more() {
    let mut w = told_to("am");
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    w.pod("shop/a", json!({}));
    w.run_for(Span::hours(2));
    let ends: Vec<u64> = w
        .sent
        .iter()
        .filter(|(_, _, notice)| notice.tickets[0].state == ToldState::Closed)
        .map(|(at, _, _)| at.0)
        .collect();
    assert_eq!(ends.len(), 4);
    assert!(ends[3] - ends[0] >= 900_000, "{ends:?}");
    let first = w
        .sent
        .iter()
        .rposition(|(_, _, n)| n.tickets[0].state == ToldState::Firing);
    assert_eq!(first, Some(w.sent.len() - 5), "nothing fires after the end");
}

/// F34: an Alertmanager that was away has everything again as soon as it is there.
#[test]
fn f34_an_alertmanager_that_was_away_is_told_again() {
    let mut w = told_to("am");
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    w.mood("am", Mood::Answer(DeliveryClass::Transient));
    w.run_for(Span::minutes(30));
    w.mood("am", Mood::Accept);
    let before = w.told("am", "shop/a").len();
    w.run_for(Span::minutes(11));
    assert!(w.told("am", "shop/a").len() > before);
}

/// F34: both were away at the same time, and it has forgotten what it was told a moment ago.
#[test]
fn f34_a_new_leader_tells_an_alertmanager_what_it_was_told_a_moment_ago() {
    let mut w = told_to("am");
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(1));
    assert_eq!(w.told("am", "shop/a").len(), 1);
    w.restart();
    w.run_for(Span::seconds(30));
    assert_eq!(w.told("am", "shop/a").len(), 2);
    w.run_for(Span::minutes(4));
    assert_eq!(w.told("am", "shop/a").len(), 2);
}

#[test]
fn a_new_leader_tells_an_alertmanager_at_once() {
    let mut w = told_to("am");
    w.pod("shop/a", bad());
    w.run_for(Span::hours(1));
    let before = w.told("am", "shop/a").len();
    w.restart();
    w.run_for(Span::minutes(1));
    assert_eq!(w.told("am", "shop/a").len(), before + 1);
}

#[test]
fn a_severity_that_changed_names_the_one_before() {
    let mut w = told_to("am");
    w.pod("shop/a", json!({"bad": "yes", "severity": "Low"}));
    w.run_for(Span::minutes(7));
    assert!(w.taken.iter().all(|t| t.ticket.alarm.former.is_empty()));
    w.pod("shop/a", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::minutes(1));
    let last = &w.taken.last().unwrap().ticket;
    assert_eq!(last.severity, Severity::Critical);
    assert_eq!(last.alarm.former, [Severity::Low]);
    // Taken once, it is settled; and falling is a change too, though no news.
    w.run_for(Span::minutes(6));
    assert!(w.taken.last().unwrap().ticket.alarm.former.is_empty());
    w.pod("shop/a", json!({"bad": "yes", "severity": "Medium"}));
    w.run_for(Span::minutes(6));
    let fell = w.taken.iter().rfind(|t| !t.ticket.alarm.former.is_empty());
    let fell = &fell.unwrap().ticket;
    assert_eq!(
        (fell.severity, &fell.alarm.former[..]),
        (Severity::Medium, &[Severity::Critical][..])
    );
}

#[test]
fn a_severity_that_was_told_by_another_leader_may_have_been_any_other_one() {
    let mut w = told_to("am");
    w.pod("shop/a", json!({"bad": "yes", "severity": "Low"}));
    w.run_for(Span::minutes(2));
    w.mood("am", Mood::Answer(DeliveryClass::Transient));
    w.pod("shop/a", json!({"bad": "yes", "severity": "High"}));
    w.run_for(Span::minutes(1));
    w.restart();
    w.mood("am", Mood::Accept);
    w.run_for(Span::minutes(3));
    let last = &w.taken.last().unwrap().ticket;
    let others = Severity::ALL.iter().filter(|s| **s != Severity::High);
    assert!(last.alarm.former.iter().eq(others));
}

#[test]
fn the_status_names_the_groups_that_stand() {
    let mut w = told_to("pd");
    w.pod("shop/a", bad());
    w.pod("shop/b", bad());
    w.run_for(Span::minutes(3));
    let standing = groups(&w, "pd");
    assert_eq!(standing.len(), 1);
    assert!(
        standing[0].key.starts_with("p/check="),
        "{}",
        standing[0].key
    );
    assert_eq!(
        (standing[0].told_count, standing[0].state),
        (2, ToldState::Firing)
    );
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(8));
    assert_eq!(groups(&w, "pd")[0].told_count, 1);
    w.pod("shop/b", json!({}));
    w.run_for(Span::minutes(8));
    assert_eq!(groups(&w, "pd")[0].state, ToldState::Closed);
    assert_eq!(w.sent.last().unwrap().2.standing, 0);
}

/// What it took "later" is no reason to tell it without a pause.
#[test]
fn f20_a_clock_that_is_set_back_does_not_flood_an_alertmanager() {
    let mut w = told_to("am");
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(30));
    let before = w.told("am", "shop/a").len();
    w.skew -= 86_400;
    w.run_for(Span::hours(1));
    let told = w.told("am", "shop/a").len() - before;
    assert!((11..=14).contains(&told), "{told}");
}

/// Signs of life are written nowhere, and are heard all the same.
#[test]
fn a_ticket_that_only_an_alertmanager_hears_of_is_not_overdue() {
    let mut w = told_to("am");
    w.pod("shop/a", json!({"bad": "yes", "severity": "Critical"}));
    w.run_for(Span::hours(80));
    w.restart();
    w.run_for(Span::hours(80));
    w.skew -= 600;
    w.run_for(Span::hours(1));
    // The next process finds it away for longer than it tells everything anew.
    w.mood("am", Mood::Answer(DeliveryClass::Transient));
    w.restart();
    w.run_for(Span::hours(2));
    let reasons: Vec<String> = w
        .status("shop/a")
        .history
        .iter()
        .map(|h| h.reason.clone())
        .collect();
    assert_eq!(reasons, ["Opened", "SLABreached"]);
}

fn names(w: &mut World, receivers: &[&str]) {
    let receivers: Vec<Value> = receivers.iter().map(|name| json!({"name": name})).collect();
    w.policy("p", json!({"alerts": {"receivers": receivers}}));
}

/// Silence would end the alarm after `holdFor`, and nobody would know why.
#[test]
fn an_alertmanager_that_is_named_no_more_is_told_so_and_begins_again_when_it_is() {
    let mut w = told_to("am");
    w.receiver("other", json!({}));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(12));
    names(&mut w, &["other"]);
    let before = w.told("am", "shop/a").len();
    w.run_for(Span::hours(2));
    let told = w.told("am", "shop/a")[before..].to_vec();
    let ends: Vec<String> = (5..9)
        .map(|n| format!("Closed 1.1.{n} Withdrawn"))
        .collect();
    assert_eq!(told, ends);
    // A new leader says it once more: nothing of it is written down.
    w.restart();
    w.run_for(Span::hours(1));
    assert_eq!(w.told("am", "shop/a").len(), before + 8);
    names(&mut w, &["am", "other"]);
    w.run_for(Span::minutes(2));
    assert_eq!(
        w.told("am", "shop/a").last().unwrap(),
        "Firing 1.1.2 Reminder"
    );
    // And its end is an end like any other.
    names(&mut w, &["other"]);
    w.run_for(Span::minutes(2));
    w.pod("shop/a", json!({}));
    w.run_for(Span::hours(1));
    assert_eq!(
        w.told("am", "shop/a").last().unwrap(),
        "Closed 1.1.4 Resolved"
    );
}

/// It was called for a ticket that goes on, and would take silence for its end.
#[test]
fn an_alertmanager_that_stood_in_goes_on_until_the_end() {
    let mut w = told_to("am");
    w.receiver(
        "soc",
        json!({"failover": {"receiver": "am", "after": "10m"}}),
    );
    names(&mut w, &["soc"]);
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(30));
    w.mood("soc", Mood::Accept);
    w.run_for(Span::hours(2));
    let told = w.told("am", "shop/a");
    assert!(told.len() > 20, "{told:?}");
    assert_eq!(told.last().unwrap(), "Firing 1.1.2 Reminder");
    assert!(told.iter().all(|t| t.starts_with("Firing")), "{told:?}");
    w.pod("shop/a", json!({}));
    w.run_for(Span::hours(1));
    assert_eq!(
        w.told("am", "shop/a").last().unwrap(),
        "Closed 1.1.4 Resolved"
    );
}
