//! Conditions and counts of policies and receivers, from what the engine knows. Counts,
//! never lists of findings.

mod receiver;

use std::collections::BTreeMap;

use patrol_api::condition::{self, Said};
use patrol_api::policy::TicketCounts;
use patrol_api::words::{Phase, Severity};

use super::Patrol;
use crate::check::{Origin, Progress};
use crate::clock::Now;
use crate::event::{DeliveryClass, Refusal};
use crate::inventory::Blindness;
use crate::kind::Kind;
use crate::sym::Sym;
use crate::ticket::life::Assessment;
use crate::ticket::text;

pub(super) use receiver::{is_coarse, receiver_status};

/// Status, reason and message of a condition.
type Words = (Option<bool>, &'static str, String);

impl Patrol {
    /// Brings every policy's reported status up to date.
    pub(super) fn report_policies(&mut self, now: Now) {
        let mut counts = self.count_tickets();
        let failing = self.count_failing();
        let names: Vec<Sym> = self.policies.keys().cloned().collect();
        for name in names {
            let open = counts.get(&name).map_or(0, |c| c.open);
            let failing = failing.get(&name).copied().unwrap_or_default().max(open);
            let conditions = self.conditions_of(&name, failing);
            let Some(state) = self.policies.get_mut(&name) else {
                continue;
            };
            state.status.tickets = counts.remove(&name).unwrap_or_default();
            let generation = Some(state.generation());
            let about = state.about();
            let mut news = vec![];
            for (kind, (status, reason, message)) in conditions {
                let message = text::sentence(&message);
                let said = Said {
                    kind,
                    status,
                    reason,
                    message: &message,
                    generation,
                };
                let before = condition::get(&state.status.conditions, kind)
                    .map(|c| c.status.clone())
                    .unwrap_or_default();
                condition::set(&mut state.status.conditions, &said, now.wall);
                if let Some(warning) = is_news(kind, &before, status) {
                    news.push((reason, format!("{kind}: {message}"), warning));
                }
            }
            if !state.is_valid() {
                state.status.observed_generation = generation;
                state.status.next_patrol_at = None;
            }
            if state.is_suspended() {
                state.status.next_patrol_at = None;
            }
            for (reason, note, warning) in news {
                self.announce(about.clone(), reason, note, warning);
            }
        }
    }

    fn count_tickets(&self) -> BTreeMap<Sym, TicketCounts> {
        let mut counts: BTreeMap<Sym, TicketCounts> = BTreeMap::new();
        for (_, ticket, status) in self.tickets.iter() {
            if status.phase == Phase::Resolved {
                continue;
            }
            let count = counts
                .entry(Sym::new(&ticket.spec.finding.policy))
                .or_default();
            match status.phase {
                Phase::Waived => {
                    count.waived += 1;
                    continue;
                }
                Phase::Acknowledged | Phase::Snoozed => count.acknowledged += 1,
                Phase::Open | Phase::Resolved => {}
            }
            count.open += 1;
            match status.severity {
                Some(Severity::Critical) => count.critical += 1,
                Some(Severity::High) => count.high += 1,
                Some(Severity::Medium) => count.medium += 1,
                Some(Severity::Low) => count.low += 1,
                Some(Severity::Info) | None => {}
            }
        }
        counts
    }

    /// Findings that hold, with or without a ticket.
    fn count_failing(&self) -> BTreeMap<Sym, u64> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for known in self.evaluation.known.values() {
            if matches!(known.assessment, Assessment::Failing(_)) {
                *counts.entry(known.finding.policy.as_str()).or_default() += 1;
            }
        }
        counts.into_iter().map(|(k, n)| (Sym::new(k), n)).collect()
    }

    fn conditions_of(&self, name: &Sym, failing: u64) -> Vec<(&'static str, Words)> {
        let Some(state) = self.policies.get(name) else {
            return vec![];
        };
        if !state.is_valid() {
            let problems = state
                .problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("; ");
            let unknown = || (None, "Stalled", "the spec is not valid".to_owned());
            return vec![
                ("Ready", (Some(false), "Invalid", problems.clone())),
                ("Stalled", (Some(true), "Invalid", problems)),
                (
                    "Reconciling",
                    (Some(false), "Invalid", "the spec is not valid".into()),
                ),
                ("Compliant", unknown()),
                ("Covered", unknown()),
                ("Alerting", self.alerting(name)),
            ];
        }
        let patrolled = state.status.last_patrol.is_some()
            && state.status.observed_generation == Some(state.generation());
        let reconciling = !patrolled && !state.is_suspended();
        let covered = self.covered(name);
        let ready = if state.is_suspended() {
            (
                Some(false),
                "Suspended",
                "spec.suspend is true: no patrols start and tickets stay as they are".to_owned(),
            )
        } else {
            match self.writable() {
                // What keeps the first patrol from finishing says more than that it has not.
                (Some(true) | None, ..) if !patrolled => (
                    None,
                    "Pending",
                    "the first patrol has not finished".to_owned(),
                ),
                words => words,
            }
        };
        vec![
            ("Ready", ready),
            (
                "Stalled",
                (Some(false), "Accepted", "the spec is valid".into()),
            ),
            (
                "Reconciling",
                if reconciling {
                    (
                        Some(true),
                        "Pending",
                        "the spec waits for its first patrol".into(),
                    )
                } else {
                    (Some(false), "Settled", "the spec is in effect".into())
                },
            ),
            ("Compliant", Self::compliant(failing, covered.0, patrolled)),
            ("Covered", covered),
            ("Alerting", self.alerting(name)),
        ]
    }

    /// Whether tickets can be written; a patrol whose findings cannot be kept is not ready.
    fn writable(&self) -> Words {
        let sight = self.inventory.sight(Kind::Ticket);
        if sight.is_absent() {
            return (
                Some(false),
                "TicketsUnreadable",
                "the kind Ticket is not installed: apply the definitions of kubepatrol.io".into(),
            );
        }
        match sight.blindness() {
            None => {}
            Some(Blindness::Unsynced) => {
                return (None, "Pending", "tickets are being listed".into());
            }
            Some(why) => {
                return (
                    Some(false),
                    "TicketsUnreadable",
                    format!(
                        "tickets cannot be read ({}), so none is opened, resolved or told: grant the operator its rights on tickets",
                        why.reason()
                    ),
                );
            }
        }
        let refused = self.tickets.refused();
        let lasting = refused.iter().find(|(why, _)| {
            !matches!(
                why,
                Refusal::NamespaceTerminating | Refusal::NamespaceNotFound | Refusal::NotLeader
            )
        });
        match lasting {
            Some((why, count)) => (
                Some(false),
                "TicketWritesRejected",
                format!(
                    "{count} ticket writes are refused ({}): grant the operator its rights on tickets or remove what refuses them",
                    why.as_str()
                ),
            ),
            None => (Some(true), "Patrolling", "patrols run as scheduled".into()),
        }
    }

    fn compliant(failing: u64, covered: Option<bool>, patrolled: bool) -> Words {
        if failing > 0 {
            return (
                Some(false),
                "FindingsOpen",
                match failing {
                    1 => "1 finding is open".to_owned(),
                    more => format!("{more} findings are open"),
                },
            );
        }
        match (patrolled, covered) {
            (false, _) => (None, "Pending", "the first patrol has not finished".into()),
            (true, Some(true)) => (Some(true), "NoFindings", "no finding is open".into()),
            (true, _) => (
                None,
                "NotCovered",
                "no finding is open, but not everything could be seen".into(),
            ),
        }
    }

    /// Whether everything in scope could be seen: by the last patrol, and now.
    fn covered(&self, name: &Sym) -> Words {
        let mut blind: Vec<(Kind, &'static str, String)> = vec![];
        for kind in self.kinds_of(name) {
            let sight = self.inventory.sight(kind);
            if let Some(why) = sight.blindness() {
                let text = format!("{} cannot be read ({})", kind.info().resource, why.reason());
                blind.push((kind, why.reason(), text));
            } else if sight.blind_count() > 0 {
                let (count, resource) = (sight.blind_count(), kind.info().resource);
                let text = match self.config.origin {
                    Origin::Cluster => format!("{count} {resource} cannot be decoded"),
                    Origin::Files => {
                        format!("{count} files that may hold {resource} cannot be read")
                    }
                };
                blind.push((kind, "Undecodable", text));
            }
        }
        let overdue = self
            .own
            .work
            .get(name)
            .is_some_and(|w| w.patrols == Progress::Stalled);
        let texts: Vec<String> = blind.iter().map(|(_, _, text)| text.clone()).collect();
        if let Some((_, reason, _)) = blind.first() {
            return (Some(false), reason, texts.join("; "));
        }
        let state = self.policies.get(name);
        let last = state.and_then(|s| s.status.last_patrol.as_ref());
        match (overdue, last) {
            (true, _) => (
                Some(false),
                "Overdue",
                "no complete patrol finished within two periods".into(),
            ),
            (_, None) => (None, "Pending", "the first patrol has not finished".into()),
            (_, Some(last)) if !last.complete => (
                Some(false),
                "Incomplete",
                "the last patrol could not see everything: the next one tries again".into(),
            ),
            _ => (
                Some(true),
                "Complete",
                "the last patrol saw everything in scope".into(),
            ),
        }
    }

    /// Receivers by name that cannot be known are not told.
    fn receivers_unreadable(&self, policy: &Sym) -> Option<Words> {
        let state = self.policies.get(policy)?;
        if state.object.spec.alerts.receivers.is_empty() {
            return None;
        }
        Some(
            match self.inventory.sight(Kind::AlertReceiver).blindness()? {
                Blindness::Unsynced => (None, "Pending", "receivers are being listed".into()),
                why => (
                    Some(false),
                    "ReceiversUnreadable",
                    format!(
                        "alertreceivers cannot be read ({}), so none is told: grant the operator its rights on them",
                        why.reason()
                    ),
                ),
            },
        )
    }

    fn alerting(&self, name: &Sym) -> Words {
        let receivers = self.receivers_of(name);
        if receivers.is_empty() {
            return (
                None,
                "NoReceiver",
                "tickets are told to nobody: name receivers in spec.alerts".into(),
            );
        }
        if let Some(words) = self.receivers_unreadable(name) {
            return words;
        }
        let missing: Vec<&str> = receivers
            .iter()
            .filter_map(|r| r.as_ref().err().map(String::as_str))
            .collect();
        if !missing.is_empty() {
            return (
                Some(false),
                "ReceiverNotFound",
                format!(
                    "spec.alerts.receivers: no AlertReceiver is named {}: create it or correct the name",
                    missing.join(", ")
                ),
            );
        }
        let mut troubled: Vec<(&str, DeliveryClass)> = receivers
            .iter()
            .filter_map(|r| r.as_ref().ok())
            .filter_map(|name| self.receivers.get(name))
            .filter_map(|state| Some((state.target.name.as_str(), state.health.trouble?)))
            .collect();
        troubled.sort();
        match troubled.first() {
            Some((first, class)) => (
                Some(false),
                "ReceiverUnavailable",
                format!("{first}: {}: {}", class.as_str(), advice(*class)),
            ),
            None if self.skew != 0 => (None, "ClockSkew", skewed(self.skew)),
            None => (Some(true), "Accepting", "no receiver is in trouble".into()),
        }
    }
}

/// What a wrong clock does to alerts that are accepted so far. Says whole minutes, for it must not say something else at
/// every look.
fn skewed(ahead: i64) -> String {
    let minutes = (ahead.unsigned_abs() + 30) / 60;
    let way = if ahead > 0 { "ahead of" } else { "behind" };
    format!(
        "this process's clock is {minutes} minutes {way} the API server's, and receivers that check signatures refuse those of \
         another time: synchronise the clock of its node"
    )
}

/// Whether a condition that flipped is worth an event, and whether as a warning.
fn is_news(kind: &str, before: &str, now: Option<bool>) -> Option<bool> {
    let bad = match kind {
        "Ready" | "Covered" | "Alerting" => false,
        "Stalled" => true,
        _ => return None,
    };
    let after = condition::status_word(now);
    if before == after {
        return None;
    }
    if now == Some(bad) {
        return Some(true);
    }
    // Good news only after bad: the first good word of a new policy is no event.
    (now == Some(!bad) && before == condition::status_word(Some(bad))).then_some(false)
}

/// What to do about a class of failure; our own words only.
fn advice(class: DeliveryClass) -> &'static str {
    match class {
        DeliveryClass::Accepted => "",
        DeliveryClass::Throttled(_) => "the receiver asked to wait; what is due goes later",
        DeliveryClass::Transient => {
            "the receiver does not answer or fails; what is due is tried again"
        }
        DeliveryClass::Payload => {
            "the receiver refuses the content of some tickets; they are tried again within the hour"
        }
        DeliveryClass::Config(reason) | DeliveryClass::Unreached(reason) => reason,
        DeliveryClass::Blocked => {
            "the address is not allowed: use one that is not loopback, link-local or a metadata address"
        }
        DeliveryClass::SecretMissing => {
            "a Secret or key it names cannot be read in the operator's namespace, or is empty: create it, or fill it"
        }
        DeliveryClass::NotLeader => "this replica does not lead",
    }
}
