use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::PatrolPolicy;
use patrol_api::ticket::{AlertRecord, Overlay};
use patrol_api::time::Span;
use patrol_api::words::Resolution;
use serde_json::{Value, json};

use super::*;

fn at(text: &str) -> Time {
    text.parse().unwrap()
}

fn now() -> Time {
    at("2026-11-29T12:00:00Z")
}

fn ticket() -> Ticket {
    let mut ticket: Ticket = serde_json::from_value(json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "Ticket",
        "metadata": {"name": "c-1", "namespace": "shop", "uid": "t"},
        "spec": {"finding": {"policy": "prod", "check": "c", "subject": {"kind": "Pod", "name": "web"},
                             "subjectRef": "Pod/web", "layer": "L3"}},
    }))
    .unwrap();
    let status = ticket.status.get_or_insert_default();
    status.severity = Some(Severity::High);
    status.episode.opened_at = Some(at("2026-11-29T11:00:00Z"));
    status.episode.due_at = Some(at("2026-12-06T11:00:00Z"));
    ticket
}

fn known() -> Known {
    let policy: PatrolPolicy = serde_json::from_value(json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy", "metadata": {"name": "prod", "uid": "p"},
        "spec": {"schedule": {"every": "15m"}, "alerts": {
            "repeat": {"high": "4h"}, "webhook": {"url": "http://example.com/own"},
            "receivers": [{"name": "soc"}, {"name": "ciso", "minSeverity": "Critical"}, {"name": "missing"}]}},
        "status": {"nextPatrolAt": "2026-11-29T12:10:00Z"},
    }))
    .unwrap();
    let plain = |name| receiver(name, json!({}));
    Known {
        policies: vec![policy],
        receivers: vec![plain("soc"), plain("ciso")],
        ..Known::default()
    }
}

/// A receiver with what `other` says of it instead.
fn receiver(name: &str, other: Value) -> AlertReceiver {
    let mut object = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "AlertReceiver",
        "metadata": {"name": name, "uid": format!("uid-{name}")},
        "spec": {"webhook": {"url": "http://example.com/hook"}},
    });
    for (field, value) in other["spec"].as_object().into_iter().flatten() {
        object["spec"][field] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn record(receiver: &str, uid: &str) -> AlertRecord {
    AlertRecord {
        receiver: receiver.into(),
        uid: uid.into(),
        seq: 1,
        n: 1,
        state: ToldState::Firing,
        reason: None,
        at: at("2026-11-29T11:30:00Z"),
        episode: 1,
        level: 0,
        digest: false,
        quiet_at: None,
    }
}

fn all(ticket: &Ticket, known: &Known) -> Vec<Step> {
    steps(ticket, known, &known.foresee(ticket, now()), now())
}

fn texts(ticket: &Ticket, known: &Known) -> Vec<String> {
    let all = all(ticket, known).into_iter();
    all.map(|s| match s.when {
        When::Then => s.what,
        // Without the clamp to now.
        when => format!("{} {}", when.text(at("2000-01-01T00:00:00Z")), s.what),
    })
    .collect()
}

#[test]
fn whoever_is_routed_is_told_after_the_group_wait() {
    let said = texts(&ticket(), &known());
    assert_eq!(said[0], "2026-11-29T11:00:30Z policy/prod is told (Opened)");
    assert_eq!(said[1], "2026-11-29T11:00:30Z soc is told (Opened)");
    assert_eq!(
        said[2],
        "2026-11-29T12:10:00Z the next patrol of prod; a change is inspected at once"
    );
    assert_eq!(
        said[3],
        "2026-12-06T11:00:00Z it is due: whoever is told hears SLABreached"
    );
    // 14 days of silence for High.
    assert_eq!(
        said[4],
        "2026-12-13T11:00:00Z if nobody is told anything until then, whoever is told hears Overdue"
    );
    assert!(
        said[5].starts_with("when the subject is seen without the gap, and stays so for 30s, it")
    );
    assert_eq!(said.len(), 6, "{said:?}");
}

#[test]
fn a_reminder_comes_with_the_policys_own_interval() {
    let mut told = ticket();
    told.status.as_mut().unwrap().alerts = vec![record("soc", "uid-soc")];
    let all = all(&told, &known());
    let reminder = all.iter().find(|s| s.what == "soc is reminded").unwrap();
    let When::At(due) = reminder.when else {
        panic!("{reminder:?}");
    };
    let wait = due.since(at("2026-11-29T11:30:00Z"));
    // The interval and at most a tenth of it, and a minute beside full and half hours.
    assert!(
        wait >= Span::hours(4) && wait <= Span::minutes(266),
        "{wait}"
    );
}

#[test]
fn an_overlay_stops_reminders_and_its_end_is_said() {
    let mut paused = ticket();
    let status = paused.status.as_mut().unwrap();
    status.alerts = vec![record("soc", "uid-soc")];
    status.phase = Phase::Acknowledged;
    status.overlay = Some(Overlay {
        kind: OverlayKind::Acknowledged,
        by: None,
        reason: String::new(),
        until: at("2026-11-30T12:00:00Z"),
        asked: None,
        reset_sla: false,
        waiver: None,
    });
    let said = texts(&paused, &known());
    assert!(!said.iter().any(|s| s.contains("reminded")), "{said:?}");
    assert!(
        said.contains(
            &"2026-11-30T12:00:00Z the acknowledgement ends: reminders start again".into()
        ),
        "{said:?}"
    );
    assert!(said.iter().any(|s| s.contains("it is due")), "{said:?}");
    let status = paused.status.as_mut().unwrap();
    status.phase = Phase::Waived;
    status.overlay.as_mut().unwrap().kind = OverlayKind::Waived;
    let said = texts(&paused, &known());
    assert!(
        said.iter().any(|s| s.contains("the waiver ends")),
        "{said:?}"
    );
    for word in ["it is due", "Overdue"] {
        assert!(!said.iter().any(|s| s.contains(word)), "{said:?}");
    }
}

#[test]
fn a_resolved_ticket_owes_its_end_to_who_was_told_and_is_deleted_later() {
    let mut over = ticket();
    let status = over.status.as_mut().unwrap();
    // One was told that the policy does not name any more, and one that is gone.
    status.alerts = vec![record("gone", "uid-gone"), record("old", "uid-old")];
    status.phase = Phase::Resolved;
    status.episode.resolution = Some(Resolution::Fixed);
    status.episode.resolved_at = Some(at("2026-11-29T11:45:00Z"));
    let mut known = known();
    known.receivers.push(receiver("old", json!({})));
    assert_eq!(
        texts(&over, &known),
        [
            "2026-11-29T11:45:00Z old is told that it ended",
            "2026-11-29T11:45:30Z policy/prod is told that it came and went",
            "2026-11-29T11:45:30Z soc is told that it came and went",
            "2026-12-29T11:45:00Z the ticket is deleted, unless the gap comes back",
        ]
    );
}

#[test]
fn a_receiver_that_is_not_ready_is_tried_again_when_its_circuit_says_so() {
    let mut known = known();
    known.receivers[0] = receiver(
        "soc",
        json!({"spec": {"failover": {"receiver": "ciso", "after": "2h", "minSeverity": "High"}}}),
    );
    known.receivers[0].status = serde_json::from_value(json!({
        "conditions": [{"type": "Ready", "status": "False", "reason": "Config", "message": "m",
                        "lastTransitionTime": "2026-11-29T11:30:00Z"}],
        "circuit": {"state": "Open", "failures": 7, "notBefore": "2026-11-29T12:05:00Z"},
    }))
    .unwrap();
    let said = texts(&ticket(), &known);
    let expected = "2026-11-29T12:05:00Z soc is told (Opened); not ready since 2026-11-29T11:30:00Z (Config), tried again at 2026-11-29T12:05:00Z";
    assert!(said.contains(&expected.to_owned()), "{said:?}");
    let stand_in =
        "2026-11-29T13:30:00Z ciso is told in the place of soc, if that is still not ready";
    assert!(said.contains(&stand_in.to_owned()), "{said:?}");
    // After that the other is told as well.
    let ready = &mut known.receivers[0].status.as_mut().unwrap().conditions[0];
    ready.last_transition_time = condition::meta_time(at("2026-11-29T09:30:00Z"));
    let said = texts(&ticket(), &known);
    let instead = "ciso is told (Opened), in the place of a receiver that is not ready";
    assert!(said.iter().any(|s| s.ends_with(instead)), "{said:?}");
    assert!(!said.contains(&stand_in.to_owned()), "{said:?}");
}

#[test]
fn a_mute_holds_back_what_is_no_deadline_and_its_end_is_said() {
    let mut known = known();
    known.waivers = vec![
        serde_json::from_value(json!({
            "apiVersion": "kubepatrol.io/v1alpha1", "kind": "TicketWaiver",
            "metadata": {"name": "quiet", "namespace": "shop", "creationTimestamp": "2026-11-29T10:00:00Z"},
            "spec": {"checks": ["c"], "reason": "a move", "owner": "payments", "treatment": "Mute", "expiresAt": "2026-12-01T00:00:00Z"},
        }))
        .unwrap(),
    ];
    let mut subject = ticket();
    subject.spec.finding.subject.namespace = Some("shop".into());
    let said = texts(&subject, &known);
    for words in [
        "2026-12-01T00:00:00Z soc is told (Opened)",
        "2026-12-01T00:00:00Z the mute by shop/quiet ends: what was held back is told",
        "2026-12-06T11:00:00Z it is due: whoever is told hears SLABreached",
    ] {
        assert!(said.contains(&words.to_owned()), "{words}: {said:?}");
    }
    let foresight = known.foresee(&subject, now());
    let said = super::super::muted(foresight.muted.as_ref().unwrap());
    assert!(
        said.contains("by payments (TicketWaiver shop/quiet): a move"),
        "{said}"
    );
}

#[test]
fn an_alertmanager_is_told_again_and_again() {
    let mut known = known();
    known.receivers[0] = receiver(
        "soc",
        json!({"spec": {"webhook": null, "alertmanager": {"url": "http://am.example.com"}}}),
    );
    let mut told = ticket();
    told.status.as_mut().unwrap().alerts = vec![record("soc", "uid-soc")];
    let said = texts(&told, &known);
    assert!(
        said.iter()
            .any(|s| s.starts_with("every 5m soc is told that it still holds")),
        "{said:?}"
    );
}

#[test]
fn a_ticket_that_comes_and_goes_must_stay_clean_for_longer() {
    let mut flapping = ticket();
    flapping.status.as_mut().unwrap().flapping = true;
    let said = texts(&flapping, &known());
    let last = said.last().unwrap();
    assert!(
        last.contains("stays so for 1m (longer than usual"),
        "{last}"
    );
}

#[test]
fn of_an_always_on_check_every_receiver_of_a_policy_hears() {
    let mut coverage = ticket();
    coverage.spec.finding.policy = COVERAGE_POLICY.into();
    let said = texts(&coverage, &known());
    for words in [
        "soc is told (Opened)",
        "ciso is told (Opened)",
        "policy/prod is told (Opened)",
    ] {
        assert!(said.iter().any(|s| s.ends_with(words)), "{words}: {said:?}");
    }
    let mut known = known();
    known.receivers[1] = receiver("ciso", json!({"spec": {"coverage": true}}));
    let said = texts(&coverage, &known);
    assert!(!said.iter().any(|s| s.contains("soc is told")), "{said:?}");
}

#[test]
fn what_may_not_be_read_is_taken_from_the_ticket() {
    let mut told = ticket();
    told.status.as_mut().unwrap().alerts =
        vec![record("policy/prod", "uid-own"), record("soc", "uid-soc")];
    let known = Known::assumed(&told);
    let said = texts(&told, &known);
    for words in ["soc is reminded", "policy/prod is reminded"] {
        assert!(said.iter().any(|s| s.ends_with(words)), "{words}: {said:?}");
    }
}
