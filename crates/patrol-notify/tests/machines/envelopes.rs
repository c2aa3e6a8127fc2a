//! CloudEvents and the message of Alertmanager's webhook, field by field.

use patrol_api::time::Time;
use patrol_api::words::Severity;
use patrol_core::notice::{NoticeKind, NoticeTicket};
use serde_json::{Value, json};

use crate::samples::*;

/// CloudEvents 1.0.2: the required attributes, the ones that 2.13 names, and `data` of `patrol/v1`.
#[test]
fn a_cloud_event_has_the_attributes_of_the_contract() {
    let notice = notice(vec![ticket(1), closed(2)]);
    let parts = render(&cloudevents(), &notice);
    let event = body(&parts[0]);
    for (name, value) in [
        ("specversion", "1.0"),
        ("id", parts[0].webhook_id.as_str()),
        (
            "source",
            "/clusters/0c1b2a3d/kube-patrol/policies/production",
        ),
        ("type", "io.kubepatrol.alert.v1"),
        ("subject", "check=sidecar-missing"),
        ("time", "2027-01-15T08:00:00Z"),
        ("datacontenttype", "application/json"),
    ] {
        assert_eq!(event[name], value, "{name}");
    }
    let own = &endpoints()[0].1;
    assert_eq!(event["data"], body(&render(own, &notice)[0])["data"]);
    // Attribute names are lower-case letters and digits, and nothing else is there.
    let names: Vec<&String> = event.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 8, "{names:?}");
}

#[test]
fn every_kind_of_message_has_a_type_of_its_own() {
    for (kind, word) in [
        (NoticeKind::Alert, "io.kubepatrol.alert.v1"),
        (NoticeKind::Digest, "io.kubepatrol.digest.v1"),
        (NoticeKind::Heartbeat, "io.kubepatrol.heartbeat.v1"),
        (NoticeKind::Test, "io.kubepatrol.test.v1"),
    ] {
        let event = body(&render(&cloudevents(), &bare(kind))[0]);
        assert_eq!(event["type"], word);
        assert_eq!(event["source"], "/clusters/0c1b2a3d/kube-patrol");
        assert_eq!(event.get("subject"), None, "an empty subject is none");
    }
    let mut unseen = notice(vec![ticket(1)]);
    unseen.group.key = "\u{200b}\u{7}".into();
    let event = body(&render(&cloudevents(), &unseen)[0]);
    assert_eq!(event.get("subject"), None, "one that nobody sees is none");
}

#[test]
fn a_source_is_a_uri_reference_whatever_the_names_are() {
    let mut odd = notice(vec![ticket(1)]);
    odd.cluster.id = "a b/c?d#e%é".into();
    let event = body(&render(&cloudevents(), &odd)[0]);
    assert_eq!(
        event["source"],
        "/clusters/a%20b%2Fc%3Fd%23e%25%C3%A9/kube-patrol/policies/production"
    );
}

/// 64 KiB is what every intermediary forwards: the attributes are within it.
#[test]
fn an_event_is_at_most_64_kib() {
    let mut storm = notice((0..3_000).map(ticket).collect());
    for ticket in &mut storm.tickets {
        ticket.message = "x".repeat(700);
    }
    for part in render(&cloudevents(), &storm) {
        assert!(part.body.len() <= 64 * 1024, "{}", part.body.len());
    }
}

/// The fields of `webhook.Message` and `template.Data` of Alertmanager 0.25.
#[test]
fn a_webhook_message_has_exactly_the_fields_of_alertmanagers() {
    let message = body(&render(&alertmanager_v4(), &notice(vec![ticket(1), closed(2)]))[0]);
    let fields = |value: &Value| {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(
        fields(&message),
        [
            "alerts",
            "commonAnnotations",
            "commonLabels",
            "externalURL",
            "groupKey",
            "groupLabels",
            "receiver",
            "status",
            "truncatedAlerts",
            "version",
        ]
    );
    for alert in message["alerts"].as_array().unwrap() {
        assert_eq!(
            fields(alert),
            [
                "annotations",
                "endsAt",
                "fingerprint",
                "generatorURL",
                "labels",
                "startsAt",
                "status",
            ]
        );
        for map in ["labels", "annotations"] {
            for value in alert[map].as_object().unwrap().values() {
                assert!(value.as_str().is_some_and(|text| !text.is_empty()));
            }
        }
    }
    assert_eq!(message["version"], "4");
    assert_eq!(message["truncatedAlerts"], 0);
    assert_eq!(message["status"], "firing");
    assert_eq!(
        message["groupKey"],
        r#"{}:{check="sidecar-missing", policy="production"}"#
    );
    let alerts = &message["alerts"];
    assert_eq!(alerts[0]["status"], "firing");
    assert_eq!(alerts[0]["endsAt"], "0001-01-01T00:00:00Z");
    assert_eq!(alerts[1]["status"], "resolved");
    assert_eq!(alerts[1]["endsAt"], Time::from_unix(NOW - 30).to_string());
    // What all have in common, and nothing else.
    let common = message["commonLabels"].as_object().unwrap();
    assert_eq!(common["alertname"], "KubePatrolSidecarMissing");
    assert!(!common.contains_key("subject_name"), "{common:?}");
    for label in message["groupLabels"].as_object().unwrap().keys() {
        assert_eq!(
            message["groupLabels"][label],
            common[label.as_str()],
            "{label}"
        );
    }
}

#[test]
fn a_message_of_ends_alone_is_resolved() {
    let message = body(&render(&alertmanager_v4(), &notice(vec![closed(1), closed(2)]))[0]);
    assert_eq!(message["status"], "resolved");
}

/// Readers close a group without a firing alert: one of its tickets that ends is not the end of the group.
#[test]
fn a_group_of_which_tickets_stand_is_never_resolved() {
    let mut ends = notice(vec![closed(1)]);
    ends.others = vec![ticket(2)];
    let parts = render(&alertmanager_v4(), &ends);
    let message = body(&parts[0]);
    assert_eq!(message["status"], "firing");
    let states: Vec<&str> = message["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|alert| alert["status"].as_str().unwrap())
        .collect();
    assert_eq!(states, ["resolved", "firing"]);
    assert_eq!(parts[0].event_ids, ["event000001"], "only that one is told");
    // Nor where what fires is in another message.
    let mut many: Vec<NoticeTicket> = (1..=300).map(closed).collect();
    many.push(ticket(301));
    let parts = render(&alertmanager_v4(), &notice(many));
    assert!(parts.len() > 1);
    for part in &parts {
        assert_eq!(body(part)["status"], "firing");
        assert!(part.body.len() <= 64 * 1024, "{}", part.body.len());
    }
}

/// Or its end would be one of another alert.
#[test]
fn an_alert_that_becomes_graver_is_the_same_alert() {
    let mut graver = ticket(1);
    graver.severity = Severity::Critical;
    let name = |ticket: NoticeTicket| {
        let message = body(&render(&alertmanager_v4(), &notice(vec![ticket]))[0]);
        message["alerts"][0]["fingerprint"].clone()
    };
    assert_eq!(name(ticket(1)), name(graver));
    assert_ne!(name(ticket(1)), name(ticket(2)));
}

#[test]
fn a_probe_is_over_at_once() {
    let parts = render(&alertmanager_v4(), &bare(NoticeKind::Test));
    let states: Vec<_> = parts
        .iter()
        .map(|part| body(part)["status"].clone())
        .collect();
    assert_eq!(states, ["firing", "resolved"]);
    assert_ne!(parts[0].webhook_id, parts[1].webhook_id);
}

/// The value that prometheus/common gives for these labels, from its own test (`model/labelset_test.go` uses FNV-1a with
/// a separator of 255): computed by hand for the empty set and a pair.
#[test]
fn fingerprints_are_those_of_prometheus() {
    let hash = |bytes: &[u8]| {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        })
    };
    let message = body(&render(&alertmanager_v4(), &notice(vec![ticket(1)]))[0]);
    let alert = &message["alerts"][0];
    let mut bytes = vec![];
    // All but what may change while the alert is the same.
    let labels = alert["labels"].as_object().unwrap();
    for (name, value) in labels.iter().filter(|(name, _)| *name != "severity") {
        bytes.extend(name.as_bytes());
        bytes.push(255);
        bytes.extend(value.as_str().unwrap().as_bytes());
        bytes.push(255);
    }
    assert_eq!(alert["fingerprint"], format!("{:016x}", hash(&bytes)));
    assert_eq!(json!(format!("{:016x}", hash(b""))), "cbf29ce484222325");
}
