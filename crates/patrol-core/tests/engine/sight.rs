//! Unknown is not absent.

use patrol_api::time::Span;
use patrol_api::words::{Phase, Resolution};
use patrol_core::event::{Event, Term};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use serde_json::json;

use crate::world::{World, key};

fn opened() -> World {
    let mut w = World::patrolled();
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::seconds(20));
    w
}

fn verified(w: &World) -> String {
    let conditions = w.status("shop/web").conditions;
    let found = conditions.iter().find(|c| c.type_ == "Verified");
    found.map(|c| c.status.clone()).unwrap_or_default()
}

#[test]
fn a_kind_that_is_lost_resolves_nothing() {
    for why in [
        Blindness::Unsynced,
        Blindness::Denied("watch".into()),
        Blindness::Failing("reset".into()),
    ] {
        let mut w = opened();
        w.event(Event::Lost(Kind::Pod, why.clone()));
        w.pod("shop/web", json!({}));
        w.run_for(Span::minutes(10));
        assert_eq!(w.status("shop/web").phase, Phase::Open, "{why:?}");
        assert_eq!(verified(&w), "Unknown");
        w.list(Kind::Pod);
        w.run_for(Span::minutes(1));
        assert_eq!(w.status("shop/web").phase, Phase::Resolved, "{why:?}");
    }
}

#[test]
fn a_right_taken_away_by_review_alone_stops_a_running_clearing() {
    let mut w = opened();
    w.pod("shop/web", json!({}));
    w.run_for(Span::seconds(10));
    w.denied.insert(Kind::Pod);
    w.event(Event::Reviewed(
        [(Kind::Pod, Err(Blindness::Denied("list".into())))].into(),
    ));
    w.run_for(Span::minutes(5));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
    w.denied.clear();
    w.event(Event::Reviewed([(Kind::Pod, Ok(()))].into()));
    w.run_for(Span::seconds(25));
    assert_eq!(
        w.status("shop/web").phase,
        Phase::Open,
        "the wait began again"
    );
    w.run_for(Span::seconds(40));
    assert_eq!(w.status("shop/web").phase, Phase::Resolved);
}

#[test]
fn a_right_that_comes_back_does_not_end_the_loss_of_a_watch() {
    let mut w = opened();
    w.event(Event::Lost(Kind::Pod, Blindness::Denied("watch".into())));
    w.event(Event::Reviewed([(Kind::Pod, Ok(()))].into()));
    w.pod("shop/web", json!({}));
    w.run_for(Span::minutes(5));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
}

#[test]
fn a_quiet_watch_is_no_evidence() {
    let mut w = opened();
    w.pod("shop/web", json!({}));
    w.run_for(Span::seconds(2));
    w.silent.insert(Kind::Pod);
    w.run_for(Span::minutes(10));
    // The last word came within a minute of the end of the wait.
    let mut late = opened();
    late.run_for(Span::seconds(2));
    late.silent.insert(Kind::Pod);
    late.run_for(Span::seconds(70));
    late.silent.remove(&Kind::Pod);
    late.pod("shop/web", json!({}));
    late.settle();
    late.silent.insert(Kind::Pod);
    late.run_for(Span::seconds(25));
    assert_eq!(late.status("shop/web").phase, Phase::Open);
    let mut never = World::new();
    never.receiver("soc", json!({}));
    never.policy("p", json!({"tickets": {"clearAfter": "2m"}}));
    never.pod("shop/web", json!({"bad": "yes"}));
    never.run_for(Span::seconds(20));
    never.pod("shop/web", json!({}));
    never.settle();
    never.silent.insert(Kind::Pod);
    never.run_for(Span::minutes(30));
    assert_eq!(never.status("shop/web").phase, Phase::Open);
    never.silent.clear();
    never.run_for(Span::minutes(4));
    assert_eq!(never.status("shop/web").phase, Phase::Resolved);
}

#[test]
fn f25_a_list_under_way_is_no_evidence_and_its_end_is() {
    let mut w = opened();
    w.event(Event::ListStarted(Kind::Pod));
    w.run_for(Span::minutes(5));
    assert_eq!(w.status("shop/web").phase, Phase::Open, "not mentioned yet");
    w.event(Event::ListFinished(Kind::Pod));
    w.settle();
    let status = w.status("shop/web");
    assert_eq!(status.episode.resolution, Some(Resolution::SubjectGone));
}

#[test]
fn a_pass_of_before_the_gap_is_no_evidence_while_the_list_closes_it() {
    let mut w = opened();
    w.pod("shop/web", json!({}));
    w.run_for(Span::seconds(10));
    w.event(Event::ListStarted(Kind::Pod));
    w.run_for(Span::minutes(2));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
}

#[test]
fn f25_an_absence_of_before_the_gap_is_no_evidence_while_the_list_closes_it() {
    let mut w = opened();
    w.event(Event::Leading(None));
    w.delete(Kind::Pod, &key("shop", "web"));
    w.settle();
    // It may have been made anew in the gap, and not be mentioned yet.
    w.event(Event::ListStarted(Kind::Pod));
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(2));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
    w.event(Event::ListFinished(Kind::Pod));
    w.settle();
    let status = w.status("shop/web");
    assert_eq!(status.episode.resolution, Some(Resolution::SubjectGone));
}

#[test]
fn f25_a_list_that_broke_off_takes_nothing_away() {
    let mut w = opened();
    w.event(Event::ListStarted(Kind::Pod));
    w.event(Event::Lost(Kind::Pod, Blindness::Failing("cut".into())));
    w.run_for(Span::minutes(5));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
    w.list(Kind::Pod);
    w.run_for(Span::minutes(1));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
}

#[test]
fn an_undecodable_object_never_passes_and_is_judged_when_it_can_be() {
    let mut w = opened();
    w.pod("shop/web", json!({}));
    w.run_for(Span::seconds(10));
    w.garble(Kind::Pod, &key("shop", "web"));
    w.run_for(Span::minutes(5));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
    assert_eq!(verified(&w), "Unknown");
    // Decodable again with the very content it had before.
    w.pod("shop/web", json!({}));
    w.run_for(Span::seconds(40));
    assert_eq!(w.status("shop/web").phase, Phase::Resolved);
}

#[test]
fn an_undecodable_object_is_not_gone_after_a_list() {
    let mut w = opened();
    w.event(Event::ListStarted(Kind::Pod));
    w.garble(Kind::Pod, &key("shop", "web"));
    w.event(Event::ListFinished(Kind::Pod));
    w.run_for(Span::minutes(2));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
}

#[test]
fn a_restart_that_cannot_look_resolves_nothing_and_opens_nothing() {
    let mut w = opened();
    w.die();
    for kind in Kind::ALL.into_iter().filter(|k| *k != Kind::Pod) {
        w.list(kind);
    }
    w.event(Event::Leading(Some(Term(1))));
    w.run_for(Span::minutes(10));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
    assert_eq!(w.tickets().len(), 1);
}

#[test]
fn a_grace_that_ends_opens_at_its_end() {
    let mut w = World::patrolled();
    let until = w.wall().unix() + 100;
    w.pod("shop/web", json!({"grace-until": until.to_string()}));
    w.run_for(Span::seconds(98));
    assert!(w.find("shop/web").is_none());
    w.run_for(Span::seconds(3));
    assert!(w.find("shop/web").is_some());
    // A check that keeps naming a time that is past does not make the engine spin.
    w.run_for(Span::minutes(2));
}

#[test]
fn no_live_pods_is_a_resolution_of_its_own() {
    let mut w = opened();
    w.pod("shop/web", json!({"empty": "yes"}));
    w.run_for(Span::seconds(40));
    let status = w.status("shop/web");
    assert_eq!(status.episode.resolution, Some(Resolution::NoLivePods));
}

#[test]
fn what_was_in_a_namespace_that_ended_is_gone_however_blind_we_are() {
    let mut w = opened();
    w.event(Event::Lost(Kind::Pod, Blindness::Denied("list".into())));
    w.run_for(Span::seconds(5));
    w.delete(Kind::Namespace, &key("", "shop"));
    w.run_for(Span::seconds(5));
    let end = w.status("shop/web").episode.resolution;
    assert_eq!(end, Some(Resolution::SubjectGone));
}

#[test]
fn a_wait_does_not_go_on_while_the_watch_was_quiet() {
    let mut w = World::new();
    w.receiver("soc", json!({}));
    w.policy("p", json!({"tickets": {"clearAfter": "2m"}}));
    w.pod("shop/web", json!({"bad": "yes"}));
    w.run_for(Span::seconds(20));
    w.pod("shop/web", json!({}));
    w.settle();
    w.silent.insert(Kind::Pod);
    w.run_for(Span::seconds(100));
    w.silent.clear();
    w.run_for(Span::seconds(60));
    assert_eq!(
        w.status("shop/web").phase,
        Phase::Open,
        "seen for less than two minutes"
    );
    w.run_for(Span::seconds(80));
    assert_eq!(w.status("shop/web").phase, Phase::Resolved);
}

/// A proxy that answers 404 to everything for a while takes nothing away.
#[test]
fn a_kind_that_every_cluster_has_is_not_absent_but_unseen() {
    for kind in [Kind::Pod, Kind::Namespace, Kind::Node] {
        let mut w = opened();
        w.event(Event::NotInstalled(kind));
        w.run_for(Span::minutes(10));
        assert_eq!(w.status("shop/web").phase, Phase::Open, "{kind}");
        assert!(!w.snapshot().kinds[&kind].1, "{kind} is not seen");
        w.list(kind);
        w.run_for(Span::minutes(1));
        assert_eq!(w.status("shop/web").phase, Phase::Open, "{kind}");
        assert!(w.snapshot().kinds[&kind].1, "{kind} is seen again");
    }
    let mut w = opened();
    for kind in Kind::ALL {
        w.event(Event::NotInstalled(kind));
    }
    w.run_for(Span::minutes(3));
    w.list_all();
    w.run_for(Span::minutes(3));
    assert_eq!(w.status("shop/web").phase, Phase::Open);
    assert_eq!(w.status("shop/web").episode.n, 1);
}

#[test]
fn a_kind_that_is_not_installed_is_not_silent() {
    let mut w = opened();
    let spoke = |w: &World| w.snapshot().kinds[&Kind::SidecarSet].2;
    assert!(spoke(&w).is_some());
    w.silent.insert(Kind::SidecarSet);
    w.event(Event::NotInstalled(Kind::SidecarSet));
    w.run_for(Span::hours(1));
    assert_eq!(spoke(&w), None);
    w.list(Kind::SidecarSet);
    w.settle();
    assert!(spoke(&w).is_some());
}

#[test]
fn pods_of_a_node_come_by_name_in_whatever_order_they_were_met() {
    let mut w = World::new();
    for place in [("shop", "b"), ("shop", "a"), ("bank", "c")] {
        let pod = json!({"metadata": {}, "spec": {"nodeName": "n1", "containers": []}});
        w.apply(Kind::Pod, &key(place.0, place.1), pod);
    }
    w.settle();
    let pods = w.engine.inventory().pods_on("n1");
    let names: Vec<&str> = pods.map(|pod| &*pod.key.name).collect();
    assert_eq!(names, ["c", "a", "b"], "by namespace, then name");
}

#[test]
fn a_right_that_comes_back_is_noticed_when_no_policy_patrols() {
    let mut w = opened();
    w.policy("p", json!({"suspend": true}));
    w.denied.insert(Kind::Pod);
    w.event(Event::Reviewed(
        [(Kind::Pod, Err(Blindness::Denied("list".into())))].into(),
    ));
    w.run_for(Span::minutes(1));
    w.denied.clear();
    let readable = |w: &World| w.snapshot().kinds[&Kind::Pod].1;
    assert!(!readable(&w));
    w.run_for(Span::minutes(6));
    assert!(readable(&w));
}
