//! Whole inspections: every unit under every rule, for `scan`, `plan`, a patrol's account
//! and the oracle of the tests.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::words::{Party, Severity};

use super::{Asked, Inspector};
use crate::check::{CheckMeta, Judgement, Unit, UnitKind, UnitPods};
use crate::inventory::Blindness;
use crate::kind::Kind;
use crate::rule::Rule;
use crate::sym::Sym;

/// The result of one whole inspection.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Every judgement, by policy, check, requirement and subject.
    pub results: Vec<InspectionResult>,
    /// Kinds that could not be seen, with the checks that were not judged for it.
    pub blind: Blind,
}

/// One judgement with what the rule adds to it.
#[derive(Clone, Debug)]
pub struct InspectionResult {
    /// Policy.
    pub policy: Sym,
    /// Check.
    pub check: &'static CheckMeta,
    /// Requirement.
    pub requirement: Option<Sym>,
    /// Severity.
    pub severity: Severity,
    /// Party.
    pub party: Party,
    /// Layer.
    pub layer: patrol_api::words::Layer,
    /// The judgement.
    pub judgement: Judgement,
}

/// Judges every unit under every given rule: `scan`, `plan`, and the oracle of the tests.
#[must_use]
pub fn inspect<'r>(inspector: &Inspector<'_>, rules: impl Iterator<Item = &'r Rule>) -> Inspection {
    let mut out = Inspection::default();
    let mut results = vec![];
    out.blind = walk(inspector, rules, true, |rule, meta, judgement| {
        results.push(InspectionResult {
            policy: rule.policy.clone(),
            check: meta,
            requirement: rule.requirement.clone(),
            severity: inspector.severity(rule, &judgement),
            party: inspector.party(rule, meta, &judgement),
            layer: rule.layer,
            judgement,
        });
    });
    out.results = results;
    out.results.sort_by(|a, b| {
        (
            &a.policy,
            a.check.id,
            &a.requirement,
            &a.judgement.subject,
            &a.judgement.discriminator,
        )
            .cmp(&(
                &b.policy,
                b.check.id,
                &b.requirement,
                &b.judgement.subject,
                &b.judgement.discriminator,
            ))
    });
    out
}

/// Kinds that could not be seen, with the checks that were not judged for it.
pub type Blind = BTreeMap<Kind, (Blindness, Vec<&'static str>)>;

/// Judges every unit under every given rule and hands each judgement on, so that those of
/// a large cluster need not be held at once; what is no gap is not told in words. Returns
/// what could not be looked at.
pub fn inspect_each<'r>(
    inspector: &Inspector<'_>,
    rules: impl Iterator<Item = &'r Rule>,
    each: impl FnMut(&Rule, &'static CheckMeta, Judgement),
) -> Blind {
    walk(inspector, rules, false, each)
}

fn walk<'r>(
    inspector: &Inspector<'_>,
    rules: impl Iterator<Item = &'r Rule>,
    words: bool,
    mut each: impl FnMut(&Rule, &'static CheckMeta, Judgement),
) -> Blind {
    let mut blind = Blind::new();
    let rules: Vec<Asked<'_>> = rules.filter_map(|rule| inspector.ask(rule)).collect();
    let kinds: BTreeSet<UnitKind> = rules
        .iter()
        .flat_map(|asked| asked.check.meta().units.iter().copied())
        .collect();
    let mut said: Vec<Judgement> = vec![];
    let mut judge = |unit: &Unit, pods: &UnitPods<'_>| {
        for asked in &rules {
            let meta = asked.check.meta();
            if let Some((kind, why)) = inspector.judge_asked(asked, unit, pods, words, &mut said) {
                let entry = blind.entry(kind).or_insert((why, vec![]));
                if !entry.1.contains(&meta.id) {
                    entry.1.push(meta.id);
                }
            }
            for judgement in said.drain(..) {
                each(asked.rule, meta, judgement);
            }
        }
    };
    let inventory = inspector.inventory;
    for kind in kinds {
        if kind != UnitKind::Root {
            for unit in inspector.units(&[kind]) {
                judge(&unit, &UnitPods::new(inventory, &unit));
            }
            continue;
        }
        for namespace in inventory.inhabited() {
            for (root, pods) in inventory.families_in(namespace) {
                let unit = Unit::Root(root);
                judge(&unit, &UnitPods::of(inventory, &unit, pods));
            }
        }
    }
    blind
}
