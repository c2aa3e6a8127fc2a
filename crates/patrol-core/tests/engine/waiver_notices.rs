//! What is said of waivers themselves: that one ends soon, that one is dead, and that there is no other way to waive.

use patrol_api::ticket::Subject;
use patrol_api::time::Span;
use patrol_api::waiver::TicketWaiverStatus;
use patrol_api::words::{Layer, Phase, Severity};
use patrol_core::check::{Check, CheckMeta, Judgement, PartyBy, Unit, UnitKind, Verdict, View};
use patrol_core::clock::Mono;
use patrol_core::kind::Kind;
use patrol_core::rule::{Catalogue, Rule};
use patrol_core::waiver::Standing;
use serde_json::{Value, json};

use crate::catalogue::CATALOGUE;
use crate::world::{World, key};

/// With the check of waivers as checks.md has it. Its id is the real one: a waiver of everything does not waive it.
const WITH_OVERDUE: Catalogue = Catalogue {
    checks: &[
        CATALOGUE.checks[0],
        CATALOGUE.checks[1],
        CATALOGUE.checks[2],
        &WaiverOverdue,
    ],
    baselines: CATALOGUE.baselines,
    always_on: &["namespace-bad", "waiver-overdue"],
};

static OVERDUE: CheckMeta = CheckMeta {
    id: "waiver-overdue",
    title: "a waiver is over, or dead",
    what: "",
    why: "",
    remediation: "renew or delete it",
    layer: Layer::L6,
    party: PartyBy::CUSTOMER,
    severity: Severity::Low,
    reads: &[Kind::TicketWaiver],
    units: &[UnitKind::Cluster],
    block: None,
    parameters: &[],
    references: &[],
};

struct WaiverOverdue;
impl Check for WaiverOverdue {
    fn meta(&self) -> &'static CheckMeta {
        &OVERDUE
    }
    fn judge(&self, view: &View<'_>, _: &Rule, _: &Unit, out: &mut Vec<Judgement>) {
        for (key, waiver) in &view.own.waivers {
            let info = Kind::TicketWaiver.info();
            let subject = Subject {
                group: info.group.to_owned(),
                kind: info.kind.to_owned(),
                namespace: Some(key.namespace.to_string()),
                name: key.name.to_string(),
                uid: waiver.uid.clone(),
            };
            let verdict = match waiver.standing {
                Standing::Active | Standing::Expiring => Verdict::Pass,
                _ => Verdict::Fail,
            };
            out.push(Judgement::new(subject, verdict).message("over"));
        }
    }
}

fn bad() -> Value {
    json!({"bad": "yes"})
}

fn waive(w: &mut World, name: &str, spec: Value) {
    let mut whole = json!({
        "spec": {"checks": ["*"], "reason": "goes away in spring", "owner": "payments"}
    });
    for (field, value) in spec.as_object().unwrap() {
        whole["spec"][field] = value.clone();
    }
    w.apply(Kind::TicketWaiver, &key("shop", name), whole);
    w.settle();
}

fn reported(w: &World, name: &str) -> TicketWaiverStatus {
    let waiver = w.server.get(Kind::TicketWaiver, &key("shop", name));
    serde_json::from_value(waiver.unwrap()["status"].clone()).unwrap()
}

fn announcements(w: &World, reason: &str) -> Vec<String> {
    let of_reason = |a: &&String| a.split(' ').next() == Some(reason);
    w.announced.iter().filter(of_reason).cloned().collect()
}

/// As metric `waivers_expiring` counts them.
fn ending_within_a_week(w: &World) -> usize {
    let by = w.wall().plus(Span::days(7));
    let ends = w.snapshot().waiver_ends;
    ends.into_iter().filter(|end| *end <= by).count()
}

/// alerting.md 2.3: warned seven days before.
#[test]
fn a_waiver_is_warned_of_once_seven_days_before_its_end_and_not_earlier() {
    let mut w = World::patrolled();
    let until = w.wall().plus(Span::days(20)).to_string();
    waive(&mut w, "soon", json!({"expiresAt": until}));
    waive(&mut w, "later", json!({}));
    w.run_for(Span::hours(13 * 24 - 1));
    assert_eq!(announcements(&w, "WaiverExpiring"), [""; 0]);
    assert_eq!(w.snapshot().waivers.get("Expiring"), None);
    assert_eq!(ending_within_a_week(&w), 0);
    w.run_for(Span::hours(2));
    let said = announcements(&w, "WaiverExpiring");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains(&until), "{said:?}");
    assert_eq!(w.snapshot().waivers.get("Expiring"), Some(&1));
    assert_eq!(ending_within_a_week(&w), 1);
    // It is said once, and one that is over ends no more.
    w.run_for(Span::days(7));
    assert_eq!(announcements(&w, "WaiverExpiring").len(), 1);
    assert_eq!(announcements(&w, "WaiverExpired").len(), 1);
    assert_eq!(w.snapshot().waivers.get("Expiring"), None);
    assert_eq!(ending_within_a_week(&w), 0);
}

/// checks.md B, `waiver-overdue`: a waiver that matches nothing for 30 days is dead.
#[test]
fn a_waiver_that_never_stood_over_a_ticket_has_one_itself_after_thirty_days() {
    let mut w = World::patrolled_with(WITH_OVERDUE);
    waive(&mut w, "idle", json!({"subjects": {"names": ["nobody"]}}));
    waive(&mut w, "used", json!({"subjects": {"names": ["a"]}}));
    w.pod("shop/a", bad());
    w.run_for(Span::days(29));
    assert!(w.find("shop/idle").is_none());
    w.run_for(Span::days(2));
    assert_eq!(w.ticket("shop/idle").spec.finding.check, "waiver-overdue");
    assert_eq!(w.status("shop/idle").phase, Phase::Open);
    assert_eq!(w.told("soc", "shop/idle"), ["Firing 1.1.1 Opened"]);
    // One in use is left alone.
    assert_eq!(w.status("shop/a").phase, Phase::Waived);
    assert!(w.find("shop/used").is_none());
}

/// A waiver of everything has no power over what is found about itself.
#[test]
fn a_dead_waiver_of_everything_does_not_waive_its_own_ticket() {
    let mut w = World::patrolled_with(WITH_OVERDUE);
    waive(&mut w, "all", json!({}));
    w.run_for(Span::days(31));
    assert_eq!(w.status("shop/all").phase, Phase::Open);
    assert_eq!(reported(&w, "all").matched, 0);
}

#[test]
fn a_waiver_says_when_it_was_last_used_and_its_thirty_days_count_from_then() {
    let mut w = World::patrolled_with(WITH_OVERDUE);
    waive(&mut w, "used", json!({"subjects": {"names": ["a"]}}));
    w.run_for(Span::minutes(1));
    assert_eq!(reported(&w, "used").last_used_time, None);
    let begins = w.wall();
    w.pod("shop/a", bad());
    w.run_for(Span::minutes(1));
    let status = reported(&w, "used");
    assert_eq!(status.matched, 1);
    let used = status.last_used_time.expect("it is in use");
    assert!(used >= begins, "{used}");
    w.run_for(Span::days(10));
    let mended = w.wall();
    w.pod("shop/a", json!({}));
    w.run_for(Span::minutes(5));
    let status = reported(&w, "used");
    assert_eq!(status.matched, 0);
    let used = status.last_used_time.expect("it was in use");
    assert!(used >= mended, "{used}");
    // 35 days after it was made, and 25 after its last use.
    w.run_for(Span::days(25));
    assert!(w.find("shop/used").is_none());
    w.run_for(Span::days(6));
    assert_eq!(w.status("shop/used").phase, Phase::Open);
}

/// What becomes of a gap where the pod and its namespace carry these labels and annotations: its phase, what is told of it, and
/// when.
fn gap_under(marks: &Value) -> (Phase, Vec<String>, Vec<Mono>) {
    let mut w = World::patrolled();
    let namespace = json!({"metadata": {"labels": marks, "annotations": marks}});
    w.apply(Kind::Namespace, &key("", "shop"), namespace);
    let mut labels = marks.clone();
    labels["bad"] = json!("yes");
    let metadata = json!({"labels": labels, "annotations": marks});
    let pod = json!({"metadata": metadata, "spec": {"containers": []}});
    w.apply(Kind::Pod, &key("shop", "a"), pod);
    w.run_for(Span::hours(27));
    let times = w.sent.iter().map(|(at, ..)| *at).collect();
    (w.status("shop/a").phase, w.told("soc", "shop/a"), times)
}

/// faults.md, row 100 and T9: whoever owns the gap owns its labels, too.
#[test]
fn row100_no_label_or_annotation_of_a_user_waives_mutes_or_puts_off_a_ticket() {
    let (phase, told, times) = gap_under(&json!({}));
    assert_eq!(phase, Phase::Open);
    assert_eq!(told, ["Firing 1.1.1 Opened", "Firing 1.1.2 Reminder"]);
    let marks = json!({
        "kubepatrol.io/waive": "true",
        "kubepatrol.io/waived": "true",
        "kubepatrol.io/ignore": "true",
        "kubepatrol.io/mute": "true",
        "kubepatrol.io/snooze": "24h",
        "kubepatrol.io/acknowledge": "true",
        "kubepatrol.io/severity": "info",
    });
    assert_eq!(gap_under(&marks), (phase, told, times));
}
