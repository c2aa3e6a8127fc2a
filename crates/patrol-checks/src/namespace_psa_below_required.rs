//! `namespace-psa-below-required`.
//! What: a namespace whose Pod Security Admission labels are weaker than required, or
//! wrong.
//! Why: a weak or mistyped level lets in what it seems to keep out.
//! Layer L7. Party: the customer, who owns the namespace.
//! Remedy: raise the level after a time of warnings; correct the label.

use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Check, CheckMeta, Exempt, Judgement, PartyBy, Unit, UnitKind, Verdict, View, cluster_subject,
};
use patrol_core::facts::Labels;
use patrol_core::kind::Kind;
use patrol_core::rule::Rule;
use patrol_core::sym::Sym;

use crate::pod_security_labels::{
    self, CLUSTER_DEFAULT, Level, MIN_VERSION, PRIVILEGED_ALLOWED, PolicyVersion, due, exemption,
    label, parameter,
};

/// The check.
pub struct NamespacePsaBelowRequired;

const LEVEL: (&str, &str) = (
    "level",
    "Weakest level that namespaces may enforce: privileged, baseline or restricted. Default baseline.",
);
static META: CheckMeta = CheckMeta {
    id: "namespace-psa-below-required",
    title: "PSA level weaker than the baseline",
    what: "Namespaces older than `graces.newNamespace` whose enforced level is weaker than `level` \
           (`level-below-required`; also `warns-only` where warn or audit already reach it), whose `enforce-version` is \
           pinned to one older than `minVersion` (`version-pinned`), or whose labels are invalid. The API server \
           reads an invalid `enforce` as restricted and an invalid version as latest, which refuses pods by surprise, \
           and silently reads an invalid `audit` or `warn` as privileged, which mutes it: these are told as Medium \
           and Low. Namespaces in `privilegedAllowed` are not judged; the system's own are by default, because node \
           agents and network plugins run there. A namespace without a label is told by namespace-psa-unlabelled, or, \
           where `psaClusterDefault` declares what the cluster enforces on it, judged by that level.",
    why: "A level below the baseline, or one that only looks like a level, admits pods that can take over the node.",
    remediation: "Set pod-security.kubernetes.io/warn and audit to the required level, mend what they report, then \
                  raise pod-security.kubernetes.io/enforce.",
    layer: Layer::L7,
    party: PartyBy::CUSTOMER,
    severity: Severity::High,
    reads: &[Kind::Namespace],
    units: &[UnitKind::Namespace],
    block: None,
    parameters: &[LEVEL, MIN_VERSION, CLUSTER_DEFAULT, PRIVILEGED_ALLOWED],
    references: &["CIS 5.2.1", "Kyverno psa/deny-privileged-profile"],
};

impl Check for NamespacePsaBelowRequired {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn check_parameter(&self, name: &str, values: &[String]) -> Result<(), String> {
        pod_security_labels::check_parameter(name, values)
    }

    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        let Unit::Namespace(name) = unit else {
            return;
        };
        let Some(namespace) = view.inventory.namespace(name) else {
            return;
        };
        let labels = &namespace.meta.labels;
        let subject = cluster_subject(Kind::Namespace, name, &namespace.meta.uid);
        let judged = |verdict| Judgement::new(subject, verdict);
        if let Some((why, words)) = exemption(rule, name, namespace) {
            return out.push(judged(Verdict::NotApplicable(why)).message(words));
        }
        let required = match Required::of(rule) {
            Ok(required) => required,
            // Guessing would open or close tickets of every namespace.
            Err(parameter) => {
                return out.push(
                    judged(Verdict::Unknown(Sym::new("bad-parameter")))
                        .reason("bad-parameter")
                        .message(format!(
                            "the parameter {parameter} of this check has no valid value: correct spec.overrides"
                        )),
                );
            }
        };
        if label(labels, "enforce").is_none() && required.cluster_default.is_none() {
            return out.push(
                judged(Verdict::NotApplicable(Exempt::Folded))
                    .message("the namespace has no level: see namespace-psa-unlabelled"),
            );
        }
        let faults = faults(labels, &required);
        let Some(first) = faults.first() else {
            let level = required.level.as_str();
            return out.push(
                judged(Verdict::Pass).message(format!("enforces {level} or a stronger level")),
            );
        };
        if let Some(due) = due(view, rule, namespace) {
            return out.push(
                judged(Verdict::Unknown(Sym::new("grace")))
                    .reason("grace")
                    .recheck(Some(due)),
            );
        }
        let words: Vec<&str> = faults.iter().map(|f| f.words.as_str()).collect();
        let mut judgement = judged(Verdict::Fail).message(words.join("; "));
        for fault in &faults {
            judgement = judgement.reason(fault.reason);
            let path = format!(
                "/metadata/labels/pod-security.kubernetes.io~1{}",
                fault.label
            );
            if fault.has_label && !judgement.paths.contains(&path) {
                judgement.paths.push(path);
            }
        }
        // Only what lets pods in counts in full.
        let worst = faults.iter().map(|f| f.at_most).max();
        judgement.severity = worst
            .map(|most| rule.severity.min(most))
            .filter(|s| *s != rule.severity);
        judgement.remediation = first.remedy.to_owned();
        out.push(judgement);
    }
}

/// How to mend labels whose values are wrong.
pub(crate) const SET_ENFORCE: &str =
    "Set pod-security.kubernetes.io/enforce to privileged, baseline or restricted.";
/// See [`SET_ENFORCE`].
pub(crate) const SET_LABEL: &str = "Set the label to privileged, baseline or restricted.";
/// See [`SET_ENFORCE`].
pub(crate) const SET_VERSION: &str = "Set pod-security.kubernetes.io/enforce-version to latest or a version of at least the required one.";

/// What the parameters ask for.
struct Required {
    level: Level,
    min_version: Option<u32>,
    cluster_default: Option<Level>,
}

impl Required {
    /// # Errors
    /// The name of the parameter that cannot be read.
    fn of(rule: &Rule) -> Result<Self, &'static str> {
        let level = |name: &'static str| match parameter(rule, name) {
            None => Ok(None),
            Some(text) => Level::parse(text).map(Some).ok_or(name),
        };
        let min_version = match parameter(rule, MIN_VERSION.0).map(PolicyVersion::parse) {
            None => None,
            Some(Some(PolicyVersion::Minor(minor))) => Some(minor),
            Some(Some(PolicyVersion::Latest)) => Some(u32::MAX),
            Some(None) => return Err(MIN_VERSION.0),
        };
        Ok(Self {
            level: level(LEVEL.0)?.unwrap_or(Level::Baseline),
            min_version,
            cluster_default: level(CLUSTER_DEFAULT.0)?,
        })
    }
}

/// One thing wrong with the labels.
struct Fault {
    reason: &'static str,
    label: &'static str,
    has_label: bool,
    words: String,
    remedy: &'static str,
    at_most: Severity,
}

fn faults(labels: &Labels, required: &Required) -> Vec<Fault> {
    let mut out = vec![];
    let enforce = label(labels, "enforce");
    match (enforce, enforce.and_then(Level::parse)) {
        (None, _) => {
            if let Some(level) = required.cluster_default.filter(|l| *l < required.level) {
                out.push(Fault {
                    reason: "cluster-default-below-required",
                    label: "enforce",
                    has_label: false,
                    words: format!(
                        "the namespace has no level and the cluster's default is {}, not {}",
                        level.as_str(),
                        required.level.as_str()
                    ),
                    remedy: "",
                    at_most: Severity::Critical,
                });
            }
        }
        (Some(_), Some(level)) if level < required.level => {
            out.extend(too_weak(labels, level, required))
        }
        (Some(_), Some(_)) => {}
        (Some(_), None) => out.push(Fault {
            reason: "invalid-enforce",
            label: "enforce",
            has_label: true,
            words:
                "the enforced level has no valid value, so the API server takes it for restricted"
                    .to_owned(),
            remedy: SET_ENFORCE,
            at_most: Severity::Medium,
        }),
    }
    out.extend(version_fault(labels, required));
    for mode in ["audit", "warn"] {
        if label(labels, mode).is_some_and(|text| Level::parse(text).is_none()) {
            out.push(Fault {
                reason: if mode == "audit" {
                    "invalid-audit"
                } else {
                    "invalid-warn"
                },
                label: mode,
                has_label: true,
                words: format!(
                    "the {mode} level has no valid value, so the API server takes it for privileged"
                ),
                remedy: SET_LABEL,
                at_most: Severity::Low,
            });
        }
    }
    out
}

fn too_weak(labels: &Labels, level: Level, required: &Required) -> Vec<Fault> {
    let fault = |reason, words| Fault {
        reason,
        label: "enforce",
        has_label: true,
        words,
        remedy: "",
        at_most: Severity::Critical,
    };
    let announced = ["warn", "audit"]
        .into_iter()
        .filter_map(|mode| label(labels, mode).and_then(Level::parse))
        .any(|l| l >= required.level);
    let (level, wanted) = (level.as_str(), required.level.as_str());
    let mut out = vec![fault(
        "level-below-required",
        format!("the namespace enforces {level}, not {wanted}"),
    )];
    if announced {
        out.push(fault(
            "warns-only",
            format!("it warns or audits at {wanted} already"),
        ));
    }
    out
}

fn version_fault(labels: &Labels, required: &Required) -> Option<Fault> {
    let text = label(labels, "enforce-version")?;
    let fault = |reason, words, at_most| Fault {
        reason,
        label: "enforce-version",
        has_label: true,
        words,
        remedy: SET_VERSION,
        at_most,
    };
    match (PolicyVersion::parse(text), required.min_version) {
        (None, _) => Some(fault(
            "invalid-enforce-version",
            "the pinned version has no valid value, so the API server takes it for latest"
                .to_owned(),
            Severity::Medium,
        )),
        (Some(PolicyVersion::Minor(minor)), Some(least)) if minor < least => Some(fault(
            "version-pinned",
            format!(
                "the level is pinned to the rules of v1.{minor}, which are older than required"
            ),
            Severity::Critical,
        )),
        _ => None,
    }
}
