//! Policies and receivers as their statuses say, and as their times say when no operator
//! writes statuses any more.

use patrol_api::condition;
use patrol_api::policy::{PatrolPolicy, PatrolPolicyStatus};
use patrol_api::receiver::AlertReceiver;
use patrol_api::time::Time;
use patrol_core::event::DeliveryClass;
use patrol_core::schedule::Schedule;
use serde_json::Value;

use super::line::Line;
use crate::cli::ui::{age, when};

/// What the operator says of a receiver that does not answer.
const OUT_OF_REACH: &str = DeliveryClass::Transient.as_str();

/// `limits` are the NetworkPolicies that limit what the operator may connect to.
pub(super) fn policies(found: &[Value], limits: &[String], now: Time) -> Vec<Line> {
    if found.is_empty() {
        return vec![
            Line::warn("policies", "there is no PatrolPolicy: nothing is patrolled")
                .fix("apply one: docs/getting-started.md has an example"),
        ];
    }
    let mut lines = vec![];
    for object in found {
        let name = name(object);
        let Ok(policy) = serde_json::from_value::<PatrolPolicy>(object.clone()) else {
            lines.push(
                Line::warn("policies", "cannot be read by this program")
                    .about(name)
                    .fix("use the program that the operator runs"),
            );
            continue;
        };
        let status = policy.status.clone().unwrap_or_default();
        lines.push(ready(&policy, &status).about(&name));
        lines.push(patrolled(&policy, &status, now).about(&name));
        lines.push(covered(&status).about(&name));
        let limits = match is_webhook_out_of_reach(object) {
            true => limits,
            false => &[],
        };
        lines.push(alerting(&status, limits).about(&name));
    }
    lines
}

fn ready(policy: &PatrolPolicy, status: &PatrolPolicyStatus) -> Line {
    const CHECK: &str = "policies";
    let stale = status.observed_generation != policy.metadata.generation;
    match said(status, "Ready") {
        _ if stale => Line::warn(CHECK, "the operator has not taken the latest change in yet")
            .fix("wait a minute; if it lasts, see the line of the lease"),
        ("True", ..) => Line::ok(CHECK, "is valid and patrolled"),
        ("False", reason, message) => {
            Line::fail(CHECK, format!("does not work: {reason}: {message}"))
                .fix("mend the policy: `kube-patrol lint` says the same offline")
        }
        (_, _, message) => Line::warn(CHECK, format!("no operator has judged it yet: {message}"))
            .fix("see the line of the lease"),
    }
}

/// Computed and not only read: a dead operator writes no `Overdue`.
fn patrolled(policy: &PatrolPolicy, status: &PatrolPolicyStatus, now: Time) -> Line {
    const CHECK: &str = "patrols";
    if policy.spec.suspend {
        return Line::warn(CHECK, "is suspended: no patrol starts")
            .fix("set spec.suspend to false when it is meant to go on");
    }
    let created = policy.metadata.creation_timestamp.as_ref();
    let since = status
        .last_complete_patrol_at
        .or(created.map(condition::from_meta_time));
    let last = status.last_complete_patrol_at.map_or_else(
        || "no complete patrol has finished yet".to_owned(),
        |at| format!("the last complete patrol finished {} ago", age(at, now)),
    );
    let schedule = Schedule::compile(&policy.spec.schedule, now);
    let (Ok(schedule), Some(since)) = (schedule, since) else {
        return Line::warn(
            CHECK,
            format!("{last}; when the next is due cannot be said"),
        )
        .fix("mend spec.schedule");
    };
    let due = since.plus(schedule.period_at(since).times(2));
    if due < now {
        return Line::fail(
            CHECK,
            format!("is overdue since {}: {last}", when(due)),
        )
        .fix("see the lines of the lease and of coverage; a period shorter than a patrol takes needs a longer schedule");
    }
    match status.next_patrol_at {
        Some(next) => Line::ok(CHECK, format!("{last}, the next is due {}", when(next))),
        None => Line::ok(CHECK, last),
    }
}

fn covered(status: &PatrolPolicyStatus) -> Line {
    const CHECK: &str = "coverage";
    match said(status, "Covered") {
        ("True", ..) => Line::ok(CHECK, "everything in scope could be seen"),
        ("False", reason, message) => {
            let mut rows: Vec<String> = status
                .coverage
                .iter()
                .filter(|row| row.unknown > 0 || !row.reasons.is_empty())
                .map(|row| match row.reasons.is_empty() {
                    true => format!("{}: {} unknown", row.kind, row.unknown),
                    false => format!("{}: {}", row.kind, row.reasons.join(", ")),
                })
                .collect();
            rows.truncate(5);
            let rows = match rows.is_empty() {
                true => String::new(),
                false => format!(" ({})", rows.join("; ")),
            };
            Line::fail(CHECK, format!("there are blind spots: {reason}: {message}{rows}"))
                .fix("give the right back that the lines of the rights name, or mend what cannot be decoded; nothing is resolved until then")
        }
        (_, _, message) => Line::warn(CHECK, format!("not known yet: {message}"))
            .fix("wait for the first patrol; if none comes, see the line of the lease"),
    }
}

fn alerting(status: &PatrolPolicyStatus, limits: &[String]) -> Line {
    const CHECK: &str = "alerting";
    let probe =
        "kube-patrol test-receiver NAME (or policy/NAME) sends a probe and explains the answer";
    match said(status, "Alerting") {
        ("True", _, message) => Line::ok(CHECK, message),
        ("False", reason, message) => fails(CHECK, format!("{reason}: {message}"), probe, limits),
        (_, "NoReceiver", message) => {
            Line::warn(CHECK, message).fix("name receivers in spec.alerts")
        }
        (_, "ClockSkew", message) => Line::warn(CHECK, format!("ClockSkew: {message}")).fix(
            "let the nodes synchronise their clocks (chrony, systemd-timesyncd); docs/operations.md has more, KubePatrolClockSkew",
        ),
        (_, _, message) => {
            Line::warn(CHECK, format!("not known yet: {message}")).fix(probe)
        }
    }
}

/// Status, reason and message of a condition; empty texts when there is none.
fn said<'a>(status: &'a PatrolPolicyStatus, kind: &str) -> (&'a str, &'a str, &'a str) {
    condition::get(&status.conditions, kind).map_or(("", "", "it has no status"), |c| {
        (c.status.as_str(), c.reason.as_str(), c.message.as_str())
    })
}

/// Whether a receiver does not answer, which something in between may be the cause of.
pub(super) fn is_out_of_reach(object: &Value) -> bool {
    let receiver = serde_json::from_value::<AlertReceiver>(object.clone()).ok();
    let status = receiver.and_then(|receiver| receiver.status);
    status.is_some_and(|status| {
        condition::get(&status.conditions, "Ready")
            .is_some_and(|ready| ready.status == "False" && ready.reason == OUT_OF_REACH)
    })
}

/// Whether a policy's own webhook, which has no object and so no status of its own, may not answer. The condition tells of
/// one receiver of the policy: of this one or, where there are several, of another.
pub(super) fn is_webhook_out_of_reach(object: &Value) -> bool {
    let Ok(policy) = serde_json::from_value::<PatrolPolicy>(object.clone()) else {
        return false;
    };
    let status = policy.status.unwrap_or_default();
    let ("False", "ReceiverUnavailable", message) = said(&status, "Alerting") else {
        return false;
    };
    let about_it = message.strip_prefix(&format!("policy/{}: ", name(object)));
    policy.spec.alerts.webhook.is_some()
        && about_it.is_none_or(|class| class.starts_with(OUT_OF_REACH))
}

/// What fails, and the policies that may be why.
fn fails(check: &'static str, says: String, probe: &str, limits: &[String]) -> Line {
    if limits.is_empty() {
        return Line::fail(check, says).fix(probe);
    }
    let limits = limits.join(", ");
    Line::fail(
        check,
        format!("{says}; it may be that NetworkPolicy {limits} keeps the operator from it"),
    )
    .fix(format!(
        "see whether NetworkPolicy {limits} lets the operator connect to it; {probe}"
    ))
}

/// One line for each receiver. `limits` are the NetworkPolicies that limit what the operator may connect to.
pub(super) fn receivers(found: &[Value], limits: &[String], now: Time) -> Vec<Line> {
    let mut lines = vec![];
    for object in found {
        let name = name(object);
        let line = match serde_json::from_value::<AlertReceiver>(object.clone()) {
            Ok(receiver) => {
                let limits = match is_out_of_reach(object) {
                    true => limits,
                    false => &[],
                };
                receiver_line(&receiver, &name, limits, now)
            }
            Err(_) => Line::warn("receivers", "cannot be read by this program")
                .fix("use the program that the operator runs"),
        };
        lines.push(line.about(name));
    }
    if lines.is_empty() {
        // A policy may have a webhook of its own, which its line of alerting is about.
        lines.push(Line::ok("receivers", "there is no AlertReceiver object"));
    }
    lines
}

fn receiver_line(receiver: &AlertReceiver, name: &str, limits: &[String], now: Time) -> Line {
    const CHECK: &str = "receivers";
    let status = receiver.status.clone().unwrap_or_default();
    let last = status.last_success_time.map_or_else(
        || "it has never accepted anything".to_owned(),
        |at| format!("it accepted the last message {} ago", age(at, now)),
    );
    let owed = match (status.pending, status.oldest_pending_time) {
        (0, _) => String::new(),
        (n, Some(at)) => format!(", {n} alerts wait, the oldest for {}", age(at, now)),
        (n, None) => format!(", {n} alerts wait"),
    };
    let probe = format!("kube-patrol test-receiver {name} sends a probe and explains the answer");
    let conditions: Vec<(&str, &str, &str)> = ["SecretResolved", "AddressAllowed", "Ready"]
        .iter()
        .filter_map(|kind| condition::get(&status.conditions, kind))
        .map(|c| (c.status.as_str(), c.reason.as_str(), c.message.as_str()))
        .collect();
    if let Some((_, reason, message)) = conditions.iter().find(|(s, ..)| *s == "False") {
        let says = format!("{reason}: {message}; {last}{owed}");
        return fails(CHECK, says, &probe, limits);
    }
    if conditions.is_empty() || conditions.iter().any(|(s, ..)| *s != "True") {
        return Line::warn(CHECK, format!("was not tried yet: {last}{owed}")).fix(probe);
    }
    Line::ok(CHECK, format!("accepts: {last}{owed}"))
}

fn name(object: &Value) -> String {
    let name = object.pointer("/metadata/name").and_then(Value::as_str);
    name.unwrap_or_default().to_owned()
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;
