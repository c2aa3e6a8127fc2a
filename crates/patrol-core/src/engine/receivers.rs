//! Receivers: which there are. One receiver's trouble is in its own state alone, so it delays no other.

mod allowance;
mod ceiling;
mod health;
mod manner;
mod refused;
mod report;
mod standby;
mod state;
mod turns;

use patrol_api::receiver::{AlertReceiver, AlertReceiverStatus};
use patrol_api::time::Span;

use super::Patrol;
use crate::clock::Now;
use crate::effect::Target;
pub(super) use crate::effect::{own_webhook_name, own_webhook_uid};
use crate::event::DeliveryClass;
use crate::facts::ObjectKey;
use crate::sym::Sym;

pub(super) use health::LONGEST_WAIT;
use report::Back;
pub(super) use state::ReceiverState;

/// Times of objects have whole seconds, and are of another clock.
const SLACK: Span = Span::seconds(5);

/// Whether `new` is an older or equal state of the same object.
fn is_older(held: &AlertReceiver, new: &AlertReceiver) -> bool {
    let version = |r: &AlertReceiver| {
        let version = r.metadata.resource_version.as_deref()?;
        version.parse::<u128>().ok()
    };
    held.metadata.uid == new.metadata.uid
        && matches!((version(held), version(new)), (Some(a), Some(b)) if b <= a)
}

impl Patrol {
    pub(super) fn receiver_seen(&mut self, receiver: AlertReceiver, now: Now) {
        let name = receiver.metadata.name.clone().unwrap_or_default();
        let last_words = self.hears_last_words(now);
        let Some(target) = Target::of_receiver(&receiver) else {
            self.receiver_gone(&name, now);
            return;
        };
        let state = self
            .receivers
            .entry(name.clone())
            .or_insert_with(|| ReceiverState::new(target.clone()));
        state.listed = true;
        if state
            .object
            .as_ref()
            .is_some_and(|o| is_older(o, &receiver))
        {
            return;
        }
        let routed_alike = state
            .object
            .as_ref()
            .is_some_and(|o| o.spec == receiver.spec);
        if state.target != target {
            let fresh = state.target.uid != target.uid;
            // What it held, another holds now, or nobody.
            if !state.target.endpoint.is_same_place(&target.endpoint) {
                state.groups.clear();
                state.begun.clear();
                state.acknowledging.clear();
                state.is_coarse = false;
            }
            if fresh {
                self.agenda.forget_receiver(&name, &state.target.uid);
                *state = ReceiverState::new(target);
            } else {
                state.target = target;
                state.renew();
            }
        }
        state.send_resolved = receiver.spec.send_resolved;
        state.quiet.clone_from(&receiver.spec.quiet_notices);
        state.coverage = receiver.spec.coverage;
        let kind = state.target.endpoint.kind();
        state.allowance.set_rate(kind, receiver.spec.rate);
        if state.object.is_none() || self.term.is_none() {
            state.adopt(&receiver, now);
        }
        let news = last_words && !state.written.stored && state.hear_last_words(&receiver);
        let unknown = state.object.is_none();
        state.object = Some(Box::new(receiver));
        // Whoever led before knew of it, and may have told it what was never written down.
        let made = state.made();
        let led = Span::millis(now.mono.since(self.led_since));
        if unknown && self.leads() && made.is_none_or(|at| now.wall.since(at).plus(SLACK) >= led) {
            self.has_predecessor_again();
        }
        if news {
            self.doubt_groups();
        }
        if !routed_alike {
            self.agenda.poke(&name, now.wall);
            self.routes_changed();
            self.evaluation.status_dirty = true;
        }
        if unknown {
            self.settle_ceiling_of_receivers(now);
        }
    }

    /// What a receiver refused, or what could not be read, was changed: it is tried at once. How often it failed stays known
    /// until it accepts: a change is no mending yet.
    pub(super) fn credentials_changed(&mut self, name: &str, now: Now) {
        let Some(state) = self.receivers.get_mut(name) else {
            return;
        };
        if let Some(DeliveryClass::Config(_) | DeliveryClass::SecretMissing) = state.health.trouble
        {
            state.health.forget_waits();
            self.agenda.poke(name, now.wall);
        }
    }

    pub(super) fn receiver_gone(&mut self, name: &str, now: Now) {
        if let Some(state) = self.receivers.remove(name) {
            self.settle_ceiling_of_receivers(now);
            self.agenda.forget_receiver(name, &state.target.uid);
            self.prune_counters();
            self.routes_changed();
            self.evaluation.status_dirty = true;
        }
    }

    /// A policy's own webhook appears, changes or goes with the policy.
    pub(super) fn policy_receiver_changed(&mut self, policy: &Sym) {
        let name = own_webhook_name(policy);
        let Some(state) = self.policies.get(policy) else {
            self.receivers.remove(&name);
            for state in self.receivers.values_mut() {
                state.turns.forget(policy);
            }
            return;
        };
        let Some(target) = Target::of_policy(&state.object) else {
            // It may come back, and is then owed the ends of what it may have been told.
            self.doubt_flights(&name);
            self.receivers.remove(&name);
            return;
        };
        let receiver = self
            .receivers
            .entry(name)
            .or_insert_with(|| ReceiverState::new(target.clone()));
        if receiver.target != target {
            if receiver.target.uid != target.uid {
                receiver.flights.clear();
            }
            receiver.target = target;
            receiver.renew();
        }
    }

    /// The kind is not installed: there is no receiver but the policies' own webhooks.
    pub(super) fn receivers_uninstalled(&mut self, now: Now) {
        let named: Vec<String> = self
            .receivers
            .iter()
            .filter(|(_, state)| state.object.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in named {
            self.receiver_gone(&name, now);
        }
    }

    /// Leading begins: what others wrote is the truth, and nothing is under way.
    pub(super) fn adopt_receivers(&mut self, now: Now) {
        for state in self.receivers.values_mut() {
            state.flights.clear();
            state.health.forget_waits();
            state.written = Back::default();
            if let Some(object) = state.object.take() {
                state.adopt(&object, now);
                state.object = Some(object);
            }
        }
    }

    pub(super) fn receivers_listing(&mut self) {
        for state in self.receivers.values_mut() {
            state.listed = state.object.is_none();
        }
    }

    pub(super) fn receivers_listed(&mut self, now: Now) {
        let gone: Vec<String> = self
            .receivers
            .iter()
            .filter(|(name, state)| {
                !state.listed
                    && !self
                        .inventory
                        .sight(crate::kind::Kind::AlertReceiver)
                        .is_blind_to(&ObjectKey::new("", name))
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.receiver_gone(&name, now);
        }
    }

    /// Whether a receiver was made anew under its old name: a ticket holds one record a
    /// name, and the one that is there keeps it.
    pub(super) fn is_replaced(&self, receiver: &str, uid: &str) -> bool {
        let state = self.receivers.get(receiver);
        state.is_some_and(|state| state.target.uid != uid)
    }

    pub(super) fn knows_receiver(&self, uid: &str) -> bool {
        self.receivers.values().any(|r| r.target.uid == uid)
    }

    pub(super) fn receiver_status_of(state: &ReceiverState) -> &AlertReceiverStatus {
        &state.status
    }
}
