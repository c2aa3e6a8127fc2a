//! Notices as the engine makes them, and an endpoint of each kind that is a program.

use patrol_api::receiver::{
    AlertmanagerSpec, Endpoint, Locale, PagerdutySpec, SecretKeyRef, WebhookFormat, WebhookSpec,
};
use patrol_api::ticket::Subject;
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Layer, Party, Phase, Resolution, Severity, ToldState};
use patrol_core::notice::{Alarm, Cluster, Counts, Group, Notice, NoticeKind, NoticeTicket};
use patrol_notify::kinds::{self, Style};
use patrol_notify::render::Part;
use serde_json::Value;

/// 2027-01-15T08:00:00Z.
pub const NOW: i64 = 1_800_000_000;

/// How the catalogue mends what is wrong with [`ticket`].
const REMEDY: &str = "Enable the injection for the pods and restart the workload, or add the container to its template.";

/// What a receiver of this language is sent, as the shell puts it: bodies for programs stay as they are.
pub fn spoken(name: &str, notice: Notice, locale: Locale) -> Notice {
    match (locale, name) {
        (Locale::ZhCn, "patrol-v1" | "cloudevents") | (Locale::En, _) => notice,
        (Locale::ZhCn, _) => patrol_checks::chinese::notice(&notice),
    }
}

pub const STYLE: Style = Style {
    locale: Locale::En,
    minimal: false,
};

/// Every kind, under the name of its golden files.
pub fn endpoints() -> Vec<(&'static str, Endpoint)> {
    let webhook = |format| {
        Endpoint::Webhook(WebhookSpec {
            format,
            ..WebhookSpec::default()
        })
    };
    vec![
        ("patrol-v1", webhook(WebhookFormat::PatrolV1)),
        ("cloudevents", webhook(WebhookFormat::CloudEventsV1)),
        ("alertmanager-v4", webhook(WebhookFormat::AlertmanagerV4)),
        ("alertmanager", alertmanager()),
        ("pagerduty", pagerduty()),
    ]
}

pub fn alertmanager() -> Endpoint {
    Endpoint::Alertmanager(AlertmanagerSpec {
        url: Some("http://alertmanager.monitoring:9093".into()),
        url_from: None,
        urls: vec![],
        every_address: false,
        hold_for: Span::hours(24),
        headers_from: vec![],
        ca_secret_ref: None,
        client_cert_secret_ref: None,
    })
}

pub fn pagerduty() -> Endpoint {
    Endpoint::Pagerduty(PagerdutySpec {
        routing_key_secret_ref: SecretKeyRef {
            name: "pd".into(),
            key: "key".into(),
        },
        url: "https://events.pagerduty.com/v2/enqueue".into(),
        incident_per: patrol_api::receiver::IncidentPer::Group,
    })
}

pub fn cloudevents() -> Endpoint {
    endpoints().swap_remove(1).1
}

pub fn alertmanager_v4() -> Endpoint {
    endpoints().swap_remove(2).1
}

pub fn render(endpoint: &Endpoint, notice: &Notice) -> Vec<Part> {
    kinds::render(endpoint, notice, STYLE)
}

pub fn body(part: &Part) -> Value {
    serde_json::from_slice(&part.body).expect("a body is JSON")
}

/// An open ticket, told for the first time.
pub fn ticket(number: usize) -> NoticeTicket {
    NoticeTicket {
        event_id: format!("event{number:06}"),
        namespace: "shop".into(),
        name: format!("sidecar-missing-{number}"),
        uid: format!("uid-{number}"),
        episode: 1,
        seq: 1,
        n: 1,
        reason: AlertReason::Opened,
        level: 0,
        failover: false,
        overlay: None,
        state: ToldState::Firing,
        phase: Phase::Open,
        severity: Severity::High,
        resolution: None,
        check: "sidecar-missing".into(),
        requirement: Some("security-center".into()),
        title: "Required sidecar absent".into(),
        message: "3 of 3 pods run without container aegis".into(),
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
        affected: 3,
        opened_at: Time::from_unix(NOW - 3_600),
        first_opened_at: Time::from_unix(NOW - 86_400),
        due_at: Some(Time::from_unix(NOW + 86_400)),
        sla_breached: false,
        resolved_at: None,
        recurrences: 1,
        flapping: false,
        verified_at: Some(Time::from_unix(NOW - 60)),
        assignee: Some("alice".into()),
        remediation: REMEDY.into(),
        alarm: Alarm::default(),
    }
}

/// A ticket that was told before and is over now.
pub fn closed(number: usize) -> NoticeTicket {
    NoticeTicket {
        state: ToldState::Closed,
        phase: Phase::Resolved,
        reason: AlertReason::Resolved,
        resolution: Some(Resolution::Fixed),
        resolved_at: Some(Time::from_unix(NOW - 30)),
        alarm: Alarm {
            named: true,
            ..Alarm::default()
        },
        ..ticket(number)
    }
}

/// A ticket whose deadline passed.
pub fn breached(number: usize) -> NoticeTicket {
    NoticeTicket {
        reason: AlertReason::SLABreached,
        seq: 2,
        sla_breached: true,
        severity: Severity::Critical,
        due_at: Some(Time::from_unix(NOW - 10)),
        ..ticket(number)
    }
}

pub fn notice(tickets: Vec<NoticeTicket>) -> Notice {
    let firing = tickets
        .iter()
        .filter(|t| t.state == ToldState::Firing)
        .count();
    Notice {
        kind: NoticeKind::Alert,
        at: Time::from_unix(NOW),
        cluster: Cluster {
            id: "0c1b2a3d".into(),
            name: "prod".into(),
        },
        receiver: "soc".into(),
        policy: "production".into(),
        reason: AlertReason::Mixed,
        next_within: None,
        group: Group {
            key: "check=sidecar-missing".into(),
            labels: vec![("check".into(), "sidecar-missing".into())],
        },
        standing: firing as u32,
        incident: 0,
        begins_incident: false,
        acknowledges: false,
        gone: None,
        numbered: 0,
        counts: Counts {
            firing: firing as u32,
            new: firing as u32,
            closed: (tickets.len() - firing) as u32,
            ..Counts::default()
        },
        tickets,
        others: vec![],
    }
}

/// A sign of life or a probe.
pub fn bare(kind: NoticeKind) -> Notice {
    Notice {
        kind,
        policy: String::new(),
        group: Group::default(),
        ..notice(vec![])
    }
}
