//! The catalogue: one check, one file, plus the built-in baselines. Checks are pure
//! functions over facts; nothing here does I/O, reads a clock or writes anything.

mod baselines;

use patrol_core::check::Check;
use patrol_core::rule::Catalogue;

/// Every check of the product, with the baselines that group them.
pub const CATALOGUE: Catalogue = Catalogue {
    checks: CHECKS,
    baselines: baselines::BASELINES,
    always_on: baselines::ALWAYS_ON,
};

/// Sorted by id: the order of the docs and of every listing.
const CHECKS: &[&dyn Check] = &[];
