//! What is counted of the engine, from a snapshot of it.

use patrol_api::time::{Span, Time};
use patrol_api::words::{Phase, Severity};
use patrol_core::engine::Snapshot;
use patrol_core::event::DeliveryClass;

use super::Families;

#[allow(
    clippy::cast_precision_loss,
    reason = "seconds since 1970 and their differences are far below 2^52"
)]
fn seconds(at: Time) -> f64 {
    at.unix() as f64
}

#[allow(
    clippy::cast_precision_loss,
    reason = "ages in seconds are far below 2^52"
)]
fn age(since: Time, now: Time) -> f64 {
    now.since(since).as_secs() as f64
}

/// Everything there is to say of the engine at `now`.
pub fn families(families: &mut Families, snapshot: &Snapshot, now: Time) {
    process(families, snapshot);
    tickets(families, snapshot, now);
    patrols(families, snapshot);
    receivers(families, snapshot, now);
    kinds(families, snapshot, now);
}

fn process(families: &mut Families, s: &Snapshot) {
    families.gauge(
        "leader",
        "1 while this replica leads and so writes and sends.",
        f64::from(u8::from(s.leading)),
    );
    families.gauges(
        "build_info",
        "Always 1; the version is a label.",
        ["version"],
        [([env!("CARGO_PKG_VERSION").to_owned()], 1.0)],
    );
}

fn tickets(families: &mut Families, s: &Snapshot, now: Time) {
    families.counts(
        "tickets",
        "Tickets by policy, severity and phase.",
        ["policy", "severity", "phase"],
        s.tickets.iter().map(|((policy, severity, phase), n)| {
            (
                [policy.clone(), severity.to_string(), phase.to_string()],
                *n,
            )
        }),
    );
    families.gauges(
        "ticket_oldest_age_seconds",
        "Age of the oldest open episode, by policy and severity.",
        ["policy", "severity"],
        s.oldest_open.iter().map(|((policy, severity), opened)| {
            ([policy.clone(), severity.to_string()], age(*opened, now))
        }),
    );
    families.counts(
        "tickets_sla_breached",
        "Open tickets past their due time, by policy and severity.",
        ["policy", "severity"],
        s.overdue_tickets
            .iter()
            .map(|((policy, severity), n)| ([policy.clone(), severity.to_string()], *n)),
    );
    families.counts(
        "tickets_flapping",
        "Open tickets that come and go.",
        [],
        [([], s.flapping)],
    );
    families.counts(
        "alerts_overdue",
        "Alerts that were due and forgotten, as the auditor's last pass found and mended. Must be 0.",
        [],
        [([], s.alerts_overdue)],
    );
    families.counts(
        "tickets_waived",
        "Tickets whose risk somebody takes for a while.",
        [],
        [([], waived(s))],
    );
    families.counts(
        "waivers",
        "TicketWaivers, by how they stand.",
        ["standing"],
        s.waivers
            .iter()
            .map(|(standing, n)| ([(*standing).to_owned()], *n)),
    );
    families.counts(
        "waivers_expiring",
        "TicketWaivers that hold and end within so many days.",
        ["days"],
        [1_u64, 7, 30].map(|days| {
            let by = now.plus(Span::days(days));
            let ends = s.waiver_ends.iter().filter(|end| **end <= by).count();
            ([days.to_string()], u64::try_from(ends).unwrap_or(u64::MAX))
        }),
    );
    families.counts(
        "tickets_unwritten",
        "Findings whose ticket is not stored yet, by policy.",
        ["policy"],
        s.unwritten.iter().map(|(policy, n)| ([policy.clone()], *n)),
    );
    families.counts(
        "ticket_writes_waiting",
        "Ticket writes that wait for their turn.",
        [],
        [([], s.writes_waiting)],
    );
    families.counts(
        "tickets_overflowed",
        "Findings beyond maxPerCheck that are counted in aggregate tickets.",
        [],
        [([], s.overflowed)],
    );
    families.counts(
        "alerts_unrecorded",
        "Tickets that receivers were told of and whose record of it is not stored yet.",
        [],
        [([], s.alerts_unrecorded)],
    );
    let c = &s.counters;
    families.counters(
        "auditor_runs_total",
        "Passes of the auditor over all tickets, by result.",
        ["result"],
        [
            (["Clean".to_owned()], c.audits.0),
            (["FoundOverdue".to_owned()], c.audits.1),
        ],
    );
    families.counters(
        "alerts_dropped_total",
        "Alerts that were owed and given up, by cause: Retention, when a resolved ticket was 90 days old. Must stay 0.",
        ["cause"],
        [(["Retention".to_owned()], c.alerts_dropped)],
    );
    families.counters(
        "alert_duplicates_possible_total",
        "Messages about tickets of which it is not known whether they were taken; they go out again under the same id.",
        [],
        [([], c.duplicates_possible)],
    );
    families.histograms(
        "ticket_resolution_seconds",
        "Seconds from the begin of a ticket's episode until it was fixed, by severity.",
        "severity",
        c.resolution_seconds
            .iter()
            .map(|(severity, seconds)| (severity.to_string(), seconds)),
    );
    families.histograms(
        "ticket_acknowledge_seconds",
        "Seconds from the begin of a ticket's episode until somebody acknowledged it, by severity.",
        "severity",
        c.acknowledge_seconds
            .iter()
            .map(|(severity, seconds)| (severity.to_string(), seconds)),
    );
    families.counters(
        "heartbeat_sent_total",
        "Signs of life that receivers accepted.",
        [],
        [([], c.heartbeats)],
    );
    families.counters(
        "tickets_opened_total",
        "Tickets opened, by policy and severity.",
        ["policy", "severity"],
        c.opened
            .iter()
            .map(|((policy, severity), n)| ([policy.clone(), severity.to_string()], *n)),
    );
    families.counters(
        "tickets_reopened_total",
        "Tickets that came back, by policy.",
        ["policy"],
        c.reopened.iter().map(|(policy, n)| ([policy.clone()], *n)),
    );
    families.counters(
        "tickets_resolved_total",
        "Tickets resolved, by policy, severity and resolution.",
        ["policy", "severity", "resolution"],
        c.resolved.iter().map(|((policy, severity, how), n)| {
            ([policy.clone(), severity.to_string(), how.to_string()], *n)
        }),
    );
    families.counters(
        "ticket_sla_breaches_total",
        "Due times passed, by policy and severity.",
        ["policy", "severity"],
        c.breached
            .iter()
            .map(|((policy, severity), n)| ([policy.clone(), severity.to_string()], *n)),
    );
    families.counters(
        "ticket_writes_total",
        "Ticket writes by operation and result.",
        ["op", "result"],
        c.writes
            .iter()
            .map(|((op, result), n)| ([(*op).to_owned(), (*result).to_owned()], *n)),
    );
    families.counters(
        "tickets_deleted_open_total",
        "Open tickets that someone deleted; they come back while their finding holds.",
        [],
        [([], c.tickets_deleted_open)],
    );
    families.counters(
        "ticket_statuses_restored_total",
        "Ticket statuses that someone edited and that were put back.",
        [],
        [([], c.statuses_restored)],
    );
}

fn patrols(families: &mut Families, s: &Snapshot) {
    families.gauges(
        "last_complete_patrol_timestamp_seconds",
        "When the last patrol finished that could see everything, by policy; 0 for never.",
        ["policy"],
        s.last_complete_patrol
            .iter()
            .map(|(policy, at)| ([policy.clone()], at.map_or(0.0, seconds))),
    );
    families.gauges(
        "overdue",
        "1 while no complete patrol finished within two periods, by policy.",
        ["policy"],
        s.last_complete_patrol.keys().map(|policy| {
            let overdue = s.overdue_policies.contains(policy);
            ([policy.clone()], f64::from(u8::from(overdue)))
        }),
    );
    families.counters(
        "runs_total",
        "Finished patrols, by policy and result: complete, or incomplete when not everything could be seen.",
        ["policy", "result"],
        s.counters.patrols.iter().map(|((policy, complete), n)| {
            let result = if *complete { "complete" } else { "incomplete" };
            ([policy.clone(), result.to_owned()], *n)
        }),
    );
    families.counts(
        "run_duration_seconds",
        "Duration of the last patrol, by policy.",
        ["policy"],
        s.counters
            .patrol_seconds
            .iter()
            .map(|(policy, n)| ([policy.clone()], *n)),
    );
    families.counts(
        "subjects",
        "Subjects of the last patrol, by policy and result.",
        ["policy", "result"],
        s.subjects.iter().flat_map(|(policy, counts)| {
            ["passed", "failed", "notApplicable", "unknown"]
                .into_iter()
                .zip(*counts)
                .map(|(result, n)| ([policy.clone(), result.to_owned()], n))
        }),
    );
}

fn receivers(families: &mut Families, s: &Snapshot, now: Time) {
    families.counts(
        "alerts_pending",
        "Messages about tickets that are due and not accepted yet, by receiver and severity.",
        ["receiver", "severity"],
        s.receivers.iter().flat_map(|r| {
            Severity::ALL.iter().map(|severity| {
                let n = r.pending_by.get(severity).copied().unwrap_or_default();
                ([r.name.clone(), severity.to_string()], n)
            })
        }),
    );
    families.gauges(
        "alert_oldest_pending_seconds",
        "Time since the oldest pending message became due, by receiver; 0 when none is.",
        ["receiver"],
        s.receivers.iter().map(|r| {
            (
                [r.name.clone()],
                r.oldest_pending.map_or(0.0, |at| age(at, now)),
            )
        }),
    );
    families.gauges(
        "receiver_ready",
        "1 while a receiver accepts (or was not tried yet), else 0.",
        ["receiver"],
        s.receivers.iter().map(|r| {
            (
                [r.name.clone()],
                f64::from(u8::from(r.ready != Some(false))),
            )
        }),
    );
    families.gauges(
        "receiver_circuit",
        "1 for the state a receiver's circuit is in.",
        ["receiver", "state"],
        s.receivers.iter().flat_map(|r| {
            [("open", r.circuit_open), ("closed", !r.circuit_open)]
                .map(|(state, is)| ([r.name.clone(), state.to_owned()], f64::from(u8::from(is))))
        }),
    );
    families.gauges(
        "receiver_last_success_timestamp_seconds",
        "When a receiver last accepted, 0 for never.",
        ["receiver"],
        s.receivers
            .iter()
            .map(|r| ([r.name.clone()], r.last_success.map_or(0.0, seconds))),
    );
    families.counters(
        "alerts_delivered_total",
        "Tellings accepted, by receiver and reason.",
        ["receiver", "reason"],
        s.counters
            .delivered
            .iter()
            .map(|((receiver, reason), n)| ([receiver.clone(), reason.to_string()], *n)),
    );
    families.histograms(
        "alert_delivery_seconds",
        "Seconds from the time a message about a ticket was due until it was accepted, by receiver.",
        "receiver",
        s.counters
            .delivery_seconds
            .iter()
            .map(|(receiver, seconds)| (receiver.clone(), seconds)),
    );
    families.counts(
        "alerts_deferred",
        "Messages about tickets that wait, by receiver and cause: Window until a window opens, Throttled until the \
         receiver takes more, BackOff until it is tried again, Refused until content it refused is tried again.",
        ["receiver", "cause"],
        s.receivers.iter().flat_map(|r| {
            let rows = r.deferred.iter();
            rows.map(|(cause, n)| ([r.name.clone(), (*cause).to_owned()], *n))
        }),
    );
    families.counters(
        "receiver_failover_total",
        "How often another receiver began to stand in for this one, which was not ready for too long.",
        ["receiver"],
        s.counters
            .failovers
            .iter()
            .map(|(receiver, n)| ([receiver.clone()], *n)),
    );
    families.counters(
        "notify_throttled_seconds_total",
        "Pauses that a receiver asked for, in seconds.",
        ["receiver"],
        s.receivers
            .iter()
            .map(|r| ([r.name.clone()], r.throttled_seconds)),
    );
    families.counters(
        "notify_parts_total",
        "Messages accepted, by receiver: a large notice goes in parts.",
        ["receiver"],
        s.counters
            .requests
            .iter()
            .filter(|((_, class), _)| *class == DeliveryClass::Accepted.as_str())
            .map(|((receiver, _), n)| ([receiver.clone()], *n)),
    );
    families.counters(
        "notify_requests_total",
        "Attempts to deliver, by receiver and class of the outcome.",
        ["receiver", "class"],
        s.counters
            .requests
            .iter()
            .map(|((receiver, class), n)| ([receiver.clone(), (*class).to_owned()], *n)),
    );
}

fn kinds(families: &mut Families, s: &Snapshot, now: Time) {
    let word = |kind: &patrol_core::kind::Kind| kind.info().kind.to_owned();
    families.counts(
        "objects",
        "Objects held, by kind.",
        ["kind"],
        s.kinds.iter().map(|(kind, (n, ..))| ([word(kind)], *n)),
    );
    families.gauges(
        "kind_readable",
        "1 while a kind can be seen, else 0: what it hides is Unknown.",
        ["kind"],
        s.kinds
            .iter()
            .map(|(kind, (_, readable, _))| ([word(kind)], f64::from(u8::from(*readable)))),
    );
    families.gauges(
        "watch_silence_seconds",
        "Time since the watch of a kind last said anything.",
        ["kind"],
        s.kinds
            .iter()
            .filter_map(|(kind, (.., heard))| Some(([word(kind)], age((*heard)?, now)))),
    );
}

fn waived(s: &Snapshot) -> u64 {
    s.tickets
        .iter()
        .filter(|((_, _, phase), _)| *phase == Phase::Waived)
        .map(|(_, n)| n)
        .sum()
}
