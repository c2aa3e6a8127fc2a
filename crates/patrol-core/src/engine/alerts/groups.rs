//! The groups that a receiver holds an alarm for, kept true to its tickets: a group without tickets is told to be over, and
//! tickets whose group it holds no alarm for are told again, under the ids they had.
//!
//! Tickets leave a group with their namespace, when a policy groups differently, or when what they are grouped by changes.
//! The alarm of the new group always comes before the end of the old one: no receiver counts as mended what is open.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::receiver::GroupRecord;
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Phase, Severity, ToldState};

use super::super::Patrol;
use super::alarms::holds_alarms;
use super::{Draft, Flight, GroupId, Item};
use crate::clock::{Mono, Now};
use crate::facts::ObjectKey;
use crate::notice::{Group, Notice, NoticeKind};
use crate::sym::Sym;
use crate::ticket::ledger::{self, Telling};

/// As many groups a receiver's status holds. When there are more, they are made coarser.
pub(in crate::engine) const MOST: usize = 1024;
/// When there are fewer again, as they would be without that, they are as fine as the policy wants.
const FEW: usize = MOST / 2;
/// A group that is over is shown for so long.
const OVER: Span = Span::hours(1);
/// Between two looks, and from a first doubt to a message: a look walks over all tickets, and a ticket that was deleted and is
/// about to be made again is no end.
const LOOK: Span = Span::minutes(1);
/// Between two looks while messages about it go out.
const NEXT: Span = Span::seconds(5);

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
}

/// Of the tickets of a group that a receiver counts as firing: all, and those told by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub all: u32,
    pub numbered: u32,
}

/// What a receiver was told, by group as it is now.
#[derive(Default)]
struct Told {
    /// Groups with a ticket that it counts as firing.
    groups: BTreeSet<String>,
    /// Those of them without an alarm there, with the tickets that are open and still for this receiver.
    unheld: BTreeMap<GroupId, Vec<ObjectKey>>,
    /// How many groups there would be, were they not made coarser.
    fine: usize,
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
        let record = GroupRecord {
            key: key.clone(),
            told_count: u64::from(standing),
            state: match over {
                true => ToldState::Closed,
                false => ToldState::Firing,
            },
            at,
        };
        let groups = &mut state.groups;
        groups.retain(|_, g| g.state == ToldState::Firing || at.since(g.at) < OVER);
        groups.insert(key, record);
        self.agenda.doubts.arise();
    }

    /// Whether what a receiver holds and what is due to it are more groups than its status has room for: from then on the
    /// namespace is left out of their keys.
    pub(super) fn must_coarsen(&mut self, name: &Sym, drafts: &BTreeMap<GroupId, Draft>) -> bool {
        let Some(state) = self.receivers.get_mut(name.as_str()) else {
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
        {
            return false;
        }
        state.is_coarse = true;
        self.agenda.doubts.arise();
        self.evaluation.status_dirty = true;
        true
    }

    /// Compares what receivers hold alarms for with what they were told, and mends what differs.
    pub(super) fn settle_groups(&mut self, now: Now) {
        let doubts = &mut self.agenda.doubts;
        if !doubts.look {
            return;
        }
        if let (Some(at), Some(wait)) = (doubts.looked, doubts.wait)
            && now.mono < at.plus(wait)
        {
            let left = Span::millis(at.plus(wait).since(now.mono));
            self.wake_at(now.wall.plus(left).plus(Span::seconds(1)));
            return;
        }
        doubts.looked = Some(now.mono);
        doubts.look = false;
        doubts.wait = Some(LOOK);
        let holding: Vec<String> = self
            .receivers
            .iter()
            .filter(|(_, state)| holds_alarms(state.target.endpoint.kind()))
            .map(|(name, _)| name.clone())
            .collect();
        for name in holding {
            self.settle_groups_of(&name, now);
        }
        let doubts = &self.agenda.doubts;
        if let (true, Some(wait)) = (doubts.look, doubts.wait) {
            self.wake_at(now.wall.plus(wait).plus(Span::seconds(1)));
        }
    }

    fn settle_groups_of(&mut self, name: &str, now: Now) {
        let told = self.told_by_group(name, now);
        let Some(state) = self.receivers.get_mut(name) else {
            return;
        };
        if state.is_coarse && told.fine < FEW {
            state.is_coarse = false;
            self.agenda.doubts.arise();
            self.evaluation.status_dirty = true;
            return;
        }
        let vanished: Vec<GroupId> = state
            .groups
            .values()
            .filter(|g| g.state == ToldState::Firing && !told.groups.contains(&g.key))
            .filter_map(|g| group_id(name, &g.key))
            .collect();
        let doubts = &mut self.agenda.doubts;
        let stands = |group: &GroupId| vanished.contains(group) || told.unheld.contains_key(group);
        doubts
            .since
            .retain(|group, _| group.0 != name || stands(group));
        // Whatever becomes of it, it is looked at again until it is accepted.
        doubts.look |= !vanished.is_empty() || !told.unheld.is_empty();
        let moved: BTreeSet<&String> = told.unheld.keys().map(|group| &group.1).collect();
        let ended = vanished.iter().filter(|group| !moved.contains(&group.1));
        let forgets = self.receiver_forgets(name);
        for (group, keys) in &told.unheld {
            // Who forgets hears of every ticket within minutes.
            if !forgets && self.is_certain(group, now) && !self.tell_moved(name, group, keys, now) {
                return;
            }
        }
        for group in ended {
            if self.is_certain(group, now) && !self.tell_vanished(name, group, now) {
                return;
            }
        }
    }

    /// Whether a doubt stood for long enough.
    fn is_certain(&mut self, group: &GroupId, now: Now) -> bool {
        let since = &mut self.agenda.doubts.since;
        let since = *since.entry(group.clone()).or_insert(now.mono);
        now.mono >= since.plus(LOOK)
    }

    fn told_by_group(&self, name: &str, now: Now) -> Told {
        let mut told = Told::default();
        let Some(state) = self.receivers.get(name) else {
            return told;
        };
        let mut fine = BTreeSet::new();
        for (key, ticket, status) in self.tickets.iter() {
            let record = ledger::told(status, &state.target.uid);
            let firing = record.is_some_and(|record| record.state == ToldState::Firing);
            // What is yet to be told counts as well, or the groups would be fine again before it is.
            if state.is_coarse && (firing || self.still_hears(name, ticket, status, now)) {
                fine.insert(record_key(&self.fine_group_of(name, ticket, status)));
            }
            if !firing {
                continue;
            }
            let group = self.group_of(name, ticket, status);
            let record = record_key(&group);
            let held = state.groups.get(&record);
            if held.is_none_or(|g| g.state != ToldState::Firing)
                && self.still_hears(name, ticket, status, now)
            {
                told.unheld.entry(group).or_default().push(key.clone());
            }
            told.groups.insert(record);
        }
        told.fine = fine.len();
        told
    }

    /// Whether a ticket is open and for a receiver, now.
    fn still_hears(&self, name: &str, ticket: &Ticket, status: &TicketStatus, now: Now) -> bool {
        matches!(
            status.phase,
            Phase::Open | Phase::Acknowledged | Phase::Snoozed
        ) && self
            .routes(ticket, status, now)
            .iter()
            .any(|route| route.receiver == name)
    }

    /// Tells open tickets once more, because the alarm they were told under is another group's. `false`: the receiver takes no
    /// more now.
    fn tell_moved(&mut self, name: &str, group: &GroupId, keys: &[ObjectKey], now: Now) -> bool {
        let Some(state) = self.receivers.get_mut(name) else {
            return false;
        };
        if state.availability(now).is_err() {
            return false;
        }
        let (most, target) = (state.batch.max(1), state.target.clone());
        let mut items: Vec<Item> = keys
            .iter()
            .filter_map(|key| self.told_again(name, key, now))
            .collect();
        items.sort_by_key(|item| std::cmp::Reverse(item.severity));
        items.truncate(most);
        let notice = self.notice(NoticeKind::Alert, group, &target, &items, now.wall);
        if let Some((notice, tellings)) = notice {
            let flight = Flight {
                keys: items.into_iter().map(|item| item.key).collect(),
                tellings,
                ..Flight::of_no_ticket(group.clone(), Some(notice.standing), now)
            };
            self.launch(name, notice, flight);
            self.agenda.doubts.wait = Some(NEXT);
        }
        true
    }

    /// What a receiver was last told of a ticket, to be told again if that may go now.
    fn told_again(&self, name: &str, key: &ObjectKey, now: Now) -> Option<Item> {
        let state = self.receivers.get(name)?;
        let (ticket, status) = self.tickets.view(key)?;
        let mut routes = self.routes(ticket, status, now).into_iter();
        let route = routes.find(|route| route.receiver == name)?;
        let record = ledger::told(status, &route.uid)?;
        let telling = Telling {
            state: record.state,
            episode: record.episode,
            seq: record.seq,
            n: record.n,
            reason: AlertReason::Reminder,
            level: record.level,
            failover: route.pace.failover,
            due: now.wall,
        };
        let uid = ticket.metadata.uid.as_deref().unwrap_or("");
        let refused = state.is_parked(&telling.event_id(uid, &route.uid), now);
        let under_way = state.flying().any(|flight| flight.keys.contains(key));
        let may_go = ledger::may_go_at(&telling, status, &route.pace, now.wall) <= now.wall;
        (may_go && !refused && !under_way).then(|| Item {
            severity: status.severity.unwrap_or(Severity::Medium),
            key: key.clone(),
            telling,
        })
    }

    /// Tells that a group is over. `false`: the receiver takes no more now.
    fn tell_vanished(&mut self, name: &str, group: &GroupId, now: Now) -> bool {
        let Some(state) = self.receivers.get_mut(name) else {
            return false;
        };
        if state.flights.values().any(|flight| flight.group == *group) {
            return true;
        }
        if state.availability(now).is_err() {
            return false;
        }
        let notice = Notice {
            policy: group.1.clone(),
            reason: AlertReason::Resolved,
            group: Group {
                key: labels_key(&group.2),
                labels: group.2.clone(),
            },
            ..Notice::of_no_ticket(NoticeKind::Alert, name, self.cluster(), now.wall)
        };
        let flight = Flight::of_no_ticket(group.clone(), Some(0), now);
        self.launch(name, notice, flight);
        self.agenda.doubts.wait = Some(NEXT);
        true
    }

    /// How many tickets of a group a receiver counts as firing once it has accepted these tellings.
    pub(super) fn standing(
        &self,
        group: &GroupId,
        receiver_uid: &str,
        told: &BTreeMap<&ObjectKey, ToldState>,
    ) -> Standing {
        let mut standing = Standing::default();
        for (key, ticket, status) in self.tickets.iter() {
            let record = ledger::told(status, receiver_uid);
            let here = told.get(key).copied();
            let state = here.or_else(|| record.map(|record| record.state));
            if state != Some(ToldState::Firing) || self.group_of(&group.0, ticket, status) != *group
            {
                continue;
            }
            standing.all = standing.all.saturating_add(1);
            if here.is_none() && record.is_some_and(|record| record.digest) {
                standing.numbered = standing.numbered.saturating_add(1);
            }
        }
        standing
    }
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
