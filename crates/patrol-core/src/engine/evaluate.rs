//! Evaluation: judges dirty units under every rule and keeps, for each ticket identity,
//! what is known of it. It never touches a ticket; it only says what holds.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::ticket::Finding;
use patrol_api::time::Time;
use patrol_api::words::Profile;

use super::onlookers::Onlookers;
use super::{Keys, Patrol};
use crate::check::{Check, Exempt, Judgement, Unit, UnitKind, UnitPods, Verdict};
use crate::clock::Now;
use crate::facts::ObjectKey;
use crate::inspect::{Judged, Presence};
use crate::inventory::RootKey;
use crate::kind::Kind;
use crate::rule::Rule;
use crate::sym::Sym;
use crate::ticket::life::{Assessment, Standing};
use crate::ticket::{self};

/// Every kind of unit.
const EVERY_KIND: [UnitKind; 4] = [
    UnitKind::Root,
    UnitKind::Node,
    UnitKind::Namespace,
    UnitKind::Cluster,
];

/// What evaluation remembers between ticks.
#[derive(Debug, Default)]
pub(super) struct Evaluation {
    /// Units to judge again.
    pub dirty: BTreeSet<Unit>,
    /// Kinds of unit all of whose units are to be judged again.
    pub all_kinds: BTreeSet<UnitKind>,
    /// Whether policies' conditions may have changed.
    pub status_dirty: bool,
    /// What is known of each identity that fails or has a ticket.
    pub known: BTreeMap<ObjectKey, Known>,
    /// Identities by unit.
    pub by_unit: BTreeMap<Unit, Keys>,
    /// Units by the time at which a grace ends.
    timers: BTreeSet<(Time, Unit)>,
    timer_of: BTreeMap<Unit, Time>,
    /// Who looks beyond their own unit.
    pub onlookers: Onlookers,
    /// The profile that units were judged by.
    profile: Option<Profile>,
}

/// What is known of an identity.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub unit: Unit,
    pub finding: Finding,
    pub assessment: Assessment,
    /// Whether the policy may open tickets.
    pub enforced: bool,
}

impl Evaluation {
    fn set_timer(&mut self, unit: &Unit, at: Option<Time>) {
        if let Some(before) = self.timer_of.remove(unit) {
            self.timers.remove(&(before, unit.clone()));
        }
        if let Some(at) = at {
            self.timers.insert((at, unit.clone()));
            self.timer_of.insert(unit.clone(), at);
        }
    }

    fn due(&mut self, now: Time) {
        while let Some((at, unit)) = self.timers.first().cloned() {
            if at > now {
                break;
            }
            self.timers.remove(&(at, unit.clone()));
            self.timer_of.remove(&unit);
            self.dirty.insert(unit);
        }
    }

    pub fn next_timer(&self) -> Option<Time> {
        self.timers.first().map(|(at, _)| *at)
    }

    pub fn forget(&mut self, key: &ObjectKey) {
        if let Some(known) = self.known.remove(key)
            && let Some(keys) = self.by_unit.get_mut(&known.unit)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.by_unit.remove(&known.unit);
            }
        }
    }

    /// Remembers an identity that no unit's evaluation may touch (the aggregates).
    pub fn learn_apart(&mut self, key: ObjectKey, known: Known) {
        self.known.insert(key, known);
    }

    pub fn learn(&mut self, key: ObjectKey, known: Known) {
        if let Some(before) = self.known.get(&key)
            && before.unit != known.unit
        {
            self.forget(&key);
        }
        self.by_unit
            .entry(known.unit.clone())
            .or_default()
            .insert(key.clone());
        self.known.insert(key, known);
    }
}

impl Patrol {
    /// Every unit is to be judged again.
    pub(super) fn mark_everything(&mut self) {
        self.evaluation.all_kinds.extend(EVERY_KIND);
    }

    pub(super) fn evaluate(&mut self, now: Now) {
        self.evaluation.due(now.wall);
        if !self.knows_all(Kind::PatrolPolicy) {
            // Without the policies nothing can be said; the marks stay.
            return;
        }
        // Who is responsible, and how long a grace is, may follow from all nodes together.
        let profile = self.inventory.profile();
        if self.evaluation.profile.replace(profile) != Some(profile) {
            self.mark_everything();
        }
        let kinds: Vec<UnitKind> = std::mem::take(&mut self.evaluation.all_kinds)
            .into_iter()
            .collect();
        if !kinds.is_empty() {
            let units = self.inspector(now.wall).units(&kinds);
            self.evaluation.dirty.extend(units);
            // Units that are gone still have tickets.
            let gone: Vec<Unit> = self
                .evaluation
                .by_unit
                .keys()
                .filter(|unit| kinds.contains(&unit.kind()))
                .cloned()
                .collect();
            self.evaluation.dirty.extend(gone);
        }
        for _ in 0..self.config.units_per_tick {
            let Some(unit) = self.evaluation.dirty.pop_first() else {
                break;
            };
            self.evaluate_unit(&unit, now.wall);
        }
        self.wake.soon |= !self.evaluation.dirty.is_empty();
        if let Some(at) = self.evaluation.next_timer() {
            self.wake_at(at);
        }
    }

    /// The units that wait to be judged again: what the changes since the last tick, and
    /// whatever the last ticks left over, may have made untrue.
    #[must_use]
    pub fn marked(&self) -> BTreeSet<Unit> {
        let mut kinds: Vec<UnitKind> = self.evaluation.all_kinds.iter().copied().collect();
        if self
            .evaluation
            .profile
            .is_some_and(|p| p != self.inventory.profile())
        {
            kinds = EVERY_KIND.to_vec();
        }
        let mut marked = self.evaluation.dirty.clone();
        marked.extend(self.inspector(Time::from_unix(0)).units(&kinds));
        marked
    }

    pub(super) fn evaluate_unit(&mut self, unit: &Unit, now: Time) {
        let mut look_again: Option<Time> = None;
        let mut learned: Vec<(ObjectKey, Known)> = vec![];
        let mut judged_keys: Keys = Keys::new();
        {
            let inspector = self.inspector(now);
            let pods = UnitPods::new(&self.inventory, unit);
            let rules = self
                .rulebook
                .enabled()
                .flat_map(|p| p.rules.iter().map(move |r| (r, !p.observe)))
                .chain(
                    self.rulebook
                        .always_on
                        .iter()
                        .map(|r| (r, self.coverage_enforced())),
                );
            for (rule, enforced) in rules {
                let Some(check) = self.config.catalogue.find(rule.check) else {
                    continue;
                };
                if !inspector.applies(rule, check.meta(), unit) {
                    continue;
                }
                let Judged { judgements, blind } = inspector.judge_with(rule, unit, &pods);
                if let Some((kind, why)) = blind {
                    for key in self.keys_of_rule(unit, rule) {
                        if let Some(known) = self.evaluation.known.get(&key) {
                            let reason = format!("{kind}: {}", why.reason());
                            let mut known = known.clone();
                            // What is gone by another kind's complete list is gone.
                            known.assessment = match inspector.presence(&known.finding.subject) {
                                Presence::Gone => Assessment::Gone,
                                _ => Assessment::Unknown(reason),
                            };
                            judged_keys.insert(key.clone());
                            learned.push((key, known));
                        }
                    }
                    continue;
                }
                let fresh_since = inspector.fresh_since(check, rule, Some(unit));
                for judgement in judgements {
                    look_again = earlier(look_again, judgement.recheck_at);
                    let key = ticket::place(rule, &judgement, &self.config.namespace);
                    let followed = self.evaluation.known.contains_key(&key);
                    if !followed && judgement.verdict != Verdict::Fail {
                        continue;
                    }
                    judged_keys.insert(key.clone());
                    let known = Known {
                        unit: unit.clone(),
                        finding: ticket::finding(rule, &judgement, &self.config.cluster.name),
                        assessment: self.assess(rule, check, judgement, fresh_since, now),
                        enforced,
                    };
                    learned.push((key, known));
                }
            }
        }
        let unjudged: Vec<ObjectKey> = self
            .evaluation
            .by_unit
            .get(unit)
            .into_iter()
            .flatten()
            .filter(|key| !judged_keys.contains(*key))
            .cloned()
            .collect();
        for key in unjudged {
            if let Some(mut known) = self.evaluation.known.get(&key).cloned() {
                known.assessment = self.assess_unjudged(&known.finding, unit, now);
                learned.push((key, known));
            }
        }
        for (key, known) in learned {
            self.follow(key, known);
        }
        // A time that is past was looked at just now.
        self.evaluation
            .set_timer(unit, look_again.filter(|at| *at > now));
    }

    /// Remembers what is known of an identity as long as it has a ticket or may get one.
    fn follow(&mut self, key: ObjectKey, known: Known) {
        let open = matches!(
            known.assessment,
            Assessment::Failing(_) | Assessment::Unknown(_) | Assessment::Hold
        );
        if !open && !self.tickets.is_held(&key) {
            self.overflow_left(&key);
            self.evaluation.forget(&key);
            return;
        }
        // Seen at once: tickets may be settled only much later.
        if !known.assessment.is_clean() {
            self.tickets.seen_unclean(&key);
        }
        self.tickets.touch(&key);
        self.evaluation.learn(key, known);
    }

    /// Whether everything that changed was judged.
    pub(super) fn is_all_judged(&self) -> bool {
        self.evaluation.dirty.is_empty() && self.evaluation.all_kinds.is_empty()
    }

    /// Always-on findings exist only once some policy enforces.
    fn coverage_enforced(&self) -> bool {
        self.rulebook.policies.values().any(|p| !p.observe)
    }

    fn keys_of_rule(&self, unit: &Unit, rule: &Rule) -> Vec<ObjectKey> {
        self.evaluation
            .by_unit
            .get(unit)
            .into_iter()
            .flatten()
            .filter(|key| {
                self.evaluation.known.get(*key).is_some_and(|k| {
                    k.finding.policy == rule.policy.as_str()
                        && k.finding.check == rule.check
                        && k.finding.requirement.as_deref() == rule.requirement.as_deref()
                })
            })
            .cloned()
            .collect()
    }

    fn assess(
        &self,
        rule: &Rule,
        check: &dyn Check,
        judgement: Judgement,
        fresh_since: Option<Time>,
        now: Time,
    ) -> Assessment {
        match &judgement.verdict {
            Verdict::Pass => Assessment::Passing { fresh_since },
            Verdict::NotApplicable(Exempt::NoLivePods) => Assessment::NoLivePods { fresh_since },
            Verdict::NotApplicable(Exempt::NotSelected | Exempt::Folded) => Assessment::OutOfScope,
            Verdict::NotApplicable(Exempt::Leaving) => Assessment::Hold,
            Verdict::Unknown(reason) => Assessment::Unknown(reason.to_string()),
            Verdict::Fail => {
                let inspector = self.inspector(now);
                let meta = check.meta();
                let remediation = if judgement.remediation.is_empty() {
                    meta.remediation.to_owned()
                } else {
                    judgement.remediation.clone()
                };
                Assessment::Failing(Box::new(Standing {
                    severity: inspector.severity(rule, &judgement),
                    party: inspector.party(rule, meta, &judgement),
                    title: meta.title.to_owned(),
                    remediation,
                    judgement,
                }))
            }
        }
    }

    /// What a finding's policy alone says of it.
    pub(super) fn assess_policy(&self, finding: &Finding) -> Option<Assessment> {
        let sight = self.inventory.sight(Kind::PatrolPolicy);
        if finding.policy == patrol_api::names::COVERAGE_POLICY {
            if self.policies.values().any(|p| !p.is_leaving()) {
                return None;
            }
            // A policy that cannot be decoded is one nevertheless.
            return Some(match sight.blind_count() {
                0 => Assessment::PolicyRemoved,
                _ => Assessment::Hold,
            });
        }
        match self.policies.get(finding.policy.as_str()) {
            None if sight.may_lack(&ObjectKey::new("", &finding.policy)) => Some(Assessment::Hold),
            None => Some(Assessment::PolicyRemoved),
            Some(state) if state.is_leaving() => Some(Assessment::PolicyRemoved),
            Some(state) if !state.is_valid() || state.is_suspended() => Some(Assessment::Hold),
            Some(_) => None,
        }
    }

    /// What is known of an identity that no rule spoke about.
    fn assess_unjudged(&self, finding: &Finding, unit: &Unit, now: Time) -> Assessment {
        if let Some(assessment) = self.assess_policy(finding) {
            return assessment;
        }
        let rule = self.rulebook.rules_of(&finding.policy).iter().find(|r| {
            r.check == finding.check && r.requirement.as_deref() == finding.requirement.as_deref()
        });
        let inspector = self.inspector(now);
        match inspector.presence(&finding.subject) {
            Presence::Gone => return Assessment::Gone,
            Presence::Unknown => {
                // A rule that is gone ends its tickets whatever can be seen.
                if rule.is_some() {
                    return Assessment::Unknown("inventory incomplete".into());
                }
            }
            Presence::Here => {}
        }
        match rule {
            None => Assessment::CheckDisabled,
            Some(rule) if !inspector.in_scope(rule, unit) => Assessment::OutOfScope,
            Some(rule) => match self
                .config
                .catalogue
                .find(rule.check)
                .and_then(|check| inspector.blindness(check, rule, Some(unit)))
            {
                Some((kind, why)) => Assessment::Unknown(format!("{kind}: {}", why.reason())),
                None => Assessment::OutOfScope,
            },
        }
    }

    /// The unit a ticket's identity is judged in.
    pub(super) fn unit_of(&self, finding: &Finding) -> Unit {
        let units = self
            .config
            .catalogue
            .find(&finding.check)
            .map_or(&[][..], |c| c.meta().units);
        let subject = &finding.subject;
        let kind = Kind::find(&subject.group, &subject.kind);
        let by_subject = match kind {
            Some(Kind::Node) => UnitKind::Node,
            Some(Kind::Namespace) => UnitKind::Namespace,
            Some(k) if k == Kind::Pod || Kind::WORKLOADS.contains(&k) => UnitKind::Root,
            _ => UnitKind::Cluster,
        };
        let unit_kind = if units.contains(&by_subject) {
            by_subject
        } else {
            UnitKind::Cluster
        };
        match (unit_kind, kind) {
            (UnitKind::Root, Some(kind)) => Unit::Root(RootKey {
                kind,
                key: ObjectKey::new(subject.namespace.as_deref().unwrap_or(""), &subject.name),
            }),
            (UnitKind::Node, _) => Unit::Node(Sym::new(&subject.name)),
            (UnitKind::Namespace, _) => Unit::Namespace(Sym::new(&subject.name)),
            _ => Unit::Cluster,
        }
    }
}

pub(super) fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}
