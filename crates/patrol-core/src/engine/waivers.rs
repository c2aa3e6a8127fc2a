//! Waivers: what is known of them, which tickets they stand over, and what is reported on them.

use std::collections::BTreeMap;

use patrol_api::condition::{self, Said};
use patrol_api::ticket::{Finding, Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::waiver::{TicketWaiver, TicketWaiverStatus};
use patrol_api::words::{OverlayKind, Phase, Severity, Treatment};

use super::{Patrol, STATUSES_IN_FLIGHT, WriteTarget};
use crate::check::{Unit, WaiverState};
use crate::clock::{Mono, Now};
use crate::effect::{About, Effect, Precondition};
use crate::event::{WriteResult, Written};
use crate::facts::{Labels, ObjectKey};
use crate::inventory::Blindness;
use crate::kind::Kind;
use crate::ticket::overlay::Waived;
use crate::waiver::{self, Standing, Unusable, Waiver};

/// Between two looks at what all waivers stand over.
const EVERY: Span = Span::seconds(5);

/// Every waiver.
#[derive(Debug, Default)]
pub(super) struct Waivers {
    held: BTreeMap<ObjectKey, Held>,
    /// Counts may be old.
    dirty: bool,
    counted: Option<Mono>,
    /// When the standing of one changes by itself.
    next: Option<Time>,
}

#[derive(Debug)]
struct Held {
    object: Box<TicketWaiver>,
    compiled: Result<Waiver, Unusable>,
    status: TicketWaiverStatus,
    standing: Option<Standing>,
    written: Option<Mono>,
    failures: u32,
    listed: bool,
}

impl Held {
    /// Since when it has stood over nothing.
    fn idle_since(&self) -> Option<Time> {
        let created = self.object.metadata.creation_timestamp.as_ref();
        (self.status.matched == 0)
            .then(|| {
                let used = self.status.last_used_time;
                used.or_else(|| created.map(condition::from_meta_time))
            })
            .flatten()
    }

    /// How it stands, by the last count.
    fn stands(&self, now: Time) -> (Standing, String) {
        match &self.compiled {
            Ok(waiver) => {
                let standing = waiver::standing(waiver.until, self.idle_since(), now);
                (standing, says(standing, waiver.until))
            }
            Err(why) => {
                let standing = match why.reason {
                    "Unbounded" => Standing::Unbounded,
                    _ => Standing::Invalid,
                };
                (standing, why.message.clone())
            }
        }
    }
}

impl Waivers {
    /// The usable ones of a treatment that have not ended.
    fn active(&self, treatment: Treatment, now: Time) -> impl Iterator<Item = &Waiver> {
        self.held
            .values()
            .filter_map(|held| held.compiled.as_ref().ok())
            .filter(move |w| w.treatment == treatment && now < w.until)
    }

    /// How many there are, by how they stand.
    pub fn by_standing(&self) -> BTreeMap<&'static str, u64> {
        let mut out = BTreeMap::new();
        for standing in self.held.values().filter_map(|held| held.standing) {
            *out.entry(standing.as_str()).or_default() += 1;
        }
        out
    }

    /// Ends of those that hold.
    pub fn ends(&self) -> impl Iterator<Item = Time> {
        self.held
            .values()
            .filter(|held| held.standing.is_some_and(Standing::holds))
            .filter_map(|held| held.compiled.as_ref().ok().map(|w| w.until))
    }
}

impl Patrol {
    pub(super) fn waiver_seen(&mut self, key: ObjectKey, object: TicketWaiver, now: Now) {
        let compiled = Waiver::compile(&object, &self.config.namespace);
        let before = self.waivers.held.get(&key);
        let same = before.is_some_and(|held| {
            held.object.spec == object.spec && held.object.metadata.uid == object.metadata.uid
        });
        let status = match before {
            Some(held) if same && self.leads() => held.status.clone(),
            _ => object.status.clone().unwrap_or_default(),
        };
        let held = Held {
            status,
            standing: before.filter(|_| same).and_then(|held| held.standing),
            written: before.and_then(|held| held.written),
            failures: before.map_or(0, |held| held.failures),
            listed: true,
            object: Box::new(object),
            compiled,
        };
        self.waivers.held.insert(key.clone(), held);
        self.stand_waiver(&key, now);
        if !same {
            self.waiver_changed(&key, now);
        }
    }

    /// Whoever takes over has counted nothing yet, and what was counted while another led is old.
    pub(super) fn stand_waivers(&mut self, now: Now) {
        let keys: Vec<ObjectKey> = self.waivers.held.keys().cloned().collect();
        for key in &keys {
            self.stand_waiver(key, now);
        }
    }

    /// That a waiver is there is known at once, what it stands over with the next count: a ticket about it must not end
    /// because nobody has counted yet.
    fn stand_waiver(&mut self, key: &ObjectKey, now: Now) {
        let Some(held) = self.waivers.held.get(key) else {
            return;
        };
        let (standing, message) = held.stands(now.wall);
        let state = WaiverState {
            uid: held.object.metadata.uid.clone(),
            standing,
            message,
        };
        if self.own.waivers.get(key) != Some(&state) {
            self.own.waivers.insert(key.clone(), state);
            self.mark(Unit::Cluster);
        }
    }

    pub(super) fn waiver_gone(&mut self, key: &ObjectKey, now: Now) {
        // One that nobody could read may have been held on to.
        let sight = self.inventory.sight_mut(Kind::TicketWaiver);
        let unread = sight.is_blind_to(key);
        sight.seen(key);
        let held = self.waivers.held.remove(key).is_some();
        if held || unread {
            self.waiver_changed(key, now);
        }
    }

    pub(super) fn waivers_listing(&mut self) {
        for held in self.waivers.held.values_mut() {
            held.listed = false;
        }
    }

    pub(super) fn waivers_listed(&mut self, now: Now) {
        let sight = self.inventory.sight(Kind::TicketWaiver);
        let gone: Vec<ObjectKey> = self
            .waivers
            .held
            .iter()
            .filter(|(key, held)| !held.listed && !sight.is_blind_to(key))
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.waiver_gone(&key, now);
        }
        // What was held on to until the waivers were known is decided now.
        self.tickets.touch_all();
        self.routes_changed();
    }

    /// Waivers that ask for labels stand over what they could not before, or no longer.
    pub(super) fn labels_listed(&mut self) {
        let mut compiled = self
            .waivers
            .held
            .values()
            .filter_map(|held| held.compiled.as_ref().ok());
        if compiled.any(Waiver::reads_labels) {
            self.tickets.touch_all();
            self.routes_changed();
        }
    }

    pub(super) fn waivers_uninstalled(&mut self, now: Now) {
        let all: Vec<ObjectKey> = self.waivers.held.keys().cloned().collect();
        for key in all {
            self.waiver_gone(&key, now);
        }
        self.tickets.touch_all();
    }

    fn waiver_changed(&mut self, key: &ObjectKey, _now: Now) {
        self.waivers.dirty = true;
        let shared = *key.namespace == *self.config.namespace;
        let reached: Vec<ObjectKey> = self
            .tickets
            .iter()
            .filter(|(_, ticket, _)| {
                shared || ticket.spec.finding.subject.namespace.as_deref() == Some(&*key.namespace)
            })
            .map(|(key, ..)| key.clone())
            .collect();
        for key in &reached {
            self.tickets.touch(key);
        }
        self.routes_changed();
    }

    /// The waiver that takes a ticket out of the open ones. While waivers cannot be seen, what was waived stays so:
    /// that a waiver is not there must be seen, too.
    pub(super) fn waived(
        &self,
        finding: &Finding,
        status: &TicketStatus,
        now: Time,
    ) -> Option<Waived> {
        if let Some(found) = self.waiver_that_waives(finding, status, now) {
            return Some(found.waived().clone());
        }
        let overlay = status
            .overlay
            .as_ref()
            .filter(|overlay| overlay.kind == OverlayKind::Waived)?;
        let waiver = overlay.waiver.as_deref().unwrap_or("");
        let (namespace, name) = waiver.split_once('/').unwrap_or(("", waiver));
        let sight = self.inventory.sight(Kind::TicketWaiver);
        // A list under way has forgotten what could not be read before it.
        let unseen = sight.blindness().is_some()
            || sight.is_relisting()
            || sight.may_lack(&ObjectKey::new(namespace, name));
        unseen.then(|| Waived {
            waiver: waiver.to_owned(),
            owner: overlay.by.clone().unwrap_or_default(),
            reason: overlay.reason.clone(),
            until: overlay.until,
            reset_sla: overlay.reset_sla,
        })
    }

    /// The waiver that waives a ticket now. One that asks for labels stands over its tickets while those of the subject are not
    /// seen: a subject that cannot be read has its labels still, and the ticket of one that is gone ends anyway.
    fn waiver_that_waives(
        &self,
        finding: &Finding,
        status: &TicketStatus,
        now: Time,
    ) -> Option<&Waiver> {
        let found = self.waiver_over(finding, status, Treatment::Waive, now);
        if found.is_some() {
            return found;
        }
        let severity = status.severity.unwrap_or(Severity::Medium);
        let overlay = status.overlay.as_ref();
        let stood = overlay.filter(|overlay| overlay.kind == OverlayKind::Waived)?;
        self.waivers
            .active(Treatment::Waive, now)
            .find(|waiver| Some(&waiver.waived().waiver) == stood.waiver.as_ref())
            .filter(|waiver| waiver.reads_labels() && self.labels_of(finding).is_none())
            .filter(|waiver| waiver.covers_but_for_labels(finding, severity))
    }

    /// Until when nothing of a ticket goes out, because somebody muted it. One that is over says since when its messages
    /// may go again: they have not waited longer.
    pub(super) fn muted_until(&self, ticket: &Ticket, status: &TicketStatus) -> Option<Time> {
        let ever = Time::from_unix(0);
        self.waiver_over(&ticket.spec.finding, status, Treatment::Mute, ever)
            .map(|waiver| waiver.until)
    }

    /// The waiver that mutes a ticket now.
    pub(super) fn mute_over(
        &self,
        ticket: &Ticket,
        status: &TicketStatus,
        now: Time,
    ) -> Option<&Waiver> {
        self.waiver_over(&ticket.spec.finding, status, Treatment::Mute, now)
    }

    /// Of several that stand over a ticket the one that ends last.
    fn waiver_over(
        &self,
        finding: &Finding,
        status: &TicketStatus,
        treatment: Treatment,
        now: Time,
    ) -> Option<&Waiver> {
        if self.waivers.held.is_empty() {
            return None;
        }
        let severity = status.severity.unwrap_or(Severity::Medium);
        let mut labels = None;
        self.waivers
            .active(treatment, now)
            .filter(|waiver| {
                if waiver.reads_labels() && labels.is_none() {
                    labels = Some(self.labels_of(finding));
                }
                let labels = labels.flatten();
                waiver.covers(finding, severity, labels)
                    // Before the first list nobody knows whom it mutes, and a list takes seconds.
                    || treatment == Treatment::Mute
                        && labels.is_none()
                        && self.is_yet_to_be_listed(finding)
                        && waiver.covers_but_for_labels(finding, severity)
            })
            .max_by_key(|waiver| (waiver.until, std::cmp::Reverse(&waiver.key)))
    }

    fn is_yet_to_be_listed(&self, finding: &Finding) -> bool {
        let subject = &finding.subject;
        let kind = Kind::find(&subject.group, &subject.kind);
        kind.is_some_and(|kind| self.inventory.sight(kind).blindness() == Some(Blindness::Unsynced))
    }

    fn labels_of(&self, finding: &Finding) -> Option<&Labels> {
        let subject = &finding.subject;
        let key = ObjectKey::new(subject.namespace.as_deref().unwrap_or(""), &subject.name);
        match Kind::find(&subject.group, &subject.kind)? {
            Kind::Node => self.inventory.node(&key.name).map(|n| &n.meta.labels),
            Kind::Namespace => self.inventory.namespace(&key.name).map(|n| &n.meta.labels),
            Kind::Pod => self.inventory.pod_at(&key).map(|p| &p.shape.labels),
            kind => self.inventory.workload(kind, &key).map(|w| &w.meta.labels),
        }
    }

    // ------------------------------------------------------------ reporting

    /// Counts what waivers stand over and writes what is reported on them.
    pub(super) fn settle_waivers(&mut self, now: Now) {
        if self.waivers.held.is_empty() && self.own.waivers.is_empty() {
            return;
        }
        let timed = self.waivers.next.is_some_and(|at| at <= now.wall);
        if self.waivers.dirty || timed {
            let ready = self
                .waivers
                .counted
                .is_none_or(|at| now.mono >= at.plus(EVERY));
            if ready {
                self.waivers.dirty = false;
                self.waivers.counted = Some(now.mono);
                self.count_waivers(now);
            } else {
                self.wake_at(now.wall.plus(EVERY));
            }
        }
        if let Some(at) = self.waivers.next {
            self.wake_at(at);
        }
        let keys: Vec<ObjectKey> = self.waivers.held.keys().cloned().collect();
        for key in keys {
            self.write_waiver(&key, now);
        }
    }

    /// Tickets moved under or out of waivers.
    pub(super) fn waivers_moved(&mut self) {
        self.waivers.dirty = true;
    }

    fn count_waivers(&mut self, now: Now) {
        let mut matched: BTreeMap<ObjectKey, u64> = BTreeMap::new();
        for (_, ticket, status) in self.tickets.iter() {
            if status.phase == Phase::Resolved {
                continue;
            }
            let waives = self.waiver_that_waives(&ticket.spec.finding, status, now.wall);
            let mutes = self.mute_over(ticket, status, now.wall);
            for waiver in waives.into_iter().chain(mutes) {
                *matched.entry(waiver.key.clone()).or_default() += 1;
            }
        }
        let mut next: Option<Time> = None;
        let mut warnings = vec![];
        let mut states = BTreeMap::new();
        for (key, held) in &mut self.waivers.held {
            let count = matched.get(key).copied().unwrap_or(0);
            if (held.status.matched > 0) != (count > 0)
                || held.status.last_used_time.is_none() && count > 0
            {
                held.status.last_used_time = Some(now.wall);
            }
            held.status.matched = count;
            if let Ok(waiver) = &held.compiled {
                let changes = waiver::changes_at(waiver.until, held.idle_since(), now.wall);
                next = super::evaluate::earlier(next, changes);
            }
            held.status.expires_at = held.compiled.as_ref().ok().map(|w| w.until);
            let (standing, message) = held.stands(now.wall);
            held.status.observed_generation = held.object.metadata.generation;
            condition::set(
                &mut held.status.conditions,
                &Said {
                    kind: "Active",
                    status: Some(standing.holds()),
                    reason: standing.as_str(),
                    message: &message,
                    generation: held.object.metadata.generation,
                },
                now.wall,
            );
            if held.standing.replace(standing) != Some(standing) && standing != Standing::Active {
                warnings.push((about(key, &held.object), standing, message.clone()));
            }
            let uid = held.object.metadata.uid.clone();
            states.insert(
                key.clone(),
                WaiverState {
                    uid,
                    standing,
                    message,
                },
            );
        }
        self.waivers.next = next;
        if self.own.waivers != states {
            self.own.waivers = states;
            self.mark(Unit::Cluster);
        }
        for (about, standing, message) in warnings {
            self.announce(
                about,
                &format!("Waiver{}", standing.as_str()),
                message,
                true,
            );
        }
    }

    fn write_waiver(&mut self, key: &ObjectKey, now: Now) {
        let target = WriteTarget::WaiverStatus(key.clone());
        if self.is_writing(&target)
            || self.under_way(|what| matches!(what, WriteTarget::WaiverStatus(_)))
                >= STATUSES_IN_FLIGHT
        {
            return;
        }
        let Some(held) = self.waivers.held.get_mut(key) else {
            return;
        };
        if held.standing.is_none() || held.object.status.as_ref() == Some(&held.status) {
            return;
        }
        let stored = held.object.status.as_ref();
        let flipped = stored.map(|s| &s.conditions) != Some(&held.status.conditions);
        let least = match (flipped, held.failures) {
            (false, _) => EVERY,
            (true, failures) => Span::seconds(1 << failures.min(6)),
        };
        if let Some(at) = held.written.map(|at| at.plus(least))
            && now.mono < at
        {
            let wait = Span::millis(at.since(now.mono)).plus(Span::seconds(1));
            self.wake_at(now.wall.plus(wait));
            return;
        }
        held.written = Some(now.mono);
        let at = Precondition {
            key: key.clone(),
            uid: held.object.metadata.uid.clone().unwrap_or_default(),
            version: held
                .object
                .metadata
                .resource_version
                .clone()
                .unwrap_or_default(),
        };
        let status = Box::new(held.status.clone());
        let id = self.begin_write(target, now);
        self.outbox
            .push(Effect::WriteWaiverStatus { id, at, status });
    }

    pub(super) fn waiver_written(&mut self, key: &ObjectKey, result: WriteResult, now: Now) {
        match result {
            WriteResult::Done(Written::Waiver(waiver)) => {
                if let Some(held) = self.waivers.held.get_mut(key) {
                    held.failures = 0;
                }
                self.waiver_seen(key.clone(), *waiver, now);
            }
            WriteResult::Done(_) => {}
            // Tried again with the version the watch brings, ever more rarely.
            _ => {
                if let Some(held) = self.waivers.held.get_mut(key) {
                    held.failures = held.failures.saturating_add(1);
                }
            }
        }
    }
}

fn about(key: &ObjectKey, object: &TicketWaiver) -> About {
    About {
        kind: Kind::TicketWaiver,
        key: key.clone(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
    }
}

fn says(standing: Standing, until: Time) -> String {
    match standing {
        Standing::Active => format!("it holds until {until}"),
        Standing::Expiring => {
            format!(
                "it ends at {until}, and its tickets come back: mend what it waives, or renew it with a new reason"
            )
        }
        Standing::Expired => {
            format!(
                "it ended at {until} and waives nothing any more: delete it, or give a new end and reason"
            )
        }
        Standing::Unused => {
            "it has stood over no ticket for 30 days: delete it, or correct what it selects".into()
        }
        Standing::Unbounded | Standing::Invalid => String::new(),
    }
}
