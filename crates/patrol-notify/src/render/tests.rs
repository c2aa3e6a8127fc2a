//! Shape, packing and ids of `patrol/v1`.

use std::collections::BTreeSet;

use patrol_api::words::{AlertReason, Layer, Party, Phase, Resolution, Severity, ToldState};
use patrol_core::notice::{Alarm, Cluster, Group, NoticeKind};
use proptest::prelude::*;

use super::*;

fn ticket(number: usize, filler: usize) -> NoticeTicket {
    NoticeTicket {
        event_id: format!("event{number:06}"),
        namespace: "shop".into(),
        name: format!("sidecar-missing-{number}"),
        uid: format!("uid-{number}"),
        episode: 1,
        seq: 2,
        n: 3,
        reason: AlertReason::Reminder,
        level: 0,
        failover: false,
        overlay: None,
        state: ToldState::Firing,
        phase: Phase::Open,
        severity: Severity::Critical,
        resolution: None,
        check: "sidecar-missing".into(),
        requirement: Some("security-center".into()),
        title: "Sidecar aegis is missing".into(),
        message: "x".repeat(filler),
        layer: Layer::L4,
        party: Party::Customer,
        subject: Subject {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: format!("web-{number}"),
            uid: Some("s-1".into()),
        },
        subject_ref: format!("Deployment/web-{number}"),
        affected: 7,
        opened_at: Time::from_unix(1_800_000_000),
        first_opened_at: Time::from_unix(1_700_000_000),
        due_at: Some(Time::from_unix(1_800_086_400)),
        sla_breached: false,
        resolved_at: None,
        recurrences: 1,
        flapping: false,
        verified_at: None,
        assignee: Some("alice".into()),
        remediation: "Label the namespace so that the injector sees it.".into(),
        alarm: Alarm::default(),
    }
}

fn notice(tickets: Vec<NoticeTicket>) -> Notice {
    Notice {
        kind: NoticeKind::Alert,
        at: Time::from_unix(1_800_000_060),
        cluster: Cluster {
            id: "c-1".into(),
            name: "prod".into(),
        },
        receiver: "soc".into(),
        policy: "production".into(),
        reason: AlertReason::Reminder,
        next_within: None,
        group: Group {
            key: "g-1".into(),
            labels: vec![("check".into(), "sidecar-missing".into())],
        },
        standing: 0,
        incident: 0,
        begins_incident: false,
        acknowledges: false,
        gone: None,
        numbered: 0,
        counts: Counts {
            firing: 5,
            new: 1,
            closed: 2,
            overdue: 3,
            by_severity: [4, 3, 2, 1, 0],
            ..Counts::default()
        },
        tickets,
        others: vec![],
    }
}

fn body(part: &Part) -> Value {
    serde_json::from_slice(&part.body).unwrap()
}

#[test]
fn the_whole_shape() {
    let parts = patrol_v1(&notice(vec![ticket(1, 3)]), &Limits::default());
    assert_eq!(parts.len(), 1);
    assert_eq!(
        body(&parts[0]),
        serde_json::from_str::<Value>(
            r#"{
            "type": "patrol.alert",
            "timestamp": "2027-01-15T08:01:00Z",
            "specVersion": "1",
            "data": {
                "cluster": {"id": "c-1", "name": "prod"},
                "receiver": "soc",
                "policy": "production",
                "reason": "Reminder",
                "part": {"index": 0, "count": 1},
                "group": {"key": "g-1", "labels": {"check": "sidecar-missing"}},
                "counts": {
                    "firing": 5, "new": 1, "closed": 2, "acknowledged": 0, "waived": 0,
                    "overdue": 3,
                    "bySeverity": {"Critical": 4, "High": 3, "Medium": 2, "Low": 1, "Info": 0}
                },
                "tickets": [{
                    "eventId": "event000001",
                    "ticket": {"namespace": "shop", "name": "sidecar-missing-1", "uid": "uid-1"},
                    "episode": 1, "seq": 2, "n": 3,
                    "kind": "Reminder", "level": 0, "failover": false, "overlay": null, "state": "Firing", "phase": "Open", "severity": "Critical",
                    "check": "sidecar-missing", "requirement": "security-center",
                    "title": "Sidecar aegis is missing", "message": "xxx",
                    "layer": "L4", "party": "Customer",
                    "subject": {
                        "group": "apps", "kind": "Deployment", "namespace": "shop",
                        "name": "web-1", "uid": "s-1"
                    },
                    "subjectRef": "Deployment/web-1",
                    "affected": 7,
                    "openedAt": "2027-01-15T08:00:00Z",
                    "firstOpenedAt": "2023-11-14T22:13:20Z",
                    "dueAt": "2027-01-16T08:00:00Z",
                    "slaBreached": false,
                    "recurrences": 1,
                    "flapping": false,
                    "assignee": "alice",
                    "remediation": {
                        "text": "Label the namespace so that the injector sees it.",
                        "url": "https://github.com/kube-patrol/kube-patrol/blob/main/docs/reference/checks.md#sidecar-missing"
                    }
                }]
            }
        }"#
        )
        .unwrap()
    );
}

#[test]
fn a_closing_says_how_it_ended() {
    let mut closed = ticket(1, 0);
    closed.state = ToldState::Closed;
    closed.phase = Phase::Resolved;
    closed.reason = AlertReason::Resolved;
    closed.resolution = Some(Resolution::Fixed);
    closed.resolved_at = Some(Time::from_unix(1_800_000_030));
    closed.verified_at = Some(Time::from_unix(1_800_000_031));
    let parts = patrol_v1(&notice(vec![closed]), &Limits::default());
    let told = &body(&parts[0])["data"]["tickets"][0];
    assert_eq!(told["state"], "Closed");
    assert_eq!(told["phase"], "Resolved");
    assert_eq!(told["kind"], "Resolved");
    assert_eq!(told["resolution"], "Fixed");
    assert_eq!(told["resolvedAt"], "2027-01-15T08:00:30Z");
    assert_eq!(told["verifiedAt"], "2027-01-15T08:00:31Z");
}

#[test]
fn minimal_leaves_out_what_people_wrote() {
    let mut secretive = ticket(1, 0);
    secretive.message = "S3CRET".into();
    secretive.title = "S3CRET".into();
    secretive.remediation = "S3CRET".into();
    secretive.assignee = Some("S3CRET".into());
    secretive.subject.name = "S3CRET".into();
    secretive.subject.uid = Some("S3CRET".into());
    secretive.subject_ref = "Deployment/S3CRET".into();
    let limits = Limits {
        minimal: true,
        ..Limits::default()
    };
    let parts = patrol_v1(&notice(vec![secretive]), &limits);
    assert!(!String::from_utf8_lossy(&parts[0].body).contains("S3CRET"));
    let told = &body(&parts[0])["data"]["tickets"][0];
    assert_eq!(told["eventId"], "event000001");
    assert_eq!(told["subject"]["kind"], "Deployment");
}

#[test]
fn hostile_text_arrives_harmless() {
    let nasty = "a\u{1b}[31m\u{202e}b\r\n\"}],<script>@all\u{7}";
    let mut one = ticket(1, 0);
    one.title = nasty.into();
    one.message = nasty.into();
    one.remediation = nasty.into();
    one.assignee = Some(nasty.into());
    one.requirement = Some(nasty.into());
    one.subject.name = nasty.into();
    one.subject_ref = nasty.into();
    let mut notice = notice(vec![one]);
    notice.cluster.name = nasty.into();
    notice.policy = nasty.into();
    notice.receiver = nasty.into();
    notice.group.labels = vec![(nasty.into(), nasty.into())];
    let parts = patrol_v1(&notice, &Limits::default());
    let value = body(&parts[0]);
    let expected = "a[31mb  \"}],<script>@all";
    let told = &value["data"]["tickets"][0];
    for text in [
        &told["title"],
        &told["message"],
        &told["remediation"]["text"],
        &told["assignee"],
        &told["requirement"],
        &told["subject"]["name"],
        &told["subjectRef"],
        &value["data"]["cluster"]["name"],
        &value["data"]["policy"],
        &value["data"]["receiver"],
        &value["data"]["group"]["labels"][expected],
    ] {
        assert_eq!(text, expected);
    }
}

#[test]
fn default_limits_hold_for_a_storm() {
    let storm = notice((0..5_000).map(|n| ticket(n, 300)).collect());
    let parts = patrol_v1(&storm, &Limits::default());
    assert!(parts.len() >= 25);
    for part in &parts {
        assert!(part.body.len() <= 64 * 1024, "{}", part.body.len());
        assert!(part.event_ids.len() <= 200);
    }
    let told: usize = parts.iter().map(|part| part.event_ids.len()).sum();
    assert_eq!(told, 5_000);
}

#[test]
fn a_ticket_larger_than_a_part_goes_alone_and_whole() {
    let mixed = notice(vec![ticket(1, 10), ticket(2, 100_000), ticket(3, 10)]);
    let parts = patrol_v1(&mixed, &Limits::default());
    let sizes: Vec<usize> = parts.iter().map(|part| part.event_ids.len()).collect();
    assert_eq!(sizes, [1, 1, 1]);
    let message = &body(&parts[1])["data"]["tickets"][0]["message"];
    assert_eq!(message.as_str().unwrap().len(), 100_000);
}

#[test]
fn limits_of_zero_still_tell_everything() {
    let limits = Limits {
        max_bytes: 0,
        max_items: 0,
        minimal: false,
    };
    let parts = patrol_v1(&notice((0..3).map(|n| ticket(n, 1)).collect()), &limits);
    assert_eq!(parts.len(), 3);
}

#[test]
fn signs_of_life_have_one_part_and_an_id_of_their_own() {
    let mut beat = notice(Vec::new());
    beat.kind = NoticeKind::Heartbeat;
    let first = patrol_v1(&beat, &Limits::default());
    assert_eq!(first.len(), 1);
    assert!(first[0].event_ids.is_empty());
    assert_eq!(body(&first[0])["type"], "patrol.heartbeat");
    assert_eq!(patrol_v1(&beat, &Limits::default()), first);
    // The next one, another receiver's, another kind: none may look like a repeat.
    let mut ids = BTreeSet::from([first[0].webhook_id.clone()]);
    let mut later = beat.clone();
    later.at = Time::from_unix(beat.at.unix() + 1);
    let mut other = beat.clone();
    other.receiver = "ciso".into();
    let mut probe = beat.clone();
    probe.kind = NoticeKind::Test;
    for next in [later, other, probe] {
        assert!(ids.insert(patrol_v1(&next, &Limits::default())[0].webhook_id.clone()));
    }
}

#[test]
fn the_id_is_the_tellings_and_not_the_words() {
    let one = notice(vec![ticket(1, 3), ticket(2, 3)]);
    let first = patrol_v1(&one, &Limits::default());
    let id = &first[0].webhook_id;
    assert_eq!(id.len(), 4 + 26);
    assert!(id.starts_with("msg_"));
    assert!(
        id.bytes()
            .skip(4)
            .all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'))
    );

    let mut reworded = one.clone();
    reworded.at = Time::from_unix(1_900_000_000);
    reworded.counts.firing = 99;
    reworded.tickets.reverse();
    reworded.tickets[0].message = "other words".into();
    assert_eq!(&patrol_v1(&reworded, &Limits::default())[0].webhook_id, id);

    let mut again = one.clone();
    again.tickets[0].event_id = "another".into();
    assert_ne!(&patrol_v1(&again, &Limits::default())[0].webhook_id, id);
    let half = notice(vec![ticket(1, 3)]);
    assert_ne!(&patrol_v1(&half, &Limits::default())[0].webhook_id, id);
}

proptest! {
    /// Nothing is lost, doubled or reordered by packing, and limits hold.
    #[test]
    fn packing(
        fillers in proptest::collection::vec(0_usize..6_000, 0..60),
        max_bytes in 0_usize..40_000,
        max_items in 0_usize..30,
    ) {
        let tickets: Vec<_> = fillers.iter().enumerate().map(|(n, filler)| ticket(n, *filler)).collect();
        let all = notice(tickets);
        let limits = Limits { max_bytes, max_items, minimal: false };
        let parts = patrol_v1(&all, &limits);

        let told: Vec<&String> = parts.iter().flat_map(|part| &part.event_ids).collect();
        let owed: Vec<&String> = all.tickets.iter().map(|ticket| &ticket.event_id).collect();
        prop_assert_eq!(told, owed);

        let ids: BTreeSet<&String> = parts.iter().map(|part| &part.webhook_id).collect();
        prop_assert_eq!(ids.len(), parts.len());
        for (index, part) in parts.iter().enumerate() {
            prop_assert!(part.event_ids.len() <= max_items.max(1));
            prop_assert!(part.body.len() <= max_bytes || part.event_ids.len() <= 1);
            let value = body(part);
            prop_assert_eq!(&value["data"]["part"]["index"], &json!(index));
            prop_assert_eq!(&value["data"]["part"]["count"], &json!(parts.len()));
            let listed: Vec<&str> = value["data"]["tickets"].as_array().unwrap()
                .iter().filter_map(|ticket| ticket["eventId"].as_str()).collect();
            prop_assert_eq!(listed, part.event_ids.iter().map(String::as_str).collect::<Vec<_>>());
        }
        prop_assert_eq!(patrol_v1(&all, &limits), parts);
    }
}
