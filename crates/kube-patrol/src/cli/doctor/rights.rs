//! The rights of the operator's service account, compared rule by rule with those it needs.
//! What is missing is named as the rule that gives it.

use patrol_core::kind::Kind;
use patrol_kube::Connection;
use patrol_kube::ask::{Access, NoAnswer, Resource};
use patrol_kube::client::Http;
use patrol_kube::rbac::{Rights, Rule, rights};

use super::line::Line;

const CHECK: &str = "rights";
/// The roles of the shipped manifests, in whatever namespace.
const ROLE: &str = patrol_api::names::DEFAULT_NAMESPACE;
/// Questions asked at once.
const AT_ONCE: usize = 8;

/// One right.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Right {
    /// Index of its rule.
    rule: usize,
    group: String,
    resource: String,
    verb: &'static str,
    name: String,
    namespace: String,
}

impl Right {
    fn access(&self) -> Access<'_> {
        Access {
            verb: self.verb,
            group: &self.group,
            resource: &self.resource,
            namespace: &self.namespace,
            name: &self.name,
        }
    }
}

/// How the API server is asked about the operator.
enum Way {
    /// The caller is the operator.
    Self_,
    /// About another user.
    Other,
    /// As the operator, in its place.
    Instead(Box<Connection>),
}

pub(super) async fn examine(http: &Http, me: &str, namespace: &str, account: &str) -> Vec<Line> {
    let user = format!("system:serviceaccount:{namespace}:{account}");
    let groups = [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{namespace}"),
        "system:authenticated".to_owned(),
    ];
    let accounts = Resource {
        group: "",
        version: "v1",
        resource: "serviceaccounts",
        namespace,
    };
    if let Err(NoAnswer::Absent) = http.read(&accounts, account).await {
        return vec![
            Line::fail(CHECK, "the operator's service account is not there")
                .about(format!("{namespace}/{account}"))
                .fix("apply deploy/install.yaml, or name the right one with -n and --service-account"),
        ];
    }
    let needed = rights(Kind::ALL);
    let mut missing = vec![];
    let mut way = if me == user { Way::Self_ } else { Way::Other };
    let scopes = [(&needed.cluster, ""), (&needed.namespace, namespace)];
    for (at, (rules, within)) in scopes.iter().enumerate() {
        let all = spread(rules, within);
        for some in all.chunks(AT_ONCE) {
            match ask_some(http, &mut way, &user, &groups, some).await {
                Ok(refused) => missing.extend(refused.into_iter().map(|right| (at, right))),
                Err(why) => {
                    let right = "create on subjectaccessreviews of group authorization.k8s.io";
                    let what = "what the operator's service account may do";
                    return vec![Line::unseen(CHECK, what, why, right).about(user)];
                }
            }
        }
    }
    report(&needed, &missing, namespace, &user)
}

/// Every single right of some rules.
fn spread(rules: &[Rule], namespace: &str) -> Vec<Right> {
    let mut all = vec![];
    for (index, rule) in rules.iter().enumerate() {
        let names = match rule.names.is_empty() {
            true => vec![String::new()],
            false => rule.names.clone(),
        };
        for group in &rule.groups {
            for resource in &rule.resources {
                for verb in &rule.verbs {
                    all.extend(names.iter().map(|name| Right {
                        rule: index,
                        group: group.clone(),
                        resource: resource.clone(),
                        verb,
                        name: name.clone(),
                        namespace: namespace.to_owned(),
                    }));
                }
            }
        }
    }
    all
}

/// Those of some rights that the operator does not have.
async fn ask_some(
    http: &Http,
    way: &mut Way,
    user: &str,
    groups: &[String],
    some: &[Right],
) -> Result<Vec<Right>, NoAnswer> {
    loop {
        let asked = some.iter().map(|right| async {
            match &*way {
                Way::Self_ => http.may_i(&right.access()).await,
                Way::Other => http.may(user, groups, &right.access()).await,
                Way::Instead(other) => other.reads.may_i(&right.access()).await,
            }
        });
        let answers = futures::future::join_all(asked).await;
        let denied = answers.contains(&Err(NoAnswer::Denied));
        if denied && matches!(way, Way::Other) {
            // Who may not ask about others may still be allowed to act in their place.
            let other = Connection::infer_as(user, groups).await;
            *way = Way::Instead(Box::new(other.map_err(|_| NoAnswer::Denied)?));
            continue;
        }
        let mut refused = vec![];
        for (right, answer) in some.iter().zip(answers) {
            if !answer? {
                refused.push(right.clone());
            }
        }
        return Ok(refused);
    }
}

/// One line for each rule that is missing, as a whole or in part.
fn report(needed: &Rights, missing: &[(usize, Right)], namespace: &str, user: &str) -> Vec<Line> {
    let mut lines = vec![];
    let scopes = [
        (&needed.cluster, format!("ClusterRole/{ROLE}")),
        (&needed.namespace, format!("Role/{namespace}/{ROLE}")),
    ];
    for (at, (rules, role)) in scopes.iter().enumerate() {
        for (index, rule) in rules.iter().enumerate() {
            let of_rule: Vec<&Right> = missing
                .iter()
                .filter(|(scope, right)| *scope == at && right.rule == index)
                .map(|(_, right)| right)
                .collect();
            for (verbs, resources) in gather(&of_rule) {
                let yaml = yaml(rule, &resources, &verbs);
                lines.push(
                    Line::fail(
                        CHECK,
                        format!(
                            "the operator may not {} {} ({})",
                            verbs.join(", "),
                            resources.join(", "),
                            rule.why
                        ),
                    )
                    .about(role.clone())
                    .fix(format!(
                        "add the rule {yaml}, or apply deploy/install.yaml again"
                    )),
                );
            }
        }
    }
    if lines.is_empty() {
        lines.push(Line::ok(CHECK, "the operator has every right it needs").about(user));
    }
    lines
}

/// Resources that lack the same verbs.
fn gather(missing: &[&Right]) -> Vec<(Vec<&'static str>, Vec<String>)> {
    let mut by_resource: Vec<(String, Vec<&'static str>)> = vec![];
    for right in missing {
        match by_resource.iter_mut().find(|(r, _)| *r == right.resource) {
            Some((_, verbs)) if verbs.contains(&right.verb) => {}
            Some((_, verbs)) => verbs.push(right.verb),
            None => by_resource.push((right.resource.clone(), vec![right.verb])),
        }
    }
    let mut out: Vec<(Vec<&'static str>, Vec<String>)> = vec![];
    for (resource, verbs) in by_resource {
        match out.iter_mut().find(|(v, _)| *v == verbs) {
            Some((_, resources)) => resources.push(resource),
            None => out.push((verbs, vec![resource])),
        }
    }
    out
}

/// A rule of a role in one line of YAML.
fn yaml(rule: &Rule, resources: &[String], verbs: &[&str]) -> String {
    let list = |items: &[String]| {
        let quoted: Vec<String> = items.iter().map(|item| format!("{item:?}")).collect();
        format!("[{}]", quoted.join(", "))
    };
    let verbs: Vec<String> = verbs.iter().map(|verb| (*verb).to_owned()).collect();
    let names = match rule.names.is_empty() {
        true => String::new(),
        false => format!(", resourceNames: {}", list(&rule.names)),
    };
    format!(
        "- {{apiGroups: {}, resources: {}{names}, verbs: {}}}",
        list(&rule.groups),
        list(resources),
        list(&verbs)
    )
}

#[cfg(test)]
mod tests {
    use super::super::line::Level;
    use super::*;

    fn missing(lacks: impl Fn(&Right) -> bool) -> Vec<Line> {
        let needed = rights(Kind::ALL);
        let mut found = vec![];
        for (at, rules) in [&needed.cluster, &needed.namespace].into_iter().enumerate() {
            let all = spread(rules, if at == 0 { "" } else { "kube-patrol" });
            found.extend(all.into_iter().filter(&lacks).map(|right| (at, right)));
        }
        report(&needed, &found, "kube-patrol", "the-user")
    }

    #[test]
    fn whoever_has_every_right_is_well() {
        let lines = missing(|_| false);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].level, Level::Ok);
    }

    #[test]
    fn a_missing_rule_is_named_exactly() {
        let lines = missing(|right| {
            matches!(right.resource.as_str(), "pods" | "nodes") && right.verb != "get"
        });
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(
            lines[0].says,
            "the operator may not list, watch nodes, pods (what the checks read)"
        );
        assert!(lines[0].fix.contains(
            r#"- {apiGroups: [""], resources: ["nodes", "pods"], verbs: ["list", "watch"]}"#
        ));
        assert_eq!(lines[0].object, "ClusterRole/kube-patrol");
        // The lease of one name, in the namespace alone.
        let lines = missing(|right| right.resource == "leases" && right.verb == "update");
        assert_eq!(lines[0].object, "Role/kube-patrol/kube-patrol");
        assert!(
            lines[0].fix.contains(
                r#"- {apiGroups: ["coordination.k8s.io"], resources: ["leases"], resourceNames: ["kube-patrol"], verbs: ["update"]}"#
            ),
            "{}",
            lines[0].fix
        );
    }

    #[test]
    fn every_rule_in_full_is_yaml_that_says_the_same() {
        let needed = rights(Kind::ALL);
        for rule in needed.cluster.iter().chain(&needed.namespace) {
            let text = yaml(rule, &rule.resources, &rule.verbs);
            let read: Vec<serde_json::Value> = crate::manifests::read_yaml(&text).unwrap();
            assert_eq!(read[0]["apiGroups"], serde_json::json!(rule.groups));
            assert_eq!(read[0]["resources"], serde_json::json!(rule.resources));
            assert_eq!(read[0]["verbs"], serde_json::json!(rule.verbs));
        }
    }
}
