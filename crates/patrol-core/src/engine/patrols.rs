//! Patrols: the scheduled proof. A patrol asks whether its kinds are readable, judges
//! every unit in scope afresh, and closes the coverage account. Single flight per policy;
//! missed starts run once.

mod account;

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::policy::LastPatrol;
use patrol_api::time::{Span, Time};
use patrol_api::words::Trigger;

use super::Patrol;
use super::policies::{PolicyState, Round};
use crate::clock::{Mono, Now};
use crate::effect::Effect;
use crate::inspect::{FRESH_SECONDS, inspect_each};
use crate::inventory::{Blindness, Sight};
use crate::kind::Kind;
use crate::rule::{Alternative, RuleSpec};
use crate::sym::Sym;
use crate::ticket::ledger;

use account::Account;

/// A review without an answer is asked again.
const REVIEW_AGAIN: Span = Span::seconds(30);
/// What is refused is asked for again, be there a policy that patrols or not.
const REFUSED_AGAIN: Span = Span::minutes(5);
/// A patrol waits so long for lists under way and for watches that fail or are quiet.
pub(super) const PATIENCE: Span = Span::seconds(90);

impl Patrol {
    pub(super) fn begin_patrols(&mut self, now: Now) {
        if !self.can_act() {
            return;
        }
        self.plan_starts();
        let mut kinds: BTreeSet<Kind> = BTreeSet::new();
        let mut started: Vec<(Sym, Trigger)> = vec![];
        let mut again = false;
        for (name, state) in &self.policies {
            match state.patrol {
                Round::Reviewing { asked, .. } => {
                    if now.mono >= asked.plus(REVIEW_AGAIN) {
                        again = true;
                        kinds.extend(self.kinds_of(name));
                    }
                }
                Round::Judging { .. } => {}
                Round::Idle => {
                    if let Some(trigger) = self.due_trigger(name, state, now.wall) {
                        started.push((name.clone(), trigger));
                        kinds.extend(self.kinds_of(name));
                    }
                }
            }
        }
        self.wake_for_next_start();
        if started.is_empty() && !again {
            return;
        }
        for (name, trigger) in started {
            if let Some(state) = self.policies.get_mut(&name) {
                state.answering = state.asked_now().map(str::to_owned);
                state.patrol = Round::Reviewing {
                    trigger,
                    started: now.wall,
                    asked: now.mono,
                };
            }
        }
        // Whoever still waits for an answer is asked for too: its question may be lost, and
        // the starts of others must not put off asking again.
        let waiting: Vec<Sym> = self
            .policies
            .iter_mut()
            .filter_map(|(name, state)| match &mut state.patrol {
                Round::Reviewing { asked, .. } => {
                    *asked = now.mono;
                    Some(name.clone())
                }
                _ => None,
            })
            .collect();
        kinds.extend(waiting.iter().flat_map(|name| self.kinds_of(name)));
        self.outbox
            .push(Effect::Review(kinds.into_iter().collect()));
        let crds = self.crds_to_count();
        if !crds.is_empty() {
            self.outbox.push(Effect::Count(crds));
        }
    }

    /// A kind that was refused stays so until a review says otherwise, and patrols ask for what their policies read: of
    /// the rest, and when no policy can patrol, nobody else would ask.
    pub(super) fn ask_for_refused(&mut self, now: Now) {
        if now.mono < self.refused_asked.plus(REFUSED_AGAIN) {
            return;
        }
        self.refused_asked = now.mono;
        let refused = |kind: &Kind| !kind.is_ours() && self.inventory.sight(*kind).is_refused();
        let kinds: Vec<Kind> = Kind::ALL.into_iter().filter(refused).collect();
        if self.leads() && !kinds.is_empty() {
            self.outbox.push(Effect::Review(kinds));
        }
    }

    /// Why a policy's patrol must start now, if it must.
    fn due_trigger(&self, name: &Sym, state: &PolicyState, now: Time) -> Option<Trigger> {
        let rules = self.rulebook.policies.get(name)?;
        if rules.suspended || state.is_leaving() {
            return None;
        }
        if state.asked_now() != state.status.observed_patrol_now.as_deref()
            && state.asked_now().is_some()
        {
            return Some(Trigger::Manual);
        }
        let Some(last) = &state.status.last_patrol else {
            return Some(Trigger::Startup);
        };
        if state.status.observed_generation != Some(state.generation()) {
            return Some(Trigger::PolicyChanged);
        }
        let (_, next) = state.next_start?;
        // A start recorded ahead of the clock says only that the clock was set back: to
        // wait for it would be to wait for the clock to get there again.
        (next? <= now || ledger::is_ahead(last.started_at, now)).then_some(Trigger::Schedule)
    }

    /// The start after `last`.
    fn start_after(&self, name: &Sym, last: Time) -> Option<Time> {
        let rules = self.rulebook.policies.get(name)?;
        let next = rules.schedule.next_after(last)?;
        Some(match rules.schedule {
            crate::schedule::Schedule::Every(_) => next,
            crate::schedule::Schedule::Cron(..) => next.plus(rules.schedule.jitter(name, next)),
        })
    }

    /// Works out the next starts, once for each last one: a cron costs more than a look.
    fn plan_starts(&mut self) {
        let stale: Vec<(Sym, Time)> = self
            .policies
            .iter()
            .filter_map(|(name, state)| {
                let last = state.status.last_patrol.as_ref()?.started_at;
                let known = state.next_start.is_some_and(|(from, _)| from == last);
                (!known).then(|| (name.clone(), last))
            })
            .collect();
        for (name, last) in stale {
            let next = self.start_after(&name, last);
            if let Some(state) = self.policies.get_mut(&name) {
                state.next_start = Some((last, next));
            }
        }
    }

    fn wake_for_next_start(&mut self) {
        let next = self
            .policies
            .values()
            // A start that has come already, or never will, is nothing to wake for.
            .filter(|s| s.patrol == Round::Idle && !s.is_suspended() && !s.is_leaving())
            .filter_map(|state| state.next_start?.1)
            .min();
        if let Some(at) = next {
            self.wake_at(at);
        }
    }

    /// Kinds that a policy's rules, and the always-on ones, read.
    pub(super) fn kinds_of(&self, policy: &str) -> BTreeSet<Kind> {
        let rules = self.rulebook.rules_of(policy).iter();
        rules
            .chain(&self.rulebook.always_on)
            .filter_map(|rule| Some(self.config.catalogue.find(rule.check)?.reads(rule)))
            .flat_map(std::borrow::Cow::into_owned)
            .filter(|kind| !kind.is_ours())
            .collect()
    }

    fn crds_to_count(&self) -> Vec<(String, u32)> {
        let mut crds: BTreeMap<String, u32> = BTreeMap::new();
        for rule in self.rulebook.enabled().flat_map(|p| &p.rules) {
            let RuleSpec::Component(component) = &rule.spec else {
                continue;
            };
            for alternative in &component.any_of {
                if let Alternative::Crd {
                    name,
                    min_instances,
                    ..
                } = alternative
                    && *min_instances > 0
                {
                    let most = crds.entry(name.to_string()).or_default();
                    *most = (*most).max(*min_instances);
                }
            }
        }
        crds.into_iter().collect()
    }

    pub(super) fn reviewed(&mut self, answers: &BTreeMap<Kind, Result<(), Blindness>>, now: Now) {
        for (kind, answer) in answers {
            let news = match answer {
                Ok(()) => self.inventory.sight_mut(*kind).permitted(),
                Err(why) => self.inventory.sight_mut(*kind).refused(why.clone()),
            };
            if news {
                self.sight_changed(*kind);
            }
        }
        let reviewed: Vec<Sym> = self
            .policies
            .iter()
            .filter(|(_, state)| matches!(state.patrol, Round::Reviewing { .. }))
            // An answer to a question of before this policy's patrol began says too little.
            .filter(|(name, _)| self.kinds_of(name).iter().all(|k| answers.contains_key(k)))
            .map(|(name, _)| name.clone())
            .collect();
        let judging = !reviewed.is_empty();
        for name in reviewed {
            let Some(state) = self.policies.get_mut(&name) else {
                continue;
            };
            if let Round::Reviewing {
                trigger, started, ..
            } = state.patrol
            {
                let since = now.mono;
                state.patrol = Round::Judging {
                    trigger,
                    started,
                    since,
                };
            }
        }
        if judging {
            self.mark_everything();
        }
    }

    /// Closes the account of every patrol whose units were all judged.
    pub(super) fn finish_patrols(&mut self, now: Now) {
        if !self.is_all_judged() {
            return;
        }
        let judged: Vec<(Sym, Trigger, Time, Mono)> = self
            .policies
            .iter()
            .filter_map(|(name, state)| match state.patrol {
                Round::Judging {
                    trigger,
                    started,
                    since,
                } => Some((name.clone(), trigger, started, since)),
                _ => None,
            })
            .collect();
        for (name, trigger, started, since) in judged {
            let Some(state) = self.policies.get_mut(&name) else {
                continue;
            };
            if !state.is_valid() || state.is_suspended() || state.is_leaving() {
                state.patrol = Round::Idle; // half a patrol is none
                continue;
            }
            let waits = now.mono < since.plus(PATIENCE)
                && self.kinds_of(&name).into_iter().any(|kind| {
                    let sight = self.inventory.sight(kind);
                    !sees(sight, started) && will_speak(sight)
                });
            if !waits {
                self.finish_patrol(&name, trigger, started, now);
            }
        }
    }

    fn finish_patrol(&mut self, name: &Sym, trigger: Trigger, started: Time, now: Now) {
        let mut account = Account::default();
        let inspector = self.inspector(now.wall);
        inspect_each(
            &inspector,
            self.rulebook.rules_of(name).iter(),
            |_, _, judgement| {
                account.add(judgement);
            },
        );
        let kinds = self.kinds_of(name);
        let sights = || kinds.iter().map(|k| self.inventory.sight(*k));
        let blind_kinds = sights().filter(|s| s.blindness().is_some()).count();
        let blind_objects: usize = sights().map(Sight::blind_count).sum();
        let seen = sights().all(|sight| sees(sight, started));
        let complete = blind_kinds == 0 && blind_objects == 0 && seen;
        let coverage = account.rows(&kinds, &self.inventory);
        let next = self.start_after(name, started);
        let Some(state) = self.policies.get_mut(name) else {
            return;
        };
        state.patrol = Round::Idle;
        state.status.last_patrol = Some(LastPatrol {
            started_at: started,
            finished_at: now.wall.max(started),
            trigger,
            complete,
            subjects: account.counts(),
            blind_spots: u64::try_from(blind_kinds + blind_objects).unwrap_or(u64::MAX),
        });
        if complete {
            state.status.last_complete_patrol_at = Some(now.wall.max(started));
        }
        state.status.observed_patrol_now = state.answering.take();
        state.status.observed_generation = Some(state.generation());
        state.status.coverage = coverage;
        state.status.next_patrol_at = next;
        self.counters
            .patrol(name, complete, now.wall.since(started));
        self.evaluation.status_dirty = true;
    }
}

/// Whether a kind spoke since shortly before the patrol began, and nothing is missing.
fn sees(sight: &Sight, started: Time) -> bool {
    let lately = sight.spoke_since(started.minus(Span::seconds(FRESH_SECONDS.unsigned_abs())));
    sight.blindness().is_none() && !sight.is_relisting() && lately
}

/// Whether a kind that is not seen well will be, as far as one can tell: its list is on
/// its way, or its watch is merely quiet or cut off, which most often lasts for moments.
fn will_speak(sight: &Sight) -> bool {
    !matches!(sight.blindness(), Some(Blindness::Denied(_))) || sight.is_relisting()
}
