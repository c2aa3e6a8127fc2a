//! What is foreseen of a ticket is what is then sent: to whom, what, and when.

use patrol_api::time::{Span, Time};
use patrol_core::engine::{Foresight, Owed, Patrol};
use patrol_core::event::{DeliveryClass, Event};
use patrol_core::facts::decode_value;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::catalogue::WITH_NAMESPACES;
use crate::world::{Mood, World, key};

fn bad() -> Value {
    json!({"bad": "yes"})
}

/// What somebody foresees who only reads what the server has.
fn foresee(w: &World, subject: &str) -> Foresight {
    let mut onlooker = Patrol::new(w.config.clone());
    for kind in Kind::ALL {
        onlooker.step(Event::ListStarted(kind), w.now());
        for (_, value) in w.server.objects.iter().filter(|((k, _), _)| *k == kind) {
            let seen = decode_value(kind, value).unwrap();
            onlooker.step(Event::Seen(Box::new(seen)), w.now());
        }
        onlooker.step(Event::ListFinished(kind), w.now());
    }
    onlooker.foresee(&w.ticket_key(subject), w.now())
}

fn foreseen(w: &World, subject: &str, receiver: &str) -> Option<Owed> {
    let all = foresee(w, subject).owed.into_iter();
    let mut one: Vec<Owed> = all.filter(|owed| owed.receiver == receiver).collect();
    assert!(one.len() <= 1, "{one:?}");
    one.pop()
}

/// When a receiver was last sent something, by the clock of people.
fn last_sent(w: &World, receiver: &str) -> Option<Time> {
    let mut sent = w.sent.iter().rev();
    let (at, ..) = sent.find(|(_, name, _)| name == receiver)?;
    Some(Time::from_unix((at.0 / 1000).cast_signed() + w.skew))
}

/// Foresees, and waits for it to happen: to the telling, and within `late` of the time.
fn comes_true(w: &mut World, subject: &str, receiver: &str, late: Span) {
    let owed = foreseen(w, subject, receiver).unwrap();
    let before = w.told(receiver, subject).len();
    let wait = owed.telling.due.since(w.wall());
    let early = wait.as_millis().saturating_sub(5_000);
    w.run_for(Span::millis(early));
    assert_eq!(
        w.told(receiver, subject).len(),
        before,
        "not earlier: {owed:?}"
    );
    w.run_for(late.plus(Span::seconds(5)));
    let told = w.told(receiver, subject);
    let telling = &owed.telling;
    let expected = format!(
        "{} {}.{}.{} {}",
        telling.state, telling.episode, telling.seq, telling.n, telling.reason
    );
    assert_eq!(told.get(before), Some(&expected), "{owed:?}");
    assert!(last_sent(w, receiver) >= Some(telling.due), "{owed:?}");
}

#[test]
fn a_first_telling_a_reminder_and_an_end_come_as_foreseen() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::seconds(10));
    comes_true(&mut w, "shop/a", "soc", Span::seconds(30));
    comes_true(&mut w, "shop/a", "soc", Span::minutes(5));
    w.pod("shop/a", json!({}));
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    w.run_for(Span::minutes(5));
    w.mood("soc", Mood::Accept);
    comes_true(&mut w, "shop/a", "soc", Span::minutes(10));
    w.run_for(Span::minutes(10));
    assert_eq!(foreseen(&w, "shop/a", "soc"), None);
}

#[test]
fn a_mute_is_named_and_its_end_is_when_the_reminder_comes() {
    let mut w = World::patrolled();
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(2));
    let until = w.wall().plus(Span::days(6));
    let waiver = json!({
        "metadata": {"uid": "w", "creationTimestamp": w.wall().to_string()},
        "spec": {"checks": ["*"], "reason": "a move", "owner": "payments", "treatment": "Mute", "expiresAt": until.to_string()},
    });
    w.apply(Kind::TicketWaiver, &key("shop", "quiet"), waiver);
    w.settle();
    let muted = foresee(&w, "shop/a").muted.unwrap();
    assert_eq!((muted.waiver.as_str(), muted.until), ("shop/quiet", until));
    assert_eq!(
        (muted.owner.as_str(), muted.reason.as_str()),
        ("payments", "a move")
    );
    assert_eq!(foreseen(&w, "shop/a", "soc").unwrap().telling.due, until);
    comes_true(&mut w, "shop/a", "soc", Span::minutes(5));
    assert_eq!(foresee(&w, "shop/a").muted, None);
}

#[test]
fn a_stand_in_is_foreseen_while_the_receiver_is_not_ready() {
    let mut w = World::new();
    let failover = json!({"receiver": "backup", "after": "15m", "minSeverity": "High"});
    w.receiver("backup", json!({}));
    w.receiver("soc", json!({"failover": failover}));
    w.policy("p", json!({"alerts": {"receivers": [{"name": "soc"}]}}));
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(10));
    assert_eq!(foreseen(&w, "shop/a", "backup"), None);
    w.run_for(Span::minutes(15));
    let owed = foreseen(&w, "shop/a", "backup").unwrap();
    assert!(owed.telling.failover, "{owed:?}");
    assert!(foreseen(&w, "shop/a", "soc").is_some());
}

#[test]
fn of_the_always_on_checks_whoever_is_marked_or_all_are_foreseen() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.receiver("other", json!({}));
    w.policy("p", json!({}));
    w.namespace("shop", bad());
    w.run_for(Span::seconds(10));
    comes_true(&mut w, "shop", "soc", Span::seconds(30));
    assert_eq!(foreseen(&w, "shop", "other"), None);
    w.receiver("cover", json!({"coverage": true}));
    w.settle();
    assert!(foreseen(&w, "shop", "cover").is_some());
    assert_eq!(foreseen(&w, "shop", "soc"), None);
}

#[test]
fn who_takes_silence_for_an_end_is_given_signs_of_life() {
    let mut w = World::new();
    let endpoint = json!({"webhook": null, "alertmanager": {"url": "https://am.example.com"}});
    w.receiver("am", endpoint);
    w.policy("p", json!({"alerts": {"receivers": [{"name": "am"}]}}));
    w.pod("shop/a", bad());
    w.run_for(Span::seconds(10));
    assert!(!foreseen(&w, "shop/a", "am").unwrap().is_sign_of_life);
    w.run_for(Span::minutes(1));
    assert!(foreseen(&w, "shop/a", "am").unwrap().is_sign_of_life);
}

#[test]
fn what_is_said_of_the_namespace_is_named() {
    let mut w = World::with(WITH_NAMESPACES);
    w.receiver("soc", json!({}));
    w.policy("p", json!({"alerts": {"receivers": [{"name": "soc"}]}}));
    w.namespace("shop", json!({"out": "yes"}));
    w.pod("shop/a", json!({"out": "yes"}));
    w.run_for(Span::minutes(2));
    let general = w.ticket_key("shop");
    let owed = foreseen(&w, "shop/a", "soc").unwrap();
    assert_eq!(owed.said_by, Some(general));
    assert_eq!(foreseen(&w, "shop", "soc").unwrap().said_by, None);
}

/// `maxQuiet`: nobody could be told for so long.
#[test]
fn an_overdue_edge_comes_as_foreseen() {
    let mut w = World::patrolled();
    w.policy("p", json!({"alerts": {"receivers": [{"name": "soc"}], "maxQuiet": {"high": "26h"}, "repeat": {"high": "24h"}}}));
    w.pod("shop/a", json!({"bad": "yes", "severity": "High"}));
    w.run_for(Span::minutes(2));
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    let at = foresee(&w, "shop/a").overdue_at.unwrap();
    w.run_for(Span::millis(at.since(w.wall()).as_millis() - 5_000));
    let seq = w.status("shop/a").alert_seq;
    w.run_for(Span::seconds(30));
    assert_eq!(w.status("shop/a").alert_seq, seq + 1);
    assert_eq!(
        w.status("shop/a").alert_reason.map(|r| r.to_string()),
        Some("Overdue".to_owned())
    );
}
