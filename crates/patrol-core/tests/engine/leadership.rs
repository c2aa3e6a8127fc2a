//! Replicas, take-overs, and processes that think they still lead.

use patrol_api::time::Span;
use patrol_api::words::Phase;
use patrol_core::event::{Event, Refusal, Term, WriteResult};
use patrol_core::facts::{ObjectKey, decode_value};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::world::{Fate, Mood, World, key};

#[test]
fn a_standby_neither_writes_nor_sends() {
    let mut w = World::patrolled();
    w.event(Event::Leading(None));
    let before = w.writes.len();
    w.run_for(Span::seconds(1));
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::hours(2));
    assert!(w.writes_since(before).is_empty());
    assert!(w.sent.is_empty());
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("soc", "shop/web").len(), 1);
}

#[test]
fn a_take_over_goes_by_what_the_other_wrote() {
    let mut w = World::patrolled();
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    w.event(Event::Leading(None));
    w.settle();
    // Another process resolves it, tells it, patrols and reports.
    let (at, now) = (
        w.ticket_key("shop/web"),
        w.wall().plus(Span::hours(9)).to_string(),
    );
    w.mono += 9 * 3_600_000;
    w.pod("shop/web", json!({}));
    let when = now.clone();
    w.edit(Kind::Ticket, &at, move |t| {
        let status = &mut t["status"];
        status["phase"] = json!("Resolved");
        status["episode"]["resolvedAt"] = json!(when);
        status["episode"]["resolution"] = json!("Fixed");
        status["alerts"][0]["state"] = json!("Closed");
        status["history"].as_array_mut().unwrap().push(json!({
            "at": when, "from": "Open", "to": "Resolved", "reason": "Fixed", "actor": "x"}));
    });
    w.edit(Kind::PatrolPolicy, &key("", "p"), |p| {
        p["status"]["lastPatrol"]["startedAt"] = json!(now);
        p["status"]["lastPatrol"]["finishedAt"] = json!(now);
        p["status"]["lastCompletePatrolAt"] = json!(now);
    });
    w.run_for(Span::seconds(30));
    assert!(
        w.snapshot().overdue_policies.is_empty(),
        "by what the leader wrote"
    );
    let before = w.writes.len();
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(5));
    assert_eq!(
        w.told("soc", "shop/web").len(),
        1,
        "{:?}",
        w.told("soc", "shop/web")
    );
    let last = w.policy_status("p").last_patrol.unwrap().started_at;
    assert_eq!(
        last.to_string(),
        now,
        "no patrol of its own, no old one written back"
    );
    assert!(w.snapshot().overdue_policies.is_empty());
    let writes = w.writes_since(before);
    assert!(
        !writes.iter().any(|w| w.starts_with("status")),
        "{writes:?}"
    );
}

#[test]
fn what_the_old_leader_recorded_in_its_last_moment_is_kept() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Unanswered);
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::seconds(20));
    w.event(Event::Leading(None));
    w.event(Event::Leading(Some(Term(1))));
    w.settle();
    let (at, now) = (w.ticket_key("shop/web"), w.wall().to_string());
    w.edit(Kind::Ticket, &at, |t| {
        t["status"]["alerts"] = json!([{"receiver": "soc", "uid": "uid-4", "seq": 1, "n": 1,
            "state": "Firing", "reason": "Opened", "at": now, "episode": 1}]);
    });
    w.run_for(Span::seconds(5));
    assert_eq!(w.status("shop/web").alerts.len(), 1);
}

#[test]
fn f6_answers_of_a_former_leadership_change_nothing() {
    let mut w = World::patrolled();
    w.fate("create", [Fate::Lost]);
    w.pod("shop/web", json!({"bad": "yes"}));
    w.settle();
    w.event(Event::Leading(None));
    w.run_for(Span::minutes(2));
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::seconds(10));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
}

/// Only its next term is heard of, because the end of the last one is not looked at in time.
#[test]
fn f2_a_term_right_after_another_one_is_a_change_of_leader() {
    let mut w = World::patrolled();
    w.fate("create", [Fate::Lost]);
    w.pod("shop/web", json!({"bad": "yes"}));
    w.settle();
    w.event(Event::Leading(Some(Term(2))));
    w.run_for(Span::seconds(10));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
}

#[test]
fn a_lease_that_is_not_certain_makes_no_storm_of_tries() {
    let mut w = World::new();
    w.policy(
        "p",
        json!({"alerts": {"webhook": {"url": "https://own.example.com/"}}}),
    );
    w.run_for(Span::seconds(5));
    for operation in ["create", "status", "policy", "finalizer"] {
        let no = Fate::Answer(WriteResult::Refused(Refusal::NotLeader));
        w.fate(operation, std::iter::repeat_n(no, 100_000));
    }
    w.pod("shop/web", json!({"bad": "yes"}));
    let before = w.writes.len();
    w.run_for(Span::minutes(2));
    assert!(
        w.writes_since(before).len() < 40,
        "{}",
        w.writes_since(before).len()
    );
    w.fates.clear();
    w.run_for(Span::minutes(3));
    assert_eq!(w.told("policy/p", "shop/web").len(), 1);
}

#[test]
fn f2_f6_what_the_old_leader_told_is_kept_however_late_the_watch_brings_it() {
    let mut w = World::patrolled();
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    w.event(Event::Leading(None));
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(3));
    let at = w.ticket_key("shop/web");
    w.edit(Kind::Ticket, &at, |t| {
        t["status"]["alerts"][0]["n"] = json!(2);
        t["status"]["alerts"][0]["reason"] = json!("Reminder");
    });
    w.run_for(Span::seconds(5));
    assert_eq!(w.status("shop/web").alerts[0].n, 2);
}

#[test]
fn the_first_status_is_that_of_who_opened_the_ticket() {
    let mut w = World::patrolled();
    w.pod("shop/web", json!({"bad": "yes"}));
    w.settle();
    w.event(Event::Leading(None));
    w.event(Event::Leading(Some(Term(1))));
    w.settle();
    let at = w.ticket_key("shop/web");
    let opened = w.wall().minus(Span::seconds(40)).to_string();
    let when = opened.clone();
    w.edit(Kind::Ticket, &at, move |t| {
        t["status"] = json!({"phase": "Open", "severity": "High", "firstOpenedAt": when,
            "alertSeq": 1, "alertReason": "Opened", "episode": {"n": 1, "openedAt": when},
            "history": [{"at": when, "to": "Open", "reason": "Opened", "actor": "x"}]});
    });
    w.run_for(Span::minutes(1));
    let first = w.status("shop/web").first_opened_at.unwrap();
    assert_eq!(first.to_string(), opened);
}

#[test]
fn an_end_that_is_owed_outlives_a_lease_that_was_lost_for_a_moment() {
    let mut w = World::patrolled();
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    w.mood(
        "soc",
        Mood::Answer(patrol_core::event::DeliveryClass::Transient),
    );
    w.end_namespace("shop");
    w.run_for(Span::minutes(1));
    w.event(Event::Leading(None));
    w.run_for(Span::seconds(20));
    w.event(Event::Leading(Some(Term(1))));
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(11));
    assert_eq!(
        w.told("soc", "shop/web"),
        ["Firing 1.1.1 Opened", "Closed 1.1.1 Resolved"]
    );
}

#[test]
fn row91_an_end_is_owed_too_to_who_may_have_been_told_when_the_lease_was_lost() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Unanswered);
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::seconds(35));
    assert_eq!(w.told("soc", "shop/web").len(), 1);
    // Its ticket goes while nobody can say whether it is still bad.
    w.event(Event::Lost(
        Kind::Pod,
        patrol_core::inventory::Blindness::Failing("cut".into()),
    ));
    w.fate("create", std::iter::repeat_n(Fate::Lost, 100));
    let at = w.ticket_key("shop/web");
    w.delete(Kind::Ticket, &at);
    w.settle();
    w.event(Event::Leading(None));
    w.event(Event::Leading(Some(Term(1))));
    w.settle();
    w.mood("soc", Mood::Accept);
    w.server.delete(Kind::Pod, &key("shop", "web"));
    w.list(Kind::Pod);
    w.run_for(Span::minutes(5));
    assert_eq!(
        w.told("soc", "shop/web").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

#[test]
fn a_ticket_that_goes_before_a_new_leader_acts_is_closed_where_it_may_have_been_told() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Unanswered);
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::minutes(1));
    assert_eq!(w.told("soc", "shop/web"), ["Firing 1.1.1 Opened"]);
    let ticket = w.ticket_key("shop/web");
    w.die();
    w.mood("soc", Mood::Accept);
    w.list_all();
    w.event(Event::Leading(Some(Term(1))));
    w.delete(Kind::Pod, &key("shop", "web"));
    w.delete(Kind::Ticket, &ticket);
    w.run_for(Span::minutes(10));
    assert_eq!(
        w.told("soc", "shop/web").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

/// A leader whose watch still shows a ticket as it was at some time, or not at all. It tells nothing of openings for hours, for the
/// window is closed.
fn lead_with_a_watch_that_lags(w: &mut World, ticket: ObjectKey, shown: Option<Value>) {
    w.mood("soc", Mood::Accept);
    let clock = |hours| {
        let at = w.wall().plus(Span::hours(hours));
        at.chrono().format("%H:%M").to_string()
    };
    let windows = json!([{"from": clock(5), "to": clock(6)}]);
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}], "windows": windows}}),
    );
    let at = (Kind::Ticket, ticket);
    let stored = w.server.objects.remove(&at).unwrap();
    if let Some(shown) = shown {
        w.server.objects.insert(at.clone(), shown);
    }
    w.list_all();
    w.server.objects.insert(at, stored);
    w.silent.insert(Kind::Ticket);
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::seconds(10));
}

#[test]
fn f6_a_ticket_that_is_found_when_it_is_opened_may_have_been_told() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Unanswered);
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::minutes(1));
    assert_eq!(w.told("soc", "shop/web"), ["Firing 1.1.1 Opened"]);
    let ticket = w.ticket_key("shop/web");
    w.die();
    lead_with_a_watch_that_lags(&mut w, ticket, None);
    w.delete(Kind::Pod, &key("shop", "web"));
    w.run_for(Span::minutes(10));
    assert_eq!(
        w.told("soc", "shop/web"),
        ["Firing 1.1.1 Opened", "Closed 1.1.1 Resolved"]
    );
}

/// Two processes come to one edge, and only the first one told of it.
#[test]
fn f6_an_edge_that_a_new_leader_comes_to_as_well_may_have_been_told() {
    let mut w = World::patrolled();
    w.run_for(Span::minutes(5));
    let waiver = key("shop", "legacy");
    let until = w.wall().plus(Span::days(30)).to_string();
    let spec =
        json!({"checks": ["*"], "reason": "goes away", "owner": "payments", "expiresAt": until});
    let made = w.wall().to_string();
    w.apply(
        Kind::TicketWaiver,
        &waiver,
        json!({
            "apiVersion": "kubepatrol.io/v1alpha1", "kind": "TicketWaiver", "spec": spec,
            "metadata": {"namespace": "shop", "name": "legacy", "uid": "w", "creationTimestamp": made},
        }),
    );
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    assert_eq!(w.status("shop/web").phase, Phase::Waived);
    let ticket = w.ticket_key("shop/web");
    assert!(w.sent.is_empty());
    w.mood("soc", Mood::Unanswered);
    let waived = w.server.objects[&(Kind::Ticket, ticket.clone())].clone();
    w.delete(Kind::TicketWaiver, &waiver);
    w.run_for(Span::minutes(1));
    let told = w.told("soc", "shop/web");
    assert_eq!(told.len(), 1, "{told:?}");
    w.die();
    lead_with_a_watch_that_lags(&mut w, ticket, Some(waived));
    w.delete(Kind::Pod, &key("shop", "web"));
    w.run_for(Span::minutes(10));
    let told = w.told("soc", "shop/web");
    assert_eq!(
        told,
        ["Firing 1.3.1 WaiverEnded", "Closed 1.3.1 Resolved"],
        "and not as missed"
    );
}

/// A watch that lags says that the ticket before this one was deleted, and then how this one was.
#[test]
fn late_words_about_a_ticket_that_was_made_anew_bring_nothing_back() {
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    let at = w.ticket_key("shop/a");
    let old = w.server.objects[&(Kind::Ticket, at.clone())].clone();
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(4));
    let told = ["Firing 1.1.1 Opened", "Closed 1.1.1 Resolved"];
    assert_eq!(w.told("soc", "shop/a"), told);
    w.event(Event::Gone(Kind::Ticket, at));
    w.event(Event::Seen(Box::new(
        decode_value(Kind::Ticket, &old).unwrap(),
    )));
    w.run_for(Span::minutes(10));
    assert_eq!(w.told("soc", "shop/a"), told);
}

/// It led for minutes and saw no tickets: what the one before it wrote last was not its own.
#[test]
fn a_new_leader_that_was_blind_at_first_takes_over_what_it_finds() {
    let mut w = World::patrolled();
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    let at = w.ticket_key("shop/a");
    w.event(Event::Leading(None));
    w.event(Event::Lost(Kind::Ticket, Blindness::Failing("x".into())));
    w.silent.insert(Kind::Ticket);
    let now = w.wall().to_string();
    w.edit(Kind::Ticket, &at, |t| {
        let status = &mut t["status"];
        status["phase"] = json!("Resolved");
        status["episode"]["resolvedAt"] = json!(now);
        status["episode"]["resolution"] = json!("Fixed");
        status["alerts"][0]["state"] = json!("Closed");
        let end = json!({"at": now, "from": "Open", "to": "Resolved", "reason": "Resolved"});
        status["history"].as_array_mut().unwrap().push(end);
    });
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(3));
    w.silent.clear();
    w.list(Kind::Ticket);
    w.run_for(Span::minutes(3));
    let status = w.status("shop/a");
    assert_eq!((status.phase, status.episode.n), (Phase::Open, 2));
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Firing 2.2.1 Reopened"
    );
}

/// The namespace ends while the opening is on its way.
#[test]
fn what_was_accepted_of_a_ticket_that_is_gone_by_then_is_owed_its_end() {
    let mut w = World::patrolled();
    w.mood("soc", Mood::Slow(Span::seconds(10)));
    w.pod("shop/a", json!({"bad": "yes"}));
    w.run_for(Span::seconds(32));
    assert_eq!(w.told("soc", "shop/a"), ["Firing 1.1.1 Opened"]);
    w.silent.insert(Kind::Pod);
    w.end_namespace("shop");
    w.run_for(Span::seconds(20));
    w.silent.clear();
    w.list(Kind::Pod);
    w.run_for(Span::minutes(10));
    assert_eq!(
        w.told("soc", "shop/a").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

/// The leader before told a receiver of which the next one has not heard yet.
#[test]
fn f6_a_receiver_that_is_seen_late_may_have_been_told_by_the_leader_before() {
    let mut w = World::patrolled();
    w.receiver("ciso", json!({}));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}, {"name": "ciso"}]}}),
    );
    w.mood("ciso", Mood::Unanswered);
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::minutes(1));
    assert_eq!(w.told("ciso", "shop/web"), ["Firing 1.1.1 Opened"]);
    w.mood("ciso", Mood::Accept);
    w.die();
    let place = (Kind::AlertReceiver, key("", "ciso"));
    let held = w.server.objects.remove(&place).unwrap();
    // Nothing is due to it again before the end.
    w.policy(
        "p",
        json!({"alerts": {"groupWait": "1h", "receivers": [{"name": "soc"}, {"name": "ciso"}]}}),
    );
    w.restart();
    w.run_for(Span::minutes(3));
    w.server.objects.insert(place, held);
    w.list(Kind::AlertReceiver);
    w.pod("shop/web", json!({}));
    w.run_for(Span::minutes(15));
    assert_eq!(
        w.told("ciso", "shop/web").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}
