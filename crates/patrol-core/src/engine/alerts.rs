//! Alerts: who must be told what and when, grouped into messages, and what became of them.
//!
//! The ticket is the outbox: what is owed follows from ticket state, and the ledger is
//! written only after a receiver accepted. The agenda holds keys and times, never messages,
//! so what is sent is always the latest state. Every receiver has a lane of its own: what
//! waits for one is not even looked at while another is served.

mod alarms;
mod answer;
mod compose;
mod digest;
pub(super) mod groups;
mod heartbeat;
mod inhibition;
#[cfg(test)]
mod lost_tests;
mod routes;
mod send;
mod unsure;

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Severity, ToldState};

use super::auditor::Plans;
use super::{Keys, Patrol};
use crate::clock::{Mono, Now};
use crate::effect::Effect;
use crate::facts::ObjectKey;
use crate::notice::Notice;
use crate::sym::Sym;
use crate::ticket::alive;
use crate::ticket::ledger::{self, Pace, Telling};

/// An episode that nobody heard of is history after this time: whoever is added to a policy later hears of none.
const LATE_FOR: Span = Span::days(7);

/// When which ticket owes something to whom.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    /// By name of the receiver.
    lanes: BTreeMap<Sym, Lane>,
    planned: BTreeMap<ObjectKey, Vec<(Sym, Time)>>,
    /// When each group was last told.
    last_sent: BTreeMap<GroupId, (Time, Mono)>,
    /// Routes changed: plan everything again.
    stale: bool,
    /// What receivers that forget heard.
    heard: alarms::AllHeard,
    doubts: groups::Doubts,
    /// Tellings that may have been taken.
    unsure: unsure::Unsure,
    /// Another process may have led before, and told what it did not write down.
    succeeded: bool,
}

/// What one receiver is owed.
#[derive(Debug, Default)]
struct Lane {
    due: BTreeSet<(Time, ObjectKey)>,
    /// When something can be sent at the earliest. `None`: never, as things stand.
    look_at: Option<Time>,
}

/// Receiver name, policy, and the values of `groupBy`.
type GroupId = (String, String, Vec<(String, String)>);

/// A delivery under way.
#[derive(Clone, Debug)]
pub(super) struct Flight {
    group: GroupId,
    receiver_uid: String,
    since: Mono,
    /// By event id.
    tellings: BTreeMap<String, Told>,
    keys: Keys,
    /// With which severity each ticket was told, where the receiver forgets.
    said: BTreeMap<ObjectKey, Severity>,
    /// How many tickets of the group stand at the receiver once it has accepted, where it holds an alarm for the group.
    standing: Option<u32>,
    /// No answer came in time, or none that is certain. One that comes late is still
    /// recorded, until this time.
    pub lost: bool,
    forget_at: Mono,
}

impl Flight {
    /// One that tells of no ticket.
    fn of_no_ticket(group: GroupId, standing: Option<u32>, now: Now) -> Self {
        Self {
            group,
            receiver_uid: String::new(),
            since: now.mono,
            tellings: BTreeMap::new(),
            keys: Keys::new(),
            said: BTreeMap::new(),
            standing,
            lost: false,
            forget_at: now.mono,
        }
    }

    /// Whether it tells of nothing but that this process lives.
    fn is_sign_of_life(&self) -> bool {
        self.tellings.is_empty() && self.group.1.is_empty()
    }
}

/// Ticket, its UID, and what it tells.
type Told = (ObjectKey, String, Telling);

/// A receiver of a ticket, with the pace of the policy it is told for.
struct Route {
    receiver: String,
    uid: String,
    pace: Pace,
    /// It takes silence for an end.
    forgets: bool,
}

/// A message in the making.
#[derive(Default)]
struct Draft {
    items: Vec<Item>,
    /// Many groups at once.
    digest: bool,
    severity: Option<Severity>,
    urgent: bool,
    oldest: Option<Time>,
    interval: Span,
}

struct Item {
    severity: Severity,
    key: ObjectKey,
    telling: Telling,
}

impl Agenda {
    pub fn set(&mut self, key: &ObjectKey, plans: Plans) {
        let before = self.planned.get(key).map_or(&[][..], Vec::as_slice);
        if before != plans.as_slice() {
            for (receiver, at) in before {
                if let Some(lane) = self.lanes.get_mut(receiver) {
                    lane.due.remove(&(*at, key.clone()));
                }
            }
            for (receiver, at) in &plans {
                let lane = self.lanes.entry(receiver.clone()).or_default();
                lane.due.insert((*at, key.clone()));
            }
        }
        for (receiver, at) in &plans {
            if let Some(lane) = self.lanes.get_mut(receiver) {
                lane.look_at = super::evaluate::earlier(lane.look_at, Some(*at));
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
}

impl Agenda {
    /// Everything that is owed, now or later, as receiver and ticket.
    pub fn planned(&self) -> impl Iterator<Item = (&Sym, &ObjectKey)> {
        self.lanes
            .iter()
            .flat_map(|(name, lane)| lane.due.iter().map(move |(_, key)| (name, key)))
    }

    /// What is planned of a ticket.
    pub fn plans_of(&self, key: &ObjectKey) -> &[(Sym, Time)] {
        self.planned.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether a plan is in its receiver's lane.
    pub fn is_lined_up(&self, receiver: &Sym, at: Time, key: &ObjectKey) -> bool {
        let lane = self.lanes.get(receiver);
        lane.is_some_and(|lane| lane.due.contains(&(at, key.clone())))
    }

    /// Receivers to whom something is due and at whose lane nobody will look soon.
    pub fn asleep(&self, now: Time) -> Vec<Sym> {
        let soon = now.plus(Span::hours(1)).plus(Span::minutes(1));
        self.lanes
            .iter()
            .filter(|(_, lane)| lane.due.first().is_some_and(|(at, _)| *at <= now))
            .filter(|(_, lane)| lane.look_at.is_none_or(|at| at > soon))
            .map(|(receiver, _)| receiver.clone())
            .collect()
    }

    /// What has been due since this time or longer: receiver, ticket and due time.
    pub fn due_since(&self, then: Time) -> impl Iterator<Item = (&Sym, &ObjectKey, Time)> {
        self.lanes.iter().flat_map(move |(name, lane)| {
            let due = lane.due.iter().take_while(move |(at, _)| *at <= then);
            due.map(move |(at, key)| (name, key, *at))
        })
    }

    /// How many tellings to a receiver are planned for one of these instants.
    pub fn planned_at(&self, receiver: &str, instants: &BTreeSet<Time>) -> usize {
        let lane = self.lanes.get(receiver);
        let due = lane.into_iter().flat_map(|lane| &lane.due);
        match instants.is_empty() {
            true => 0,
            false => due.filter(|(at, _)| instants.contains(at)).count(),
        }
    }

    /// Whether what is planned is out of date.
    pub const fn is_stale(&self) -> bool {
        self.stale
    }

    /// A ticket is forgotten, and with it what may have been told of it.
    pub fn forget_doubts(&mut self, key: &ObjectKey) {
        self.unsure.remove(key);
        self.heard.remove(key);
        self.doubts.arise();
    }
}

impl Patrol {
    pub(super) fn routes_changed(&mut self) {
        self.agenda.stale = true;
        self.agenda.doubts.arise();
    }

    /// What a ticket owes to one receiver, with the id of the telling.
    pub(super) fn owed_to(
        &self,
        receiver: &Sym,
        key: &ObjectKey,
        now: Now,
    ) -> Option<(Telling, String)> {
        let (ticket, status) = self.tickets.view(key)?;
        let mut routes = self.routes(ticket, status, now).into_iter();
        let route = routes.find(|route| route.receiver == receiver.as_str())?;
        let heard = self.agenda.heard_at(key, &route.uid);
        let telling = owed(ticket, status, &route, heard, now.wall)?;
        let id = telling.event_id(ticket.metadata.uid.as_deref().unwrap_or(""), &route.uid);
        Some((telling, id))
    }

    /// Hands a notice to the edge and remembers what it tells until the answer comes.
    fn launch(&mut self, name: &str, notice: Notice, mut flight: Flight) {
        let id = self.begin_delivery();
        let Some(state) = self.receivers.get_mut(name) else {
            return;
        };
        let target = Box::new(state.target.clone());
        flight.receiver_uid.clone_from(&target.uid);
        state.begin(id, flight);
        self.outbox.push(Effect::Send {
            id,
            target,
            notice: Box::new(notice),
        });
    }

    /// Works out when a ticket next owes something, and to whom.
    pub(super) fn plan_alerts(&mut self, key: &ObjectKey, now: Now) {
        let plans = self.plans(key, now);
        self.agenda.set(key, plans);
        // What it is grouped by may have changed, too.
        self.agenda.doubts.arise();
    }

    /// When a ticket next owes something, by receiver.
    pub(super) fn plans(&self, key: &ObjectKey, now: Now) -> Plans {
        let mut plans = vec![];
        if let Some((ticket, status)) = self.tickets.view(key) {
            for route in self.routes(ticket, status, now) {
                let heard = self.agenda.heard_at(key, &route.uid);
                if let Some(telling) = owed(ticket, status, &route, heard, now.wall) {
                    plans.push((Sym::new(&route.receiver), telling.due));
                }
            }
        }
        plans
    }
}

/// A moment of the last ten minutes that stands still meanwhile: what is due "now" is reported, and must not be reported
/// anew at every look.
fn standing(now: Time) -> Time {
    Time::from_unix(now.unix() - now.unix().rem_euclid(600))
}

/// What a ticket owes to a receiver. A change that was noted by a clock which was set back
/// since is due as soon as it may go, and not when the clock gets there again.
fn owed(
    ticket: &Ticket,
    status: &TicketStatus,
    route: &Route,
    heard: Option<Time>,
    now: Time,
) -> Option<Telling> {
    let uid = ticket.metadata.uid.as_deref().unwrap_or("");
    let mut telling = if route.forgets {
        let heard = heard.filter(|at| !ledger::is_ahead(*at, now));
        alive::obligation(uid, status, &route.uid, &route.pace, heard)?
    } else {
        ledger::obligation(uid, status, &route.uid, &route.pace)?
    };
    let noted = match telling.state {
        ToldState::Firing => status.alert_at.or(status.episode.opened_at),
        ToldState::Closed => status.phase_since.or(status.episode.resolved_at),
    };
    if telling.is_edge() && noted.is_some_and(|at| ledger::is_ahead(at, now)) {
        telling.due = ledger::may_go_at(&telling, status, &route.pace, standing(now));
    }
    let stale = telling.reason == AlertReason::Late && now.since(telling.due) > LATE_FOR;
    ledger::put_off(&mut telling, status, &route.pace, now);
    (!stale).then_some(telling)
}
