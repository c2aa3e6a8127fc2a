//! The groups that a receiver holds an alarm for, as its status records them: what was told of each, and which of its incidents
//! stands. An alarm is written down before it begins, so that whoever leads next can end it.

mod settle;

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::receiver::{EndpointKind, GroupRecord};
use patrol_api::ticket::TicketStatus;
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Phase, QuietNotice, ToldState};

use super::super::{Patrol, WriteTarget};
use super::alarms::holds_alarms;
use super::{Draft, Flight, GroupId};
use crate::clock::Mono;
use crate::facts::ObjectKey;
use crate::sym::Sym;
use crate::ticket::ledger;

/// As many groups a receiver's status holds. When there are more, they are made coarser.
pub(in crate::engine) const MOST: usize = 1024;
/// A group that is over is shown for so long.
const OVER: Span = Span::hours(1);
/// Between two looks while messages about it go out and are not answered.
const NEXT: Span = Span::seconds(5);
/// The same once they are.
const SOON: Span = Span::seconds(1);
/// Where it cannot be written down that a group is about to have an alarm, it gets one all the same after so long.
const UNWRITTEN: Span = Span::minutes(1);

/// What is known of groups and alarms that do not go together.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    /// Something changed, or is not done yet.
    look: bool,
    looked: Option<Mono>,
    /// How long to wait after that.
    wait: Option<Span>,
    /// Since when a group has an alarm and no ticket, or tickets and no alarm.
    since: BTreeMap<GroupId, Mono>,
}

impl Doubts {
    /// A ticket, a route or a group changed.
    pub const fn arise(&mut self) {
        self.look = true;
    }

    /// A message went through: the next one may go now, if there are more.
    fn go_on(&mut self) {
        if self.wait == Some(NEXT) {
            self.wait = Some(SOON);
        }
    }

    /// A receiver is gone.
    pub(super) fn forget_receiver(&mut self, name: &str) {
        self.since.retain(|group, _| group.0 != name);
    }
}

/// Of the tickets of a group that a receiver counts as firing: all, and those told by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub all: u32,
    pub numbered: u32,
    /// Those that nobody acknowledged or put off.
    pub untaken: u32,
}

impl Patrol {
    /// A receiver accepted a part of a message about a group for which it holds an alarm.
    pub(super) fn note_group(&mut self, name: &str, flight: &Flight, whole: bool, at: Time) {
        let Some(standing) = flight.standing else {
            return;
        };
        let Some(state) = self.receivers.get_mut(name) else {
            return;
        };
        let key = record_key(&flight.group);
        let over = whole && standing == 0;
        let before = state.groups.get(&key);
        let record = GroupRecord {
            key: key.clone(),
            told_count: u64::from(standing),
            state: match over {
                true => ToldState::Closed,
                false => ToldState::Firing,
            },
            at,
            incident: match over {
                // Whatever comes later is a new one under the first name.
                true => 0,
                false => before.map_or(0, |group| group.incident),
            },
            // The next incident rings again.
            acknowledged: !over
                && (flight.acknowledges
                    || !state.begun.contains_key(&key)
                        && before.is_some_and(|group| group.acknowledged)),
        };
        state.begun.remove(&key);
        if flight.acknowledges || over {
            state.acknowledging.remove(&key);
        }
        let groups = &mut state.groups;
        groups.retain(|_, g| g.state == ToldState::Firing || at.since(g.at) < OVER);
        groups.insert(key, record);
        self.agenda.doubts.arise();
        self.agenda.doubts.go_on();
    }

    /// Whether it is written down that a receiver is about to hold an alarm for a group, or cannot be: whoever leads next must know of
    /// it, or nobody would end it should its tickets go meanwhile. `anew`: what is told must be heard even where somebody
    /// acknowledged the incident that stands, and so begins the next one.
    pub(super) fn is_group_noted(
        &mut self,
        name: &str,
        group: &GroupId,
        anew: bool,
        now: Time,
    ) -> bool {
        let writing = self.is_writing(&WriteTarget::ReceiverStatus(name.to_owned()));
        let Some(state) = self.receivers.get_mut(name) else {
            return false;
        };
        let key = record_key(group);
        let firing = |g: &&GroupRecord| g.key == key && g.state == ToldState::Firing;
        let status = state.object.as_ref().and_then(|o| o.status.as_ref());
        let stored = status.and_then(|status| status.groups.iter().find(firing));
        let stored = stored.map(|group| group.incident);
        let record = state.groups.get_mut(&key);
        if let Some(record) = record.filter(|g| g.state == ToldState::Firing) {
            if anew && record.told_count > 0 && !state.begun.contains_key(&key) {
                record.incident = record.incident.saturating_add(1);
                state.acknowledging.remove(&key);
                state.begun.insert(key, now);
                return false;
            }
            let begun = state.begun.get(&key).copied();
            let at = begun.unwrap_or(record.at);
            return stored.is_some_and(|incident| incident >= record.incident)
                || record.told_count > 0 && begun.is_none()
                || now.since(at) >= UNWRITTEN
                || ledger::is_ahead(at, now);
        }
        let stored = stored.is_some();
        let record = GroupRecord {
            key: key.clone(),
            told_count: 0,
            state: ToldState::Firing,
            at: now,
            incident: 0,
            acknowledged: false,
        };
        state.groups.insert(key, record);
        // What is stored stays so, unless a write is under way that says otherwise.
        stored && !writing
    }

    /// Whether it is written down that a receiver is about to be told that people took all tickets of a group: whoever leads next
    /// must know that what comes after is heard by nobody unless it begins another incident.
    pub(super) fn is_acknowledgement_noted(
        &mut self,
        name: &str,
        group: &GroupId,
        now: Time,
    ) -> bool {
        let Some(state) = self.receivers.get_mut(name) else {
            return false;
        };
        let key = record_key(group);
        if let Some(record) = state.groups.get_mut(&key) {
            record.acknowledged = true;
        }
        let since = *state.acknowledging.entry(key.clone()).or_insert(now);
        if now.since(since) >= UNWRITTEN || ledger::is_ahead(since, now) {
            return true;
        }
        let status = state.object.as_ref().and_then(|o| o.status.as_ref());
        status.is_some_and(|status| {
            let mut groups = status.groups.iter();
            groups.any(|group| group.key == key && group.acknowledged)
        })
    }

    /// Whether a message about a group of which people took all tickets says so to its receiver: one that asks for it, and where the
    /// message tells that somebody took one (`taken`), or that was not told so yet.
    pub(super) fn is_to_acknowledge(&self, group: &GroupId, taken: bool) -> bool {
        let Some(state) = self.receivers.get(&group.0) else {
            return false;
        };
        let asks = [QuietNotice::Acknowledged, QuietNotice::Snoozed];
        let asks = asks.iter().any(|notice| state.quiet.contains(notice));
        let is_pager = state.target.endpoint.kind() == EndpointKind::Pagerduty;
        let said = self.is_acknowledged(&group.0, group)
            && !state.acknowledging.contains_key(&record_key(group));
        // What was never triggered cannot be acknowledged.
        let key = record_key(group);
        let stands = |g: &GroupRecord| g.state == ToldState::Firing && g.told_count > 0;
        let stands = state.groups.get(&key).is_some_and(stands) && !state.begun.contains_key(&key);
        is_pager && asks && stands && (taken || !said)
    }

    /// Whether a receiver was told that people took all tickets of a group.
    pub(super) fn is_acknowledged(&self, name: &str, group: &GroupId) -> bool {
        let state = self.receivers.get(name);
        let record = state.and_then(|state| state.groups.get(&record_key(group)));
        record.is_some_and(|record| record.acknowledged)
    }

    /// Which incident of a group stands at a receiver.
    pub(super) fn incident_of(&self, name: &str, group: &GroupId) -> u64 {
        let state = self.receivers.get(name);
        let record = state.and_then(|state| state.groups.get(&record_key(group)));
        record.map_or(0, |record| record.incident)
    }

    /// Whether what is told to a receiver next of a group begins an incident in place of the one before.
    pub(super) fn begins_incident(&self, name: &str, group: &GroupId) -> bool {
        let state = self.receivers.get(name);
        state.is_some_and(|state| state.begun.contains_key(&record_key(group)))
    }

    /// Whether what a receiver holds and what is due to it are more groups than its status has room for: from then on the
    /// namespace is left out of their keys.
    pub(super) fn must_coarsen(&mut self, name: &Sym, drafts: &BTreeMap<GroupId, Draft>) -> bool {
        let Some(state) = self.receivers.get(name.as_str()) else {
            return false;
        };
        let standing = state.groups.values();
        let standing = standing.filter(|g| g.state == ToldState::Firing).count();
        let is_new = |key: &String| {
            let held = state.groups.get(key);
            held.is_none_or(|g| g.state != ToldState::Firing)
        };
        let new = || drafts.keys().map(record_key).filter(is_new).count();
        if state.is_coarse
            || !holds_alarms(state.target.endpoint.kind())
            || standing.saturating_add(drafts.len()) <= MOST
            || standing.saturating_add(new()) <= MOST
            // Of those that stand, some may be moved, and are over soon.
            || self.told_and_due(name, drafts) <= MOST
        {
            return false;
        }
        if let Some(state) = self.receivers.get_mut(name.as_str()) {
            state.is_coarse = true;
        }
        self.agenda.doubts.arise();
        self.evaluation.status_dirty = true;
        true
    }

    /// How many groups there are of what a receiver was told and of what is due to it.
    fn told_and_due(&self, name: &str, drafts: &BTreeMap<GroupId, Draft>) -> usize {
        let Some(state) = self.receivers.get(name) else {
            return 0;
        };
        let mut groups: BTreeSet<String> = drafts.keys().map(record_key).collect();
        for (_, ticket, status) in self.tickets.standing() {
            if is_told_firing(status, &state.target.uid) {
                groups.insert(record_key(&self.group_of(name, ticket, status)));
            }
        }
        groups.len()
    }

    /// How many tickets of a group a receiver counts as firing once it has accepted these tellings.
    pub(super) fn standing(
        &self,
        group: &GroupId,
        receiver_uid: &str,
        told: &BTreeMap<&ObjectKey, ToldState>,
    ) -> Standing {
        let mut standing = Standing::default();
        for (key, ticket, status) in self.tickets.standing() {
            let record = ledger::told(status, receiver_uid);
            let here = told.get(key).copied();
            let state = here.or_else(|| record.map(|record| record.state));
            let withdrawn =
                here.is_none() && self.agenda.heard(key, receiver_uid).withdrawn.is_some();
            if state != Some(ToldState::Firing)
                || withdrawn
                || self.group_of(&group.0, ticket, status) != *group
            {
                continue;
            }
            standing.all = standing.all.saturating_add(1);
            standing.untaken += u32::from(calls_somebody(status));
            if here.is_none() && record.is_some_and(|record| record.digest) {
                standing.numbered = standing.numbered.saturating_add(1);
            }
        }
        standing
    }
}

/// Whether somebody is called for a ticket: one that nobody took, or of which a time has passed since.
fn calls_somebody(status: &TicketStatus) -> bool {
    let passed = matches!(
        status.alert_reason,
        Some(AlertReason::SLABreached | AlertReason::Overdue)
    );
    status.phase == Phase::Open || passed && status.alert_at > status.phase_since
}

fn is_told_firing(status: &TicketStatus, receiver_uid: &str) -> bool {
    let told = ledger::told(status, receiver_uid);
    told.is_some_and(|record| record.state == ToldState::Firing)
}

/// `check=a,namespace=b`: the key of a group in messages.
pub(super) fn labels_key(labels: &[(String, String)]) -> String {
    labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(",")
}

/// The key of a group in a receiver's status: the policy too.
fn record_key(group: &GroupId) -> String {
    format!("{}/{}", group.1, labels_key(&group.2))
}

/// The group that a record is about; `None` for what we did not write.
fn group_id(receiver: &str, key: &str) -> Option<GroupId> {
    let (policy, labels) = key.split_once('/')?;
    let labels = match labels {
        "" => vec![],
        labels => labels
            .split(',')
            .map(|pair| {
                let (name, value) = pair.split_once('=')?;
                Some((name.to_owned(), value.to_owned()))
            })
            .collect::<Option<Vec<_>>>()?,
    };
    Some((receiver.to_owned(), policy.to_owned(), labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_record_leads_back_to_its_group() {
        for labels in [
            vec![],
            vec![("check", "sidecar-missing")],
            vec![("check", "a"), ("namespace", "")],
        ] {
            let labels = labels
                .into_iter()
                .map(|(a, b)| (a.to_owned(), b.to_owned()))
                .collect();
            let group: GroupId = ("pd".to_owned(), "production".to_owned(), labels);
            assert_eq!(group_id("pd", &record_key(&group)), Some(group));
        }
        assert_eq!(group_id("pd", "no policy"), None);
        assert_eq!(group_id("pd", "p/no pair"), None);
    }
}
