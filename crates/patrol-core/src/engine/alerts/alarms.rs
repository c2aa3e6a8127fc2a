//! Receivers that hold alarms: what they may hold of a ticket, when they last took a sign of life, and which groups they
//! hold an alarm for. Never decides when something is owed.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::receiver::{EndpointKind, GroupRecord};
use patrol_api::ticket::TicketStatus;
use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Severity, ToldState};

use super::super::Patrol;
use super::{Agenda, Flight, GroupId};
use crate::clock::Now;
use crate::facts::ObjectKey;
use crate::notice::{Alarm, Group, Notice, NoticeKind};
use crate::ticket::{alive, ledger};

/// A group that is over is shown for so long.
const OVER: Span = Span::hours(1);
/// Between two looks for groups that are gone with their tickets: a look walks over all tickets.
const LOOK: Span = Span::minutes(1);

/// What a receiver that forgets heard of a ticket since this process leads. Losing it costs one more sign of life.
#[derive(Debug, Default)]
pub(super) struct Heard {
    at: Option<Time>,
    /// With which severities it may hold an alarm of the ticket.
    as_severe_as: Vec<Severity>,
}

/// By ticket and UID of the receiver.
pub(super) type AllHeard = BTreeMap<ObjectKey, BTreeMap<String, Heard>>;

/// Whether a kind keeps alarms until it is told their end.
pub(super) const fn holds_alarms(kind: EndpointKind) -> bool {
    matches!(kind, EndpointKind::Pagerduty | EndpointKind::Alertmanager)
}

/// Whether a kind takes silence for an end, and forgets.
pub(super) const fn forgets(kind: EndpointKind) -> bool {
    matches!(kind, EndpointKind::Alertmanager)
}

impl Agenda {
    /// When a receiver last took a sign of life of a ticket.
    pub(super) fn heard_at(&self, key: &ObjectKey, receiver_uid: &str) -> Option<Time> {
        self.heard.get(key)?.get(receiver_uid)?.at
    }

    /// A ticket is about to be told with this severity: from now on the receiver may hold it so, or still as before.
    pub(super) fn say(
        &mut self,
        key: &ObjectKey,
        receiver_uid: &str,
        severity: Severity,
        former: &[Severity],
    ) {
        let of_ticket = self.heard.entry(key.clone()).or_default();
        let heard = of_ticket.entry(receiver_uid.to_owned()).or_default();
        for severity in former.iter().chain([&severity]) {
            if !heard.as_severe_as.contains(severity) {
                heard.as_severe_as.push(*severity);
            }
        }
    }

    /// It took what was said.
    pub(super) fn hear(
        &mut self,
        key: &ObjectKey,
        receiver_uid: &str,
        severity: Severity,
        at: Time,
    ) {
        let of_ticket = self.heard.entry(key.clone()).or_default();
        let heard = of_ticket.entry(receiver_uid.to_owned()).or_default();
        heard.at = heard.at.max(Some(at));
        heard.as_severe_as = vec![severity];
    }

    /// What a receiver may hold of a ticket.
    pub(super) fn alarm(
        &self,
        key: &ObjectKey,
        status: &TicketStatus,
        receiver_uid: &str,
    ) -> Alarm {
        let told = ledger::told(status, receiver_uid);
        let firing = told.filter(|record| record.state == ToldState::Firing);
        let now = status.severity.unwrap_or(Severity::Medium);
        let heard = self
            .heard
            .get(key)
            .and_then(|of_ticket| of_ticket.get(receiver_uid));
        let mut former: Vec<Severity> = match heard {
            Some(heard) => heard.as_severe_as.clone(),
            // Told by another process: if it was raised meanwhile, nobody knows from what.
            None if told.is_some() && was_raised(status) => Severity::ALL.to_vec(),
            None => vec![],
        };
        former.retain(|severity| match heard {
            Some(_) => *severity != now,
            None => *severity < now,
        });
        Alarm {
            named: firing.is_some_and(|record| !record.digest),
            numbered: told.is_some_and(|record| record.digest),
            former,
        }
    }
}

fn was_raised(status: &TicketStatus) -> bool {
    let raised = AlertReason::SeverityRaised.as_str();
    status.history.iter().any(|entry| entry.reason == raised)
}

/// Of the tickets of a group that a receiver counts as firing: all, and those told by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    pub all: u32,
    pub numbered: u32,
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
        self.agenda.look_for_vanished = true;
    }

    /// A group whose alarm stands at a receiver while none of its tickets is told as firing any more is told to be over:
    /// its tickets went with their namespace, or the policy groups differently now. Two looks must agree on it.
    pub(super) fn close_vanished(&mut self, now: Now) {
        if !self.agenda.look_for_vanished {
            return;
        }
        let looked = self.agenda.looked_for_vanished;
        if let Some(at) = looked.map(|at| at.plus(LOOK))
            && now.mono < at
        {
            let wait = Span::millis(at.since(now.mono)).plus(Span::seconds(1));
            self.wake_at(now.wall.plus(wait));
            return;
        }
        self.agenda.looked_for_vanished = Some(now.mono);
        self.agenda.look_for_vanished = false;
        let holding: Vec<(String, String)> = self
            .receivers
            .iter()
            .filter(|(_, state)| holds_alarms(state.target.endpoint.kind()))
            .filter(|(_, state)| state.groups.values().any(|g| g.state == ToldState::Firing))
            .map(|(name, state)| (name.clone(), state.target.uid.clone()))
            .collect();
        for (name, uid) in holding {
            self.close_vanished_of(&name, &uid, now);
        }
    }

    fn close_vanished_of(&mut self, name: &str, uid: &str, now: Now) {
        let told: BTreeSet<String> = self
            .tickets
            .iter()
            .filter(|(_, _, status)| {
                ledger::told(status, uid).is_some_and(|r| r.state == ToldState::Firing)
            })
            .map(|(_, ticket, status)| record_key(&self.group_of(name, ticket, status)))
            .collect();
        let Some(state) = self.receivers.get_mut(name) else {
            return;
        };
        let vanished: Vec<GroupId> = state
            .groups
            .values()
            .filter(|g| g.state == ToldState::Firing && !told.contains(&g.key))
            .filter_map(|g| group_id(name, &g.key))
            .collect();
        let seen = &mut self.agenda.vanished;
        seen.retain(|group| group.0 != name || vanished.contains(group));
        for group in vanished {
            let Some(state) = self.receivers.get_mut(name) else {
                return;
            };
            // Whatever becomes of it, it is looked at again until it is accepted.
            self.agenda.look_for_vanished = true;
            // A ticket that was deleted and is about to be made again is no end.
            let is_new = self.agenda.vanished.insert(group.clone());
            if is_new || state.flights.values().any(|f| f.group == group) {
                continue;
            }
            if state.availability(now).is_err() {
                break;
            }
            self.send_vanished(name, group, now);
        }
        if self.agenda.look_for_vanished {
            self.wake_at(now.wall.plus(LOOK).plus(Span::seconds(1)));
        }
    }

    fn send_vanished(&mut self, name: &str, group: GroupId, now: Now) {
        let notice = Notice {
            policy: group.1.clone(),
            reason: AlertReason::Resolved,
            group: Group {
                key: labels_key(&group.2),
                labels: group.2.clone(),
            },
            ..Notice::of_no_ticket(NoticeKind::Alert, name, self.cluster(), now.wall)
        };
        self.launch(name, notice, Flight::of_no_ticket(group, Some(0), now));
    }

    /// Whether a receiver takes silence for an end.
    pub(super) fn receiver_forgets(&self, name: &str) -> bool {
        let state = self.receivers.get(name);
        state.is_some_and(|state| forgets(state.target.endpoint.kind()))
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

/// Whether a telling of a receiver that forgets is written down: a sign of life is not, or every open ticket would be
/// written every few minutes.
pub(super) fn is_recorded(forgets: bool, telling: &ledger::Telling) -> bool {
    !(forgets && alive::is_sign_of_life(telling))
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
