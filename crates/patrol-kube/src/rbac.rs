//! The rights the operator needs, as data: the manifests in `deploy/` are generated from
//! it, so that they are exactly what the checks read and the writer writes.

use std::collections::{BTreeMap, BTreeSet};

use patrol_core::kind::Kind;

/// One rule of a Role or ClusterRole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rule {
    /// What it is for.
    pub why: &'static str,
    /// API groups.
    pub groups: Vec<String>,
    /// Resources.
    pub resources: Vec<String>,
    /// Names, when limited to some.
    pub names: Vec<String>,
    /// Verbs.
    pub verbs: Vec<&'static str>,
}

/// The operator's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// In the whole cluster.
    pub cluster: Vec<Rule>,
    /// In the operator's namespace.
    pub namespace: Vec<Rule>,
}

fn rule(why: &'static str, group: &str, resources: &[&str], verbs: &[&'static str]) -> Rule {
    Rule {
        why,
        groups: vec![group.to_owned()],
        resources: resources.iter().map(|r| (*r).to_owned()).collect(),
        names: vec![],
        verbs: verbs.to_vec(),
    }
}

/// The rights for an operator whose checks read `kinds`.
#[must_use]
pub fn rights(kinds: impl IntoIterator<Item = Kind>) -> Rights {
    const OURS: &str = patrol_api::names::GROUP;
    let mut read: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for kind in kinds.into_iter().filter(|k| !k.is_ours()) {
        let info = kind.info();
        read.entry(info.group).or_default().insert(info.resource);
    }
    let mut cluster: Vec<Rule> = read
        .into_iter()
        .map(|(group, resources)| {
            let resources: Vec<&str> = resources.into_iter().collect();
            rule(
                "what the checks read",
                group,
                &resources,
                &["get", "list", "watch"],
            )
        })
        .collect();
    cluster.extend([
        rule(
            "policies, receivers and waivers are read",
            OURS,
            &["alertreceivers", "patrolpolicies", "ticketwaivers"],
            &["get", "list", "watch"],
        ),
        rule(
            "a policy is held back while closings are owed",
            OURS,
            &["patrolpolicies"],
            &["patch"],
        ),
        rule(
            "policies, receivers and waivers are reported on",
            OURS,
            &[
                "alertreceivers/status",
                "patrolpolicies/status",
                "ticketwaivers/status",
            ],
            &["update"],
        ),
        rule(
            "tickets are the record",
            OURS,
            &["tickets"],
            &["create", "delete", "get", "list", "patch", "watch"],
        ),
        rule(
            "tickets are reported on",
            OURS,
            &["tickets/status"],
            &["update"],
        ),
        rule(
            "each patrol asks whether its kinds are readable",
            "authorization.k8s.io",
            &["selfsubjectaccessreviews"],
            &["create"],
        ),
        rule(
            "transitions are told as events",
            "events.k8s.io",
            &["events"],
            &["create"],
        ),
    ]);
    let mut lease = rule(
        "one replica leads",
        "coordination.k8s.io",
        &["leases"],
        &["get", "update"],
    );
    lease.names = vec![crate::lease::LEASE_NAME.to_owned()];
    let namespace = vec![
        lease,
        // A create cannot be limited by name.
        rule(
            "one replica leads",
            "coordination.k8s.io",
            &["leases"],
            &["create"],
        ),
        rule(
            "credentials of receivers, read when they are used",
            "",
            &["secrets"],
            &["get"],
        ),
    ];
    Rights { cluster, namespace }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_only_read_by_name_in_the_own_namespace() {
        let rights = rights(Kind::ALL);
        for rule in &rights.cluster {
            assert!(
                !rule.resources.iter().any(|r| r.starts_with("secret")),
                "{rule:?}"
            );
            assert!(!rule.verbs.contains(&"*") && !rule.resources.contains(&"*".into()));
        }
        let secrets: Vec<&Rule> = rights
            .namespace
            .iter()
            .filter(|r| r.resources == ["secrets"])
            .collect();
        assert_eq!(secrets.len(), 1);
        assert_eq!(secrets[0].verbs, ["get"]);
    }

    #[test]
    fn nothing_of_the_users_is_written() {
        for rule in rights(Kind::ALL).cluster {
            let writes = rule
                .verbs
                .iter()
                .any(|v| !matches!(*v, "get" | "list" | "watch"));
            let ours = ["kubepatrol.io", "authorization.k8s.io", "events.k8s.io"];
            assert!(
                !writes || ours.contains(&rule.groups[0].as_str()),
                "{rule:?}"
            );
        }
    }
}
