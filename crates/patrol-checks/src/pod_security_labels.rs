//! The labels of Pod Security Admission on a namespace, read as the admission plugin reads
//! them (k8s.io/pod-security-admission, api/helpers.go), and the parameters of the checks
//! about them.

use patrol_api::time::Time;
use patrol_core::check::{Exempt, View};
use patrol_core::facts::{Labels, Namespace};
use patrol_core::pattern::Glob;
use patrol_core::rule::Rule;

/// Parameter: namespaces that may be privileged.
pub(crate) const PRIVILEGED_ALLOWED: (&str, &str) = (
    "privilegedAllowed",
    "Namespaces, as globs, that may run privileged pods: no level is asked of them. \
     Default kube-system, kube-public, kube-node-lease.",
);

/// Parameter: the oldest rules that a level may be pinned to.
pub(crate) const MIN_VERSION: (&str, &str) = (
    "minVersion",
    "Oldest version that `enforce-version` may be pinned to, such as v1.29. Default any.",
);

/// Parameter: what the cluster enforces without a label.
pub(crate) const CLUSTER_DEFAULT: (&str, &str) = (
    "psaClusterDefault",
    "Level that the API server's AdmissionConfiguration enforces on namespaces without a label: privileged, baseline \
     or restricted. It cannot be read through the API. Default not declared.",
);

/// The system's namespaces run node agents and network plugins, which need privileges.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

const PREFIX: &str = "pod-security.kubernetes.io/";

/// A level, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

impl Level {
    /// Reads a label value or parameter.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "privileged" => Some(Self::Privileged),
            "baseline" => Some(Self::Baseline),
            "restricted" => Some(Self::Restricted),
            _ => None,
        }
    }

    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// A version: `latest`, or a minor of v1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyVersion {
    Latest,
    Minor(u32),
}

impl PolicyVersion {
    /// Reads a label value or parameter.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "latest" {
            return Some(Self::Latest);
        }
        let minor = text.strip_prefix("v1.")?;
        // As upstream: digits without a leading zero.
        let canonical = minor == "0" || !minor.starts_with('0');
        let digits = !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit());
        (canonical && digits)
            .then(|| minor.parse().ok())
            .flatten()
            .map(Self::Minor)
    }
}

/// What is wrong with the values of a parameter of these checks.
pub(crate) fn check_parameter(name: &str, values: &[String]) -> Result<(), String> {
    if name == PRIVILEGED_ALLOWED.0 {
        return values
            .iter()
            .try_for_each(|text| Glob::compile(text).map(drop));
    }
    let [value] = values else {
        return Err(format!("takes one value, not {}", values.len()));
    };
    if name == MIN_VERSION.0 {
        return match PolicyVersion::parse(value) {
            Some(_) => Ok(()),
            None => Err(format!(
                "{value:?} is no version: use latest or a minor such as v1.29"
            )),
        };
    }
    match Level::parse(value) {
        Some(_) => Ok(()),
        None => Err(format!(
            "{value:?} is no level: use privileged, baseline or restricted"
        )),
    }
}

/// The value of `pod-security.kubernetes.io/NAME`.
pub(crate) fn label<'a>(labels: &'a Labels, name: &str) -> Option<&'a str> {
    labels.get(&format!("{PREFIX}{name}")).map(|v| v.as_str())
}

/// The first value of a parameter.
pub(crate) fn parameter<'a>(rule: &'a Rule, name: &str) -> Option<&'a str> {
    rule.parameters
        .get(name)
        .and_then(|values| values.first())
        .map(String::as_str)
}

/// Whether the namespace may be privileged.
pub(crate) fn may_be_privileged(rule: &Rule, name: &str) -> bool {
    match rule.parameters.get(PRIVILEGED_ALLOWED.0) {
        None => SYSTEM.contains(&name),
        Some(globs) => globs
            .iter()
            .filter_map(|text| Glob::compile(text).ok())
            .any(|glob| glob.matches(name)),
    }
}

/// Why the labels of a namespace are not judged at all.
pub(crate) fn exemption(
    rule: &Rule,
    name: &str,
    namespace: &Namespace,
) -> Option<(Exempt, &'static str)> {
    if namespace.terminating {
        Some((Exempt::Leaving, "the namespace is being deleted"))
    } else if may_be_privileged(rule, name) {
        Some((
            Exempt::NotSelected,
            "the namespace is declared as one that may be privileged",
        ))
    } else {
        None
    }
}

/// The end of the grace of a new namespace, if it is not over.
pub(crate) fn due(view: &View<'_>, rule: &Rule, namespace: &Namespace) -> Option<Time> {
    namespace
        .meta
        .created
        .map(|at| at.plus(rule.graces.new_namespace))
        .filter(|due| *due > view.now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_versions_are_read_as_upstream_reads_them() {
        assert!(Level::parse("privileged") < Level::parse("baseline"));
        assert!(Level::parse("baseline") < Level::parse("restricted"));
        assert_eq!(Level::parse("Restricted"), None);
        for (text, expected) in [
            ("latest", Some(PolicyVersion::Latest)),
            ("v1.0", Some(PolicyVersion::Minor(0))),
            ("v1.29", Some(PolicyVersion::Minor(29))),
            ("v1.029", None),
            ("1.29", None),
            ("v1.", None),
            ("v1.+1", None),
            ("v2.1", None),
            ("", None),
        ] {
            assert_eq!(PolicyVersion::parse(text), expected, "{text}");
        }
    }
}
