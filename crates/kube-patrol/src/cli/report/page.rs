//! What a report says, before it has a form: sections of sentences, tables and bars, and the same as data. Pure.

use std::collections::BTreeMap;

use patrol_api::condition;
use patrol_api::policy::PatrolPolicy;
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::waiver::TicketWaiver;
use patrol_api::words::{Phase, Severity};
use patrol_core::waiver;
use serde_json::{Value, json};

use super::Matter;
use crate::cli::ui::{age, number, when};

/// Days of the trend.
const DAYS: u64 = 14;
/// Namespaces that are listed.
const TOP: usize = 10;

/// A report.
#[derive(Debug)]
pub(super) struct Page {
    pub title: String,
    pub sections: Vec<Section>,
    data: Value,
}

/// A part of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Section {
    pub title: &'static str,
    pub says: Vec<String>,
    pub head: Vec<&'static str>,
    pub rows: Vec<Vec<String>>,
    /// Names and numbers, to be drawn.
    pub bars: Vec<(String, u64)>,
}

impl Page {
    pub fn of(matter: &Matter, namespace: Option<&str>, now: Time) -> Self {
        let (mut open, mut waived, mut resolved) = (vec![], vec![], vec![]);
        for ticket in &matter.tickets {
            let status = ticket.status.clone().unwrap_or_default();
            match status.phase {
                Phase::Resolved => resolved.push((ticket, status)),
                Phase::Waived => waived.push((ticket, status)),
                Phase::Open | Phase::Acknowledged | Phase::Snoozed => open.push((ticket, status)),
            }
        }
        open.sort_by_key(|(ticket, status)| {
            let name = (&ticket.metadata.namespace, &ticket.metadata.name);
            (std::cmp::Reverse(severity(status)), name)
        });
        let of = namespace.map_or(String::new(), |ns| format!(" of namespace {ns}"));
        let late = open.iter().filter(|(_, s)| is_late(s, now)).count();
        let sections = vec![
            summary(&open, waived.len(), resolved.len(), late, now),
            trend(&matter.tickets, now),
            by("By party", "PARTY", &open, |t| text(t.1.party)),
            by("By check", "CHECK", &open, |t| {
                t.0.spec.finding.check.clone()
            }),
            by("By namespace", "NAMESPACE", &open, |t| {
                t.0.metadata.namespace.clone().unwrap_or_default()
            }),
            list("Open tickets", &open, now),
            list("Waived tickets", &waived, now),
            waivers(&matter.waivers, now),
            coverage(&matter.policies, &matter.unseen),
        ];
        Self {
            title: format!("kube-patrol report{of}, {}", when(now)),
            data: json!({
                "apiVersion": "kubepatrol.io/report/v1",
                "kind": "PatrolReport",
                "at": now,
                "namespace": namespace,
                "summary": {
                    "open": open.len(),
                    "overdue": late,
                    "waived": waived.len(),
                    "resolved": resolved.len(),
                    "bySeverity": counted(&open, |t| severity(&t.1).to_string()),
                    "byParty": counted(&open, |t| text(t.1.party)),
                },
                "tickets": open.iter().chain(&waived).map(record).collect::<Vec<_>>(),
                "waivers": matter.waivers.iter().map(waiver_record).collect::<Vec<_>>(),
                "coverage": matter.policies.iter().map(coverage_record).collect::<Vec<_>>(),
                "unseen": matter.unseen,
            }),
            sections,
        }
    }

    pub fn json(&self) -> &Value {
        &self.data
    }
}

/// A ticket and its status.
type One<'a> = (&'a Ticket, TicketStatus);

fn severity(status: &TicketStatus) -> Severity {
    status.severity.unwrap_or(Severity::Medium)
}

fn is_late(status: &TicketStatus, now: Time) -> bool {
    status.episode.due_at.is_some_and(|due| due <= now)
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

fn counted(tickets: &[One<'_>], by: impl Fn(&One<'_>) -> String) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for ticket in tickets {
        *counts.entry(by(ticket)).or_default() += 1;
    }
    counts
}

fn summary(open: &[One<'_>], waived: usize, resolved: usize, late: usize, now: Time) -> Section {
    let opened = open.iter().filter_map(|(_, s)| s.episode.opened_at).min();
    let oldest = opened.map_or(String::new(), |at| {
        format!(", the oldest for {}", age(at, now))
    });
    let counts = counted(open, |t| severity(&t.1).to_string());
    Section {
        title: "Summary",
        says: vec![
            format!(
                "{} open{oldest}.",
                number(open.len(), "ticket is", "tickets are")
            ),
            format!(
                "{late} past the due time, {waived} waived, {resolved} resolved and still kept."
            ),
        ],
        bars: Severity::ALL
            .iter()
            .rev()
            .map(|s| {
                (
                    s.to_string(),
                    counts.get(&s.to_string()).copied().unwrap_or(0),
                )
            })
            .collect(),
        ..Section::default()
    }
}

/// How many opened and were resolved on each of the last days, as far as the tickets that are kept say.
fn trend(tickets: &[Ticket], now: Time) -> Section {
    let day = |at: Time| at.unix().div_euclid(86_400);
    let statuses = || tickets.iter().filter_map(|t| t.status.as_ref());
    let opened = |d: i64| statuses().filter(move |s| s.episode.opened_at.map(day) == Some(d));
    let ended = |d: i64| statuses().filter(move |s| s.episode.resolved_at.map(day) == Some(d));
    let rows = (0..DAYS).rev().map(|back| {
        let at = now.minus(Span::days(back));
        let date = at.to_string().chars().take(10).collect();
        let number = |n: usize| n.to_string();
        vec![
            date,
            number(opened(day(at)).count()),
            number(ended(day(at)).count()),
        ]
    });
    Section {
        title: "Last two weeks",
        head: vec!["DAY (UTC)", "OPENED", "RESOLVED"],
        rows: rows.collect(),
        ..Section::default()
    }
}

/// Counts, the largest first.
fn by(
    title: &'static str,
    head: &'static str,
    open: &[One<'_>],
    of: impl Fn(&One<'_>) -> String,
) -> Section {
    let mut counts: Vec<(String, u64)> = counted(open, of).into_iter().collect();
    counts.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    let rest = counts.len().saturating_sub(TOP);
    let says = match rest {
        0 => vec![],
        n => vec![format!("The first {TOP}; {n} more are left out.")],
    };
    let rows = counts.into_iter().take(TOP);
    Section {
        title,
        says,
        head: vec![head, "OPEN"],
        rows: rows.map(|(name, n)| vec![name, n.to_string()]).collect(),
        ..Section::default()
    }
}

fn list(title: &'static str, tickets: &[One<'_>], now: Time) -> Section {
    let row = |(ticket, status): &One<'_>| {
        let finding = &ticket.spec.finding;
        let due = status.episode.due_at.map(|due| match due <= now {
            true => format!("{} (passed)", when(due)),
            false => when(due),
        });
        vec![
            severity(status).to_string(),
            ticket.metadata.namespace.clone().unwrap_or_default(),
            finding.check.clone(),
            finding.subject_ref.clone(),
            status.phase.to_string(),
            text(status.party),
            text(status.episode.opened_at.map(|at| age(at, now))),
            due.unwrap_or_default(),
            status.message.clone(),
        ]
    };
    Section {
        title,
        head: vec![
            "SEVERITY",
            "NAMESPACE",
            "CHECK",
            "SUBJECT",
            "STATE",
            "PARTY",
            "AGE",
            "DUE",
            "MESSAGE",
        ],
        rows: tickets.iter().map(row).collect(),
        ..Section::default()
    }
}

fn waivers(waivers: &[TicketWaiver], now: Time) -> Section {
    let row = |w: &TicketWaiver| {
        let ends = waiver::until(w).ok();
        vec![
            place(w),
            w.spec.treatment.to_string(),
            w.spec.owner.clone(),
            match ends {
                Some(at) if at <= now => format!("{} (ended)", when(at)),
                Some(at) => when(at),
                None => "cannot be said".to_owned(),
            },
            text(w.status.as_ref().map(|s| s.matched)),
            w.spec.reason.clone(),
        ]
    };
    Section {
        title: "Waivers",
        head: vec!["WAIVER", "TREATMENT", "OWNER", "ENDS", "TICKETS", "REASON"],
        rows: waivers.iter().map(row).collect(),
        ..Section::default()
    }
}

fn place(waiver: &TicketWaiver) -> String {
    let metadata = &waiver.metadata;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    format!("{}/{}", text(&metadata.namespace), text(&metadata.name))
}

/// What we could not see.
fn coverage(policies: &[PatrolPolicy], unseen: &[String]) -> Section {
    let mut rows = vec![];
    let mut says: Vec<String> = unseen
        .iter()
        .map(|text| format!("Not in this report: {text}."))
        .collect();
    for policy in policies {
        let name = policy.metadata.name.clone().unwrap_or_default();
        let status = policy.status.clone().unwrap_or_default();
        let covered = condition::get(&status.conditions, "Covered");
        says.push(match (covered, status.last_complete_patrol_at) {
            (Some(c), Some(at)) if c.status == "True" => {
                format!("{name}: everything in scope could be seen, last at {at}.")
            }
            (Some(c), _) => format!("{name}: {}: {}", c.reason, c.message),
            (None, _) => format!("{name}: no operator has said what it can see."),
        });
        for row in status.coverage {
            rows.push(vec![
                name.clone(),
                row.kind,
                row.inspected.to_string(),
                row.not_applicable.to_string(),
                row.unknown.to_string(),
                row.reasons.join(", "),
            ]);
        }
    }
    if policies.is_empty() {
        says.push("No policy is known: nothing is patrolled.".to_owned());
    }
    Section {
        title: "Coverage: what could and could not be seen",
        says,
        head: vec![
            "POLICY",
            "KIND",
            "INSPECTED",
            "NOT APPLICABLE",
            "UNKNOWN",
            "WHY",
        ],
        rows,
        ..Section::default()
    }
}

fn record((ticket, status): &One<'_>) -> Value {
    let finding = &ticket.spec.finding;
    json!({
        "namespace": ticket.metadata.namespace,
        "name": ticket.metadata.name,
        "policy": finding.policy,
        "check": finding.check,
        "severity": severity(status),
        "party": status.party,
        "layer": finding.layer,
        "subject": {
            "group": finding.subject.group,
            "kind": finding.subject.kind,
            "namespace": finding.subject.namespace,
            "name": finding.subject.name,
        },
        "phase": status.phase,
        "openedAt": status.episode.opened_at,
        "dueAt": status.episode.due_at,
        "message": status.message,
    })
}

fn waiver_record(w: &TicketWaiver) -> Value {
    json!({
        "namespace": w.metadata.namespace,
        "name": w.metadata.name,
        "treatment": w.spec.treatment,
        "owner": w.spec.owner,
        "reason": w.spec.reason,
        "expiresAt": waiver::until(w).ok(),
        "matched": w.status.as_ref().map(|s| s.matched),
    })
}

fn coverage_record(policy: &PatrolPolicy) -> Value {
    let status = policy.status.clone().unwrap_or_default();
    let covered = condition::get(&status.conditions, "Covered");
    json!({
        "policy": policy.metadata.name,
        "covered": covered.map(|c| c.status.clone()),
        "reason": covered.map(|c| c.reason.clone()),
        "lastCompletePatrolAt": status.last_complete_patrol_at,
        "kinds": status.coverage,
    })
}

#[cfg(test)]
#[path = "page_tests.rs"]
pub(super) mod tests;
