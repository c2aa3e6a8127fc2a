//! Digests: what would be very many messages becomes one. It only gathers; nothing is left out.
//!
//! Four things make one: a receiver that hears of what was open before it was made, a receiver that hears of a policy
//! for the first time and of very much, a policy that judges very much graver than before, and a backlog that would take too long
//! at the receiver's rate.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::policy::Alerts;
use patrol_api::time::Span;
use patrol_api::words::{AlertReason, ToldState};

use super::super::Patrol;
use super::alarms::holds_alarms;
use super::compose::shows_groups;
use super::{Draft, GroupId, Item};
use crate::sym::Sym;
use crate::ticket::ledger;

/// A first contact with more tickets than this is a digest: nobody reads so many messages.
const FIRST_CONTACT: usize = 100;

impl Patrol {
    /// Puts together what is better told at once.
    pub(super) fn gather(
        &self,
        receiver: &Sym,
        drafts: BTreeMap<GroupId, Draft>,
    ) -> BTreeMap<GroupId, Draft> {
        let Some(state) = self.receivers.get(receiver.as_str()) else {
            return drafts;
        };
        // Whoever holds one alarm for each group, or reads a message so, must hear of each group.
        let endpoint = &state.target.endpoint;
        if holds_alarms(endpoint.kind()) || shows_groups(endpoint) {
            return drafts;
        }
        let policies: BTreeSet<String> = drafts.keys().map(|group| group.1.clone()).collect();
        let crowded: BTreeSet<&String> = policies
            .iter()
            .filter(|policy| {
                let edges = count(&drafts, policy, is_first_edge);
                edges > FIRST_CONTACT && self.is_stranger(&state.target.uid, policy)
            })
            .collect();
        let judged_anew: BTreeSet<&String> = policies
            .iter()
            .filter(|policy| count(&drafts, policy, is_raised) > FIRST_CONTACT)
            .collect();
        // All that waits there goes through the same rate, whatever policy it is of.
        let due = drafts.values().map(|draft| draft.items.len());
        let messages: usize = due.map(|tickets| state.allowance.messages(tickets)).sum();
        let minute = Span::minutes(1).as_millis();
        let each = minute / state.allowance.per_minute();
        let takes = Span::millis(each).times(u64::try_from(messages).unwrap_or(u64::MAX));
        let flooded: BTreeSet<&String> = policies
            .iter()
            .filter(|policy| {
                let most = self
                    .policies
                    .get(policy.as_str())
                    .map_or(Alerts::default().digest_after, |p| {
                        p.object.spec.alerts.digest_after
                    });
                takes > most
            })
            .collect();
        let mut out: BTreeMap<GroupId, Draft> = BTreeMap::new();
        for (group, mut draft) in drafts {
            let whole = flooded.contains(&group.1);
            let first = crowded.contains(&group.1);
            let raised = judged_anew.contains(&group.1);
            let interval = draft.interval;
            let (gathered, alone): (Vec<_>, Vec<_>) = draft.items.drain(..).partition(|item| {
                whole
                    || item.telling.reason == AlertReason::Baseline
                    || (first && is_first_edge(item))
                    || (raised && is_raised(item))
            });
            for mut item in gathered {
                if first && is_first_edge(&item) {
                    item.telling.reason = AlertReason::Baseline;
                }
                let id = (group.0.clone(), group.1.clone(), vec![]);
                let digest = out.entry(id).or_default();
                digest.digest = true;
                digest.add(item, interval);
            }
            for item in alone {
                out.entry(group.clone()).or_default().add(item, interval);
            }
        }
        out
    }

    /// Whether a receiver was never told anything of a policy's tickets.
    fn is_stranger(&self, uid: &str, policy: &str) -> bool {
        self.tickets
            .iter()
            .filter(|(_, ticket, _)| ticket.spec.finding.policy == policy)
            .all(|(_, _, status)| ledger::told(status, uid).is_none())
    }
}

/// How many of what is due of a policy are such.
fn count(drafts: &BTreeMap<GroupId, Draft>, policy: &str, such: fn(&Item) -> bool) -> usize {
    let of_policy = drafts.iter().filter(|(group, _)| group.1 == policy);
    let items = of_policy.flat_map(|(_, draft)| &draft.items);
    items.filter(|item| such(item)).count()
}

fn is_first_edge(item: &Item) -> bool {
    item.telling.is_edge() && item.telling.state == ToldState::Firing
}

fn is_raised(item: &Item) -> bool {
    item.telling.reason == AlertReason::SeverityRaised
}
