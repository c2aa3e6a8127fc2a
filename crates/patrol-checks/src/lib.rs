//! The catalogue: one check, one file, plus the built-in baselines. Checks are pure
//! functions over facts; nothing here does I/O, reads a clock or writes anything.

mod agent_version_mismatch;
mod baselines;
mod injector;
mod injector_unhealthy;
mod pod_sets;
mod sidecar_injection_opted_out;
mod sidecar_missing;
mod sidecar_not_injectable;
mod sidecar_not_ready;
#[cfg(test)]
mod sidecar_rows;
mod stale_injection;
mod stand_in;
#[cfg(test)]
mod testing;

use patrol_core::check::Check;
use patrol_core::rule::Catalogue;

/// Every check of the product, with the baselines that group them.
pub const CATALOGUE: Catalogue = Catalogue {
    checks: CHECKS,
    baselines: baselines::BASELINES,
    always_on: baselines::ALWAYS_ON,
};

/// Sorted by id: the order of the docs and of every listing.
const CHECKS: &[&dyn Check] = &[
    &agent_version_mismatch::AgentVersionMismatch,
    &injector_unhealthy::InjectorUnhealthy,
    &sidecar_injection_opted_out::SidecarInjectionOptedOut,
    &sidecar_missing::SidecarMissing,
    &sidecar_not_injectable::SidecarNotInjectable,
    &sidecar_not_ready::SidecarNotReady,
];
