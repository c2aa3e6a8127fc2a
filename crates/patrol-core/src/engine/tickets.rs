//! Tickets: what the server has, what they should say, and the writes in between.
//!
//! While this process leads it alone writes tickets, so its own copy is the truth: a
//! status that someone else edited is put back, and told counters never go back. While it
//! stands by, and at its start, the stored state is the truth.

mod answer;
mod buried;
mod copy;
mod observe;
mod queue;
mod retention;
mod settle;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use patrol_api::names::{LABEL_PARTY, LABEL_SEVERITY};
use patrol_api::ticket::{AlertRecord, Finding, Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Phase, Severity, ToldState};

use super::Keys;
use super::overflow::Bucket;
use crate::clock::{Mono, Now};
use crate::effect::About;
use crate::event::Refusal;
use crate::facts::ObjectKey;
use crate::kind::Kind;
use crate::ticket::{forged, ledger};

/// Why a ticket that someone deleted is there again, in its history.
const RECREATED: &str = "Recreated";

#[derive(Debug, Default)]
pub(super) struct Tickets {
    held: BTreeMap<ObjectKey, Held>,
    /// Whose state must be worked out again.
    touched: Keys,
    /// Who needs a write.
    queue: queue::Queue,
    /// Who must wait before the next write.
    waiting: BTreeSet<(Mono, ObjectKey)>,
    timers: BTreeSet<(Time, ObjectKey)>,
    /// Mentioned by the list under way.
    listed: Option<Keys>,
    /// UIDs that the server said are gone, for as long as a watch may still speak of them.
    buried: buried::Buried,
    retention: retention::Retention,
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
    /// As the server has it, but for its status.
    object: Option<Box<Ticket>>,
    /// As the server had it when it was deleted under us: whoever was told that it fires is
    /// told its end.
    last: Option<Box<Ticket>>,
    vanished: Mono,
    /// When the server last answered a write of ours with the object.
    answered: Option<Mono>,
    /// As it should be, and as the server has it.
    status: copy::Status,
    clean_since: Option<Time>,
    /// The finding holds and may have an object.
    wanted: bool,
    writing: bool,
    /// It is being deleted at the end of its last day, and somebody is owed its end. That the watch may say that it is gone before
    /// the answer does must not hide the loss.
    leaves_owing: bool,
    /// The status under way.
    sent: Option<Arc<TicketStatus>>,
    /// Its object must be read before the next write.
    unread: bool,
    /// Its name is taken by an object of another finding.
    foreign: bool,
    retry_at: Option<Mono>,
    failures: u32,
    /// Edits by others that were put back lately, and when the last one was.
    rivals: (u32, Mono),
    /// The ceiling under which it has a place.
    place: Option<Bucket>,
    timer: Option<Time>,
    refused: Option<Refusal>,
}

impl Held {
    fn back_off(&mut self, base: u64, now: Now) {
        self.failures = self.failures.saturating_add(1);
        let wait = base.saturating_mul(1 << self.failures.min(7).saturating_sub(1));
        self.retry_at = Some(now.mono.plus(Span::seconds(wait.min(60))));
    }

    /// Someone else writes what is ours: it is put back, ever more slowly against a rival
    /// that does not give up.
    fn rival(&mut self, now: Now) {
        let (count, last) = self.rivals;
        let lately = now.mono < last.plus(Span::minutes(10));
        let count = if lately { count.saturating_add(1) } else { 1 };
        self.rivals = (count, now.mono);
        if count > 2 {
            let wait = (1u64 << count.min(7)) / 2;
            self.retry_at = Some(now.mono.plus(Span::seconds(wait.min(60))));
        }
    }
}

/// A ticket that the server has, or had when it was deleted under us.
pub(super) struct HeldOrLast<'a> {
    pub ticket: &'a Ticket,
    /// As it should be.
    pub status: &'a TicketStatus,
    /// As it is stored.
    pub stored: Option<&'a TicketStatus>,
    pub is_there: bool,
}

impl Tickets {
    /// Whether the server has it.
    pub fn contains(&self, key: &ObjectKey) -> bool {
        self.held.get(key).is_some_and(|h| h.object.is_some())
    }

    /// Whether anything is known or planned of it: an object, one on its way, or an end
    /// that is owed.
    pub fn is_held(&self, key: &ObjectKey) -> bool {
        self.held.contains_key(key)
    }

    pub fn touch(&mut self, key: &ObjectKey) {
        self.touched.insert(key.clone());
    }

    pub fn touch_all(&mut self) {
        self.touched.extend(self.held.keys().cloned());
    }

    /// While standing by nothing is settled; everything is when leading begins.
    pub fn forget_touches(&mut self) {
        self.touched.clear();
    }

    pub fn finding(&self, key: &ObjectKey) -> Option<&Finding> {
        self.object(key).map(|t| &t.spec.finding)
    }

    /// A wait for cleanness ends.
    pub fn seen_unclean(&mut self, key: &ObjectKey) {
        if let Some(held) = self.held.get_mut(key) {
            held.clean_since = None;
        }
    }

    pub fn object(&self, key: &ObjectKey) -> Option<&Ticket> {
        self.held.get(key)?.object.as_deref()
    }

    /// What may be told: the object and the status it should have. An object that was
    /// deleted under us is told of only once its episode has ended.
    pub fn view(&self, key: &ObjectKey) -> Option<(&Ticket, &TicketStatus)> {
        let held = self.held.get(key)?;
        let last = || {
            held.last
                .as_deref()
                .filter(|_| held.status.phase == Phase::Resolved)
        };
        Some((held.object.as_deref().or_else(last)?, &*held.status))
    }

    /// The same, also of one that is gone and has not ended yet.
    pub fn view_or_last(&self, key: &ObjectKey) -> Option<(&Ticket, &TicketStatus)> {
        let held = self.held.get(key)?;
        let ticket = held.object.as_deref().or(held.last.as_deref())?;
        Some((ticket, &*held.status))
    }

    /// Every ticket that the server has, or had when it was deleted under us and its end may be owed.
    pub fn held_or_last(&self) -> impl Iterator<Item = HeldOrLast<'_>> {
        self.held.values().filter_map(|held| {
            Some(HeldOrLast {
                ticket: held.object.as_deref().or(held.last.as_deref())?,
                status: &held.status,
                is_there: held.object.is_some(),
                stored: held.status.stored(),
            })
        })
    }

    /// Whether the object with this UID is the one that the server has, or had when it was deleted under us.
    pub fn is_or_was(&self, key: &ObjectKey, uid: &str) -> bool {
        let held = self.held.get(key);
        let object = held.and_then(|h| h.object.as_deref().or(h.last.as_deref()));
        object.is_some_and(|t| t.metadata.uid.as_deref().unwrap_or("") == uid)
    }

    /// Whether the server has the state that a message would tell. What was told and not
    /// stored would be forgotten by a crash, and with it the end that is owed.
    pub fn is_stored(&self, key: &ObjectKey) -> bool {
        let Some(held) = self.held.get(key) else {
            return false;
        };
        if held.object.is_none() {
            return held.last.is_some(); // nothing can be stored any more
        }
        let state = |s: &TicketStatus| (s.phase, s.episode.n, s.alert_seq);
        let stored = held.status.stored().map_or((Phase::Open, 1, 1), state);
        stored == state(&held.status)
    }

    /// What the status of a ticket should be, also of one without an object.
    pub fn status(&self, key: &ObjectKey) -> Option<&TicketStatus> {
        self.held.get(key).map(|h| &*h.status)
    }

    pub fn status_mut(&mut self, key: &ObjectKey) -> Option<&mut TicketStatus> {
        self.held.get_mut(key).map(|h| &mut *h.status)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Ticket, &TicketStatus)> {
        self.held
            .iter()
            .filter_map(|(k, h)| Some((k, h.object.as_deref()?, &*h.status)))
    }

    /// The same, and what was deleted under us while its gap is there: it is about to be made again, and is no less open for that.
    pub fn standing(&self) -> impl Iterator<Item = (&ObjectKey, &Ticket, &TicketStatus)> {
        self.held.iter().filter_map(|(k, h)| {
            let last = || {
                let open = h.status.phase != Phase::Resolved;
                h.last.as_deref().filter(|_| open)
            };
            Some((k, h.object.as_deref().or_else(last)?, &*h.status))
        })
    }

    /// Everything that owes, or may owe, something to someone.
    pub fn keys(&self) -> impl Iterator<Item = &ObjectKey> {
        self.held.keys()
    }

    /// The same in order, from the one after this on.
    pub fn keys_after(&self, after: Option<&ObjectKey>) -> impl Iterator<Item = &ObjectKey> {
        let from = match after {
            Some(key) => Bound::Excluded(key.clone()),
            None => Bound::Unbounded,
        };
        self.held
            .range((from, Bound::Unbounded))
            .map(|(key, _)| key)
    }

    pub fn has_place(&self, key: &ObjectKey) -> bool {
        self.held.get(key).is_some_and(|h| h.place.is_some())
    }

    pub fn take_place(&mut self, key: &ObjectKey, bucket: Bucket) {
        self.held.entry(key.clone()).or_default().place = Some(bucket);
    }

    pub fn leave_place(&mut self, key: &ObjectKey) -> Option<Bucket> {
        self.held.get_mut(key)?.place.take()
    }

    /// Findings that hold and whose ticket could not be written, by reason.
    pub fn refused(&self) -> BTreeMap<Refusal, usize> {
        let mut out = BTreeMap::new();
        for refusal in self.held.values().filter_map(|h| h.refused) {
            *out.entry(refusal).or_default() += 1;
        }
        out
    }

    /// Asks for a write.
    fn ask(&mut self, severity: Severity, key: &ObjectKey) {
        let stored = self.contains(key);
        self.queue.ask(severity, key, stored);
    }

    pub fn queued(&self) -> usize {
        self.queue.len() + self.waiting.len()
    }

    /// Whether a write is still to come (but for those that failed again and again), or a
    /// subject that passes is watched before its ticket resolves.
    pub fn is_busy(&self) -> bool {
        let hopeful = |key: &ObjectKey| {
            self.held
                .get(key)
                .is_some_and(|held| held.failures < super::once::TRIES)
        };
        let clearing = |held: &Held| {
            held.clean_since.is_some()
                && held.object.is_some()
                && held.status.phase != Phase::Resolved
        };
        !self.touched.is_empty()
            || !self.queue.is_empty()
            || self.waiting.iter().any(|(_, key)| hopeful(key))
            || self.held.values().any(clearing)
    }

    /// How many tickets of those there are have a record of what was told that is not stored.
    pub fn unrecorded(&self) -> usize {
        let is_recorded = |held: &Held| {
            let stored = held.status.stored().map(|stored| stored.alerts.as_slice());
            stored.unwrap_or_default() == held.status.alerts
        };
        let there = self.held.values().filter(|held| held.object.is_some());
        there.filter(|held| !is_recorded(held)).count()
    }

    /// Tickets that should be there and are not stored.
    pub fn unwritten(&self) -> impl Iterator<Item = &ObjectKey> {
        self.held
            .iter()
            .filter(|(_, held)| held.wanted && held.object.is_none())
            .map(|(key, _)| key)
    }

    /// The stored state is the truth: forget what this process thought of it.
    pub fn adopt_all(&mut self, now: Time) {
        self.queue.clear();
        self.waiting.clear();
        for held in self.held.values_mut() {
            held.writing = false;
            held.sent = None;
            held.retry_at = None;
            held.failures = 0;
            held.clean_since = None;
            if let Some(object) = &held.object {
                let believed = believed(object, held.status.stored(), now);
                held.status.become_this(believed);
                held.status.share();
            }
        }
        self.touch_all();
    }

    /// The clock jumped: no wait may end early or never.
    pub fn clock_jumped(&mut self, now: Time) {
        for held in self.held.values_mut() {
            held.clean_since = None;
            ledger::heal_clock(&mut held.status, now);
        }
        self.touch_all();
    }

    fn bury(&mut self, key: &ObjectKey, now: Now) {
        if let Some(uid) = self.object(key).and_then(|t| t.metadata.uid.clone()) {
            self.buried.add(uid, now.mono);
        }
    }

    /// The server has it, whatever was said before.
    fn unbury(&mut self, ticket: &Ticket) {
        if let Some(uid) = &ticket.metadata.uid {
            self.buried.remove(uid);
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
fn believed(ticket: &Ticket, stored: Option<&TicketStatus>, now: Time) -> TicketStatus {
    let created = created_at(ticket);
    let mut status = match stored {
        Some(status) => status.clone(),
        // Its labels say what it was opened as.
        None => TicketStatus {
            alert_reason: Some(AlertReason::Opened),
            severity: label(ticket, LABEL_SEVERITY),
            party: label(ticket, LABEL_PARTY),
            ..TicketStatus::default()
        },
    };
    status.first_opened_at = status.first_opened_at.or(created);
    status.episode.opened_at = status.episode.opened_at.or(created);
    status.episode.sla_start = status.episode.sla_start.or(status.episode.opened_at);
    // A ledger cannot be ahead of its ticket, nor of the clock.
    let (episode, seq) = (status.episode.n, status.alert_seq);
    for record in &mut status.alerts {
        record.episode = record.episode.min(episode);
        record.seq = record.seq.min(seq);
    }
    ledger::heal_clock(&mut status, now);
    if forged::is_forged(&status) {
        let at = created.unwrap_or(Time::from_unix(0));
        let at = status.last_seen_at.unwrap_or(at);
        forged::mend(&mut status, at);
    }
    drop_false_ends(&mut status);
    status
}

/// Nobody can have been told the end of an edge that is open: such a record would keep
/// everything of that edge from being recorded, and so repeat it for ever.
fn drop_false_ends(status: &mut TicketStatus) {
    let edge = (status.episode.n, status.alert_seq);
    if status.phase != Phase::Resolved {
        let is_false = |r: &AlertRecord| r.state == ToldState::Closed && (r.episode, r.seq) == edge;
        status.alerts.retain(|r| !is_false(r));
    }
}

/// What two copies of one ticket add up to: `ours` may carry the history of one that was
/// deleted, the stored one may be further along.
fn reconcile(
    ours: &TicketStatus,
    ticket: &Ticket,
    stored: Option<&TicketStatus>,
    now: Time,
) -> TicketStatus {
    let theirs = believed(ticket, stored, now);
    if ours.first_opened_at.is_none() {
        return theirs;
    }
    let opened = first_opened(ours, stored, &theirs);
    let mut merged = if stored.is_some() {
        theirs
    } else {
        ours.clone()
    };
    ledger::join(&mut merged.alerts, &ours.alerts);
    merged.first_opened_at = opened;
    merged
}

/// When a ticket was first opened. What is written down stands, and so does what the one
/// that was deleted had said: a clock that was set back makes no opening earlier.
fn first_opened(
    ours: &TicketStatus,
    stored: Option<&TicketStatus>,
    theirs: &TicketStatus,
) -> Option<Time> {
    let written = stored.and_then(|s| s.first_opened_at);
    let is_carried = ours.episode.n > 1 || ours.history.iter().any(|h| h.reason == RECREATED);
    let carried = ours.first_opened_at.filter(|_| is_carried);
    let known = [ours.first_opened_at, theirs.first_opened_at];
    written
        .or(carried)
        .or_else(|| known.into_iter().flatten().min())
}

/// What a new leader makes of a state that the old one wrote just before: the further one
/// stays, and of two that are equally far the one that is stored. Nothing that was told is
/// forgotten, and what was opened first stays so.
fn succeed(
    ours: &TicketStatus,
    ticket: &Ticket,
    stored: Option<&TicketStatus>,
    now: Time,
) -> TicketStatus {
    let theirs = believed(ticket, stored, now);
    let state = |s: &TicketStatus| (s.episode.n, s.alert_seq, s.phase == Phase::Resolved);
    // A status that was never written holds nothing of its own but when it was opened.
    let equal = stored.is_some() || ours.history.is_empty();
    let further = state(&theirs).cmp(&state(ours));
    let mut merged = if further.is_gt() || (further.is_eq() && equal) {
        theirs.clone()
    } else {
        ours.clone()
    };
    ledger::join(&mut merged.alerts, &theirs.alerts);
    ledger::join(&mut merged.alerts, &ours.alerts);
    merged.first_opened_at = first_opened(ours, stored, &theirs);
    drop_false_ends(&mut merged);
    merged
}

fn created_at(ticket: &Ticket) -> Option<Time> {
    let created = ticket.metadata.creation_timestamp.as_ref();
    created.map(patrol_api::condition::from_meta_time)
}

fn label<T: std::str::FromStr>(ticket: &Ticket, key: &str) -> Option<T> {
    ticket.metadata.labels.as_ref()?.get(key)?.parse().ok()
}

fn is_told_firing(status: &TicketStatus) -> bool {
    status.alerts.iter().any(|r| r.state == ToldState::Firing)
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

/// When a new ticket gets its status at the latest. A clock that was set back must not
/// delay it.
fn bootstrap_at(object: &Ticket, within: Span, now: Time) -> Time {
    created_at(object).map_or(now, |at| if at > now { now } else { at.plus(within) })
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
