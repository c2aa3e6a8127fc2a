//! Tickets: what the server has, what they should say, and the writes in between.
//!
//! While this process leads it alone writes tickets, so its own copy is the truth: a
//! status that someone else edited is put back, and told counters never go back. While it
//! stands by, and at its start, the stored state is the truth.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use patrol_api::ticket::{Finding, Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{Phase, Severity, ToldState};

use super::evaluate::Known;
use super::{Keys, Patrol, WriteTarget};
use crate::check::Unit;
use crate::clock::{Mono, Now};
use crate::effect::{About, Effect, Precondition};
use crate::event::{Refusal, WriteId, WriteResult, Written};
use crate::facts::ObjectKey;
use crate::kind::Kind;
use crate::ticket::life::{self, Assessment, LifeRules};
use crate::ticket::{self, ledger};

/// Resolved tickets are deleted after this time even if a receiver was never told.
const HARD_CAP: Span = Span::days(90);

#[derive(Debug, Default)]
pub(super) struct Tickets {
    held: BTreeMap<ObjectKey, Held>,
    /// Whose state must be worked out again.
    touched: Keys,
    /// Who needs a write, the most severe first.
    queue: BTreeSet<(Reverse<Severity>, ObjectKey)>,
    timers: BTreeSet<(Time, ObjectKey)>,
    /// Mentioned by the list under way.
    listed: Option<Keys>,
}

/// The writes a ticket can need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TicketWrite {
    Create,
    Status,
    Labels,
    Delete,
    Read,
}

#[derive(Debug, Default)]
struct Held {
    /// As the server has it.
    object: Option<Box<Ticket>>,
    /// As it should be.
    status: TicketStatus,
    clean_since: Option<Time>,
    writing: bool,
    /// Its object must be read before the next write.
    unread: bool,
    /// Its name is taken by an object of another finding.
    foreign: bool,
    retry_at: Option<Mono>,
    failures: u32,
    /// Edits by others that were put back lately.
    mended: u32,
    /// Counted as open under its ceiling.
    counted: bool,
    timer: Option<Time>,
    refused: Option<Refusal>,
}

impl Tickets {
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.held.get(key).is_some_and(|h| h.object.is_some())
    }

    pub fn touch(&mut self, key: &ObjectKey) {
        self.touched.insert(key.clone());
    }

    pub fn finding(&self, key: &ObjectKey) -> Option<&Finding> {
        self.object(key).map(|t| &t.spec.finding)
    }

    pub fn object(&self, key: &ObjectKey) -> Option<&Ticket> {
        self.held.get(key)?.object.as_deref()
    }

    /// The object and the status it should have.
    pub fn view(&self, key: &ObjectKey) -> Option<(&Ticket, &TicketStatus)> {
        let held = self.held.get(key)?;
        Some((held.object.as_deref()?, &held.status))
    }

    pub fn status_mut(&mut self, key: &ObjectKey) -> Option<&mut TicketStatus> {
        self.held.get_mut(key).map(|h| &mut h.status)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Ticket, &TicketStatus)> {
        self.held
            .iter()
            .filter_map(|(k, h)| Some((k, h.object.as_deref()?, &h.status)))
    }

    /// Aggregates whose state was never worked out since they were found.
    pub fn unsettled_aggregates(&self) -> Vec<ObjectKey> {
        self.held
            .iter()
            .filter(|(_, h)| h.object.is_some() && h.status.phase != Phase::Resolved && !h.counted)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Findings that hold and whose ticket could not be written, by reason.
    pub fn refused(&self) -> BTreeMap<Refusal, usize> {
        let mut out = BTreeMap::new();
        for refusal in self.held.values().filter_map(|h| h.refused) {
            *out.entry(refusal).or_default() += 1;
        }
        out
    }

    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    pub fn is_settled(&self) -> bool {
        self.touched.is_empty() && self.queue.is_empty()
    }

    /// The stored state is the truth: forget what this process thought of it.
    pub fn adopt_all(&mut self) {
        for (key, held) in &mut self.held {
            held.writing = false;
            held.retry_at = None;
            held.failures = 0;
            held.clean_since = None;
            if let Some(object) = &held.object {
                held.status = believed(object);
            }
            self.touched.insert(key.clone());
        }
    }

    fn set_timer(&mut self, key: &ObjectKey, at: Option<Time>) {
        let Some(held) = self.held.get_mut(key) else {
            return;
        };
        if held.timer == at {
            return;
        }
        if let Some(before) = held.timer {
            self.timers.remove(&(before, key.clone()));
        }
        held.timer = at;
        if let Some(at) = at {
            self.timers.insert((at, key.clone()));
        }
    }

    fn drop(&mut self, key: &ObjectKey) {
        self.set_timer(key, None);
        self.held.remove(key);
        self.touched.remove(key);
    }
}

/// The status of a stored ticket; absent means open, first edge, nobody told.
fn believed(ticket: &Ticket) -> TicketStatus {
    let created = ticket
        .metadata
        .creation_timestamp
        .as_ref()
        .map(patrol_api::condition::from_meta_time);
    let mut status = ticket.status.clone().unwrap_or_else(|| TicketStatus {
        alert_reason: Some(patrol_api::words::AlertReason::Opened),
        ..TicketStatus::default()
    });
    status.first_opened_at = status.first_opened_at.or(created);
    status.episode.opened_at = status.episode.opened_at.or(created);
    status.episode.sla_start = status.episode.sla_start.or(status.episode.opened_at);
    // A ledger cannot be ahead of its ticket.
    let (episode, seq) = (status.episode.n, status.alert_seq);
    for record in &mut status.alerts {
        record.episode = record.episode.min(episode);
        record.seq = record.seq.min(seq);
    }
    if life::is_forged(&status) {
        let at = created.unwrap_or(Time::from_unix(0));
        let at = status.last_seen_at.unwrap_or(at);
        life::mend(&mut status, at);
    }
    status
}

fn version_of(ticket: &Ticket) -> &str {
    ticket.metadata.resource_version.as_deref().unwrap_or("")
}

/// Whether `new` is an older or equal state of the same object (resourceVersions of one
/// resource are ordered integers, KEP-5504; what does not parse is taken as news).
fn is_old_news(held: &Ticket, new: &Ticket) -> bool {
    match (
        version_of(held).parse::<u128>(),
        version_of(new).parse::<u128>(),
    ) {
        (Ok(held), Ok(new)) => new <= held,
        _ => false,
    }
}

impl Patrol {
    // ------------------------------------------------------------ observations

    pub(super) fn ticket_seen(&mut self, key: ObjectKey, ticket: Ticket, now: Now) {
        if let Some(listed) = &mut self.tickets.listed {
            listed.insert(key.clone());
        }
        let leading = self.leading;
        let held = self.tickets.held.entry(key.clone()).or_default();
        if held
            .object
            .as_ref()
            .is_some_and(|o| is_old_news(o, &ticket))
        {
            return;
        }
        let known_before = held.object.is_some() || held.writing;
        held.unread = false;
        held.foreign = false;
        if !(leading && known_before) {
            held.status = believed(&ticket);
        } else if !held.writing
            && ticket.status.is_some()
            && ticket.status != Some(held.status.clone())
        {
            // Someone else wrote the status: ours goes back in its place, ever more slowly
            // against a rival that does not give up.
            held.mended = held.mended.saturating_add(1);
            let wait = (1u64 << held.mended.min(7)) / 2;
            if held.mended > 2 {
                held.retry_at = Some(now.mono.plus(Span::seconds(wait.min(60))));
            }
            self.counters.statuses_restored += 1;
        }
        held.object = Some(Box::new(ticket));
        self.register(&key);
    }

    /// Makes sure that a ticket's subject is judged, and its owed messages are planned.
    fn register(&mut self, key: &ObjectKey) {
        let Some(finding) = self.tickets.finding(key).cloned() else {
            return;
        };
        if !self.evaluation.known.contains_key(key) {
            let aggregate = self.is_aggregate(key, &finding);
            let unit = if aggregate {
                Unit::Cluster
            } else {
                self.unit_of(&finding)
            };
            let known = Known {
                unit: unit.clone(),
                finding,
                assessment: Assessment::Hold,
                enforced: true,
            };
            if aggregate {
                self.evaluation.learn_apart(key.clone(), known);
            } else {
                self.evaluation.learn(key.clone(), known);
                self.mark(unit);
            }
        }
        self.tickets.touch(key);
        self.plan_alerts(key);
    }

    pub(super) fn ticket_gone(&mut self, key: &ObjectKey, now: Now) {
        let Some(held) = self.tickets.held.get_mut(key) else {
            return;
        };
        let Some(object) = held.object.take() else {
            return;
        };
        held.unread = false;
        let was_open = held.status.phase != Phase::Resolved;
        if was_open && self.leading {
            self.counters.tickets_deleted_open += 1;
            life::push_history(
                &mut held.status,
                Some(Phase::Open),
                Phase::Open,
                "Recreated",
                now.wall,
            );
        }
        if std::mem::take(&mut held.counted) {
            self.count_open(key, &object.spec.finding, false);
        }
        if let Some(unit) = self.evaluation.known.get(key).map(|k| k.unit.clone()) {
            self.mark(unit);
        }
        self.tickets.touch(key);
        self.plan_alerts(key);
    }

    pub(super) fn tickets_listing(&mut self) {
        self.tickets.listed = Some(Keys::new());
    }

    pub(super) fn tickets_listed(&mut self, now: Now) {
        let Some(listed) = self.tickets.listed.take() else {
            return;
        };
        let gone: Vec<ObjectKey> = self
            .tickets
            .held
            .iter()
            .filter(|(key, held)| held.object.is_some() && !listed.contains(*key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.ticket_gone(&key, now);
        }
        // Now that all tickets are known, everything is to be looked at with them in mind.
        self.evaluation.complete_once = false;
    }

    // ------------------------------------------------------------ settling

    pub(super) fn settle_tickets(&mut self, now: Now) {
        self.ticket_timers(now.wall);
        for key in std::mem::take(&mut self.tickets.touched) {
            self.settle_ticket(&key, now);
        }
        let mut later = vec![];
        let mut room = self
            .config
            .writes_in_flight
            .saturating_sub(self.tickets.held.values().filter(|h| h.writing).count());
        while room > 0
            && let Some((severity, key)) = self.tickets.queue.pop_first()
        {
            match self.write_ticket(&key, now) {
                Wrote::Started => room -= 1,
                Wrote::NotNeeded => {}
                Wrote::NotYet => later.push((severity, key)),
            }
        }
        self.tickets.queue.extend(later);
        if let Some((at, _)) = self.tickets.timers.first() {
            self.wake_at(*at);
        }
    }

    fn ticket_timers(&mut self, now: Time) {
        while let Some((at, key)) = self.tickets.timers.first().cloned() {
            if at > now {
                break;
            }
            self.tickets.set_timer(&key, None);
            // A wait for cleanness ends with a fresh look, not with an old verdict.
            if let Some(known) = self.evaluation.known.get(&key)
                && matches!(
                    known.assessment,
                    Assessment::Passing { .. } | Assessment::NoLivePods { .. }
                )
            {
                let unit = known.unit.clone();
                let finding = known.finding.clone();
                if !self.is_aggregate(&key, &finding) {
                    self.evaluate_now(&unit, now);
                }
            }
            self.tickets.touch(&key);
        }
    }

    fn settle_ticket(&mut self, key: &ObjectKey, now: Now) {
        let Some(known) = self.evaluation.known.get(key).cloned() else {
            if !self.tickets.contains(key) {
                self.tickets.drop(key);
            }
            return;
        };
        if self.tickets.contains(key) {
            self.advance_ticket(key, &known, now);
        } else {
            self.settle_absent(key, &known, now);
        }
    }

    fn settle_absent(&mut self, key: &ObjectKey, known: &Known, now: Now) {
        let Assessment::Failing(standing) = &known.assessment else {
            let writing = self.tickets.held.get(key).is_some_and(|h| h.writing);
            if !writing {
                self.overflow_left(key);
                self.tickets.drop(key);
                if !matches!(known.assessment, Assessment::Unknown(_) | Assessment::Hold) {
                    self.evaluation.forget(key);
                }
            }
            return;
        };
        let aggregate = self.is_aggregate(key, &known.finding);
        if !known.enforced || (!aggregate && !self.admit(key, &known.finding)) {
            return;
        }
        let rules = self.life_rules(&known.finding.policy);
        let held = self.tickets.held.entry(key.clone()).or_default();
        // A ticket that was deleted by hand comes back with its history.
        if held.status.first_opened_at.is_none() {
            held.status = life::open(standing, &rules, now.wall);
        } else {
            life::advance(
                &mut held.status,
                &mut held.clean_since,
                &known.assessment,
                &rules,
                now.wall,
            );
        }
        self.tickets
            .queue
            .insert((Reverse(standing.severity), key.clone()));
    }

    fn advance_ticket(&mut self, key: &ObjectKey, known: &Known, now: Now) {
        let rules = self.life_rules(&known.finding.policy);
        let retention = self.retention(&known.finding.policy);
        let Some(held) = self.tickets.held.get_mut(key) else {
            return;
        };
        let change = life::advance(
            &mut held.status,
            &mut held.clean_since,
            &known.assessment,
            &rules,
            now.wall,
        );
        let open = held.status.phase != Phase::Resolved;
        let counts = open != held.counted;
        held.counted = open;
        let severity = held.status.severity.unwrap_or(Severity::Medium);
        let mut look_again = change.look_again;
        if !open {
            look_again = held.status.episode.resolved_at.map(|at| at.plus(retention));
        }
        if let Some(object) = &held.object
            && object.status.is_none()
        {
            let due = bootstrap_at(object, self.config.status_within, now.wall);
            look_again = super::evaluate::earlier(look_again, Some(due));
        }
        let status = held.status.clone();
        self.tickets
            .set_timer(key, look_again.filter(|at| *at > now.wall));
        if counts {
            self.count_open(key, &known.finding, open);
        }
        if let Some(reason) = change.transition {
            self.tell_transition(key, reason, &status);
        }
        self.plan_alerts(key);
        self.tickets.queue.insert((Reverse(severity), key.clone()));
    }

    /// What a policy says of its tickets' lives; a policy that is gone leaves defaults.
    fn life_rules(&self, policy: &str) -> LifeRules {
        let rules = self.ticket_rules(policy);
        LifeRules {
            sla: rules.sla,
            clear_after: rules.clear_after,
        }
    }

    fn retention(&self, policy: &str) -> Span {
        self.ticket_rules(policy).retention
    }

    fn ticket_rules(&self, policy: &str) -> patrol_api::policy::TicketRules {
        self.policies
            .get(policy)
            .map(|p| p.ticket_rules().clone())
            .unwrap_or_default()
    }

    fn tell_transition(&mut self, key: &ObjectKey, reason: &str, status: &TicketStatus) {
        let Some(object) = self.tickets.object(key) else {
            return;
        };
        let about = about(key, object);
        let severity = status.severity.unwrap_or(Severity::Medium);
        let policy = object.spec.finding.policy.clone();
        let note = match status.episode.resolution {
            Some(resolution) if status.phase == Phase::Resolved => {
                format!("{}: {resolution}", object.spec.finding.subject_ref)
            }
            _ => format!("{}: {}", object.spec.finding.subject_ref, status.message),
        };
        self.counters
            .transition(&policy, severity, reason, status.episode.resolution);
        let warning = status.phase != Phase::Resolved;
        self.announce(about, &format!("Ticket{reason}"), note, warning);
    }

    // ------------------------------------------------------------ writing

    fn write_ticket(&mut self, key: &ObjectKey, now: Now) -> Wrote {
        let Some(held) = self.tickets.held.get(key) else {
            return Wrote::NotNeeded;
        };
        if held.writing {
            // Its answer touches it again.
            return Wrote::NotNeeded;
        }
        if let Some(at) = held.retry_at
            && now.mono < at
        {
            let wait = Span::millis(at.since(now.mono)).plus(Span::seconds(1));
            self.wake_at(now.wall.plus(wait));
            return Wrote::NotYet;
        }
        let write = self.needed_write(key, now);
        let Some(write) = write else {
            return Wrote::NotNeeded;
        };
        let id = self.begin_write(WriteTarget::Ticket(key.clone(), write), now);
        match self.effect_of(write, id, key) {
            Some(effect) => {
                if let Some(held) = self.tickets.held.get_mut(key) {
                    held.writing = true;
                }
                self.outbox.push(effect);
                Wrote::Started
            }
            None => {
                self.writes.remove(&id);
                Wrote::NotNeeded
            }
        }
    }

    fn needed_write(&self, key: &ObjectKey, now: Now) -> Option<TicketWrite> {
        let held = self.tickets.held.get(key)?;
        if held.unread {
            return Some(TicketWrite::Read);
        }
        let Some(object) = &held.object else {
            let failing = self
                .evaluation
                .known
                .get(key)
                .is_some_and(|k| k.enforced && matches!(k.assessment, Assessment::Failing(_)));
            return failing.then_some(TicketWrite::Create);
        };
        if held.foreign || self.is_expired(&held.status, &object.spec.finding.policy, now.wall) {
            return Some(TicketWrite::Delete);
        }
        match &object.status {
            Some(status) if *status != held.status => return Some(TicketWrite::Status),
            None if held.status.phase != Phase::Open
                || !held.status.alerts.is_empty()
                || now.wall >= bootstrap_at(object, self.config.status_within, now.wall) =>
            {
                return Some(TicketWrite::Status);
            }
            _ => {}
        }
        let have = object.metadata.labels.as_ref();
        let right = self
            .labels_of(object, &held.status)
            .iter()
            .all(|(k, v)| have.and_then(|l| l.get(k)) == Some(v));
        (!right).then_some(TicketWrite::Labels)
    }

    fn labels_of(&self, object: &Ticket, status: &TicketStatus) -> BTreeMap<String, String> {
        let finding = &object.spec.finding;
        let mut labels = ticket::labels(
            finding,
            status.severity.unwrap_or(Severity::Medium),
            status.party.unwrap_or(patrol_api::words::Party::Customer),
            status.phase,
        );
        // Until the finding was judged again, severity and party are those of the opening.
        if status.severity.is_none() {
            labels.remove(patrol_api::names::LABEL_SEVERITY);
        }
        if status.party.is_none() {
            labels.remove(patrol_api::names::LABEL_PARTY);
        }
        labels
    }

    /// Whether a resolved ticket may go: its time is over, and everyone who was told that
    /// it fires was told that it ended, or the hard cap is reached.
    fn is_expired(&self, status: &TicketStatus, policy: &str, now: Time) -> bool {
        if status.phase != Phase::Resolved {
            return false;
        }
        let Some(resolved) = status.episode.resolved_at else {
            return false;
        };
        let owed = status
            .alerts
            .iter()
            .any(|r| r.state == ToldState::Firing && self.knows_receiver(&r.uid));
        let age = now.since(resolved);
        (age >= self.retention(policy) && !owed) || age >= HARD_CAP
    }

    fn effect_of(&self, write: TicketWrite, id: WriteId, key: &ObjectKey) -> Option<Effect> {
        let held = self.tickets.held.get(key)?;
        if write == TicketWrite::Create {
            let finding = self.evaluation.known.get(key)?.finding.clone();
            let ticket = Box::new(ticket::new_object(key, finding, &held.status));
            return Some(Effect::CreateTicket { id, ticket });
        }
        if write == TicketWrite::Read {
            return Some(Effect::ReadTicket {
                id,
                key: key.clone(),
            });
        }
        let object = held.object.as_deref()?;
        let at = Precondition {
            key: key.clone(),
            uid: object.metadata.uid.clone().unwrap_or_default(),
            version: version_of(object).to_owned(),
        };
        Some(match write {
            TicketWrite::Status => Effect::WriteTicketStatus {
                id,
                at,
                status: Box::new(held.status.clone()),
            },
            TicketWrite::Labels => Effect::WriteTicketLabels {
                id,
                at,
                labels: self.labels_of(object, &held.status),
            },
            _ => Effect::DeleteTicket { id, at },
        })
    }

    // ------------------------------------------------------------ answers

    pub(super) fn ticket_written(
        &mut self,
        key: &ObjectKey,
        write: TicketWrite,
        result: WriteResult,
        now: Now,
    ) {
        self.counters.write(write, &result);
        let Some(held) = self.tickets.held.get_mut(key) else {
            return;
        };
        held.writing = false;
        self.tickets.touched.insert(key.clone());
        match result {
            WriteResult::Done(done) => self.ticket_done(key, write, done, now),
            WriteResult::Exists(Some(ticket)) => self.ticket_exists(key, ticket),
            WriteResult::Exists(None) | WriteResult::Conflict => held.unread = true,
            WriteResult::NotFound => self.ticket_gone(key, now),
            WriteResult::Refused(refusal) => {
                held.refused = Some(refusal).filter(|r| *r != Refusal::NotLeader);
                let base = match refusal {
                    Refusal::NotLeader => 1,
                    Refusal::NamespaceTerminating | Refusal::NamespaceNotFound => 30,
                    _ => 5,
                };
                self.back_off(key, base, now);
                self.evaluation.status_dirty = true;
            }
            WriteResult::Throttled(wait) => {
                let wait = wait.unwrap_or(Span::seconds(1));
                held.retry_at = Some(now.mono.plus(wait.min(Span::seconds(60))));
            }
            WriteResult::Failed => self.back_off(key, 1, now),
        }
    }

    fn ticket_done(&mut self, key: &ObjectKey, write: TicketWrite, done: Written, now: Now) {
        if let Some(listed) = &mut self.tickets.listed {
            listed.insert(key.clone());
        }
        let Some(held) = self.tickets.held.get_mut(key) else {
            return;
        };
        held.failures = 0;
        held.retry_at = None;
        held.refused = None;
        match (write, done) {
            (TicketWrite::Delete, _) => {
                if held.foreign {
                    held.object = None;
                    held.foreign = false;
                } else {
                    self.tickets.drop(key);
                    self.evaluation.forget(key);
                    self.plan_alerts(key);
                    return;
                }
            }
            (_, Written::Ticket(ticket)) => {
                if !held
                    .object
                    .as_ref()
                    .is_some_and(|o| is_old_news(o, &ticket))
                {
                    held.object = Some(ticket);
                }
            }
            _ => {}
        }
        let created = write == TicketWrite::Create;
        self.register(key);
        if created {
            self.opened(key, now);
        }
    }

    fn opened(&mut self, key: &ObjectKey, now: Now) {
        let _ = now;
        if let Some((_, status)) = self.tickets.view(key) {
            let status = status.clone();
            self.tell_transition(key, "Opened", &status);
        }
        self.evaluation.status_dirty = true;
    }

    /// The name was taken: adopt what is there if it is about the same thing.
    fn ticket_exists(&mut self, key: &ObjectKey, ticket: Box<Ticket>) {
        let same = self
            .evaluation
            .known
            .get(key)
            .is_none_or(|k| same_identity(&k.finding, &ticket.spec.finding));
        let Some(held) = self.tickets.held.get_mut(key) else {
            return;
        };
        held.foreign = !same;
        if same {
            // Ours may carry the history of one that was deleted; theirs may be further.
            let stored = believed(&ticket);
            let carried = held.status.first_opened_at.min(stored.first_opened_at);
            let further = stored.alert_seq >= held.status.alert_seq || ticket.status.is_some();
            let mut merged = if further { stored } else { held.status.clone() };
            ledger::join(&mut merged.alerts, &held.status.alerts);
            merged.first_opened_at = carried.or(merged.first_opened_at);
            held.status = merged;
        }
        held.object = Some(ticket);
        self.register(key);
    }

    fn back_off(&mut self, key: &ObjectKey, base: u64, now: Now) {
        if let Some(held) = self.tickets.held.get_mut(key) {
            held.failures = held.failures.saturating_add(1);
            let wait = base.saturating_mul(1 << held.failures.min(6).saturating_sub(1));
            held.retry_at = Some(now.mono.plus(Span::seconds(wait.min(60))));
        }
    }

    fn evaluate_now(&mut self, unit: &Unit, now: Time) {
        self.evaluate_unit(unit, now);
    }
}

enum Wrote {
    Started,
    NotNeeded,
    NotYet,
}

/// When a new ticket gets its status at the latest. A clock that was set back must not
/// delay it.
fn bootstrap_at(object: &Ticket, within: Span, now: Time) -> Time {
    object
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(now, |at| {
            let at = patrol_api::condition::from_meta_time(at);
            if at > now { now } else { at.plus(within) }
        })
}

fn same_identity(a: &Finding, b: &Finding) -> bool {
    a.policy == b.policy
        && a.check == b.check
        && a.requirement == b.requirement
        && a.subject.group == b.subject.group
        && a.subject.kind == b.subject.kind
        && a.subject.namespace == b.subject.namespace
        && a.subject.name == b.subject.name
}

pub(super) fn about(key: &ObjectKey, object: &Ticket) -> About {
    About {
        kind: Kind::Ticket,
        key: key.clone(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
    }
}
