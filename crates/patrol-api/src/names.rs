//! Names that users, selectors and other programs rely on, and how a legal label value is made.
//! Never looks at a cluster: constants and pure text only.

/// API group of every kind of ours.
pub const GROUP: &str = "kubepatrol.io";
/// The served and stored version.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of our objects.
pub const API_VERSION: &str = "kubepatrol.io/v1alpha1";

/// Ticket label: the policy the ticket belongs to.
pub const LABEL_POLICY: &str = "kubepatrol.io/policy";
/// Ticket label: the check that found it.
pub const LABEL_CHECK: &str = "kubepatrol.io/check";
/// Ticket label: the severity, lower case.
pub const LABEL_SEVERITY: &str = "kubepatrol.io/severity";
/// Ticket label: the responsible party, lower case.
pub const LABEL_PARTY: &str = "kubepatrol.io/party";
/// Ticket label: the phase, lower case.
pub const LABEL_STATE: &str = "kubepatrol.io/state";

/// Policy annotation: any new value starts a patrol at once.
pub const ANNOTATION_PATROL_NOW: &str = "kubepatrol.io/patrol-now";

/// The operator's namespace unless told otherwise; home of tickets about cluster-scoped subjects.
pub const DEFAULT_NAMESPACE: &str = "kube-patrol";
/// Reserved policy name: the always-on coverage checks' tickets carry it.
pub const COVERAGE_POLICY: &str = "patrol-coverage";

/// The longest legal label value, in bytes.
const LABEL_VALUE_MAX: usize = 63;

/// Makes a legal label value of any text: lower case, at most 63 of `a-z0-9-_.`, beginning and ending with a letter or
/// digit. Everything else becomes `-`; what is left of a text without a letter or digit is empty, which is legal too.
/// Two texts may get the same value: a label selects, the object's fields identify.
#[must_use]
pub fn label_value(text: &str) -> String {
    let outer = |c: char| !c.is_ascii_alphanumeric();
    let value: String = text
        .chars()
        .map(|c| match c.to_ascii_lowercase() {
            c @ ('a'..='z' | '0'..='9' | '-' | '_' | '.') => c,
            _ => '-',
        })
        .skip_while(|c| outer(*c))
        .take(LABEL_VALUE_MAX)
        .collect();
    value.trim_end_matches(outer).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_becomes_a_legal_label_value() {
        assert_eq!(label_value("Critical"), "critical");
        assert_eq!(label_value("policy/prod cluster"), "policy-prod-cluster");
        assert_eq!(label_value("--Web_1.2--"), "web_1.2");
        assert_eq!(label_value("支付"), "");
        assert_eq!(label_value("a支付"), "a");
        assert_eq!(label_value(""), "");
        let long = format!("{}-tail", "x".repeat(62));
        assert_eq!(label_value(&long), "x".repeat(62));
    }
}
