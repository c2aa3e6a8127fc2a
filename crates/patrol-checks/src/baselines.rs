//! The built-in baselines: named sets of check ids for a scenario. Data only; what a
//! check does is said in its own file.

use patrol_core::rule::Baseline;

/// Baselines that `spec.baselines[]` may name.
pub const BASELINES: &[Baseline] = &[
    Baseline {
        name: "agent-coverage",
        description: "The security agent is everywhere it must be: sidecars in pods, agents on \
                      nodes, the components around them. It names no vendor: each check needs a \
                      block of spec.checks that says what the agent is.",
        checks: &[
            "agent-version-mismatch",
            "component-missing",
            "component-unavailable",
            "injector-unhealthy",
            "node-agent-excluded",
            "node-agent-missing",
            "node-agent-not-ready",
            "sidecar-injection-opted-out",
            "sidecar-missing",
            "sidecar-not-injectable",
            "sidecar-not-ready",
            "virtual-node-pod-uncovered",
        ],
    },
    Baseline {
        name: "namespace-coverage",
        description: "Every namespace carries a Pod Security Admission level, and none a weaker \
                      one than required.",
        checks: &["namespace-psa-below-required", "namespace-psa-unlabelled"],
    },
];

/// Checks that judge as soon as any policy exists, under the reserved policy name.
pub const ALWAYS_ON: &[&str] = &[
    "kind-unreadable",
    "namespace-unpatrolled",
    "patrol-overdue",
    "waiver-overdue",
];
