use serde_json::json;

use super::super::line::Level;
use super::*;

fn now() -> Time {
    "2026-11-29T12:00:00Z".parse().unwrap()
}

fn conditions(rows: &[(&str, &str, &str)]) -> Value {
    let all = rows.iter().map(|(kind, status, reason)| {
        json!({"type": kind, "status": status, "reason": reason, "message": format!("about {reason}"),
               "lastTransitionTime": "2026-11-29T11:00:00Z"})
    });
    Value::Array(all.collect())
}

fn well() -> Value {
    json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy",
        "metadata": {"name": "prod", "generation": 3, "creationTimestamp": "2026-11-01T00:00:00Z"},
        "spec": {"schedule": {"every": "15m"}},
        "status": {
            "observedGeneration": 3,
            "lastCompletePatrolAt": "2026-11-29T11:50:00Z", "nextPatrolAt": "2026-11-29T12:05:00Z",
            "conditions": conditions(&[("Ready", "True", "R"), ("Covered", "True", "C"), ("Alerting", "True", "A")]),
        },
    })
}

fn levels(lines: &[Line]) -> Vec<(&str, Level)> {
    lines.iter().map(|l| (l.check, l.level)).collect()
}

fn of(policy: Value) -> Vec<Line> {
    policies(&[policy], &[], now())
}

#[test]
fn a_policy_that_is_well_is_four_lines_of_ok() {
    let lines = of(well());
    let expected = ["policies", "patrols", "coverage", "alerting"].map(|c| (c, Level::Ok));
    assert_eq!(levels(&lines), expected, "{lines:?}");
    assert!(lines.iter().all(|l| l.object == "prod"));
    assert_eq!(
        lines[1].says,
        "the last complete patrol finished 10m ago, the next is due 2026-11-29 12:05 UTC"
    );
}

#[test]
fn overdue_is_computed_from_the_times_though_nobody_wrote_it() {
    let mut late = well();
    // Two periods of 15m after it are over at 12:00 exactly.
    late["status"]["lastCompletePatrolAt"] = json!("2026-11-29T11:30:00Z");
    assert_eq!(of(late.clone())[1].level, Level::Ok);
    late["status"]["lastCompletePatrolAt"] = json!("2026-11-29T11:29:59Z");
    let line = &of(late.clone())[1];
    assert_eq!(line.level, Level::Fail);
    assert!(
        line.says
            .starts_with("is overdue since 2026-11-29 11:59 UTC"),
        "{}",
        line.says
    );
    late["spec"]["suspend"] = json!(true);
    let line = &of(late)[1];
    assert_eq!(line.level, Level::Warn);
    assert!(line.says.contains("suspended"), "{}", line.says);
    // One that never ran counts from its making.
    let mut never = well();
    never["status"]["lastCompletePatrolAt"] = Value::Null;
    assert_eq!(of(never)[1].level, Level::Fail);
}

#[test]
fn blind_spots_and_receivers_in_trouble_are_named() {
    let mut blind = well();
    blind["status"]["conditions"] = conditions(&[
        ("Ready", "False", "AdmissionDenied"),
        ("Covered", "False", "AccessDenied"),
        ("Alerting", "False", "ReceiverUnavailable"),
    ]);
    blind["status"]["coverage"] =
        json!([{"kind": "Pod", "reasons": ["AccessDenied"]}, {"kind": "Node"}]);
    let lines = of(blind);
    assert_eq!(lines[0].level, Level::Fail);
    assert_eq!(
        lines[2].says,
        "there are blind spots: AccessDenied: about AccessDenied (Pod: AccessDenied)"
    );
    assert_eq!(
        lines[3].says,
        "ReceiverUnavailable: about ReceiverUnavailable"
    );
    assert!(lines[3].fix.contains("test-receiver"));
}

#[test]
fn a_policy_nobody_has_judged_warns() {
    let mut fresh = well();
    fresh["status"] = Value::Null;
    let lines = of(fresh);
    assert_eq!(lines[0].level, Level::Warn);
    let mut edited = well();
    edited["metadata"]["generation"] = json!(4);
    assert!(
        of(edited)[0]
            .says
            .contains("not taken the latest change in")
    );
    assert_eq!(
        levels(&policies(&[], &[], now())),
        [("policies", Level::Warn)]
    );
    let other = json!({"metadata": {"name": "x"}, "spec": {"schedule": 7}});
    assert_eq!(
        levels(&policies(&[other], &[], now())),
        [("policies", Level::Warn)]
    );
}

#[test]
fn a_receiver_says_when_it_last_accepted_and_what_it_is_owed() {
    let receiver = |status: Value| {
        json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "AlertReceiver", "metadata": {"name": "soc"},
               "spec": {"webhook": {"url": "http://example.com/s3cret"}}, "status": status})
    };
    let all = |ready: &str, secret: &str| {
        conditions(&[
            ("Ready", ready, "R"),
            ("AddressAllowed", "True", "A"),
            ("SecretResolved", secret, "SecretMissing"),
        ])
    };
    let line = |status: Value| receivers(&[receiver(status)], &[], now()).remove(0);
    let well =
        line(json!({"conditions": all("True", "True"), "lastSuccessTime": "2026-11-29T11:55:00Z"}));
    assert_eq!(well.level, Level::Ok);
    assert_eq!(well.says, "accepts: it accepted the last message 5m ago");
    let down = line(json!({
        "conditions": all("False", "False"), "pending": 3, "oldestPendingTime": "2026-11-29T11:00:00Z",
    }));
    assert_eq!(down.level, Level::Fail);
    assert_eq!(
        down.says,
        "SecretMissing: about SecretMissing; it has never accepted anything, 3 alerts wait, the oldest for 60m"
    );
    assert!(!down.says.contains("s3cret") && down.fix.contains("test-receiver soc"));
    assert_eq!(
        line(json!({"conditions": all("Unknown", "Unknown")})).level,
        Level::Warn
    );
    assert_eq!(line(Value::Null).level, Level::Warn);
}

#[test]
fn a_clock_that_is_off_is_no_receiver_in_trouble() {
    let mut skewed = well();
    skewed["status"]["conditions"] = conditions(&[
        ("Ready", "True", "R"),
        ("Covered", "True", "C"),
        ("Alerting", "Unknown", "ClockSkew"),
    ]);
    let line = of(skewed).remove(3);
    assert_eq!(line.level, Level::Warn);
    assert_eq!(line.says, "ClockSkew: about ClockSkew");
    assert!(
        line.fix.contains("synchronise their clocks"),
        "{}",
        line.fix
    );
    assert!(!line.fix.contains("test-receiver"), "{}", line.fix);
}

#[test]
fn row90_a_receiver_that_does_not_answer_names_the_policies_that_may_be_why() {
    let receiver = |reason: &str| {
        json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "AlertReceiver", "metadata": {"name": "soc"},
               "spec": {"webhook": {"url": "http://example.com/"}},
               "status": {"conditions": conditions(&[("Ready", "False", reason)])}})
    };
    let limits = ["kube-patrol/deny".to_owned(), "kube-patrol/some".to_owned()];
    let line =
        |reason: &str, limits: &[String]| receivers(&[receiver(reason)], limits, now()).remove(0);
    let down = line("Transient", &limits);
    assert!(
        down.says
            .ends_with("; it may be that NetworkPolicy kube-patrol/deny, kube-patrol/some keeps the operator from it"),
        "{}",
        down.says
    );
    assert!(down.fix.contains("kube-patrol/deny") && down.fix.contains("test-receiver soc"));
    assert!(!line("Transient", &[]).says.contains("NetworkPolicy"));
    // Who refuses was reached.
    assert!(!is_out_of_reach(&receiver("Config")));
    assert!(!line("Config", &limits).says.contains("NetworkPolicy"));
}

/// It has no object of its own, so its policy is where it is seen.
#[test]
fn row90_a_webhook_of_a_policy_that_does_not_answer_names_the_policies_that_may_be_why() {
    let limits = ["kube-patrol/deny".to_owned()];
    let policy = |alerts: Value, reason: &str, message: &str| {
        let mut policy = well();
        policy["spec"]["alerts"] = alerts;
        policy["status"]["conditions"] = conditions(&[("Alerting", "False", reason)]);
        policy["status"]["conditions"][0]["message"] = json!(message);
        policy
    };
    let own = json!({"webhook": {"url": "http://example.com/"}});
    let named = json!({"receivers": [{"name": "soc"}]});
    let both = json!({"webhook": {"url": "http://example.com/"}, "receivers": [{"name": "soc"}]});
    for (alerts, reason, message, is_far) in [
        (
            &own,
            "ReceiverUnavailable",
            "policy/prod: Transient: x",
            true,
        ),
        (&own, "ReceiverUnavailable", "policy/prod: Config: x", false),
        (&own, "ReceiverNotFound", "policy/prod: Transient: x", false),
        (&both, "ReceiverUnavailable", "another: Config: x", true),
        (&named, "ReceiverUnavailable", "soc: Transient: x", false),
    ] {
        let object = policy(alerts.clone(), reason, message);
        assert_eq!(
            is_webhook_out_of_reach(&object),
            is_far,
            "{alerts} {message}"
        );
        let line = policies(std::slice::from_ref(&object), &limits, now()).remove(3);
        assert_eq!(line.check, "alerting");
        assert_eq!(
            line.says.contains("NetworkPolicy kube-patrol/deny"),
            is_far,
            "{}",
            line.says
        );
        assert_eq!(
            line.fix.contains("kube-patrol/deny"),
            is_far,
            "{}",
            line.fix
        );
        let open = policies(&[object], &[], now()).remove(3);
        assert!(!open.says.contains("NetworkPolicy"), "{}", open.says);
    }
    let mut fine = well();
    fine["spec"]["alerts"] = own;
    assert!(!is_webhook_out_of_reach(&fine));
}
