//! Patrols: the scheduled proof. A patrol asks whether its kinds are readable, judges
//! every unit in scope afresh, and closes the coverage account. Single flight per policy;
//! missed starts run once.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::policy::{CoverageRow, LastPatrol, SubjectCounts};
use patrol_api::ticket::Subject;
use patrol_api::time::{Span, Time};
use patrol_api::words::Trigger;

use super::Patrol;
use super::policies::Round;
use crate::check::{UnitKind, Verdict};
use crate::clock::Now;
use crate::effect::Effect;
use crate::inspect::{Inspection, inspect};
use crate::inventory::Blindness;
use crate::kind::Kind;
use crate::rule::{Alternative, RuleSpec};
use crate::sym::Sym;

/// A review without an answer is asked again.
const REVIEW_AGAIN: Span = Span::seconds(30);

impl Patrol {
    /// Keeps what depends on time alone: due starts and overdue patrols.
    pub(super) fn refresh_policies(&mut self, now: Now) {
        let mut overdue = BTreeMap::new();
        for (name, state) in &self.policies {
            let at = self
                .rulebook
                .policies
                .get(name)
                .filter(|rules| !rules.suspended)
                .and_then(|rules| {
                    let created = state
                        .object
                        .metadata
                        .creation_timestamp
                        .as_ref()
                        .map(patrol_api::condition::from_meta_time);
                    let since = state.status.last_complete_patrol_at.or(created)?;
                    let allowed = rules.schedule.period_at(since).times(2);
                    Some(since.plus(allowed))
                });
            if let Some(at) = at
                && at > now.wall
            {
                self.wake.wall = super::evaluate::earlier(self.wake.wall, Some(at));
            }
            overdue.insert(name.clone(), at.filter(|at| *at <= now.wall));
        }
        if overdue != self.own.overdue {
            self.own.overdue = overdue;
            self.mark(crate::check::Unit::Cluster);
            self.evaluation.status_dirty = true;
        }
    }

    pub(super) fn begin_patrols(&mut self, now: Now) {
        if !self.can_act() {
            return;
        }
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
                    if let Some(trigger) = self.due_trigger(name, now.wall) {
                        started.push((name.clone(), trigger));
                        kinds.extend(self.kinds_of(name));
                    }
                }
            }
        }
        self.wake_for_next_start(now);
        if started.is_empty() && !again {
            return;
        }
        for (name, trigger) in started {
            if let Some(state) = self.policies.get_mut(&name) {
                state.patrol = Round::Reviewing {
                    trigger,
                    started: now.wall,
                    asked: now.mono,
                };
            }
        }
        for state in self.policies.values_mut() {
            if let Round::Reviewing { asked, .. } = &mut state.patrol {
                *asked = now.mono;
            }
        }
        self.outbox
            .push(Effect::Review(kinds.into_iter().collect()));
        let crds = self.crds_to_count();
        if !crds.is_empty() {
            self.outbox.push(Effect::Count(crds));
        }
    }

    /// Why a policy's patrol must start now, if it must.
    fn due_trigger(&self, name: &Sym, now: Time) -> Option<Trigger> {
        let state = self.policies.get(name)?;
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
        let next = self.next_start(name, last.started_at, now)?;
        (next <= now).then_some(Trigger::Schedule)
    }

    /// The start after `last`. A start recorded in the future (the clock was set back)
    /// counts as now.
    pub(super) fn next_start(&self, name: &Sym, last: Time, now: Time) -> Option<Time> {
        let rules = self.rulebook.policies.get(name)?;
        let last = last.min(now);
        let next = rules.schedule.next_after(last)?;
        Some(match rules.schedule {
            crate::schedule::Schedule::Every(_) => next,
            crate::schedule::Schedule::Cron(..) => next.plus(rules.schedule.jitter(name, next)),
        })
    }

    fn wake_for_next_start(&mut self, now: Now) {
        let next = self
            .policies
            .iter()
            .filter_map(|(name, state)| {
                let last = state.status.last_patrol.as_ref()?.started_at;
                self.next_start(name, last, now.wall)
            })
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
            .filter_map(|rule| self.config.catalogue.find(rule.check))
            .flat_map(|check| check.meta().reads.iter().copied())
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
                Err(why) => {
                    let sight = self.inventory.sight_mut(*kind);
                    !sight.is_absent() && sight.lost(why.clone())
                }
            };
            if news {
                self.sight_changed(*kind);
            }
        }
        let _ = now;
        let mut judging = false;
        for state in self.policies.values_mut() {
            if let Round::Reviewing {
                trigger, started, ..
            } = state.patrol
            {
                state.patrol = Round::Judging { trigger, started };
                judging = true;
            }
        }
        if judging {
            self.evaluation.all_kinds.extend([
                UnitKind::Root,
                UnitKind::Node,
                UnitKind::Namespace,
                UnitKind::Cluster,
            ]);
        }
    }

    /// Closes the account of every patrol whose units were all judged.
    pub(super) fn finish_patrols(&mut self, now: Now) {
        if !self.evaluation.dirty.is_empty() || !self.evaluation.all_kinds.is_empty() {
            return;
        }
        let done: Vec<(Sym, Trigger, Time)> = self
            .policies
            .iter()
            .filter_map(|(name, state)| match state.patrol {
                Round::Judging { trigger, started } => Some((name.clone(), trigger, started)),
                _ => None,
            })
            .collect();
        for (name, trigger, started) in done {
            self.finish_patrol(&name, trigger, started, now);
        }
    }

    fn finish_patrol(&mut self, name: &Sym, trigger: Trigger, started: Time, now: Now) {
        let inspector = self.inspector(now.wall);
        let inspection = inspect(&inspector, self.rulebook.rules_of(name).iter());
        let account = Account::of(&inspection);
        let kinds = self.kinds_of(name);
        let blind_kinds = kinds
            .iter()
            .filter(|k| self.inventory.sight(**k).blindness().is_some())
            .count();
        let blind_objects: usize = kinds
            .iter()
            .map(|k| self.inventory.sight(*k).blind_count())
            .sum();
        let fresh = kinds.iter().all(|k| {
            self.inventory
                .sight(*k)
                .is_fresh(now.wall, crate::inspect::FRESH_SECONDS)
        });
        let complete = blind_kinds == 0 && blind_objects == 0 && fresh;
        let coverage = account.rows(&kinds, &self.inventory);
        let next = self.next_start(name, started, now.wall.max(started));
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
        state.status.observed_patrol_now = state.asked_now().map(str::to_owned);
        state.status.observed_generation = Some(state.generation());
        state.status.coverage = coverage;
        state.status.next_patrol_at = next;
        self.counters
            .patrol(name, complete, now.wall.since(started));
        self.evaluation.status_dirty = true;
    }
}

/// The coverage account: every subject once, by its worst verdict.
#[derive(Default)]
struct Account {
    subjects: BTreeMap<Subject, Standing>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    NotApplicable,
    Passed,
    Unknown(BTreeSet<String>),
    Failed,
}

impl Account {
    fn of(inspection: &Inspection) -> Self {
        let mut account = Self::default();
        for result in &inspection.results {
            let standing = match &result.judgement.verdict {
                Verdict::Fail => Standing::Failed,
                Verdict::Pass => Standing::Passed,
                Verdict::NotApplicable(_) => Standing::NotApplicable,
                Verdict::Unknown(reason) => Standing::Unknown(BTreeSet::from([reason.to_string()])),
            };
            let held = account
                .subjects
                .entry(result.judgement.subject.clone())
                .or_insert(Standing::NotApplicable);
            match (&mut *held, standing) {
                (Standing::Unknown(a), Standing::Unknown(b)) => a.extend(b),
                (held, new) if *held < new => *held = new,
                _ => {}
            }
        }
        account
    }

    fn counts(&self) -> SubjectCounts {
        let mut counts = SubjectCounts::default();
        for standing in self.subjects.values() {
            counts.inspected += 1;
            match standing {
                Standing::NotApplicable => counts.not_applicable += 1,
                Standing::Passed => counts.passed += 1,
                Standing::Unknown(_) => counts.unknown += 1,
                Standing::Failed => counts.failed += 1,
            }
        }
        counts
    }

    fn rows(
        &self,
        kinds: &BTreeSet<Kind>,
        inventory: &crate::inventory::Inventory,
    ) -> Vec<CoverageRow> {
        let mut rows: BTreeMap<String, CoverageRow> = BTreeMap::new();
        let mut reasons: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (subject, standing) in &self.subjects {
            let kind = kind_word(&subject.kind, &subject.group);
            let row = rows.entry(kind.clone()).or_default();
            row.inspected += 1;
            match standing {
                Standing::NotApplicable => row.not_applicable += 1,
                Standing::Unknown(why) => {
                    row.unknown += 1;
                    reasons.entry(kind).or_default().extend(why.iter().cloned());
                }
                _ => {}
            }
        }
        for kind in kinds {
            let sight = inventory.sight(*kind);
            let word = kind_word(kind.info().kind, kind.info().group);
            if let Some(why) = sight.blindness() {
                reasons
                    .entry(word.clone())
                    .or_default()
                    .insert(why.reason().to_owned());
                rows.entry(word.clone()).or_default();
            }
            if sight.blind_count() > 0 {
                let count = sight.blind_count();
                reasons
                    .entry(word.clone())
                    .or_default()
                    .insert(format!("{count} undecodable"));
                rows.entry(word).or_default();
            }
        }
        rows.into_iter()
            .map(|(kind, mut row)| {
                row.reasons = reasons
                    .remove(&kind)
                    .unwrap_or_default()
                    .into_iter()
                    .take(16)
                    .collect();
                row.kind = kind;
                row
            })
            .collect()
    }
}

fn kind_word(kind: &str, group: &str) -> String {
    if group.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind}.{group}")
    }
}
