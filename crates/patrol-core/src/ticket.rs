//! Tickets: identity, life and ledger, as pure functions of their own state.

pub mod alive;
pub mod assignment;
pub mod forged;
pub mod ledger;
pub mod life;
pub mod overlay;
pub mod recheck;
pub mod routing;
pub mod text;
pub mod transitions;

use std::collections::BTreeMap;

use patrol_api::names;
use patrol_api::ticket::{Finding, Subject, Ticket, TicketSpec, TicketStatus};
use patrol_api::words::{Party, Phase, Severity};

use crate::check::Judgement;
use crate::facts::ObjectKey;
use crate::fingerprint;
use crate::rule::Rule;

/// Where the ticket of a subject lives: the subject's namespace, or the operator's for
/// cluster-scoped subjects and namespaces themselves.
#[must_use]
pub fn namespace_of<'a>(subject: &'a Subject, operator: &'a str) -> &'a str {
    subject.namespace.as_deref().unwrap_or(operator)
}

/// The place of the ticket for a judgement under a rule.
#[must_use]
pub fn place(rule: &Rule, judgement: &Judgement, operator: &str) -> ObjectKey {
    ObjectKey::new(
        namespace_of(&judgement.subject, operator),
        &fingerprint::ticket_name(
            &rule.policy,
            rule.check,
            rule.requirement.as_deref(),
            &judgement.subject,
            judgement.discriminator.as_deref(),
        ),
    )
}

/// The immutable part of a ticket.
#[must_use]
pub fn finding(rule: &Rule, judgement: &Judgement, cluster: &str) -> Finding {
    let subject = Subject::clone(&judgement.subject);
    Finding {
        policy: rule.policy.to_string(),
        check: rule.check.to_owned(),
        requirement: rule.requirement.as_ref().map(ToString::to_string),
        subject_ref: format!("{}/{}", subject.kind, subject.name),
        subject,
        layer: rule.layer,
        cluster: Some(cluster.to_owned()).filter(|c| !c.is_empty()),
    }
}

/// The labels a ticket carries, so that `kubectl get` reads and selects them.
#[must_use]
pub fn labels(
    finding: &Finding,
    severity: Severity,
    party: Party,
    phase: Phase,
) -> BTreeMap<String, String> {
    [
        (names::LABEL_POLICY, finding.policy.as_str()),
        (names::LABEL_CHECK, finding.check.as_str()),
        (names::LABEL_SEVERITY, severity.as_str()),
        (names::LABEL_PARTY, party.as_str()),
        (names::LABEL_STATE, phase.as_str()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), names::label_value(value)))
    .collect()
}

/// A new ticket object.
#[must_use]
pub fn new_object(key: &ObjectKey, finding: Finding, status: &TicketStatus) -> Ticket {
    let mut ticket = Ticket::new(
        &key.name,
        TicketSpec {
            finding,
            assignee: None,
            acknowledge: None,
            snooze: None,
            recheck: None,
        },
    );
    ticket.metadata.namespace = Some(key.namespace.to_string());
    ticket.metadata.labels = Some(labels(
        &ticket.spec.finding,
        status.severity.unwrap_or(Severity::Medium),
        status.party.unwrap_or(Party::Customer),
        status.phase,
    ));
    ticket.status = Some(status.clone());
    ticket
}
