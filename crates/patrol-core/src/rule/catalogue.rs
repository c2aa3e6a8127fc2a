//! What there is to ask for: the checks and the baselines, given by the catalogue crate.

use std::sync::Arc;

use patrol_api::names::COVERAGE_POLICY;
use patrol_api::policy::Graces;

use super::compile::plain;
use super::{Rule, ScopeRule};
use crate::check::Check;
use crate::sym::Sym;

/// A named set of checks.
#[derive(Clone, Copy, Debug)]
pub struct Baseline {
    /// Name.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// Ids of its checks.
    pub checks: &'static [&'static str],
}

/// The checks and baselines the engine works with. Given by the catalogue crate, so that
/// the core names no check.
#[derive(Clone, Copy)]
pub struct Catalogue {
    /// All checks, by id.
    pub checks: &'static [&'static dyn Check],
    /// Built-in baselines.
    pub baselines: &'static [Baseline],
    /// Ids of the always-on coverage checks.
    pub always_on: &'static [&'static str],
}

impl Catalogue {
    /// A check by id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<&'static dyn Check> {
        self.checks.iter().copied().find(|c| c.meta().id == id)
    }

    /// The always-on rules, given that some policy exists. They carry the reserved policy
    /// name and judge everywhere.
    #[must_use]
    pub fn always_on_rules(&self) -> Vec<Rule> {
        let scope = Arc::new(ScopeRule::default());
        self.always_on
            .iter()
            .filter_map(|id| self.find(id))
            .map(|check| {
                plain(
                    &Sym::new(COVERAGE_POLICY),
                    check.meta(),
                    &scope,
                    &Graces::default(),
                )
            })
            .collect()
    }
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.checks.iter().map(|c| c.meta().id))
            .finish()
    }
}

/// One thing wrong with an object of ours.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Field path (`spec.schedule.cron`).
    pub field: String,
    /// One sentence.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}
