//! Stand-ins for what may not be read: a policy with the usual intervals, and the receivers that the ticket says were told.

use std::collections::BTreeSet;

use patrol_api::names::API_VERSION;
use patrol_api::policy::PatrolPolicy;
use patrol_api::receiver::AlertReceiver;
use patrol_api::ticket::{AlertRecord, Ticket};
use serde_json::json;

/// The ticket's policy, as if it told whoever was told before.
pub(super) fn policy(ticket: &Ticket) -> Vec<PatrolPolicy> {
    let names: BTreeSet<&str> = told(ticket).iter().map(|r| r.receiver.as_str()).collect();
    let names: Vec<_> = names
        .into_iter()
        .map(|name| json!({"name": name}))
        .collect();
    let policy = json!({
        "apiVersion": API_VERSION, "kind": "PatrolPolicy",
        "metadata": {"name": ticket.spec.finding.policy},
        "spec": {"schedule": {"every": "15m"}, "alerts": {"receivers": names}},
    });
    serde_json::from_value(policy).into_iter().collect()
}

/// Whoever was told.
pub(super) fn receivers(ticket: &Ticket) -> Vec<AlertReceiver> {
    let receiver = |record: &AlertRecord| {
        serde_json::from_value(json!({
            "apiVersion": API_VERSION, "kind": "AlertReceiver",
            "metadata": {"name": record.receiver, "uid": record.uid},
            "spec": {"webhook": {"url": "https://receiver.invalid/"}},
        }))
        .ok()
    };
    told(ticket).iter().filter_map(receiver).collect()
}

fn told(ticket: &Ticket) -> &[AlertRecord] {
    ticket.status.as_ref().map_or(&[], |status| &status.alerts)
}
