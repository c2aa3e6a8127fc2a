//! `patrol-overdue`.
//! What: a policy whose patrol has not been completed for two periods, or an alert of whose
//! tickets no receiver has accepted over three windows of attempts.
//! Why: the scheduled patrol is the proof, and a gap that nobody hears of stays one.
//! Layer L6. Party: the customer, who runs the patrol.
//! Remedy: see the policy's conditions and the operator's log.

use patrol_api::ticket::Subject;
use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    ALERTS_UNDELIVERED, Check, CheckMeta, Judgement, PartyBy, Progress, Unit, UnitKind, Verdict,
    View, Work,
};
use patrol_core::kind::Kind;
use patrol_core::rule::Rule;
use patrol_core::sym::Sym;

/// The check.
pub struct PatrolOverdue;

static META: CheckMeta = CheckMeta {
    id: "patrol-overdue",
    title: "Patrol or alert delivery stalled",
    what: "Each policy that is not suspended must complete a patrol within two periods of its schedule; a patrol that \
           could not see every kind is not complete (`patrol-overdue`). And every alert of its tickets must be \
           accepted within three windows of attempts, of ten minutes or `spec.alerts.groupInterval` each, whichever is \
           longer (`alerts-undelivered`); so must every receiver that it names exist while tickets of it are open. The alert of \
           this finding itself does not count. Resolved only when a patrol \
           was completed, and everything owed was looked through and nothing is late. Always on. A dead operator \
           opens no ticket, and a dead receiver hears of none: watch the metrics \
           `patrol_last_complete_patrol_timestamp_seconds` and `patrol_alert_oldest_pending_seconds` as well.",
    why: "Tickets that are not opened look like gaps that are not there, and alerts that do not arrive like no alerts.",
    remediation: "Read the conditions Covered, Ready and Alerting of the PatrolPolicy, those of its AlertReceivers and \
                  the operator's log, and remove what keeps the patrol from completing or the alerts from arriving.",
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
        for (policy, work) in &view.own.work {
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
            out.push(say(subject, work));
        }
    }
}

/// One judgement on both halves. Its words change only when a half does, so that a ticket
/// that stays open costs no writes: no count, and no time but that of the overdue patrol.
fn say(subject: Subject, work: &Work) -> Judgement {
    let mut judgement = Judgement::new(subject, Verdict::Fail);
    let mut words: Vec<String> = vec![];
    if work.patrols == Progress::Stalled {
        judgement = judgement.reason("patrol-overdue");
        let since = work.overdue_since.map(|at| format!(": overdue since {at}"));
        words.push(format!(
            "no patrol of the policy has been completed in time{}",
            since.unwrap_or_default()
        ));
    }
    if work.alerts == Progress::Stalled {
        judgement = judgement.reason(ALERTS_UNDELIVERED);
        words.push("alerts of its tickets do not reach a receiver that must be told: its condition Alerting says why".into());
    }
    if !words.is_empty() {
        return judgement.message(words.join("; "));
    }
    match (work.patrols, work.alerts) {
        (Progress::InTime, Progress::InTime) => {
            judgement.verdict = Verdict::Pass;
            judgement.message("its patrols are completed, and its alerts accepted, in time")
        }
        _ => {
            judgement.verdict = Verdict::Unknown(Sym::new("unsure"));
            judgement.message("there was no chance yet to see its patrols and alerts through")
        }
    }
}
