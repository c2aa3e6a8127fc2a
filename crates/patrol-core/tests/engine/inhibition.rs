//! What is said of a whole namespace is not said of everything in it: to whom, and until when.

use patrol_api::time::Span;
use patrol_api::words::Phase;
use patrol_core::event::WriteResult;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::catalogue::WITH_NAMESPACES;
use crate::world::{Fate, Mood, World, key};

const OPENED: [&str; 1] = ["Firing 1.1.1 Opened"];
const NOTHING: [&str; 0] = [];

/// `soc` hears of the policy, and `boss` of what is open for a day.
fn world(severity: &str) -> World {
    let mut w = World::with(WITH_NAMESPACES);
    w.receiver("soc", json!({}));
    w.receiver("boss", json!({}));
    w.policy(
        "p",
        json!({"alerts": {
            "receivers": [{"name": "soc"}],
            "escalation": [{"after": "24h", "severities": ["High", "Medium"], "receiver": "boss"}],
        }}),
    );
    w.namespace("shop", json!({"out": severity}));
    w.run_for(Span::minutes(2));
    w
}

fn out() -> Value {
    json!({"out": "yes"})
}

#[test]
fn what_is_said_of_a_namespace_is_not_said_of_everything_in_it() {
    let mut w = world("yes");
    assert_eq!(w.told("soc", "shop"), OPENED);
    w.namespace("bank", json!({}));
    w.pod("shop/a", out());
    w.pod("bank/b", out());
    w.run_for(Span::hours(2));
    assert_eq!(w.status("shop/a").phase, Phase::Open);
    assert_eq!(w.told("soc", "shop/a"), NOTHING);
    assert_eq!(w.told("soc", "bank/b")[0], OPENED[0]);
    w.namespace("shop", json!({}));
    w.run_for(Span::minutes(12));
    assert_eq!(w.status("shop").phase, Phase::Resolved);
    assert_eq!(w.told("soc", "shop/a"), OPENED);
}

#[test]
fn whoever_does_not_hear_of_the_namespace_hears_of_what_is_in_it() {
    let mut w = world("yes");
    w.namespace("shop", json!({}));
    w.run_for(Span::minutes(12));
    w.pod("shop/a", out());
    w.run_for(Span::hours(23));
    assert_eq!(w.told("soc", "shop/a")[0], OPENED[0]);
    // The namespace's ticket comes when the other is almost old enough for the boss.
    w.namespace("shop", out());
    w.run_for(Span::hours(3));
    assert_eq!(w.status("shop").phase, Phase::Open);
    assert_eq!(w.told("boss", "shop"), NOTHING);
    assert_eq!(w.told("boss", "shop/a"), ["Firing 1.1.1 Escalated"]);
}

#[test]
fn what_is_in_a_muted_namespace_s_stead_is_told() {
    let mut w = world("yes");
    w.pod("shop/a", out());
    w.run_for(Span::hours(2));
    assert_eq!(w.told("soc", "shop/a"), NOTHING);
    let until = w.wall().plus(Span::days(2)).to_string();
    let mute = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "TicketWaiver",
        "metadata": {
            "namespace": "kube-patrol", "name": "quiet", "uid": "w",
            "creationTimestamp": w.wall().to_string(),
        },
        "spec": {
            "checks": ["*"], "reason": "is being moved", "owner": "payments", "treatment": "Mute",
            "subjects": {"kind": "Namespace", "names": ["shop"]}, "expiresAt": until,
        },
    });
    w.apply(Kind::TicketWaiver, &key("kube-patrol", "quiet"), mute);
    w.run_for(Span::minutes(5));
    assert_eq!(w.told("soc", "shop/a"), OPENED);
}

#[test]
fn what_a_receiver_refuses_about_the_namespace_it_hears_of_what_is_in_it() {
    let mut w = World::with(WITH_NAMESPACES);
    w.receiver("soc", json!({}));
    w.policy("p", json!({}));
    w.mood("soc", Mood::Refuse("shop"));
    w.namespace("shop", out());
    w.pod("shop/a", out());
    w.run_for(Span::minutes(5));
    assert_eq!(w.told("soc", "shop"), NOTHING);
    assert_eq!(w.told("soc", "shop/a"), OPENED);
}

#[test]
fn a_mild_ticket_about_a_namespace_hides_no_severe_one_in_it() {
    let mut w = world("Low");
    assert_eq!(w.told("soc", "shop"), OPENED);
    w.pod("shop/a", out());
    w.run_for(Span::minutes(5));
    assert_eq!(w.told("soc", "shop/a"), OPENED);
}

/// What waited for an end that is "yet to come" has not waited longer.
#[test]
fn f20_a_clock_that_is_set_back_makes_no_namespace_speak_for_longer() {
    let mut w = world("yes");
    w.namespace("shop", json!({}));
    w.run_for(Span::minutes(5));
    assert_eq!(w.status("shop").phase, Phase::Resolved);
    w.skew -= 86_400;
    w.pod("shop/b", out());
    w.run_for(Span::minutes(10));
    assert_eq!(w.told("soc", "shop/b").len(), 1);
}

#[test]
fn what_is_in_a_namespace_is_told_when_the_ticket_about_it_cannot_be_made_again() {
    let mut w = world("yes");
    w.pod("shop/a", out());
    w.run_for(Span::minutes(10));
    assert_eq!(w.told("soc", "shop/a"), NOTHING);
    let refused = Fate::Answer(WriteResult::Failed);
    w.fate("create", std::iter::repeat_n(refused, 1000));
    let ticket = w.ticket_key("shop");
    w.delete(Kind::Ticket, &ticket);
    w.run_for(Span::minutes(3));
    assert_eq!(w.told("soc", "shop/a"), OPENED);
}
