//! Sending: lane by lane, group by group, the most severe first. It hands notices to the
//! edge and records nothing.

use std::collections::BTreeMap;

use patrol_api::policy::Alerts;
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Severity, ToldState};

use super::super::Patrol;
use super::super::evaluate::earlier;
use super::agenda::Lane;
use super::{Draft, Flight, GroupId, Item, Route, alarms, owed};
use crate::clock::Now;
use crate::facts::ObjectKey;
use crate::kind::Kind;
use crate::notice::NoticeKind;
use crate::sym::Sym;
use crate::ticket::alive;
use crate::ticket::ledger::{self, Telling};

/// Edges that still wait for company for so long can join a message that goes now.
const JOIN: Span = Span::minutes(5);
/// And signs of life that are due within this time.
const JOIN_ALIVE: Span = Span::minutes(2);
/// Whatever is due and could not be sent is looked at again after this time at the latest.
const AGAIN: Span = Span::seconds(10);

/// What became of a group's turn.
enum Turn {
    /// Sent, or on its way already: the answer gives the next turn.
    Taken,
    /// Sent, and so much is left over that it does not wait for the answer.
    Leaves(Draft),
    /// Not before this time.
    NotBefore(Time),
    /// The receiver takes no more now.
    Full(Time),
}

impl Patrol {
    pub(in crate::engine) fn send_due(&mut self, now: Now) {
        if std::mem::take(&mut self.agenda.stale) {
            let keys: Vec<ObjectKey> = self.tickets.keys().cloned().collect();
            for key in &keys {
                self.plan_alerts(key, now);
            }
        }
        self.settle_groups(now);
        for name in self.agenda.to_look_at(now) {
            self.serve(&name, now);
        }
        if let Some(at) = self.agenda.tidy(now) {
            self.wake_at(at);
        }
        self.forget_pending(now);
    }

    /// Whoever is owed nothing any more has nothing pending, also where nobody looks at its lane again.
    fn forget_pending(&mut self, now: Now) {
        for state in self.receivers.values_mut().filter(|s| s.pending > 0) {
            let lane = self.agenda.lane(&Sym::new(&state.target.name));
            let first = lane.and_then(Lane::first);
            if first.is_none_or(|at| at > now.wall) {
                state.pending = 0;
                state.pending_by.clear();
                state.oldest_pending = None;
            }
        }
    }

    /// Gives one receiver what it is owed, as far as it takes it.
    fn serve(&mut self, name: &Sym, now: Now) {
        let Some(lane) = self.agenda.lane_mut(name) else {
            return;
        };
        lane.look_at = None;
        let mut pending_by: BTreeMap<Severity, u64> = BTreeMap::new();
        let mut pending = 0;
        for (_, key) in lane.due_at(now.wall) {
            let severity = self.tickets.view(key).and_then(|(_, s)| s.severity);
            *pending_by
                .entry(severity.unwrap_or(Severity::Medium))
                .or_default() += 1;
            pending += 1;
        }
        let oldest = lane.first().filter(|_| pending > 0);
        lane.rest(pending, now.mono);
        let listed = self
            .inventory
            .sight(Kind::AlertReceiver)
            .blindness()
            .is_none();
        let mut look_at = None;
        if let Some(state) = self.receivers.get_mut(name.as_str()) {
            state.pending = pending;
            state.pending_by = pending_by;
            state.oldest_pending = oldest;
            if state.object.is_some() && !listed {
                // Who is told is not certain: a receiver that was deleted hears nothing.
            } else if let Err(wait) = state.availability(now) {
                look_at = wait.map(|wait| later(now.wall, wait));
            } else {
                look_at = self.serve_groups(name, now);
            }
        }
        let Some(lane) = self.agenda.lane_mut(name) else {
            return;
        };
        let next = lane.next_after(now.wall);
        let waits = lane.first().is_some_and(|at| at <= now.wall);
        let again = waits.then(|| now.wall.plus(AGAIN));
        lane.look_at = [look_at, next, again, lane.look_at]
            .into_iter()
            .fold(None, earlier);
    }

    fn serve_groups(&mut self, name: &Sym, now: Now) -> Option<Time> {
        let mut drafts = self.drafts(name, now);
        if self.must_coarsen(name, &drafts) {
            drafts = self.drafts(name, now);
        }
        let mut groups: Vec<(GroupId, Draft)> = self.gather(name, drafts).into_iter().collect();
        let mut look_at = None;
        let mut turn = None;
        while !groups.is_empty() {
            // A message that went changes whose turn it is.
            let before = self.receivers.get(name.as_str()).map(|r| r.turns.count());
            if turn != before {
                turn = before;
                self.put_in_order(name, &mut groups);
            }
            let Some((group, draft)) = groups.pop() else {
                break;
            };
            match self.send_group(name, &group, draft, now) {
                Turn::Taken => {}
                Turn::Leaves(rest) => groups.push((group, rest)),
                Turn::NotBefore(at) => look_at = earlier(look_at, Some(at)),
                Turn::Full(at) => return earlier(look_at, Some(at)),
            }
        }
        look_at
    }

    /// Puts last the group whose turn is next: the most pressing one, of the policy whose last turn is longest ago; or, now and
    /// then, the one that waits longest.
    fn put_in_order(&self, name: &Sym, groups: &mut [(GroupId, Draft)]) {
        let Some(state) = self.receivers.get(name.as_str()) else {
            return;
        };
        let turns = &state.turns;
        groups.sort_by(|(a_id, a), (b_id, b)| {
            let rank = |id: &GroupId, draft: &Draft| {
                let last = turns.last(&id.1);
                (std::cmp::Reverse(draft.weight), last, draft.oldest)
            };
            (rank(b_id, b), b_id).cmp(&(rank(a_id, a), a_id))
        });
        // A probe is of what matters most.
        if turns.is_for_who_waits() && !state.health.is_outage() {
            let all = groups.iter().enumerate();
            let oldest = all.min_by_key(|(_, (id, draft))| (draft.oldest, id));
            if let Some(at) = oldest.map(|(at, _)| at) {
                let last = groups.len().saturating_sub(1);
                groups.swap(at, last);
            }
        }
    }

    /// Everything that is due to a receiver, by group, with the edges that may join it.
    fn drafts(&mut self, name: &Sym, now: Now) -> BTreeMap<GroupId, Draft> {
        let mut drafts: BTreeMap<GroupId, Draft> = BTreeMap::new();
        let mut joiners: Vec<(GroupId, Item)> = vec![];
        let mut silent: Vec<(ObjectKey, Route, Telling)> = vec![];
        let mut put_off: Vec<ObjectKey> = vec![];
        let horizon = now.wall.plus(match self.receiver_forgets(name) {
            // Every open ticket is due there within minutes.
            true => JOIN_ALIVE,
            false => JOIN,
        });
        let Some(lane) = self.agenda.lane_mut(name) else {
            return drafts;
        };
        let due = lane.due_at(horizon).map(|(_, key)| key.clone());
        let keys: Vec<ObjectKey> = due.collect();
        lane.rest(keys.len(), now.mono);
        for key in keys {
            let Some((ticket, status)) = self.tickets.view(&key) else {
                continue;
            };
            let mut routes = self.routes(ticket, status, now).into_iter();
            let Some(route) = routes.find(|r| r.receiver == name.as_str()) else {
                continue;
            };
            let heard = self.agenda.heard(&key, &route.uid);
            let Some(telling) = owed(ticket, status, &route, heard, now.wall) else {
                continue;
            };
            if self.is_held_back(&key, &route, &telling, ticket_uid(ticket), now) {
                continue;
            }
            if self.ends_silently(&route, &telling) {
                silent.push((key, route, telling));
                continue;
            }
            let group = self.group_of(&route.receiver, ticket, status);
            let item = Item {
                severity: status.severity.unwrap_or(Severity::Medium),
                key: key.clone(),
                telling,
            };
            if item.telling.due <= now.wall {
                let interval = self.interval_of(&item.telling, &route, ticket_policy(ticket));
                drafts.entry(group).or_default().add(item, interval);
            } else if item.telling.due > horizon {
                put_off.push(key);
            } else if (may_join(&item.telling) || joins(&route, &item.telling, now.wall))
                && ledger::may_go_at(&item.telling, status, &route.pace, now.wall) <= now.wall
            {
                joiners.push((group, item));
            }
        }
        for key in put_off {
            self.plan_alerts(&key, now);
        }
        for (group, item) in joiners {
            if let Some(draft) = drafts.get_mut(&group) {
                draft.items.push(item);
            }
        }
        for (key, route, telling) in silent {
            self.close_silently(&key, &route, &telling, now);
        }
        drafts
    }

    /// Whether a receiver does not want to hear of an end. An alarm that it holds ends all the same, and what came and went
    /// unheard was never told at all.
    fn ends_silently(&self, route: &Route, telling: &Telling) -> bool {
        let state = self.receivers.get(&route.receiver);
        let holds = state.is_some_and(|s| alarms::holds_alarms(s.target.endpoint.kind()));
        telling.state == ToldState::Closed
            && telling.reason != AlertReason::Late
            && !route.pace.send_resolved
            && !holds
    }

    /// This receiver does not want to hear of ends: only the record is closed.
    fn close_silently(&mut self, key: &ObjectKey, route: &Route, telling: &Telling, now: Now) {
        if let Some(status) = self.tickets.status_mut(key) {
            ledger::record(
                status,
                &route.receiver,
                &route.uid,
                telling,
                false,
                now.wall,
            );
        }
        self.tickets.touch(key);
        self.closing.dirty = true;
        self.plan_alerts(key, now);
        self.wake.soon = true;
    }

    /// Leaves only one ticket whose message was refused as a whole, if there is one: it goes alone, and in few words.
    pub(super) fn take_refused(&self, name: &str, items: &mut Vec<Item>, now: Now) -> bool {
        let Some(state) = self.receivers.get(name).filter(|s| !s.refused.is_empty()) else {
            return false;
        };
        let was_refused = |item: &Item| {
            let uid = self.tickets.view(&item.key).map(|(t, _)| ticket_uid(t));
            let id = uid.map(|uid| item.telling.event_id(uid, &state.target.uid));
            id.is_some_and(|id| state.refused.wants_few_words(&id, now))
        };
        let Some(at) = items.iter().position(was_refused) else {
            return false;
        };
        items.swap(0, at);
        items.truncate(1);
        true
    }

    /// Whether a message must begin the group's next incident, because whoever took the one that stands hears nothing of it.
    fn begins_anew(&self, name: &str, group: &GroupId, draft: &Draft) -> bool {
        let taken = self.is_acknowledged(name, group);
        let anew = |item: &Item| must_be_heard(item) || taken && calls(item);
        draft.items.iter().any(anew)
    }

    fn interval_of(&self, telling: &Telling, route: &Route, policy: &str) -> Span {
        match telling.state {
            // Ends wait for company as openings do, not for a whole interval.
            ToldState::Closed => route.pace.group_wait,
            // Whoever groups by himself is not made to wait.
            ToldState::Firing if route.forgets => route.pace.group_wait,
            ToldState::Firing => self
                .policies
                .get(policy)
                .map_or(Alerts::default().group_interval, |p| {
                    p.object.spec.alerts.group_interval
                }),
        }
    }

    /// Not stored yet, under way, parked, or waiting for the finalizer that keeps the
    /// address.
    fn is_held_back(
        &self,
        key: &ObjectKey,
        route: &Route,
        telling: &Telling,
        ticket_uid: &str,
        now: Now,
    ) -> bool {
        let Some(state) = self.receivers.get(&route.receiver) else {
            return true;
        };
        // Nothing else of a ticket overtakes what is under way.
        if !self.tickets.is_stored(key) || state.flying().any(|f| f.keys.contains(key)) {
            return true;
        }
        let parked = !state.refused.is_empty() && {
            let id = telling.event_id(ticket_uid, &route.uid);
            state.refused.is_parked(&id, now)
        };
        let unkept = telling.state == ToldState::Firing
            && route
                .receiver
                .strip_prefix("policy/")
                .is_some_and(|policy| !self.may_tell_own_webhook(policy));
        parked || unkept
    }

    /// Sends a group's message if it may go now.
    fn send_group(&mut self, name: &Sym, group: &GroupId, mut draft: Draft, now: Now) -> Turn {
        let Some(state) = self.receivers.get_mut(name.as_str()) else {
            return Turn::Full(now.wall.plus(AGAIN));
        };
        let holds = alarms::holds_alarms(state.target.endpoint.kind());
        let backlog = !holds && state.allowance.is_backlog(draft.items.len(), draft.digest);
        // A backlog does not wait for the answer to its first part. All else goes with what is left over then.
        if state.flying().any(|f| f.group == *group) && !backlog {
            return Turn::Taken;
        }
        if let Err(wait) = state.availability(now) {
            return Turn::Full(later(now.wall, wait.unwrap_or(AGAIN)));
        }
        if let Some((last, since)) = self.agenda.last_sent.get(group)
            && !draft.urgent
            // What a message left over (sizes, splits) does not wait for another interval.
            && draft.oldest.is_none_or(|oldest| oldest > *last)
        {
            let passed = Span::millis(now.mono.since(*since));
            if passed < draft.interval {
                let left = draft
                    .interval
                    .as_millis()
                    .saturating_sub(passed.as_millis());
                return Turn::NotBefore(later(now.wall, Span::millis(left)));
            }
        }
        let forgets = alarms::forgets(state.target.endpoint.kind());
        let rings = |item: &Item| item.telling.state == ToldState::Firing;
        if holds
            && !forgets
            && draft.items.iter().any(rings)
            && !self.is_group_noted(name, group, self.begins_anew(name, group, &draft), now.wall)
        {
            return Turn::NotBefore(later(now.wall, Span::seconds(1)));
        }
        let Some(state) = self.receivers.get(name.as_str()) else {
            return Turn::Full(now.wall.plus(AGAIN));
        };
        let mut items = std::mem::take(&mut draft.items);
        // Stable: what was refused for its content comes back in smaller parts until the
        // one at fault is alone.
        items.sort_by_key(|item| (!item.telling.is_edge(), std::cmp::Reverse(item.severity)));
        let kind = match draft.digest {
            true => NoticeKind::Digest,
            false => NoticeKind::Alert,
        };
        let most = state.allowance.most_tickets(draft.digest);
        draft.items = items.split_off(most.min(items.len()));
        let target = state.target.clone();
        let in_few_words = self.take_refused(name, &mut items, now);
        let Some((notice, tellings)) = self.notice(kind, group, &target, &items, now.wall) else {
            return Turn::Taken;
        };
        if notice.acknowledges && !self.is_acknowledgement_noted(name, group, now.wall) {
            self.evaluation.status_dirty = true;
            return Turn::NotBefore(later(now.wall, Span::seconds(1)));
        }
        let endpoint = target.endpoint.kind();
        let said: BTreeMap<ObjectKey, Severity> = items
            .iter()
            .filter(|_| alarms::forgets(endpoint))
            .map(|item| (item.key.clone(), item.severity))
            .collect();
        for ticket in notice.tickets.iter().filter(|_| alarms::forgets(endpoint)) {
            let key = ObjectKey::new(&ticket.namespace, &ticket.name);
            let former = &ticket.alarm.former;
            self.agenda.say(&key, &target.uid, ticket.severity, former);
        }
        let standing = holds.then_some(notice.standing);
        let flight = Flight {
            said,
            digest: draft.digest,
            in_few_words,
            keys: items.into_iter().map(|item| item.key).collect(),
            tellings,
            ..Flight::of_no_ticket(group.clone(), standing, now)
        };
        if let Some(state) = self.receivers.get_mut(name.as_str()) {
            state.turns.take(&notice.policy);
        }
        self.launch(name, notice, flight);
        if !backlog {
            return Turn::Taken;
        }
        // One that goes alone leaves the others for the next look.
        match draft.left_over(now.wall).filter(|_| !in_few_words) {
            Some(rest) => Turn::Leaves(rest),
            None => Turn::NotBefore(now.wall),
        }
    }
}

impl Draft {
    /// What did not go, by what of it is due: it has its own turn. `None`: nothing is.
    fn left_over(self, now: Time) -> Option<Self> {
        let (due, joiners): (Vec<Item>, Vec<Item>) = self
            .items
            .into_iter()
            .partition(|item| item.telling.due <= now);
        let mut rest = Self {
            digest: self.digest,
            ..Self::default()
        };
        for item in due {
            rest.add(item, self.interval);
        }
        let is_due = !rest.items.is_empty();
        rest.items.extend(joiners);
        is_due.then_some(rest)
    }

    pub(super) fn add(&mut self, item: Item, interval: Span) {
        self.weight = self.weight.max(Some(weight(&item)));
        self.oldest = earlier(self.oldest, Some(item.telling.due));
        self.interval = if self.items.is_empty() {
            interval
        } else {
            self.interval.min(interval)
        };
        self.urgent |= item.telling.is_edge()
            && item.telling.state == ToldState::Firing
            && (item.severity == Severity::Critical
                || matches!(
                    item.telling.reason,
                    AlertReason::SLABreached | AlertReason::Overdue
                ));
        self.items.push(item);
    }
}

/// Whether it must be heard even where somebody acknowledged the incident that stands (alerting.md 2.12).
fn must_be_heard(item: &Item) -> bool {
    let telling = &item.telling;
    let passed = matches!(
        telling.reason,
        AlertReason::SLABreached | AlertReason::Overdue | AlertReason::Escalated
    );
    passed && telling.state == ToldState::Firing
}

/// Whether it calls somebody for a ticket that is open.
fn calls(item: &Item) -> bool {
    item.telling.state == ToldState::Firing && !item.telling.reason.is_quiet()
}

/// How pressing a telling is, without its critical ones: what passed its time, and ends, go before all that is no more than severe.
fn weight(item: &Item) -> (Severity, bool) {
    let telling = &item.telling;
    let passed = matches!(
        telling.reason,
        AlertReason::SLABreached | AlertReason::Overdue
    );
    match item.severity {
        Severity::Critical => (Severity::Critical, true),
        _ if passed || telling.state == ToldState::Closed => (Severity::Critical, false),
        severity => (severity, false),
    }
}

/// Whether it may go before its time with a message that goes now: an edge that only waits for company. Whoever hears of a
/// ticket because it is old hears of it when it is.
fn may_join(telling: &Telling) -> bool {
    telling.is_edge() && telling.reason != AlertReason::Escalated
}

/// Whether a sign of life that is due soon goes with a message that goes now.
fn joins(route: &Route, telling: &Telling, now: Time) -> bool {
    route.forgets && alive::is_sign_of_life(telling) && telling.due <= now.plus(JOIN_ALIVE)
}

/// Durable times have whole seconds: a wait ends with the second after it.
fn later(now: Time, wait: Span) -> Time {
    now.plus(Span::seconds(wait.as_millis().div_ceil(1000)))
}

fn ticket_uid(ticket: &patrol_api::ticket::Ticket) -> &str {
    ticket.metadata.uid.as_deref().unwrap_or("")
}

fn ticket_policy(ticket: &patrol_api::ticket::Ticket) -> &str {
    &ticket.spec.finding.policy
}
