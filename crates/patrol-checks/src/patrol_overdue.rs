//! `patrol-overdue`.
//! What: a policy whose patrol has not been completed for two periods.
//! Why: the scheduled patrol is the proof; without it an empty board proves nothing.
//! Layer L6. Party: the customer, who runs the patrol.
//! Remedy: see the policy's conditions and the operator's log.

use patrol_api::ticket::Subject;
use patrol_api::words::{Layer, Severity};
use patrol_core::check::{Check, CheckMeta, Judgement, PartyBy, Unit, UnitKind, Verdict, View};
use patrol_core::kind::Kind;
use patrol_core::rule::Rule;

/// The check.
pub struct PatrolOverdue;

static META: CheckMeta = CheckMeta {
    id: "patrol-overdue",
    title: "Patrol stalled",
    what: "Each policy that is not suspended must complete a patrol within two periods of its schedule; a patrol that \
           could not see every kind is not complete. Always on. A dead operator opens no ticket: watch its metric \
           `patrol_timestamp_seconds` as well.",
    why: "Tickets that are not opened look like gaps that are not there.",
    remediation: "Read the conditions Covered and Ready of the PatrolPolicy and the operator's log, and remove what \
                  keeps the patrol from completing.",
    layer: Layer::L6,
    party: PartyBy::CUSTOMER,
    severity: Severity::Critical,
    // None, so that it speaks however little can be seen.
    reads: &[],
    units: &[UnitKind::Cluster],
    block: None,
    parameters: &[],
    references: &[],
};

impl Check for PatrolOverdue {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn judge(&self, view: &View<'_>, _: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        if *unit != Unit::Cluster {
            return;
        }
        let info = Kind::PatrolPolicy.info();
        for (policy, overdue) in &view.own.overdue {
            let subject = Subject {
                group: info.group.to_owned(),
                kind: info.kind.to_owned(),
                namespace: None,
                name: policy.to_string(),
                uid: view
                    .own
                    .policy_uids
                    .get(policy)
                    .filter(|uid| !uid.is_empty())
                    .cloned(),
            };
            out.push(match overdue {
                None => Judgement::new(subject, Verdict::Pass)
                    .message("its patrols are completed in time"),
                Some(since) => Judgement::new(subject, Verdict::Fail)
                    .reason("patrol-overdue")
                    .message(format!(
                        "no patrol of the policy has been completed in time: overdue since {since}"
                    )),
            });
        }
    }
}
