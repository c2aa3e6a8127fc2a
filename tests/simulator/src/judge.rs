//! What the checks say of a given view of the cluster. Two uses: `truth` is fed by the
//! model API server itself, at once and completely; a `witness` is fed exactly what one
//! process was told, so that it can be asked whether that process had the evidence for
//! what it did. Neither uses anything of the engine.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::policy::PatrolPolicy;
use patrol_api::ticket::{Finding, Subject};
use patrol_api::time::Time;
use patrol_api::waiver::TicketWaiver;
use patrol_core::check::{Exempt, Judgement, Origin, OwnState, UnitKind, Verdict, WaiverState};
use patrol_core::event::Event;
use patrol_core::facts::{Fact, ObjectKey};
use patrol_core::inspect::{Inspector, Presence};
use patrol_core::inventory::{Blindness, Inventory, RootKey};
use patrol_core::kind::Kind;
use patrol_core::rule::{Rule, Rulebook, compile};
use patrol_core::sym::Sym;
use patrol_core::ticket::place;
use patrol_core::waiver;

use crate::overlays;

/// Namespace of the operator.
pub const HOME: &str = "kube-patrol";

/// What is said of one identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The finding holds.
    Fails {
        /// Whether its policy opens tickets.
        enforced: bool,
        /// Check.
        check: &'static str,
    },
    /// Seen passing.
    Passes,
    /// Seen without live pods.
    NoPods,
    /// Not asked for any more.
    Exempt,
    /// On its way out.
    Leaving,
    /// Cannot be known.
    Unknown,
}

/// A view and what the checks say of it.
#[derive(Debug)]
pub struct Judge {
    inventory: Inventory,
    policies: BTreeMap<String, PatrolPolicy>,
    listed: BTreeSet<String>,
    listed_waivers: BTreeSet<ObjectKey>,
    /// Kinds whose last list went to its end.
    complete: BTreeSet<Kind>,
    rulebook: Rulebook,
    own: OwnState,
    waivers: BTreeMap<ObjectKey, TicketWaiver>,
    /// When each was first seen.
    waivers_since: BTreeMap<ObjectKey, Time>,
    said: BTreeMap<ObjectKey, Said>,
    failures: BTreeSet<(String, &'static str, String)>,
    stale: bool,
    recheck: Option<Time>,
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            inventory: Inventory::new(),
            policies: BTreeMap::new(),
            listed: BTreeSet::new(),
            listed_waivers: BTreeSet::new(),
            complete: BTreeSet::new(),
            rulebook: Rulebook::default(),
            own: OwnState::default(),
            waivers: BTreeMap::new(),
            waivers_since: BTreeMap::new(),
            said: BTreeMap::new(),
            failures: BTreeSet::new(),
            stale: true,
            recheck: None,
        }
    }
}

impl Judge {
    /// Takes in what was told.
    pub fn tell(&mut self, event: &Event, now: Time) {
        match event {
            Event::Seen(seen) => match &seen.fact {
                Fact::Policy(policy) => {
                    self.listed.insert(seen.key.name.to_string());
                    if self.is_news(policy) {
                        self.policies
                            .insert(seen.key.name.to_string(), (**policy).clone());
                        self.compile(now);
                    }
                }
                Fact::Receiver(_) | Fact::Ticket(_) => {}
                Fact::Waiver(waiver) => {
                    self.inventory.sight_mut(Kind::TicketWaiver).seen(&seen.key);
                    self.listed_waivers.insert(seen.key.clone());
                    let before = self.waivers.insert(seen.key.clone(), (**waiver).clone());
                    if before.is_none() {
                        self.waivers_since.insert(seen.key.clone(), now);
                    }
                    self.stale |= before.is_none_or(|b| b.spec != waiver.spec);
                }
                _ => self.stale |= !self.inventory.upsert((**seen).clone()).is_empty(),
            },
            Event::Gone(Kind::PatrolPolicy, key) => {
                self.policies.remove(&*key.name);
                self.compile(now);
            }
            Event::Gone(Kind::TicketWaiver, key) => {
                self.inventory.sight_mut(Kind::TicketWaiver).seen(key);
                self.waivers.remove(key);
                self.stale = true;
            }
            Event::Gone(kind, key) if !kind.is_ours() => {
                self.stale |= !self.inventory.delete(*kind, key).is_empty();
            }
            Event::Undecodable(error) => {
                self.inventory
                    .blind_object(error.kind, error.key.clone(), error.reason.clone());
                self.stale = true;
            }
            Event::ListStarted(kind) => {
                self.inventory.relist_started(*kind);
                self.complete.remove(kind);
                if *kind == Kind::PatrolPolicy {
                    self.listed.clear();
                }
                if *kind == Kind::TicketWaiver {
                    self.listed_waivers.clear();
                }
                self.stale = true;
            }
            Event::ListFinished(kind) => {
                self.inventory.relist_finished(*kind);
                self.complete.insert(*kind);
                if *kind == Kind::PatrolPolicy {
                    let listed = std::mem::take(&mut self.listed);
                    self.policies.retain(|name, _| listed.contains(name));
                    self.compile(now);
                }
                if *kind == Kind::TicketWaiver {
                    let listed = std::mem::take(&mut self.listed_waivers);
                    let sight = self.inventory.sight(Kind::TicketWaiver);
                    self.waivers
                        .retain(|key, _| listed.contains(key) || sight.is_blind_to(key));
                }
                self.stale = true;
            }
            Event::Lost(kind, why) => {
                self.inventory.sight_mut(*kind).lost(why.clone());
                self.stale = true;
            }
            Event::NotInstalled(kind) => {
                self.inventory.sight_mut(*kind).not_installed();
                self.stale = true;
            }
            Event::Reviewed(answers) => {
                for (kind, answer) in answers {
                    match answer {
                        Ok(()) => self.stale |= self.inventory.sight_mut(*kind).permitted(),
                        Err(why) => {
                            self.stale |= self.inventory.sight_mut(*kind).refused(why.clone());
                        }
                    }
                }
            }
            _ => {}
        }
    }

    fn is_news(&self, policy: &PatrolPolicy) -> bool {
        let version = |p: &PatrolPolicy| {
            p.metadata
                .resource_version
                .as_deref()
                .unwrap_or("")
                .parse::<u64>()
                .unwrap_or(0)
        };
        policy
            .metadata
            .name
            .as_ref()
            .and_then(|name| self.policies.get(name))
            .is_none_or(|held| {
                held.metadata.uid != policy.metadata.uid || version(held) < version(policy)
            })
    }

    fn compile(&mut self, now: Time) {
        self.rulebook = Rulebook::default();
        self.own = OwnState::default();
        let mut any = false;
        for (name, policy) in &self.policies {
            self.own.policy_uids.insert(
                Sym::new(name),
                policy.metadata.uid.clone().unwrap_or_default(),
            );
            if policy.metadata.deletion_timestamp.is_some() {
                continue;
            }
            any = true;
            if let Ok(rules) = compile(policy, &patrol_checks::CATALOGUE, now) {
                self.rulebook.policies.insert(Sym::new(name), rules);
            }
        }
        if any {
            self.rulebook.always_on = patrol_checks::CATALOGUE.always_on_rules();
        }
        self.stale = true;
    }

    fn inspector(&self, now: Time) -> Inspector<'_> {
        Inspector {
            catalogue: &patrol_checks::CATALOGUE,
            inventory: &self.inventory,
            rulebook: &self.rulebook,
            origin: Origin::Cluster,
            own: &self.own,
            now,
        }
    }

    /// Judges again if anything can have changed. Returns whether it did.
    pub fn judge(&mut self, now: Time) -> bool {
        if !self.stale && self.recheck.is_none_or(|at| now < at) {
            return false;
        }
        self.stale = false;
        let (mut said, mut failures) = (BTreeMap::new(), BTreeSet::new());
        let ends = self.stand(now);
        let recheck = self.inspect(now, |rule, enforced, judgement| {
            let word = word(judgement, enforced, rule.check);
            if judgement.verdict == Verdict::Fail {
                let subject = &judgement.subject;
                let name = match &subject.namespace {
                    Some(ns) => format!("{ns}/{}", subject.name),
                    None => subject.name.clone(),
                };
                failures.insert((rule.policy.to_string(), rule.check, name));
            }
            // Names are costly, and most of what is said is that all is well.
            if !matches!(word, Said::Passes | Said::NoPods | Said::Exempt) {
                said.insert(place(rule, judgement, HOME), word);
            }
        });
        self.recheck = recheck.into_iter().chain(ends).min();
        self.said = said;
        self.failures = failures;
        true
    }

    /// How each waiver stands now. Returns when that changes.
    fn stand(&mut self, now: Time) -> Option<Time> {
        let mut next: Option<Time> = None;
        self.own.waivers.clear();
        for (key, waiver) in &self.waivers {
            let until = overlays::until(waiver);
            next = next.into_iter().chain((until > now).then_some(until)).min();
            let state = WaiverState {
                uid: waiver.metadata.uid.clone(),
                standing: waiver::standing(until, None, now),
                message: String::new(),
            };
            self.own.waivers.insert(key.clone(), state);
        }
        next
    }

    fn inspect(&self, now: Time, mut each: impl FnMut(&Rule, bool, &Judgement)) -> Option<Time> {
        let inspector = self.inspector(now);
        let enforcing = self.rulebook.policies.values().any(|p| !p.observe);
        let rules = self
            .rulebook
            .enabled()
            .flat_map(|p| p.rules.iter().map(move |rule| (rule, !p.observe)))
            .chain(self.rulebook.always_on.iter().map(|rule| (rule, enforcing)));
        let mut recheck: Option<Time> = None;
        for (rule, enforced) in rules {
            let units = patrol_checks::CATALOGUE
                .find(rule.check)
                .map(|c| c.meta().units);
            for unit in inspector.units(units.unwrap_or_default()) {
                for judgement in inspector.judge(rule, &unit).judgements {
                    recheck = match (recheck, judgement.recheck_at) {
                        (Some(a), Some(b)) => Some(a.min(b)),
                        (a, b) => a.or(b),
                    };
                    each(rule, enforced, &judgement);
                }
            }
        }
        recheck
    }

    /// What is said of one identity, the good included.
    #[must_use]
    pub fn word_on(&self, wanted: &ObjectKey, now: Time) -> Option<Said> {
        let mut found = None;
        self.inspect(now, |rule, enforced, judgement| {
            if place(rule, judgement, HOME) == *wanted {
                found = Some(word(judgement, enforced, rule.check));
            }
        });
        found
    }

    /// A clock that jumped makes every grace doubtful.
    pub fn doubt(&mut self) {
        self.stale = true;
    }

    /// What is said, by place of the ticket, as far as it is not well.
    #[must_use]
    pub fn said(&self) -> &BTreeMap<ObjectKey, Said> {
        &self.said
    }

    /// Places whose finding holds under an enforcing policy.
    pub fn failing(&self) -> impl Iterator<Item = (&ObjectKey, &'static str)> {
        self.said.iter().filter_map(|(place, said)| match said {
            Said::Fails {
                enforced: true,
                check,
            } => Some((place, *check)),
            _ => None,
        })
    }

    /// Subjects (namespace/name) that a check of a policy fails.
    #[must_use]
    pub fn subjects_failing(&self, policy: &str, check: &str) -> BTreeSet<String> {
        self.failures
            .iter()
            .filter(|(p, c, _)| p == policy && *c == check)
            .map(|(_, _, subject)| subject.clone())
            .collect()
    }

    /// Whether a waiver is known, the last that was read of it counting.
    #[must_use]
    pub fn knows(&self, waiver: &ObjectKey) -> bool {
        self.waivers.contains_key(waiver)
    }

    /// Whether it was known at this time already.
    #[must_use]
    pub fn knew(&self, waiver: &ObjectKey, at: Time) -> bool {
        self.knows(waiver)
            && self
                .waivers_since
                .get(waiver)
                .is_some_and(|since| *since <= at)
    }

    /// Whether a waiver is known, or cannot be known not to be there.
    #[must_use]
    pub fn may_know(&self, waiver: &ObjectKey) -> bool {
        let sight = self.inventory.sight(Kind::TicketWaiver);
        self.knows(waiver)
            || sight.blindness().is_some()
            || sight.is_relisting()
            || sight.is_blind_to(waiver)
    }

    /// Whether a policy is one the product can work with.
    #[must_use]
    pub fn is_compiled(&self, policy: &str) -> bool {
        self.rulebook.policies.contains_key(policy)
    }

    /// Policies told.
    #[must_use]
    pub fn policies(&self) -> &BTreeMap<String, PatrolPolicy> {
        &self.policies
    }

    /// Whether a rule of this policy, check and requirement is in force.
    #[must_use]
    pub fn has_rule(&self, policy: &str, check: &str, requirement: Option<&str>) -> bool {
        self.rulebook
            .rules_of(policy)
            .iter()
            .any(|r| r.check == check && r.requirement.as_deref() == requirement)
    }

    /// Ids of the checks of a policy, those that are always on included.
    #[must_use]
    pub fn checks_of(&self, policy: &str) -> Vec<&'static str> {
        self.rulebook
            .rules_of(policy)
            .iter()
            .chain(&self.rulebook.always_on)
            .map(|r| r.check)
            .collect()
    }

    /// Whether the view says that a subject is gone: it is not there, and its kind was
    /// listed to the end and is not being listed again.
    #[must_use]
    pub fn is_gone(&self, subject: &Subject, now: Time) -> bool {
        let complete = Kind::find(&subject.group, &subject.kind).is_some_and(|kind| {
            let sight = self.inventory.sight(kind);
            kind.is_ours()
                || (self.complete.contains(&kind)
                    && sight.blindness().is_none()
                    && sight.blind_count() == 0)
        });
        complete && self.inspector(now).presence(subject) != Presence::Here
    }

    /// The kinds that a finding's rule needs to say anything of its subject. Those of a
    /// rule that is not in force any more are none.
    #[must_use]
    pub fn needs(&self, finding: &Finding) -> Vec<Kind> {
        let rules = self.rulebook.rules_of(&finding.policy).iter();
        let mut rules = rules.filter(|rule| {
            rule.check == finding.check
                && rule.requirement.as_deref() == finding.requirement.as_deref()
        });
        let (Some(rule), Some(check)) =
            (rules.next(), patrol_checks::CATALOGUE.find(&finding.check))
        else {
            return vec![];
        };
        let subject = &finding.subject;
        let root = Kind::find(&subject.group, &subject.kind)
            .filter(|kind| *kind == Kind::Pod || Kind::WORKLOADS.contains(kind))
            .filter(|_| check.meta().units.contains(&UnitKind::Root));
        let needs = check.needs(rule);
        let Some(root) = root else {
            return needs.to_vec();
        };
        // Of the kinds that own pods, those above and below this one count.
        let place = ObjectKey::new(subject.namespace.as_deref().unwrap_or(""), &subject.name);
        let owner = self.inventory.owner_kind(&RootKey {
            kind: root,
            key: place,
        });
        let beneath = match root {
            Kind::Deployment => Some(Kind::ReplicaSet),
            Kind::CronJob => Some(Kind::Job),
            _ => None,
        };
        let counts = |kind: &&Kind| {
            !Kind::WORKLOADS.contains(kind) || [Some(root), owner, beneath].contains(&Some(**kind))
        };
        needs.iter().filter(counts).copied().collect()
    }

    /// The kinds that the rules of a policy read.
    #[must_use]
    pub fn reads_of(&self, policy: &str) -> Vec<Kind> {
        let rules = self.rulebook.rules_of(policy).iter();
        rules
            .chain(&self.rulebook.always_on)
            .filter_map(|rule| Some(patrol_checks::CATALOGUE.find(rule.check)?.reads(rule)))
            .flat_map(std::borrow::Cow::into_owned)
            .collect()
    }

    /// Whether a kind is not installed.
    #[must_use]
    pub fn is_absent(&self, kind: Kind) -> bool {
        self.inventory.sight(kind).is_absent()
    }

    /// Whether a kind cannot be judged from.
    #[must_use]
    pub fn is_blind(&self, kind: Kind) -> bool {
        self.inventory.sight(kind).blindness().is_some()
    }

    /// For the truth: the server knows every kind but those that a patrol may not read.
    pub fn see(&mut self, kind: Kind, denied: bool) {
        let sight = self.inventory.sight_mut(kind);
        self.stale |= if denied {
            sight.refused(Blindness::Denied("list".into()))
        } else {
            sight.permitted()
        };
    }
}

fn word(judgement: &Judgement, enforced: bool, check: &'static str) -> Said {
    match &judgement.verdict {
        Verdict::Fail => Said::Fails { enforced, check },
        Verdict::Pass => Said::Passes,
        Verdict::NotApplicable(Exempt::NoLivePods) => Said::NoPods,
        Verdict::NotApplicable(Exempt::Leaving) => Said::Leaving,
        Verdict::NotApplicable(_) => Said::Exempt,
        Verdict::Unknown(_) => Said::Unknown,
    }
}
