//! The catalogue: one check, one file, plus the built-in baselines. Checks are pure
//! functions over facts; nothing here does I/O, reads a clock or writes anything.

mod agent_version_mismatch;
mod baselines;
pub mod chinese;
mod component;
mod component_missing;
#[cfg(test)]
mod component_rows;
mod component_unavailable;
mod component_workload;
#[cfg(test)]
mod coverage_rows;
mod hidden;
mod injector;
#[cfg(test)]
mod injector_rows;
mod injector_unhealthy;
mod kind_unreadable;
mod markers;
mod namespace_psa_below_required;
mod namespace_psa_unlabelled;
mod namespace_unpatrolled;
#[cfg(test)]
mod needs_rows;
mod node_agent;
mod node_agent_excluded;
mod node_agent_missing;
mod node_agent_not_ready;
#[cfg(test)]
mod node_agent_rows;
#[cfg(test)]
mod parameter_rows;
mod patrol_overdue;
mod pod_security_labels;
mod pod_sets;
mod scheduling;
#[cfg(test)]
mod scheduling_rows;
mod sidecar_injection_opted_out;
mod sidecar_missing;
mod sidecar_not_injectable;
mod sidecar_not_ready;
#[cfg(test)]
mod sidecar_rows;
mod stale_injection;
mod stand_in;
mod tally;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod version_rows;
mod virtual_node_pod_uncovered;
mod waiver_overdue;
mod words;

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
    &component_missing::ComponentMissing,
    &component_unavailable::ComponentUnavailable,
    &injector_unhealthy::InjectorUnhealthy,
    &kind_unreadable::KindUnreadable,
    &namespace_psa_below_required::NamespacePsaBelowRequired,
    &namespace_psa_unlabelled::NamespacePsaUnlabelled,
    &namespace_unpatrolled::NamespaceUnpatrolled,
    &node_agent_excluded::NodeAgentExcluded,
    &node_agent_missing::NodeAgentMissing,
    &node_agent_not_ready::NodeAgentNotReady,
    &patrol_overdue::PatrolOverdue,
    &sidecar_injection_opted_out::SidecarInjectionOptedOut,
    &sidecar_missing::SidecarMissing,
    &sidecar_not_injectable::SidecarNotInjectable,
    &sidecar_not_ready::SidecarNotReady,
    &virtual_node_pod_uncovered::VirtualNodePodUncovered,
    &waiver_overdue::WaiverOverdue,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_sorted() {
        let ids: Vec<&str> = CHECKS.iter().map(|c| c.meta().id).collect();
        let sorted: Vec<&str> = BTreeSet::from_iter(ids.clone()).into_iter().collect();
        assert_eq!(ids, sorted);
    }

    #[test]
    fn baselines_and_always_on_name_checks_that_exist() {
        let groups = baselines::BASELINES
            .iter()
            .map(|b| (b.name, b.checks))
            .chain([("always on", baselines::ALWAYS_ON)]);
        for (group, ids) in groups {
            for id in ids {
                assert!(CATALOGUE.find(id).is_some(), "{group}: {id}");
            }
            let sorted: Vec<&str> = BTreeSet::from_iter(ids.iter().copied())
                .into_iter()
                .collect();
            assert_eq!(*ids, sorted, "{group}");
        }
    }

    #[test]
    fn every_check_can_be_asked_for() {
        for check in CHECKS {
            let meta = check.meta();
            let by_baseline = baselines::BASELINES
                .iter()
                .any(|b| b.checks.contains(&meta.id));
            let always = baselines::ALWAYS_ON.contains(&meta.id);
            assert!(by_baseline || always || meta.block.is_some(), "{}", meta.id);
            assert!(!(by_baseline && always), "{}", meta.id);
        }
    }

    #[test]
    fn every_description_is_filled_in() {
        for check in CHECKS {
            let meta = check.meta();
            let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(meta.id.chars().all(kebab), "{}", meta.id);
            for text in [meta.what, meta.why, meta.remediation] {
                assert!(text.ends_with(['.', '"']), "{}: {text:?}", meta.id);
                assert!(!text.contains("  "), "{}: {text:?}", meta.id);
            }
            assert!(
                !meta.title.is_empty() && !meta.title.ends_with('.'),
                "{}",
                meta.id
            );
            assert!(!meta.units.is_empty(), "{}", meta.id);
            for (name, meaning) in meta.parameters {
                assert!(
                    !name.is_empty() && meaning.ends_with('.'),
                    "{}: {name}",
                    meta.id
                );
            }
        }
    }
}
