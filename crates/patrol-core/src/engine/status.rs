//! Conditions and counts of policies and receivers, from what the engine knows. Counts,
//! never lists of findings.

use std::collections::BTreeMap;

use patrol_api::condition::{self, Said};
use patrol_api::policy::TicketCounts;
use patrol_api::receiver::{AlertReceiverStatus, Circuit, CircuitState};
use patrol_api::time::Time;
use patrol_api::words::{Phase, Severity};

use super::Patrol;
use super::receivers::{CIRCUIT, ReceiverState};
use crate::clock::Now;
use crate::event::{DeliveryClass, Refusal};
use crate::kind::Kind;
use crate::sym::Sym;
use crate::ticket::life::Assessment;
use crate::ticket::text;

/// Status, reason and message of a condition.
type Words = (Option<bool>, &'static str, String);

impl Patrol {
    /// Brings every policy's reported status up to date.
    pub(super) fn report_policies(&mut self, now: Now) {
        let mut counts = self.count_tickets();
        let names: Vec<Sym> = self.policies.keys().cloned().collect();
        for name in names {
            let conditions = self.conditions_of(&name, counts.get(&name), now.wall);
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

    fn conditions_of(
        &self,
        name: &Sym,
        counts: Option<&TicketCounts>,
        now: Time,
    ) -> Vec<(&'static str, Words)> {
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
            let unknown = || (None, "Stalled", String::new());
            return vec![
                ("Ready", (Some(false), "Invalid", problems.clone())),
                ("Stalled", (Some(true), "Invalid", problems)),
                ("Reconciling", (Some(false), "Invalid", String::new())),
                ("Compliant", unknown()),
                ("Covered", unknown()),
                ("Alerting", self.alerting(name)),
            ];
        }
        let patrolled = state.status.last_patrol.is_some()
            && state.status.observed_generation == Some(state.generation());
        let reconciling = !patrolled && !state.is_suspended();
        let covered = self.covered(name, now);
        let ready = if state.is_suspended() {
            (
                Some(false),
                "Suspended",
                "spec.suspend is true: no patrols start and tickets stay as they are".to_owned(),
            )
        } else if !patrolled {
            (
                None,
                "Pending",
                "the first patrol has not finished".to_owned(),
            )
        } else {
            self.writable()
        };
        vec![
            ("Ready", ready),
            ("Stalled", (Some(false), "Accepted", String::new())),
            (
                "Reconciling",
                (
                    Some(reconciling),
                    if reconciling { "Pending" } else { "Settled" },
                    String::new(),
                ),
            ),
            (
                "Compliant",
                self.compliant(name, counts, covered.0, patrolled),
            ),
            ("Covered", covered),
            ("Alerting", self.alerting(name)),
        ]
    }

    /// Whether tickets can be written; a patrol whose findings cannot be kept is not ready.
    fn writable(&self) -> Words {
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
                    "{count} tickets cannot be written ({}): grant the operator its rights on tickets or remove what refuses them",
                    why.as_str()
                ),
            ),
            None => (Some(true), "Patrolling", String::new()),
        }
    }

    fn compliant(
        &self,
        name: &Sym,
        counts: Option<&TicketCounts>,
        covered: Option<bool>,
        patrolled: bool,
    ) -> Words {
        let open = counts.map_or(0, |c| c.open);
        let failing = self
            .evaluation
            .known
            .values()
            .filter(|k| {
                k.finding.policy == name.as_str() && matches!(k.assessment, Assessment::Failing(_))
            })
            .count();
        let failing = u64::try_from(failing).unwrap_or(u64::MAX).max(open);
        if failing > 0 {
            return (
                Some(false),
                "FindingsOpen",
                format!("{failing} findings are open"),
            );
        }
        match (patrolled, covered) {
            (false, _) => (None, "Pending", "the first patrol has not finished".into()),
            (true, Some(true)) => (Some(true), "NoFindings", String::new()),
            (true, _) => (
                None,
                "NotCovered",
                "no finding is open, but not everything could be seen".into(),
            ),
        }
    }

    /// Whether everything in scope could be seen: by the last patrol, and now.
    fn covered(&self, name: &Sym, now: Time) -> Words {
        let mut blind: Vec<(Kind, &'static str, String)> = vec![];
        for kind in self.kinds_of(name) {
            let sight = self.inventory.sight(kind);
            if let Some(why) = sight.blindness() {
                let text = format!("{} cannot be read ({})", kind.info().resource, why.reason());
                blind.push((kind, why.reason(), text));
            } else if sight.blind_count() > 0 {
                let text = format!(
                    "{} {} cannot be decoded",
                    sight.blind_count(),
                    kind.info().resource
                );
                blind.push((kind, "Undecodable", text));
            }
        }
        let overdue = self.own.overdue.get(name).copied().flatten();
        let texts: Vec<String> = blind.iter().map(|(_, _, text)| text.clone()).collect();
        if let Some((_, reason, _)) = blind.first() {
            return (Some(false), reason, texts.join("; "));
        }
        let state = self.policies.get(name);
        let last = state.and_then(|s| s.status.last_patrol.as_ref());
        match (overdue, last) {
            (Some(since), _) if since <= now => (
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
            _ => (Some(true), "Complete", String::new()),
        }
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
            .filter_map(|state| Some((state.target.name.as_str(), state.trouble?)))
            .collect();
        troubled.sort();
        match troubled.first() {
            Some((first, class)) => (
                Some(false),
                "ReceiverUnavailable",
                format!("{first}: {}: {}", class.as_str(), advice(*class)),
            ),
            None => (Some(true), "Accepting", String::new()),
        }
    }
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
        DeliveryClass::Config(reason) => reason,
        DeliveryClass::Blocked => {
            "the address is not allowed: use one that is not loopback, link-local or a metadata address"
        }
        DeliveryClass::SecretMissing => {
            "a Secret or key it names cannot be read in the operator's namespace: create it"
        }
        DeliveryClass::NotLeader => "this replica does not lead",
    }
}

/// The status of an AlertReceiver.
pub(super) fn receiver_status(
    trouble: Option<DeliveryClass>,
    state: &ReceiverState,
    now: Time,
) -> AlertReceiverStatus {
    let mut status = Patrol::receiver_status_of(state).clone();
    status.last_success_time = state.last_success;
    status.pending = u64::try_from(state.pending).unwrap_or(u64::MAX);
    status.oldest_pending_time = state.oldest_pending;
    status.circuit = Some(Circuit {
        state: match (state.failures >= CIRCUIT, state.flights.is_empty()) {
            (false, _) => CircuitState::Closed,
            (true, true) => CircuitState::Open,
            (true, false) => CircuitState::HalfOpen,
        },
        failures: u64::from(state.failures),
        ..Circuit::default()
    });
    let tried = state.last_success.is_some() || trouble.is_some();
    let yes_if = |ok: bool| tried.then_some(ok);
    let ready = match trouble {
        Some(class) => (Some(false), class.as_str(), advice(class)),
        None => (
            yes_if(true),
            if tried { "Accepting" } else { "NotTried" },
            "",
        ),
    };
    let blocked = matches!(trouble, Some(DeliveryClass::Blocked));
    let secret = matches!(trouble, Some(DeliveryClass::SecretMissing));
    let rows = [
        ("Ready", ready),
        (
            "AddressAllowed",
            (
                yes_if(!blocked),
                if blocked {
                    "AddressBlocked"
                } else if tried {
                    "Allowed"
                } else {
                    "NotTried"
                },
                if blocked {
                    advice(DeliveryClass::Blocked)
                } else {
                    ""
                },
            ),
        ),
        (
            "SecretResolved",
            (
                yes_if(!secret),
                if secret {
                    "SecretMissing"
                } else if tried {
                    "Resolved"
                } else {
                    "NotTried"
                },
                if secret {
                    advice(DeliveryClass::SecretMissing)
                } else {
                    ""
                },
            ),
        ),
    ];
    for (kind, (ok, reason, message)) in rows {
        let said = Said {
            kind,
            status: ok,
            reason,
            message,
            generation: state.object.as_ref().and_then(|o| o.metadata.generation),
        };
        condition::set(&mut status.conditions, &said, now);
    }
    status
}
