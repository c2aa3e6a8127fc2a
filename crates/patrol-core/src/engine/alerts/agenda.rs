//! The agenda: when which ticket owes something to whom. It holds keys and times, for every ticket and receiver one of each,
//! so both are small.

#[cfg(test)]
mod lost_tests;

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::time::{Span, Time};

use super::super::evaluate::earlier;
use super::{GroupId, alarms, groups, unsure};
use crate::clock::{Mono, Now};
use crate::facts::ObjectKey;
use crate::sym::Sym;

/// Looking at so many tickets takes some milliseconds.
const MANY: usize = 1000;

/// What a ticket owes: to whom, and when.
pub(in crate::engine) type Plans = Vec<(Sym, Time)>;

/// A time in eight bytes. Times have whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Second(i64);

impl From<Time> for Second {
    fn from(time: Time) -> Self {
        Self(time.unix())
    }
}

impl Second {
    fn time(self) -> Time {
        Time::from_unix(self.0)
    }
}

/// When which ticket owes something to whom.
#[derive(Debug, Default)]
pub(in crate::engine) struct Agenda {
    /// By name of the receiver.
    lanes: BTreeMap<Sym, Lane>,
    planned: BTreeMap<ObjectKey, Box<[(Sym, Second)]>>,
    /// When each group was last told.
    pub(super) last_sent: BTreeMap<GroupId, (Time, Mono)>,
    /// Routes changed: plan everything again.
    pub(super) stale: bool,
    /// What receivers that forget heard.
    pub(super) heard: alarms::AllHeard,
    pub(super) doubts: groups::Doubts,
    /// Tellings that may have been taken.
    pub(super) unsure: unsure::Unsure,
    /// Another process may have led before, and told what it did not write down.
    pub(super) succeeded: bool,
}

/// What one receiver is owed.
#[derive(Debug, Default)]
pub(super) struct Lane {
    due: BTreeSet<(Second, ObjectKey)>,
    /// When something can be sent at the earliest. `None`: never, as things stand.
    pub look_at: Option<Time>,
    /// Not to be looked at before.
    rests_until: Mono,
}

impl Lane {
    fn set(&mut self, at: Second, key: &ObjectKey) {
        self.due.insert((at, key.clone()));
        self.look_at = earlier(self.look_at, Some(at.time()));
    }

    /// So many tickets were looked at. That costs some microseconds each, and every answer, write and word of a watch is a
    /// reason to do it again: when they are many, ten times as much lies between two looks.
    pub fn rest(&mut self, tickets: usize, now: Mono) {
        let millis = u64::try_from(tickets / MANY).unwrap_or(u64::MAX);
        self.rests_until = now.plus(Span::millis(millis.saturating_mul(30)));
    }

    /// When it is to be looked at.
    fn next_look(&self, now: Now) -> Option<Time> {
        let rest = Span::millis(self.rests_until.since(now.mono));
        let at = self.look_at?;
        // Durable times have whole seconds: the rest is over with the second after it.
        Some(match rest.is_zero() {
            true => at,
            false => at.max(
                now.wall
                    .plus(Span::seconds(rest.as_millis().div_ceil(1000))),
            ),
        })
    }

    /// What is due at a time, the oldest first.
    pub fn due_at(&self, now: Time) -> impl Iterator<Item = (Time, &ObjectKey)> {
        let due = self.due.iter().take_while(move |(at, _)| *at <= now.into());
        due.map(|(at, key)| (at.time(), key))
    }

    /// When the oldest thing is due.
    pub fn first(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| at.time())
    }

    /// When something is due after a time.
    pub fn next_after(&self, now: Time) -> Option<Time> {
        let mut due = self.due.iter().map(|(at, _)| *at);
        due.find(|at| *at > now.into()).map(Second::time)
    }
}

impl Agenda {
    /// Plans what a ticket owes, in place of what was planned before.
    pub fn set(&mut self, key: &ObjectKey, plans: Plans) {
        let plans: Box<[(Sym, Second)]> = plans
            .into_iter()
            .map(|(receiver, at)| (receiver, at.into()))
            .collect();
        let before = self.planned.get(key).map_or(&[][..], |plans| plans);
        if before != &*plans {
            for (receiver, at) in before {
                if let Some(lane) = self.lanes.get_mut(receiver) {
                    lane.due.remove(&(*at, key.clone()));
                }
            }
            for (receiver, at) in &plans {
                let lane = self.lanes.entry(receiver.clone()).or_default();
                lane.set(*at, key);
            }
        } else {
            for (receiver, at) in &plans {
                if let Some(lane) = self.lanes.get_mut(receiver) {
                    lane.look_at = earlier(lane.look_at, Some(at.time()));
                }
            }
        }
        if plans.is_empty() {
            self.planned.remove(key);
        } else {
            self.planned.insert(key.clone(), plans);
        }
    }

    /// Something changed for a receiver: look at once.
    pub fn poke(&mut self, receiver: &str, now: Time) {
        if let Some(lane) = self.lanes.get_mut(receiver) {
            lane.look_at = Some(now);
        }
    }

    /// What a receiver is owed.
    pub(super) fn lane(&self, receiver: &Sym) -> Option<&Lane> {
        self.lanes.get(receiver)
    }

    pub(super) fn lane_mut(&mut self, receiver: &Sym) -> Option<&mut Lane> {
        self.lanes.get_mut(receiver)
    }

    /// Receivers whose lane is to be looked at.
    pub(super) fn to_look_at(&self, now: Now) -> Vec<Sym> {
        let lanes = self.lanes.iter();
        lanes
            .filter(|(_, lane)| lane.next_look(now).is_some_and(|at| at <= now.wall))
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Forgets lanes in which nothing is; when the next one is to be looked at.
    pub(super) fn tidy(&mut self, now: Now) -> Option<Time> {
        self.lanes.retain(|_, lane| !lane.due.is_empty());
        let lanes = self.lanes.values();
        lanes.filter_map(|lane| lane.next_look(now)).min()
    }

    /// Everything that is owed, now or later, as receiver and ticket.
    pub fn planned(&self) -> impl Iterator<Item = (&Sym, &ObjectKey)> {
        self.lanes
            .iter()
            .flat_map(|(name, lane)| lane.due.iter().map(move |(_, key)| (name, key)))
    }

    /// What is planned of a ticket.
    pub fn plans_of(&self, key: &ObjectKey) -> Plans {
        let plans = self.planned.get(key).into_iter().flatten();
        plans
            .map(|(receiver, at)| (receiver.clone(), at.time()))
            .collect()
    }

    /// Whether a plan is in its receiver's lane.
    pub fn is_lined_up(&self, receiver: &Sym, at: Time, key: &ObjectKey) -> bool {
        let lane = self.lanes.get(receiver);
        lane.is_some_and(|lane| lane.due.contains(&(at.into(), key.clone())))
    }

    /// Receivers to whom something is due and at whose lane nobody will look soon.
    pub fn asleep(&self, now: Time) -> Vec<Sym> {
        let soon = now.plus(Span::hours(1)).plus(Span::minutes(1));
        self.lanes
            .iter()
            .filter(|(_, lane)| lane.first().is_some_and(|at| at <= now))
            .filter(|(_, lane)| lane.look_at.is_none_or(|at| at > soon))
            .map(|(receiver, _)| receiver.clone())
            .collect()
    }

    /// What has been due since this time or longer: receiver, ticket and due time.
    pub fn due_since(&self, then: Time) -> impl Iterator<Item = (&Sym, &ObjectKey, Time)> {
        self.lanes.iter().flat_map(move |(name, lane)| {
            let due = lane.due_at(then);
            due.map(move |(at, key)| (name, key, at))
        })
    }

    /// How many tellings to a receiver are planned for one of these instants.
    pub fn planned_at(&self, receiver: &str, instants: &BTreeSet<Time>) -> usize {
        let lane = self.lanes.get(receiver);
        let due = lane.into_iter().flat_map(|lane| &lane.due);
        match instants.is_empty() {
            true => 0,
            false => due.filter(|(at, _)| instants.contains(&at.time())).count(),
        }
    }

    /// Whether what is planned is out of date.
    pub const fn is_stale(&self) -> bool {
        self.stale
    }

    /// A receiver is gone, and with it what it heard and held.
    pub fn forget_receiver(&mut self, name: &str, uid: &str) {
        self.heard.retain(|_, of_ticket| {
            of_ticket.remove(uid);
            !of_ticket.is_empty()
        });
        self.doubts.forget_receiver(name);
    }

    /// A ticket is forgotten, and with it what may have been told of it.
    pub fn forget_doubts(&mut self, key: &ObjectKey) {
        self.unsure.remove(key);
        self.heard.remove(key);
        self.doubts.arise();
    }
}
