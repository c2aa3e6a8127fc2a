//! Tickets that go with their namespace while nobody leads: whoever was told of them is told that they are no more.

use patrol_api::time::Span;
use patrol_core::event::DeliveryClass;
use patrol_core::kind::Kind;
use patrol_core::notice::Notice;
use serde_json::{Value, json};

use crate::world::{Mood, World, key};

fn bad() -> Value {
    json!({"bad": "yes"})
}

fn told_of(namespaces: &[&str], receiver: Value) -> World {
    let mut w = World::new();
    w.receiver("soc", receiver);
    w.policy("p", json!({}));
    for namespace in namespaces {
        w.namespace(namespace, json!({}));
        w.pod(&format!("{namespace}/a"), bad());
    }
    w.run_for(Span::minutes(10));
    assert_eq!(w.told_subjects("soc").len(), 1);
    w
}

fn counted(w: &World) -> Value {
    let stored = w.server.get(Kind::AlertReceiver, &key("", "soc")).unwrap();
    stored["status"]["told"][0]["count"].clone()
}

fn gone(w: &World) -> Vec<&Notice> {
    let all = w.sent.iter().map(|(_, _, notice)| notice);
    all.filter(|notice| notice.gone.is_some()).collect()
}

#[test]
fn f26_tickets_that_went_while_nobody_led_are_told_to_be_no_more_by_their_number() {
    let mut w = told_of(&["one", "two", "stays"], json!({}));
    assert_eq!(counted(&w), 3);
    w.die();
    w.end_namespace("one");
    w.end_namespace("two");
    w.restart();
    w.run_for(Span::minutes(10));
    let told = gone(&w);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].gone.map(|gone| gone.count), Some(2));
    assert_eq!((told[0].counts.closed, told[0].policy.as_str()), (2, "p"));
    assert_eq!(counted(&w), 1);
    // Once and for all.
    w.restart();
    w.run_for(Span::hours(2));
    assert_eq!(gone(&w).len(), 1);
}

/// The number stands until somebody took it, whoever leads then.
#[test]
fn it_is_told_by_the_next_one_when_the_receiver_was_away() {
    let mut w = told_of(&["one"], json!({}));
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    w.die();
    w.end_namespace("one");
    w.restart();
    w.run_for(Span::minutes(30));
    assert_eq!(counted(&w), 1);
    w.restart();
    w.run_for(Span::minutes(30));
    let before = gone(&w).len();
    assert!(before > 1);
    w.mood("soc", Mood::Accept);
    w.run_for(Span::minutes(30));
    assert_eq!(gone(&w).len(), before + 1);
    assert_eq!(counted(&w), Value::Null);
}

/// An end that this process told itself, or that the ticket shows, is no riddle.
#[test]
fn nothing_is_said_of_ends_that_were_told_or_are_yet_to_be() {
    let mut w = told_of(&["one", "two"], json!({}));
    w.pod("one/a", json!({}));
    w.end_namespace("two");
    w.run_for(Span::minutes(2));
    w.restart();
    w.run_for(Span::hours(2));
    assert_eq!(gone(&w), Vec::<&Notice>::new());
    let mut w = told_of(&["one"], json!({"sendResolved": false}));
    w.die();
    w.end_namespace("one");
    w.restart();
    w.run_for(Span::minutes(30));
    assert_eq!(gone(&w), Vec::<&Notice>::new(), "it wants no ends");
    assert_eq!(counted(&w), Value::Null);
}

/// As many as before may be others than before.
#[test]
fn a_ticket_that_takes_the_place_of_another_hides_nothing_and_invents_nothing() {
    let mut w = told_of(&["one"], json!({}));
    w.namespace("two", json!({}));
    w.end_namespace("one");
    w.pod("two/b", bad());
    w.run_for(Span::minutes(10));
    assert_eq!(counted(&w), 1);
    w.restart();
    w.run_for(Span::minutes(30));
    assert_eq!(gone(&w), Vec::<&Notice>::new());
}

/// What was deleted by hand is made again, for its gap is there.
#[test]
fn a_ticket_that_is_made_again_is_not_gone() {
    let mut w = told_of(&["one"], json!({}));
    let at = w.ticket_key("one/a");
    w.die();
    w.server.objects.remove(&(Kind::Ticket, at));
    w.restart();
    w.run_for(Span::minutes(30));
    assert_eq!(gone(&w), Vec::<&Notice>::new());
}

/// A reader that takes no message without a ticket is not asked again and again.
#[test]
fn who_refuses_the_number_is_left_alone() {
    let mut w = told_of(&["one"], json!({}));
    w.mood("soc", Mood::Answer(DeliveryClass::Payload));
    w.die();
    w.end_namespace("one");
    w.restart();
    w.run_for(Span::hours(1));
    assert_eq!(gone(&w).len(), 1);
    assert_eq!(counted(&w), Value::Null);
}

/// One that is still to be reached keeps the ticket in memory, and is no reason to tell others again.
#[test]
fn whoever_was_told_the_end_by_name_hears_no_number() {
    let mut w = told_of(&["one"], json!({}));
    w.receiver("dead", json!({}));
    w.policy(
        "p",
        json!({"alerts": {"receivers": [{"name": "soc"}, {"name": "dead"}]}}),
    );
    w.run_for(Span::minutes(10));
    w.mood("dead", Mood::Answer(DeliveryClass::Transient));
    w.end_namespace("one");
    w.run_for(Span::minutes(10));
    assert_eq!(counted(&w), Value::Null);
    w.restart();
    w.run_for(Span::minutes(30));
    let to = |name: &str| {
        let mine = w.sent.iter().filter(|(_, to, _)| to == name);
        mine.filter(|(_, _, notice)| notice.gone.is_some()).count()
    };
    assert_eq!(to("soc"), 0);
    assert!(to("dead") > 0);
}

/// Whoever cannot be reached for days is told in the end, by the same leader.
#[test]
fn an_end_that_could_not_be_told_for_a_day_is_told_by_its_number() {
    let mut w = told_of(&["one", "two"], json!({}));
    w.mood("soc", Mood::Answer(DeliveryClass::Transient));
    w.end_namespace("one");
    w.end_namespace("two");
    w.run_for(Span::hours(30));
    w.mood("soc", Mood::Accept);
    w.run_for(Span::hours(1));
    let last = gone(&w).last().and_then(|notice| notice.gone);
    assert_eq!(last.map(|gone| gone.count), Some(2));
    assert_eq!(counted(&w), Value::Null);
}
