//! The finalizer of a policy with a webhook of its own: the policy takes the address with
//! it when it goes, so it stays while someone told there must still be told the end. Never
//! for longer than an hour.

use std::collections::BTreeSet;

use patrol_api::names::COVERAGE_POLICY;
use patrol_api::time::Span;
use patrol_api::words::{Phase, ToldState};

use super::super::receivers::own_webhook_uid;
use super::super::{Patrol, WriteTarget};
use super::PolicyState;
use crate::clock::{Mono, Now};
use crate::effect::Effect;
use crate::sym::Sym;

/// A deleted policy is held back at most this long.
const CLOSING: Span = Span::hours(1);

/// Which policies owe something at their own webhooks. Worked out over all tickets, so only
/// when something changed, and at most once a second.
#[derive(Debug, Default)]
pub(in crate::engine) struct Closing {
    pub dirty: bool,
    looked: Option<Mono>,
    owing: BTreeSet<Sym>,
}

impl Patrol {
    pub(super) fn settle_finalizers(&mut self, now: Now) {
        let names: Vec<Sym> = self
            .policies
            .iter()
            .filter(|(_, p)| p.object.spec.alerts.webhook.is_some() || p.has_finalizer())
            .map(|(name, _)| name.clone())
            .collect();
        if names.is_empty() {
            return;
        }
        // Without its tickets nobody can say what a policy owes.
        if self.can_act() && self.closing.dirty {
            let looked = self.closing.looked;
            if looked.is_none_or(|at| now.mono >= at.plus(Span::seconds(1))) {
                self.closing.dirty = false;
                self.closing.looked = Some(now.mono);
                self.closing.owing = self.owing(&names);
            } else {
                self.wake_at(now.wall.plus(Span::seconds(1)));
            }
        }
        for name in names {
            self.settle_finalizer(&name, now);
        }
    }

    fn settle_finalizer(&mut self, name: &Sym, now: Now) {
        let Some(state) = self.policies.get(name) else {
            return;
        };
        let has = state.has_finalizer();
        let wanted = self.wants_finalizer(name, state, now);
        if has == wanted || self.is_policy_busy(name) {
            return;
        }
        if wanted && state.is_leaving() {
            return; // too late to add one: the API server refuses it
        }
        // What it owes is only certain when all is judged and counted.
        let certain = self.can_act() && !self.closing.dirty && self.is_all_judged();
        if !wanted && !certain && !is_over(state, now) {
            return;
        }
        let again = state.finalizer.retry_at(wanted);
        if now.mono < again {
            let wait = Span::millis(again.since(now.mono)).plus(Span::seconds(1));
            self.wake_at(now.wall.plus(wait));
            return;
        }
        let at = state.precondition();
        let id = self.begin_write(WriteTarget::PolicyFinalizer(name.clone()), now);
        self.outbox.push(Effect::WritePolicyFinalizer {
            id,
            at,
            present: wanted,
        });
    }

    fn wants_finalizer(&self, name: &Sym, state: &PolicyState, now: Now) -> bool {
        // An address that is no longer written cannot be told anything.
        state.object.spec.alerts.webhook.is_some()
            && !is_over(state, now)
            && self.closing.owing.contains(name)
    }

    /// The policies whose own webhook was, or is about to be, told of a ticket that it was
    /// not told the end of.
    fn owing(&self, names: &[Sym]) -> BTreeSet<Sym> {
        let states: Vec<(&Sym, &PolicyState, String)> = names
            .iter()
            .filter_map(|name| self.policies.get_key_value(name))
            .map(|(name, state)| (name, state, own_webhook_uid(state.name(), state.uid())))
            .collect();
        let mut owing = BTreeSet::new();
        for (_, ticket, status) in self.tickets.iter() {
            let policy = ticket.spec.finding.policy.as_str();
            for (name, state, uid) in &states {
                let own = policy == name.as_str();
                let open = status.phase != Phase::Resolved;
                let told = status
                    .alerts
                    .iter()
                    .any(|r| r.uid == *uid && r.state == ToldState::Firing);
                let owes = if state.is_leaving() {
                    // A ticket of the coverage checks lives on: it has no end to tell here.
                    told && (own || !open)
                } else {
                    told || (open && (own || policy == COVERAGE_POLICY) && !self.is_observing(name))
                };
                if owes {
                    owing.insert((*name).clone());
                }
            }
        }
        owing
    }

    fn is_observing(&self, policy: &str) -> bool {
        let rules = self.rulebook.policies.get(policy);
        rules.is_some_and(|p| p.observe)
    }

    /// Whether a policy's own webhook may be told of firing tickets: the finalizer that
    /// keeps its address is in place, or cannot be had.
    pub(in crate::engine) fn may_tell_own_webhook(&self, name: &str) -> bool {
        self.policies
            .get(name)
            .is_some_and(|p| p.has_finalizer() || p.finalizer.refused)
    }
}

/// Whether a deleted policy was held back for long enough.
fn is_over(state: &PolicyState, now: Now) -> bool {
    let deleted = state.object.metadata.deletion_timestamp.as_ref();
    deleted.is_some_and(|at| now.wall.since(patrol_api::condition::from_meta_time(at)) >= CLOSING)
}
