//! Alerts: who must be told what and when, grouped into messages, and what became of them.
//!
//! The ticket is the outbox: what is owed follows from ticket state, and the ledger is
//! written only after a receiver accepted. The agenda holds keys and times, never messages,
//! so what is sent is always the latest state. Every receiver has a lane of its own: what
//! waits for one is not even looked at while another is served.

pub(super) mod agenda;
mod alarms;
mod answer;
mod compose;
mod digest;
pub(super) mod foresight;
mod gone;
pub(super) mod groups;
mod heartbeat;
mod inhibition;
mod routes;
mod send;
mod unsure;

use std::collections::BTreeMap;

use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Severity, ToldState};

use super::{Keys, Patrol};
use crate::clock::{Mono, Now};
use crate::effect::Effect;
use crate::facts::ObjectKey;
use crate::notice::Notice;
use crate::sym::Sym;
use crate::ticket::alive;
use crate::ticket::ledger::{self, Pace, Telling};
use agenda::Plans;

/// An episode that nobody heard of is history after this time: whoever is added to a policy later hears of none.
const LATE_FOR: Span = Span::days(7);

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
    /// It gathers many groups.
    pub digest: bool,
    /// So many tickets it says are gone.
    tells_gone: u64,
    /// It leaves out what people wrote.
    in_few_words: bool,
    /// How many tickets of the group stand at the receiver once it has accepted, where it holds an alarm for the group.
    standing: Option<u32>,
    /// It says that people took all of them.
    acknowledges: bool,
    /// Messages that the receiver's rate was charged with when it began.
    paid: usize,
    /// How long it waits between its messages, all together.
    waits: Span,
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
            digest: false,
            tells_gone: 0,
            in_few_words: false,
            standing,
            acknowledges: false,
            paid: 0,
            waits: Span::ZERO,
            lost: false,
            forget_at: now.mono,
        }
    }

    /// Tickets that it tells of.
    pub fn tickets(&self) -> usize {
        self.tellings.len()
    }

    /// It was charged with so many messages, and waits for so long between them.
    pub fn pay(&mut self, messages: usize, waits: Span) {
        self.paid = messages;
        self.waits = waits;
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
    /// From when until when it was not ready the last time, or is now.
    away: Option<(Time, Option<Time>)>,
}

impl Route {
    /// Whether it was away when something was due.
    fn was_away(&self, due: Time) -> bool {
        let soon = due.plus(Span::hours(1));
        self.away
            .is_some_and(|(since, until)| since <= soon && until.is_none_or(|until| until >= due))
    }
}

/// A message in the making.
#[derive(Default)]
struct Draft {
    items: Vec<Item>,
    /// Many groups at once.
    digest: bool,
    /// How pressing the most pressing of them is.
    weight: Option<(Severity, bool)>,
    urgent: bool,
    oldest: Option<Time>,
    interval: Span,
}

struct Item {
    severity: Severity,
    key: ObjectKey,
    telling: Telling,
}

impl Patrol {
    /// A receiver may hold an alarm without tickets.
    pub(super) fn doubt_groups(&mut self) {
        self.agenda.doubts.arise();
    }

    pub(super) fn routes_changed(&mut self) {
        self.agenda.stale = true;
        self.agenda.doubts.arise();
    }

    /// What a ticket owes to one receiver, with the id of the telling.
    pub(super) fn owed_to(
        &self,
        receiver: &str,
        key: &ObjectKey,
        now: Now,
    ) -> Option<(Telling, String)> {
        let (ticket, status) = self.tickets.view(key)?;
        let mut routes = self.routes(ticket, status, now).into_iter();
        let route = routes.find(|route| route.receiver == receiver)?;
        let heard = self.agenda.heard(key, &route.uid);
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
        let mut target = Box::new(state.target.clone());
        flight.in_few_words |= target.minimal;
        target.minimal = flight.in_few_words;
        flight.receiver_uid.clone_from(&target.uid);
        flight.acknowledges = notice.acknowledges;
        let room = state.begin(id, flight);
        self.outbox.push(Effect::Send {
            id,
            target,
            notice: Box::new(notice),
            room,
        });
    }

    /// Works out when a ticket next owes something, and to whom.
    pub(super) fn plan_alerts(&mut self, key: &ObjectKey, now: Now) {
        let plans = self.plans(key, now);
        self.agenda.set(key, plans);
        // What it is grouped by may have changed, too.
        self.agenda.doubts.arise();
    }

    /// Whether somebody is yet to be told that a ticket came and went unheard.
    pub(super) fn is_missed(&self, key: &ObjectKey) -> bool {
        !self.agenda.plans_of(key).is_empty()
    }

    /// When a ticket next owes something, by receiver.
    pub(super) fn plans(&self, key: &ObjectKey, now: Now) -> Plans {
        let mut plans = vec![];
        if let Some((ticket, status)) = self.tickets.view(key) {
            for route in self.routes(ticket, status, now) {
                let heard = self.agenda.heard(key, &route.uid);
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
    heard: alive::Heard,
    now: Time,
) -> Option<Telling> {
    let uid = ticket.metadata.uid.as_deref().unwrap_or("");
    let mut telling = if route.forgets {
        let heard = alive::Heard {
            at: heard.at.filter(|at| !ledger::is_ahead(*at, now)),
            withdrawn: heard.withdrawn.map(|(times, at)| (times, at.min(now))),
        };
        alive::obligation(uid, status, &route.uid, &route.pace, heard)?
    } else {
        ledger::obligation(uid, status, &route.uid, &route.pace)?
    };
    // Nothing heard since this process leads: the receiver may have forgotten, and is told at once.
    if route.forgets && heard.at.is_none() && alive::is_sign_of_life(&telling) {
        let told = ledger::told(status, &route.uid);
        telling.due = told.map_or(telling.due, |record| record.at);
    }
    let noted = match telling.state {
        ToldState::Firing => status.alert_at.or(status.episode.opened_at),
        ToldState::Closed => status.phase_since.or(status.episode.resolved_at),
    };
    if telling.is_edge() && noted.is_some_and(|at| ledger::is_ahead(at, now)) {
        telling.due = ledger::may_go_at(&telling, status, &route.pace, standing(now));
    }
    let over = telling.due.plus(LATE_FOR);
    // Whoever was away when it was due is told as soon as he is back.
    let stale = telling.reason == AlertReason::Late && now > over && !route.was_away(telling.due);
    ledger::put_off(&mut telling, status, &route.pace, now);
    (!stale).then_some(telling)
}
