//! A TicketWaiver for one ticket, to be completed and applied. Pure.

use patrol_api::names::{API_VERSION, DEFAULT_NAMESPACE, label_value};
use patrol_api::ticket::Ticket;
use patrol_api::time::{Span, Time};
use patrol_core::ticket::namespace_of;

/// As long as most risks are taken; a waiver may last 365 days.
const LASTS: Span = Span::days(30);

/// The waiver as YAML.
pub(super) fn yaml(ticket: &Ticket, now: Time) -> String {
    let finding = &ticket.spec.finding;
    let subject = &finding.subject;
    let home = ticket.metadata.namespace.as_deref();
    let namespace = home.unwrap_or_else(|| namespace_of(subject, DEFAULT_NAMESPACE));
    let name = label_value(&format!("{}-{}", finding.check, subject.name)).replace('_', "-");
    // In the operator's namespace a waiver would reach further than this ticket.
    let within = match subject.namespace.as_deref() {
        Some(own) if own == DEFAULT_NAMESPACE => format!("  namespaces: [{own}]\n"),
        _ => String::new(),
    };
    format!(
        "apiVersion: {API_VERSION}
kind: TicketWaiver
metadata:
  name: {name}
  namespace: {namespace}
spec:
  checks: [{check}]
  subjects: {{kind: {kind}, names: [\"{glob}\"]}}
{within}  reason: say here why the risk is taken
  owner: your-team
  expiresAt: \"{until}\"
",
        check = finding.check,
        kind = subject.kind,
        glob = glob(&subject.name),
        until = now.plus(LASTS),
    )
}

/// The name as a glob: what a glob cannot spell is any one character.
fn glob(name: &str) -> String {
    name.chars()
        .map(|c| match c {
            'a'..='z' | '0'..='9' | '-' | '.' => c,
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn waiver(namespace: Option<&str>, home: &str, kind: &str, name: &str) -> Value {
        let ticket: Ticket = serde_json::from_value(json!({
            "apiVersion": API_VERSION, "kind": "Ticket", "metadata": {"name": "t", "namespace": home},
            "spec": {"finding": {
                "policy": "prod", "check": "sidecar-missing", "subjectRef": "x", "layer": "L3",
                "subject": {"kind": kind, "namespace": namespace, "name": name},
            }},
        }))
        .unwrap();
        let text = yaml(&ticket, "2026-11-29T12:00:00Z".parse().unwrap());
        crate::manifests::read_yaml(&text).unwrap()
    }

    #[test]
    fn what_is_pasted_is_valid_and_meant_for_this_ticket_alone() {
        for (namespace, home, kind, name) in [
            (Some("shop"), "shop", "Deployment", "web"),
            (None, "kube-patrol", "Node", "n-1.example"),
            (Some("kube-patrol"), "kube-patrol", "Pod", "own"),
            (None, "kube-patrol", "Cluster", "cluster"),
            (Some("shop"), "shop", "Job", "Hostile: \"name\"_\u{202e}"),
        ] {
            let waiver = waiver(namespace, home, kind, name);
            let problems = patrol_api::validate::validate(&waiver);
            assert!(problems.is_empty(), "{name}: {problems:?}");
            assert_eq!(waiver["metadata"]["namespace"], home);
            assert_eq!(waiver["spec"]["checks"], json!(["sidecar-missing"]));
            assert_eq!(waiver["spec"]["subjects"]["kind"], kind);
        }
        let plain = waiver(Some("shop"), "shop", "Deployment", "web");
        assert_eq!(plain["spec"]["subjects"]["names"], json!(["web"]));
        assert_eq!(plain["spec"]["expiresAt"], "2026-12-29T12:00:00Z");
        assert_eq!(plain["spec"]["namespaces"], Value::Null);
        let own = waiver(Some("kube-patrol"), "kube-patrol", "Pod", "own");
        assert_eq!(own["spec"]["namespaces"], json!(["kube-patrol"]));
    }
}
