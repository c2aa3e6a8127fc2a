//! `waiver-overdue`.
//! What: a waiver whose time is over, that has no proper end, or that stands over nothing.
//! Why: a forgotten waiver waives the next gap, too.
//! Layer L6. Party: the customer, who took the risk.
//! Remedy: renew it with a reason, or delete it.

use patrol_api::ticket::Subject;
use patrol_api::words::{Layer, Severity};
use patrol_core::check::{Check, CheckMeta, Judgement, PartyBy, Unit, UnitKind, Verdict, View};
use patrol_core::kind::Kind;
use patrol_core::rule::Rule;
use patrol_core::waiver::Standing;

/// The check.
pub struct WaiverOverdue;

static META: CheckMeta = CheckMeta {
    id: "waiver-overdue",
    title: "Waiver overdue",
    what: "Each TicketWaiver must have an end that has not passed, at most 365 days (a Mute: 30 days) after it was \
           created, and must have stood over a ticket within the last 30 days. Always on.",
    why: "A forgotten waiver waives the next gap, too, and nobody looks.",
    remediation: "Delete the waiver, or renew it: a new end and a reason that is true today.",
    layer: Layer::L6,
    party: PartyBy::CUSTOMER,
    severity: Severity::Low,
    reads: &[Kind::TicketWaiver],
    units: &[UnitKind::Cluster],
    block: None,
    parameters: &[],
    references: &[],
};

impl Check for WaiverOverdue {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn judge(&self, view: &View<'_>, _: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        if *unit != Unit::Cluster {
            return;
        }
        let info = Kind::TicketWaiver.info();
        for (key, waiver) in &view.own.waivers {
            let subject = Subject {
                group: info.group.to_owned(),
                kind: info.kind.to_owned(),
                namespace: Some(key.namespace.to_string()),
                name: key.name.to_string(),
                uid: waiver.uid.clone(),
            };
            let reason = match waiver.standing {
                Standing::Active | Standing::Expiring => None,
                Standing::Expired => Some("expired"),
                Standing::Unused => Some("unused"),
                Standing::Unbounded => Some("unbounded"),
                Standing::Invalid => Some("invalid"),
            };
            out.push(match reason {
                None => Judgement::new(subject, Verdict::Pass).message("it has an end and is used"),
                Some(reason) => Judgement::new(subject, Verdict::Fail)
                    .reason(reason)
                    .message(waiver.message.clone()),
            });
        }
    }
}
