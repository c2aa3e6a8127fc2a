//! Keeps the groups that a receiver holds an alarm for true to its tickets: a group without tickets is told to be over, and
//! tickets whose group it holds no alarm for are told again, under the ids they had.
//!
//! Tickets leave a group with their namespace, when a policy groups differently, or when what they are grouped by changes.
//! The alarm of the new group always comes before the end of the old one: no receiver counts as mended what is open.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::receiver::GroupRecord;
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::Span;
use patrol_api::words::{AlertReason, Phase, Severity, ToldState};

use super::super::alarms::holds_alarms;
use super::super::compose::{LASTING, lasting};
use super::super::{Flight, GroupId, Item, Route};
use super::{MOST, NEXT, group_id, is_told_firing, labels_key, record_key};
use crate::clock::Now;
use crate::engine::Patrol;
use crate::facts::ObjectKey;
use crate::kind::Kind;
use crate::notice::{Group, Notice, NoticeKind};
use crate::ticket::ledger::{self, Telling};

/// When there are fewer again, as they would be without that, they are as fine as the policy wants.
const FEW: usize = MOST / 2;
/// Between two looks, and from a first doubt to a message: a look walks over all tickets, and a ticket that was deleted and is
/// about to be made again is no end.
const LOOK: Span = Span::minutes(1);

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
    /// Compares what receivers hold alarms for with what they were told, and mends what differs.
    pub(in crate::engine::alerts) fn settle_groups(&mut self, now: Now) {
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
        // Who is told, and who was deleted, is not certain.
        let blind = self.inventory.sight(Kind::AlertReceiver).blindness();
        if blind.is_some() {
            self.agenda.doubts.look = true;
            self.wake_at(now.wall.plus(LOOK).plus(Span::seconds(1)));
            return;
        }
        let holding: Vec<String> = self
            .receivers
            .iter()
            .filter(|(_, state)| holds_alarms(state.target.endpoint.kind()))
            .map(|(name, _)| name.clone())
            .collect();
        for name in holding {
            self.settle_groups_of(&name, now);
        }
        let look = self.settle_told(now);
        let doubts = &mut self.agenda.doubts;
        doubts.look |= look;
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
        let vanished = self.without_tickets(name, vanished, now);
        let doubts = &mut self.agenda.doubts;
        let stands = |group: &GroupId| vanished.contains(group) || told.unheld.contains_key(group);
        doubts
            .since
            .retain(|group, _| group.0 != name || stands(group));
        // Whatever becomes of it, it is looked at again until it is accepted.
        doubts.look |= !vanished.is_empty() || !told.unheld.is_empty();
        let ended = self.left_by_all(vanished, &told.unheld);
        let forgets = self.receiver_forgets(name);
        for (group, keys) in &told.unheld {
            // Who forgets hears of every ticket within minutes.
            if !forgets && self.is_certain(group, now) && !self.tell_moved(name, group, keys, now) {
                return;
            }
        }
        for group in &ended {
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
        for (key, ticket, status) in self.tickets.standing() {
            if self.may_lack_policy(&ticket.spec.finding.policy) {
                continue;
            }
            let firing = is_told_firing(status, &state.target.uid);
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
            if !self.still_hears(name, ticket, status, now) {
                // It has an end that is still to be told, or is for others now.
                if !is_open(status) {
                    told.groups.insert(record);
                }
                continue;
            }
            // One that is only written down was not told yet, and one that people took rings for nobody else.
            let rings = |g: &GroupRecord| !(g.acknowledged && status.phase == Phase::Open);
            let stands = |g: &GroupRecord| g.state == ToldState::Firing && g.told_count > 0;
            // What was deleted under us is told anew once it is made again, and keeps no other group from its end.
            let is_there = self.tickets.view(key).is_some();
            if is_there && !held.is_some_and(|g| stands(g) && rings(g)) {
                told.unheld.entry(group).or_default().push(key.clone());
            }
            told.groups.insert(record);
        }
        told.fine = fine.len();
        told
    }

    /// Those of the groups that have no ticket either which is yet to be told.
    fn without_tickets(&self, name: &str, mut groups: Vec<GroupId>, now: Now) -> Vec<GroupId> {
        // What a policy that cannot be read groups by, nobody knows.
        groups.retain(|group| !self.may_lack_policy(&group.1));
        if groups.is_empty() {
            return groups;
        }
        for (_, ticket, status) in self.tickets.standing() {
            let group = self.group_of(name, ticket, status);
            if groups.contains(&group) && self.still_hears(name, ticket, status, now) {
                groups.retain(|other| *other != group);
            }
        }
        groups
    }

    /// Those of the groups without tickets under which none of the tickets was told that have no alarm under their own: what of a
    /// ticket never changes is the same in both.
    fn left_by_all(
        &self,
        vanished: Vec<GroupId>,
        unheld: &BTreeMap<GroupId, Vec<ObjectKey>>,
    ) -> Vec<GroupId> {
        let views = || {
            unheld
                .values()
                .flatten()
                .filter_map(|key| self.tickets.view(key))
        };
        // Policies and values, for the few sets of labels that the groups of a receiver have.
        let mut moved: BTreeMap<Vec<String>, BTreeSet<(String, Vec<String>)>> = BTreeMap::new();
        let is_left = |group: &GroupId| {
            let labels = group.2.iter().cloned();
            let (names, values): (Vec<_>, Vec<_>) = labels
                .filter(|(name, _)| LASTING.contains(&name.as_str()))
                .unzip();
            let tickets = moved.entry(names).or_insert_with_key(|names| {
                let values = |ticket| {
                    names
                        .iter()
                        .filter_map(|name| lasting(name, ticket))
                        .collect()
                };
                views()
                    .map(|(ticket, _)| (ticket.spec.finding.policy.clone(), values(ticket)))
                    .collect()
            });
            !tickets.contains(&(group.1.clone(), values))
        };
        let mut groups = vanished;
        groups.retain(is_left);
        groups
    }

    /// Whether a ticket is open and for a receiver, now, or was when the receiver stood in for another and was told.
    fn still_hears(&self, name: &str, ticket: &Ticket, status: &TicketStatus, now: Now) -> bool {
        is_open(status) && self.way_to(name, ticket, status, now).is_some()
    }

    fn way_to(
        &self,
        name: &str,
        ticket: &Ticket,
        status: &TicketStatus,
        now: Now,
    ) -> Option<Route> {
        let is_to = |route: &Route| route.receiver == name && !route.pace.leaving;
        let to = |routes: Vec<Route>| routes.into_iter().find(is_to);
        to(self.routes(ticket, status, now)).or_else(|| {
            let told = status
                .alerts
                .iter()
                .find(|record| record.receiver == name)?;
            let routes = self.routes(ticket, status, now);
            let since = status.episode.opened_at.unwrap_or(told.at);
            to(self.with_former_standbys(routes, status, since))
        })
    }

    /// Tells open tickets once more, because the alarm they were told under is another group's. `false`: the receiver takes no
    /// more now.
    fn tell_moved(&mut self, name: &str, group: &GroupId, keys: &[ObjectKey], now: Now) -> bool {
        if !self.takes_one(name, now) {
            return false;
        }
        let Some(state) = self.receivers.get(name) else {
            return false;
        };
        let (most, target) = (state.allowance.batch(), state.target.clone());
        let mut items: Vec<Item> = keys
            .iter()
            .filter_map(|key| self.told_again(name, key, now))
            .collect();
        // Nothing begins for what may not be told now.
        if items.is_empty() {
            return true;
        }
        let taken = self.is_acknowledged(name, group);
        if !self.is_group_noted(name, group, taken, now.wall) {
            self.agenda.doubts.wait = Some(NEXT);
            return true;
        }
        items.sort_by_key(|item| std::cmp::Reverse(item.severity));
        items.truncate(most);
        let in_few_words = self.take_refused(name, &mut items, now);
        let notice = self.notice(NoticeKind::Alert, group, &target, &items, now.wall);
        if let Some((notice, tellings)) = notice {
            let flight = Flight {
                in_few_words,
                keys: items.into_iter().map(|item| item.key).collect(),
                tellings,
                ..Flight::of_no_ticket(group.clone(), Some(notice.standing), now)
            };
            self.launch(name, notice, flight);
            self.agenda.doubts.wait = Some(NEXT);
        }
        true
    }

    /// What a receiver was last told of a ticket, to be told again if that may go now. What is news of it brings the alarm of its
    /// new group anyway, and what was told before that is not told after it began. Whoever took it or put it off is not called
    /// for it: until then the alarm of the old group stands for it.
    fn told_again(&self, name: &str, key: &ObjectKey, now: Now) -> Option<Item> {
        let state = self.receivers.get(name)?;
        let (ticket, status) = self.tickets.view(key)?;
        let owed = self.owed_to(name, key, now);
        let is_news = owed.is_some_and(|(telling, _)| telling.is_edge() || telling.due <= now.wall);
        if is_news || status.phase != Phase::Open {
            return None;
        }
        let route = self.way_to(name, ticket, status, now)?;
        let record = ledger::told(status, &route.uid)?;
        let telling = Telling::again(record, route.pace.failover, now.wall);
        let uid = ticket.metadata.uid.as_deref().unwrap_or("");
        let refused = state
            .refused
            .is_parked(&telling.event_id(uid, &route.uid), now);
        let under_way = state.flying().any(|flight| flight.keys.contains(key));
        let may_go = ledger::may_go_at(&telling, status, &route.pace, now.wall) <= now.wall;
        (may_go && !refused && !under_way).then(|| Item {
            severity: status.severity.unwrap_or(Severity::Medium),
            key: key.clone(),
            telling,
        })
    }

    /// Whether a receiver takes a message now; if not, it is asked again when it may, or when it answers.
    fn takes_one(&mut self, name: &str, now: Now) -> bool {
        let Some(state) = self.receivers.get_mut(name) else {
            return false;
        };
        let Err(wait) = state.availability(now) else {
            return true;
        };
        self.agenda.doubts.wait = Some(wait.unwrap_or(NEXT).max(NEXT).min(LOOK));
        false
    }

    /// Tells that a group is over. `false`: the receiver takes no more now.
    fn tell_vanished(&mut self, name: &str, group: &GroupId, now: Now) -> bool {
        let Some(state) = self.receivers.get_mut(name) else {
            return false;
        };
        if state.flights.values().any(|flight| flight.group == *group) {
            return true;
        }
        if !self.takes_one(name, now) {
            return false;
        }
        let notice = Notice {
            incident: self.incident_of(name, group),
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
}

fn is_open(status: &TicketStatus) -> bool {
    let open = [Phase::Open, Phase::Acknowledged, Phase::Snoozed];
    open.contains(&status.phase)
}
