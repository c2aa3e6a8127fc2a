//! `namespace-psa-unlabelled`.
//! What: a namespace without a Pod Security Admission level.
//! Why: without the label nothing keeps a privileged pod out.
//! Layer L7. Party: the customer, who owns the namespace.
//! Remedy: label it.

use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Check, CheckMeta, Exempt, Judgement, PartyBy, Unit, UnitKind, Verdict, View, cluster_subject,
};
use patrol_core::kind::Kind;
use patrol_core::rule::Rule;
use patrol_core::sym::Sym;

use crate::pod_security_labels::{
    self, CLUSTER_DEFAULT, PRIVILEGED_ALLOWED, due, exemption, label, parameter,
};

/// The check.
pub struct NamespacePsaUnlabelled;

static META: CheckMeta = CheckMeta {
    id: "namespace-psa-unlabelled",
    title: "No Pod Security Admission label",
    what: "Namespaces older than `graces.newNamespace` without the label `pod-security.kubernetes.io/enforce`. Labels \
           for `warn` and `audit` alone enforce nothing (`warns-only`). A default in the API server's \
           AdmissionConfiguration cannot be seen: declare it as `psaClusterDefault`, and namespaces without a label \
           are not judged. A label with an invalid value is told by namespace-psa-below-required.",
    why: "Without a level the API server admits privileged pods, host paths and host namespaces into the namespace.",
    remediation: "Label the namespace with pod-security.kubernetes.io/enforce: baseline, or restricted where its pods \
                  allow it; warn and audit at that level first to see what it would refuse.",
    layer: Layer::L7,
    party: PartyBy::CUSTOMER,
    severity: Severity::Medium,
    reads: &[Kind::Namespace],
    units: &[UnitKind::Namespace],
    block: None,
    parameters: &[CLUSTER_DEFAULT, PRIVILEGED_ALLOWED],
    references: &["CIS 5.2.1", "Kubescape C-0192"],
};

impl Check for NamespacePsaUnlabelled {
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
        if let Some(level) = label(labels, "enforce") {
            return out.push(judged(Verdict::Pass).message(format!("labelled {level:?}")));
        }
        if let Some(level) = parameter(rule, CLUSTER_DEFAULT.0) {
            return out.push(
                judged(Verdict::NotApplicable(Exempt::NotSelected)).message(format!(
                    "the cluster is declared to enforce {level} on namespaces without a label"
                )),
            );
        }
        if let Some(due) = due(view, rule, namespace) {
            return out.push(
                judged(Verdict::Unknown(Sym::new("grace")))
                    .reason("grace")
                    .recheck(Some(due)),
            );
        }
        let warns = label(labels, "warn").or_else(|| label(labels, "audit"));
        let mut judgement = judged(Verdict::Fail).reason("unlabelled");
        judgement.paths.push("/metadata/labels".to_owned());
        out.push(match warns {
            Some(_) => judgement.reason("warns-only").message(
                "the namespace only warns or audits: no Pod Security Admission level is enforced",
            ),
            None => judgement.message("the namespace has no Pod Security Admission level"),
        });
    }
}
