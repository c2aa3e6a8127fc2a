//! Notices as the engine makes them, and an endpoint of each chat kind.

use patrol_api::receiver::{
    DingtalkSpec, Endpoint, FeishuSpec, Locale, Mentions, SlackSpec, TeamsSpec, WecomSpec,
};
use patrol_api::ticket::{Overlay, Subject};
use patrol_api::time::Time;
use patrol_api::words::{
    AlertReason, Layer, OverlayKind, Party, Phase, Resolution, Severity, ToldState,
};
use patrol_core::notice::{Alarm, Cluster, Counts, Group, Notice, NoticeKind, NoticeTicket};
use patrol_notify::kinds::{self, Style};
use patrol_notify::render::Part;
use serde_json::Value;

/// 2027-01-15T08:00:00Z.
pub const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3_600;

pub const STYLE: Style = Style {
    locale: Locale::En,
    minimal: false,
};

/// The chat kinds, each with what its spec can hold.
pub fn endpoints(mentions: Option<Mentions>) -> [Endpoint; 5] {
    let keyword = Some("Patrol".to_owned());
    let of = |users: &[&str]| {
        mentions.clone().map(|mut mentions| {
            if mentions.users.is_empty() {
                mentions.users = users.iter().map(ToString::to_string).collect();
            }
            mentions
        })
    };
    [
        Endpoint::Slack(SlackSpec {
            mentions: of(&["U012ABCDEF", "S012ABCDEF"]),
            ..SlackSpec::default()
        }),
        Endpoint::Teams(TeamsSpec {
            mentions: of(&["alice@example.com"]),
            ..TeamsSpec::default()
        }),
        Endpoint::Dingtalk(DingtalkSpec {
            mentions: of(&["manager123"]),
            keyword: keyword.clone(),
            ..DingtalkSpec::default()
        }),
        Endpoint::Feishu(FeishuSpec {
            mentions: of(&["ou_0123456789"]),
            keyword,
            ..FeishuSpec::default()
        }),
        Endpoint::Wecom(WecomSpec {
            mentions: of(&["zhangsan"]),
            ..WecomSpec::default()
        }),
    ]
}

/// Somebody is called for a critical ticket.
pub fn mentions() -> Option<Mentions> {
    Some(Mentions::default())
}

pub fn render(endpoint: &Endpoint, notice: &Notice, style: Style) -> Vec<Part> {
    kinds::render(endpoint, notice, style)
}

pub fn body(part: &Part) -> Value {
    serde_json::from_slice(&part.body).expect("a body is JSON")
}

/// Every text in a body.
pub fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => vec![],
    }
}

/// How the catalogue mends what is wrong with [`ticket`].
const REMEDY: &str = "Enable the injection for the pods and restart the workload, or add the container to its template.";

/// What a receiver of this language is sent, as the shell puts it.
pub fn spoken(notice: Notice, locale: Locale) -> Notice {
    match locale {
        Locale::En => notice,
        Locale::ZhCn => patrol_checks::chinese::notice(&notice),
    }
}

/// A critical ticket, just opened.
pub fn ticket(number: usize) -> NoticeTicket {
    NoticeTicket {
        event_id: format!("event{number:06}"),
        namespace: "shop".into(),
        name: format!("sidecar-missing-3ilfflg5xlf4k32sybjbmd{number:04}"),
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
        severity: Severity::Critical,
        resolution: None,
        check: "sidecar-missing".into(),
        requirement: Some("security-sidecar".into()),
        title: "Required sidecar absent".into(),
        message: "its pod template lacks the sidecar security-sidecar".into(),
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
        opened_at: Time::from_unix(NOW - 2 * HOUR),
        first_opened_at: Time::from_unix(NOW - 2 * HOUR),
        due_at: Some(Time::from_unix(NOW + 22 * HOUR)),
        sla_breached: false,
        resolved_at: None,
        recurrences: 0,
        flapping: false,
        verified_at: Some(Time::from_unix(NOW - 60)),
        assignee: None,
        remediation: REMEDY.into(),
        alarm: Alarm::default(),
    }
}

/// A notice of these tickets, counted as the engine counts.
pub fn notice(tickets: Vec<NoticeTicket>) -> Notice {
    let mut counts = Counts::default();
    for ticket in &tickets {
        match ticket.state {
            ToldState::Closed => {
                counts.closed += 1;
                counts.waived += u32::from(ticket.phase == Phase::Waived);
            }
            ToldState::Firing => {
                counts.firing += 1;
                let taken = matches!(ticket.phase, Phase::Acknowledged | Phase::Snoozed);
                counts.acknowledged += u32::from(taken);
                let new = matches!(ticket.reason, AlertReason::Opened | AlertReason::Reopened);
                counts.new += u32::from(new);
                counts.overdue += u32::from(ticket.sla_breached);
            }
        }
    }
    let first = tickets.first().map(|t| t.reason);
    let same = tickets.iter().all(|t| Some(t.reason) == first);
    Notice {
        kind: NoticeKind::Alert,
        at: Time::from_unix(NOW),
        cluster: Cluster {
            id: "38c4de93-80f1-4e3b-95e2-07c6c7b58538".into(),
            name: "prod".into(),
        },
        receiver: "soc".into(),
        policy: "production".into(),
        reason: first.filter(|_| same).unwrap_or(AlertReason::Mixed),
        next_within: None,
        group: Group {
            key: "check=sidecar-missing".into(),
            labels: vec![("check".into(), "sidecar-missing".into())],
        },
        standing: 0,
        incident: 0,
        begins_incident: false,
        acknowledges: false,
        gone: None,
        numbered: 0,
        counts,
        tickets,
        others: vec![],
    }
}

/// One of everything that can be said of a ticket, most severe first.
pub fn all_sorts() -> Notice {
    let breached = NoticeTicket {
        reason: AlertReason::SLABreached,
        due_at: Some(Time::from_unix(NOW - HOUR)),
        opened_at: Time::from_unix(NOW - 25 * HOUR),
        sla_breached: true,
        recurrences: 2,
        flapping: true,
        assignee: Some("alice@example.com".into()),
        party: Party::Shared,
        ..ticket(1)
    };
    let escalated = NoticeTicket {
        reason: AlertReason::Escalated,
        level: 2,
        failover: true,
        phase: Phase::Acknowledged,
        overlay: Some(Overlay {
            kind: OverlayKind::Acknowledged,
            by: Some("bob".into()),
            reason: "on it".into(),
            until: Time::from_unix(NOW + 3 * HOUR),
            asked: None,
            reset_sla: false,
            waiver: None,
        }),
        severity: Severity::High,
        check: "pss-privileged".into(),
        title: "A container is privileged".into(),
        message: "container debug of Deployment/web-2 is privileged".into(),
        remediation: "Take privileged out of the container's securityContext.".into(),
        party: Party::Platform,
        affected: 1,
        ..ticket(2)
    };
    let fixed = NoticeTicket {
        reason: AlertReason::Resolved,
        state: ToldState::Closed,
        phase: Phase::Resolved,
        resolution: Some(Resolution::Fixed),
        resolved_at: Some(Time::from_unix(NOW - 300)),
        severity: Severity::Medium,
        ..ticket(3)
    };
    let gone = NoticeTicket {
        resolution: Some(Resolution::SubjectGone),
        severity: Severity::Low,
        ..NoticeTicket {
            event_id: "event000004".into(),
            ..fixed.clone()
        }
    };
    let late = NoticeTicket {
        reason: AlertReason::Late,
        severity: Severity::Low,
        ..NoticeTicket {
            event_id: "event000005".into(),
            ..fixed.clone()
        }
    };
    let waived = NoticeTicket {
        reason: AlertReason::Waived,
        phase: Phase::Waived,
        resolution: Some(Resolution::Waived),
        resolved_at: None,
        overlay: Some(Overlay {
            kind: OverlayKind::Waived,
            by: Some("carol".into()),
            reason: "legacy until the migration".into(),
            until: Time::from_unix(NOW + 30 * 24 * HOUR),
            asked: None,
            reset_sla: false,
            waiver: Some("shop/legacy".into()),
        }),
        severity: Severity::Info,
        ..NoticeTicket {
            event_id: "event000006".into(),
            ..fixed.clone()
        }
    };
    let mut notice = notice(vec![breached, escalated, fixed, gone, late, waived]);
    notice.group.labels = vec![("party".into(), "Customer".into())];
    notice
}

/// More than any message holds.
pub fn flood(critical: usize, high: usize) -> Notice {
    let all = (0..critical + high).map(|number| NoticeTicket {
        severity: if number < critical {
            Severity::Critical
        } else {
            Severity::High
        },
        ..ticket(number)
    });
    notice(all.collect())
}

pub fn baseline() -> Notice {
    let mut notice = flood(22, 30);
    notice.kind = NoticeKind::Digest;
    notice.reason = AlertReason::Baseline;
    for ticket in &mut notice.tickets {
        ticket.reason = AlertReason::Baseline;
    }
    notice.counts.new = 0;
    notice
}

/// A sign of life, or a probe.
pub fn bare(kind: NoticeKind) -> Notice {
    let mut notice = notice(vec![]);
    notice.kind = kind;
    notice.group = Group::default();
    notice.policy = String::new();
    notice.reason = AlertReason::Mixed;
    notice
}
