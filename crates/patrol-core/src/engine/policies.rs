//! Policies as objects: compiled when they change, reported on, and kept by a finalizer
//! while whoever was told by their own webhook must still be told the end.

mod closing;
mod state;

use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::PatrolPolicy;
use patrol_api::time::{Span, Time};

use super::{Patrol, STATUSES_IN_FLIGHT, WriteTarget};

use crate::check::{Unit, UnitKind};
use crate::clock::Now;
use crate::effect::Effect;
use crate::event::{Refusal, WriteResult, Written};
use crate::facts::ObjectKey;
use crate::kind::Kind;
use crate::rule::{self, Problem};
use crate::sym::Sym;

use state::{Finalizer, is_older};

pub(super) use closing::Closing;
pub(super) use state::{PolicyState, Round};

/// The finalizer on a policy whose closings are owed.
pub const FINALIZER: &str = "kubepatrol.io/closing";
impl Patrol {
    pub(super) fn policy_seen(&mut self, policy: PatrolPolicy, now: Now) {
        let name = Sym::new(policy.metadata.name.as_deref().unwrap_or(""));
        if let Some(state) = self.policies.get_mut(&name) {
            state.listed = true;
            if is_older(&state.object, &policy) {
                return;
            }
        }
        let before = self.policies.get(&name);
        let changed = before.is_none_or(|state| {
            state.object.spec != policy.spec
                || state.object.metadata.uid != policy.metadata.uid
                || state.is_leaving() != policy.metadata.deletion_timestamp.is_some()
        });
        let same = before.is_some_and(|s| s.object.metadata.uid == policy.metadata.uid);
        if changed {
            self.mark_policy(&name);
        }
        match self.policies.get_mut(&name) {
            Some(state) if same => {
                if self.term.is_none() {
                    // Another process reports: what it wrote is the truth.
                    state.status = policy.status.clone().unwrap_or_default();
                }
                *state.object = policy;
            }
            _ => {
                let state = PolicyState {
                    status: policy.status.clone().unwrap_or_default(),
                    object: Box::new(policy),
                    problems: vec![],
                    patrol: Round::Idle,
                    answering: None,
                    next_start: None,
                    overdue_at: None,
                    stalled: None,
                    compiled: now.mono,
                    retry_at: None,
                    failures: 0,
                    listed: true,
                    finalizer: Finalizer::default(),
                };
                self.policies.insert(name.clone(), state);
            }
        }
        if changed {
            self.compile_policy(&name, now);
            self.mark_policy(&name);
            self.policy_receiver_changed(&name);
            self.routes_changed();
        }
        self.evaluation.status_dirty = true;
        self.closing.dirty = true;
        // The finalizer that its own webhook waits for may be there now.
        let own = super::receivers::own_webhook_name(&name);
        self.agenda.poke(&own, now.wall);
    }

    /// Leading begins: what others reported is the truth, and no patrol is under way.
    pub(super) fn adopt_policies(&mut self) {
        for state in self.policies.values_mut() {
            state.status = state.object.status.clone().unwrap_or_default();
            state.patrol = Round::Idle;
            state.answering = None;
            state.retry_at = None;
            state.failures = 0;
            state.finalizer = Finalizer::default();
        }
        self.evaluation.status_dirty = true;
        self.closing.dirty = true;
    }

    pub(super) fn policy_gone(&mut self, name: &str) {
        let name = Sym::new(name);
        self.mark_policy(&name);
        if self.policies.remove(&name).is_none() {
            return;
        }
        self.rulebook.policies.remove(&name);
        self.own.work.remove(&name);
        self.own.policy_uids.remove(&name);
        self.refresh_always_on();
        self.mark_policy(&name);
        self.policy_receiver_changed(&name);
        self.routes_changed();
        self.prune_counters();
    }

    fn compile_policy(&mut self, name: &Sym, now: Now) {
        let Some(state) = self.policies.get_mut(name) else {
            return;
        };
        state.next_start = None;
        state.overdue_at = None;
        state.stalled = None;
        state.compiled = now.mono;
        let compiled = if name.as_str() == COVERAGE_POLICY {
            Err(vec![Problem {
                field: "metadata.name".into(),
                message: format!("{COVERAGE_POLICY} is reserved: use another name"),
            }])
        } else {
            rule::compile(&state.object, &self.config.catalogue, now.wall)
        };
        let leaving = state.is_leaving();
        let uid = state.uid().to_owned();
        match compiled {
            Ok(_) if leaving => {
                state.problems.clear();
                self.rulebook.policies.remove(name);
            }
            Ok(rules) => {
                state.problems.clear();
                self.rulebook.policies.insert(name.clone(), rules);
            }
            Err(problems) => {
                state.problems = problems;
                self.rulebook.policies.remove(name);
            }
        }
        self.own.policy_uids.insert(name.clone(), uid);
        self.refresh_always_on();
    }

    fn refresh_always_on(&mut self) {
        self.refresh_onlookers();
        let any = self.policies.values().any(|p| !p.is_leaving());
        if any && self.rulebook.always_on.is_empty() {
            self.rulebook.always_on = self.config.catalogue.always_on_rules();
        } else if !any {
            self.rulebook.always_on.clear();
        }
    }

    /// Marks what a policy selects, and what it has tickets on.
    fn mark_policy(&mut self, name: &Sym) {
        let now = Time::from_unix(0); // scopes do not depend on time
        let mut units: Vec<Unit> = vec![Unit::Cluster];
        if let Some(policy) = self.rulebook.policies.get(name) {
            let inspector = self.inspector(now);
            let kinds = [UnitKind::Root, UnitKind::Node, UnitKind::Namespace];
            let selected = inspector.units(&kinds).into_iter().filter(|unit| {
                policy
                    .rules
                    .first()
                    .is_none_or(|rule| inspector.in_scope(rule, unit))
            });
            units.extend(selected);
        }
        // Whether a namespace is patrolled at all depends on every policy.
        units.extend(
            self.inventory
                .namespaces()
                .map(|(ns, _)| Unit::Namespace(Sym::new(ns))),
        );
        let own = [name.as_str(), COVERAGE_POLICY];
        units.extend(
            self.evaluation
                .known
                .values()
                .filter(|k| own.contains(&k.finding.policy.as_str()))
                .map(|k| k.unit.clone()),
        );
        self.mark_all(units);
    }

    pub(super) fn relist_ours_started(&mut self, kind: Kind) {
        match kind {
            Kind::PatrolPolicy => self.policies.values_mut().for_each(|p| p.listed = false),
            Kind::AlertReceiver => self.receivers_listing(),
            Kind::Ticket => self.tickets_listing(),
            Kind::TicketWaiver => self.waivers_listing(),
            _ => {}
        }
    }

    pub(super) fn relist_ours_finished(&mut self, kind: Kind, now: Now) {
        match kind {
            Kind::PatrolPolicy => {
                let blind = |name: &str| {
                    self.inventory
                        .sight(kind)
                        .is_blind_to(&ObjectKey::new("", name))
                };
                let gone: Vec<String> = self
                    .policies
                    .values()
                    .filter(|p| !p.listed && !blind(p.name()))
                    .map(|p| p.name().to_owned())
                    .collect();
                for name in gone {
                    self.policy_gone(&name);
                }
            }
            Kind::AlertReceiver => self.receivers_listed(now),
            Kind::Ticket => self.tickets_listed(now),
            Kind::TicketWaiver => self.waivers_listed(now),
            _ => {}
        }
    }

    // ------------------------------------------------------------ writing

    pub(super) fn settle_policies(&mut self, now: Now) {
        if self.evaluation.status_dirty {
            // Counting goes over all tickets: while they change, once a second is enough.
            if self
                .reported
                .is_none_or(|at| now.mono >= at.plus(Span::seconds(1)))
            {
                self.evaluation.status_dirty = false;
                self.reported = Some(now.mono);
                self.report_policies(now);
            } else {
                self.wake_at(now.wall.plus(Span::seconds(1)));
            }
        }
        self.settle_finalizers(now);
        let mut names: Vec<Sym> = self.policies.keys().cloned().collect();
        if let Some(first) = self.turn.take() {
            let before = names.partition_point(|name| *name < first);
            let all = names.len();
            names.rotate_left(before.min(all));
        }
        for name in names {
            self.settle_policy_status(&name, now);
        }
    }

    fn settle_policy_status(&mut self, name: &Sym, now: Now) {
        let Some(state) = self.policies.get(name) else {
            return;
        };
        let target = WriteTarget::PolicyStatus(name.clone());
        if state.object.status.as_ref() == Some(&state.status) || self.is_policy_busy(name) {
            return;
        }
        if let Some(at) = state.retry_at
            && now.mono < at
        {
            self.wake_at(now.wall.plus(Span::seconds(at.since(now.mono) / 1000 + 1)));
            return;
        }
        let (at, status) = (state.precondition(), Box::new(state.status.clone()));
        let is_ours = |what: &WriteTarget| matches!(what, WriteTarget::PolicyStatus(_));
        if self.under_way(is_ours) >= STATUSES_IN_FLIGHT {
            self.turn.get_or_insert_with(|| name.clone());
            return; // an answer brings the next tick
        }
        let id = self.begin_write(target, now);
        self.outbox
            .push(Effect::WritePolicyStatus { id, at, status });
    }

    /// One write at a time on a policy: each needs the version the one before left.
    pub(super) fn is_policy_busy(&self, name: &Sym) -> bool {
        self.is_writing(&WriteTarget::PolicyStatus(name.clone()))
            || self.is_writing(&WriteTarget::PolicyFinalizer(name.clone()))
    }

    pub(super) fn policy_written(
        &mut self,
        name: &Sym,
        finalizer: bool,
        result: WriteResult,
        now: Now,
    ) {
        let Some(state) = self.policies.get_mut(name) else {
            return;
        };
        match result {
            WriteResult::Done(Written::Policy(policy)) => {
                state.failures = 0;
                if finalizer {
                    state.finalizer = Finalizer::default();
                }
                // Ever changing counts are written at most every two seconds.
                state.retry_at = Some(now.mono.plus(Span::seconds(2)));
                self.policy_seen(*policy, now);
            }
            WriteResult::Done(_) => state.failures = 0,
            result => {
                if finalizer {
                    let refused =
                        matches!(result, WriteResult::Refused(why) if why != Refusal::NotLeader);
                    state.finalizer.fail(refused, now.mono);
                    let own = super::receivers::own_webhook_name(name);
                    self.agenda.poke(&own, now.wall);
                }
                // The watch brings the newer version; until then wait.
                state.failures = state.failures.saturating_add(1);
                let wait = 1u64 << state.failures.min(6).saturating_sub(1);
                state.retry_at = Some(now.mono.plus(Span::seconds(wait)));
            }
        }
    }
}
