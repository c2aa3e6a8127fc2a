//! Policies that appear, change, pause, break and go.

use patrol_api::time::Span;
use patrol_api::words::{Phase, Resolution};
use patrol_core::event::{Refusal, WriteResult};
use patrol_core::kind::Kind;
use serde_json::json;

use crate::world::{Fate, Mood, World, key};

fn opened(spec: serde_json::Value) -> World {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy("p", spec);
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    w
}

fn own() -> serde_json::Value {
    json!({"alerts": {"webhook": {"url": "https://own.example.com/"}}})
}

fn has_finalizer(w: &World) -> bool {
    let policy = w.server.get(Kind::PatrolPolicy, &key("", "p")).unwrap();
    policy["metadata"]["finalizers"]
        .as_array()
        .is_some_and(|f| !f.is_empty())
}

#[test]
fn a_deleted_policy_retires_its_tickets_and_tells_it() {
    let mut w = opened(json!({}));
    w.delete_policy("p");
    w.run_for(Span::minutes(1));
    let status = w.status("shop/web");
    assert_eq!(status.episode.resolution, Some(Resolution::PolicyRemoved));
    assert_eq!(
        w.told("soc", "shop/web").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
}

#[test]
fn an_own_webhook_is_told_only_while_the_finalizer_keeps_its_address() {
    let mut w = World::new();
    w.fate(
        "finalizer",
        std::iter::repeat_n(Fate::Answer(WriteResult::Failed), 3),
    );
    w.policy("p", own());
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    assert!(has_finalizer(&w));
    assert_eq!(w.told("policy/p", "shop/web").len(), 1);
    w.delete_policy("p");
    w.run_for(Span::minutes(1));
    assert_eq!(
        w.told("policy/p", "shop/web").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
    assert!(w.server.get(Kind::PatrolPolicy, &key("", "p")).is_none());
}

#[test]
fn a_finalizer_that_is_refused_does_not_silence() {
    let mut w = World::new();
    let no = Fate::Answer(WriteResult::Refused(Refusal::Forbidden));
    w.fate("finalizer", std::iter::repeat_n(no, 100));
    w.policy("p", own());
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("policy/p", "shop/web").len(), 1);
}

#[test]
fn a_deleted_policy_waits_an_hour_for_a_dead_webhook_and_not_longer() {
    let mut w = opened(own());
    w.mood(
        "policy/p",
        Mood::Answer(patrol_core::event::DeliveryClass::Transient),
    );
    w.delete_policy("p");
    w.run_for(Span::minutes(59));
    assert!(w.server.get(Kind::PatrolPolicy, &key("", "p")).is_some());
    w.run_for(Span::minutes(2));
    assert!(w.server.get(Kind::PatrolPolicy, &key("", "p")).is_none());
}

#[test]
fn a_deleted_policy_does_not_wait_for_coverage_tickets_that_live_on() {
    let mut w = opened(own());
    w.policy("other", json!({}));
    w.namespace("shop", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("policy/p", "shop").len(), 1);
    w.delete_policy("p");
    w.run_for(Span::minutes(1));
    assert!(w.server.get(Kind::PatrolPolicy, &key("", "p")).is_none());
    assert_eq!(w.status("shop").phase, Phase::Open);
}

#[test]
fn the_last_policy_takes_the_coverage_tickets_with_it() {
    let mut w = opened(own());
    w.namespace("shop", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    w.delete_policy("p");
    w.run_for(Span::minutes(1));
    let end = w.status("shop").episode.resolution;
    assert_eq!(end, Some(Resolution::PolicyRemoved));
    assert_eq!(
        w.told("policy/p", "shop").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
    assert!(w.server.get(Kind::PatrolPolicy, &key("", "p")).is_none());
}

#[test]
fn a_webhook_taken_out_of_a_policy_keeps_no_finalizer() {
    let mut w = opened(own());
    assert!(has_finalizer(&w));
    w.policy("p", json!({}));
    w.run_for(Span::minutes(1));
    assert!(!has_finalizer(&w));
}

#[test]
fn a_suspended_policy_leaves_its_tickets_as_they_are() {
    let mut w = opened(json!({}));
    w.policy("p", json!({"suspend": true}));
    w.pod("shop/web", json!({}));
    w.pod("shop/new", json!({"bad": "yes"}));
    w.run_for(Span::hours(1));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
    assert!(w.find("shop/new").is_none());
    assert_eq!(w.says("p", "Ready"), "False(Suspended)");
    assert!(w.snapshot().overdue_policies.is_empty());
    w.policy("p", json!({}));
    w.run_for(Span::minutes(1));
    assert_eq!(w.status("shop/web").phase, Phase::Resolved);
    assert!(w.find("shop/new").is_some());
}

#[test]
fn a_broken_policy_says_so_and_keeps_its_tickets() {
    let mut w = opened(json!({}));
    w.policy("p", json!({"baselines": ["no-such"]}));
    w.pod("shop/web", json!({}));
    w.run_for(Span::hours(1));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
    assert_eq!(w.says("p", "Ready"), "False(Invalid)");
    assert_eq!(w.says("p", "Stalled"), "True(Invalid)");
    assert_eq!(w.policy_status("p").observed_generation, Some(2));
}

#[test]
fn a_policy_that_cannot_be_decoded_has_not_been_removed() {
    let mut w = opened(json!({}));
    w.die();
    let policy = w.server.delete(Kind::PatrolPolicy, &key("", "p")).unwrap();
    w.lead_without_policy("p");
    w.run_for(Span::hours(1));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
    let _ = policy;
}

#[test]
fn observe_opens_nothing_and_sends_nothing_and_counts() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy("p", json!({"mode": "Observe"}));
    w.pod("shop/web", json!({"bad": "yes"}));
    w.namespace("shop", json!({"bad": "yes"}));
    w.run_for(Span::minutes(20));
    assert!(w.tickets().is_empty());
    assert!(w.sent.is_empty());
    assert_eq!(w.policy_status("p").last_patrol.unwrap().subjects.failed, 1);
    assert_eq!(w.says("p", "Compliant"), "False(FindingsOpen)");
    w.policy("p", json!({}));
    w.run_for(Span::minutes(1));
    assert_eq!(w.open(), 2);
}

#[test]
fn scope_and_checks_that_are_taken_away_end_their_tickets() {
    let mut w = opened(json!({}));
    w.policy("p", json!({"scope": {"namespaces": {"exclude": ["shop"]}}}));
    w.run_for(Span::seconds(5));
    let end = |w: &World| w.status("shop/web").episode.resolution;
    assert_eq!(end(&w), Some(Resolution::OutOfScope));
    w.policy("p", json!({}));
    w.run_for(Span::seconds(5));
    assert_eq!(w.status("shop/web").episode.n, 2);
    w.policy(
        "p",
        json!({"overrides": [{"check": "pod-bad", "disabled": true}]}),
    );
    w.run_for(Span::seconds(5));
    assert_eq!(end(&w), Some(Resolution::CheckDisabled));
}

#[test]
fn coverage_is_told_to_marked_receivers_or_to_all_of_them_once() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy("p", json!({}));
    w.policy("q", json!({}));
    w.namespace("shop", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("soc", "shop"), ["Firing 1.1.1 Opened"]);
    w.receiver("cover", json!({"coverage": true}));
    w.namespace("bank", json!({"bad": "yes"}));
    w.run_for(Span::minutes(10));
    assert_eq!(w.told("cover", "bank").len(), 1);
    assert!(w.told("soc", "bank").is_empty());
}

#[test]
fn conditions_follow_within_seconds_and_not_with_the_next_patrol() {
    let mut w = opened(json!({}));
    assert_eq!(w.says("p", "Compliant"), "False(FindingsOpen)");
    w.pod("shop/web", json!({}));
    w.run_for(Span::seconds(36));
    assert_eq!(w.says("p", "Compliant"), "True(NoFindings)");
    assert_eq!(w.policy_status("p").tickets.open, 0);
}

#[test]
fn a_policy_without_a_receiver_says_that_it_tells_nobody() {
    let mut w = World::new();
    w.policy("p", json!({"alerts": {}}));
    w.run_for(Span::seconds(5));
    assert_eq!(w.says("p", "Alerting"), "Unknown(NoReceiver)");
}

#[test]
fn a_policy_changed_ten_times_a_second_ends_as_it_was_written_last() {
    let mut w = opened(json!({}));
    for i in 0..100 {
        w.policy("p", json!({"graces": {"podStart": format!("{}m", i + 1)}}));
        w.run_for(Span::millis(100));
    }
    w.run_for(Span::seconds(10));
    assert_eq!(w.policy_status("p").observed_generation, Some(101));
    let writes = w
        .writes
        .iter()
        .filter(|(_, what)| what == "policy p")
        .count();
    assert!(writes < 40, "{writes}");
}

#[test]
fn a_rival_of_the_policy_status_is_not_fought_without_end() {
    let mut w = opened(json!({}));
    let before = w.writes.len();
    for i in 0..120 {
        w.edit(Kind::PatrolPolicy, &key("", "p"), |p| {
            p["status"]["tickets"]["open"] = json!(1000 + i);
        });
        w.run_for(Span::millis(500));
    }
    assert!(w.writes.len() - before <= 40, "{}", w.writes.len() - before);
    w.run_for(Span::seconds(5));
    assert_eq!(w.policy_status("p").tickets.open, 1);
}

#[test]
fn a_finalizer_that_was_refused_is_put_on_once_it_may_be() {
    let mut w = World::new();
    let no = Fate::Answer(WriteResult::Refused(Refusal::Forbidden));
    w.fate("finalizer", std::iter::repeat_n(no, 3));
    w.policy("p", own());
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::minutes(2));
    assert_eq!(w.told("policy/p", "shop/web").len(), 1, "not silenced");
    w.run_for(Span::minutes(10));
    assert!(has_finalizer(&w));
    let tries = w.writes.iter().filter(|(_, what)| what == "finalizer p");
    assert_eq!(tries.count(), 4);
}

#[test]
fn a_finalizer_that_is_always_refused_is_tried_seldom() {
    let mut w = World::new();
    let no = Fate::Answer(WriteResult::Refused(Refusal::Forbidden));
    w.fate("finalizer", std::iter::repeat_n(no, 1000));
    w.policy("p", own());
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::hours(24));
    let tries = w.writes.iter().filter(|(_, what)| what == "finalizer p");
    assert!((100..200).contains(&tries.count()));
}

#[test]
fn a_deleted_policy_is_let_go_although_that_was_refused_at_first() {
    let mut w = opened(own());
    assert!(has_finalizer(&w));
    let no = Fate::Answer(WriteResult::Refused(Refusal::Forbidden));
    w.fate("finalizer", std::iter::repeat_n(no, 5));
    w.delete_policy("p");
    w.run_for(Span::minutes(5));
    assert_eq!(
        w.told("policy/p", "shop/web").last().unwrap(),
        "Closed 1.1.1 Resolved"
    );
    assert!(w.server.get(Kind::PatrolPolicy, &key("", "p")).is_none());
}

/// An edge has a few slots: what waits behind them would count as lost and be asked again.
#[test]
fn many_statuses_are_written_a_few_at_a_time_and_all_in_the_end() {
    let mut w = World::new();
    let count = |w: &World, what: &str| {
        let writes = w.writes.iter().filter(|(_, w)| w.starts_with(what));
        writes.count()
    };
    for operation in ["policy", "receiver"] {
        w.fate(operation, std::iter::repeat_n(Fate::Lost, 1000));
    }
    for i in 0..100 {
        w.receiver(&format!("r{i}"), json!({}));
        w.policy(&format!("p{i}"), json!({}));
    }
    w.run_for(Span::seconds(30));
    assert_eq!(count(&w, "policy"), 8);
    assert_eq!(count(&w, "receiver"), 8);
    w.fates.clear();
    w.run_for(Span::minutes(2));
    for i in 0..100 {
        assert_eq!(
            w.says(&format!("p{i}"), "Ready"),
            "True(Patrolling)",
            "p{i}"
        );
        let at = key("", &format!("r{i}"));
        let receiver = w.server.get(Kind::AlertReceiver, &at).unwrap();
        assert!(receiver["status"].is_object(), "r{i}");
    }
}
