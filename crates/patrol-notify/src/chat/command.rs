//! Commands that show more. People copy them into a shell, so a word that is no plain name never gets into one.

use std::collections::BTreeSet;

use patrol_api::names;
use patrol_api::words::{Severity, ToldState};
use patrol_core::notice::{Notice, NoticeTicket};

/// A word of a command: of a name only what Kubernetes allows in one, and never an option.
fn word(name: &str) -> String {
    let kept: String = name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.'))
        .take(253)
        .collect();
    kept.trim_start_matches(['-', '.']).to_owned()
}

/// Explains one ticket.
pub(crate) fn explain(ticket: &NoticeTicket) -> String {
    format!(
        "kubectl patrol explain {} -n {}",
        word(&ticket.name),
        word(&ticket.namespace)
    )
}

/// Lists the tickets of a notice that are of these: what all have in common is asked for, and nothing else.
pub(super) fn list(notice: &Notice, tickets: &[&NoticeTicket]) -> String {
    let mut terms = vec![(names::LABEL_POLICY, names::label_value(&notice.policy))];
    for (name, value) in &notice.group.labels {
        let label = match name.as_str() {
            "check" => names::LABEL_CHECK,
            "party" => names::LABEL_PARTY,
            "severity" => names::LABEL_SEVERITY,
            _ => continue,
        };
        terms.push((label, names::label_value(value)));
    }
    let mut terms: Vec<String> = terms
        .into_iter()
        .map(|(label, value)| format!("{label}={value}"))
        .collect();
    let severities: BTreeSet<Severity> = tickets.iter().map(|t| t.severity).collect();
    let grouped = notice
        .group
        .labels
        .iter()
        .any(|(name, _)| name == "severity");
    if !grouped && !severities.is_empty() && severities.len() < Severity::ALL.len() {
        let words: Vec<String> = severities
            .iter()
            .rev()
            .map(|s| names::label_value(s.as_str()))
            .collect();
        terms.push(format!(
            "{} in ({})",
            names::LABEL_SEVERITY,
            words.join(",")
        ));
    }
    let states: BTreeSet<ToldState> = tickets.iter().map(|t| t.state).collect();
    if states.len() == 1 && states.contains(&ToldState::Firing) {
        terms.push(format!("{}!=resolved", names::LABEL_STATE));
    }
    let place = namespace(notice).map_or_else(|| "-A".to_owned(), |n| format!("-n {n}"));
    format!("kubectl get tkt {place} -l '{}'", terms.join(","))
}

/// The one namespace of a group, when it is grouped by namespace: an empty one holds the cluster's own tickets, which lie
/// in the operator's.
fn namespace(notice: &Notice) -> Option<String> {
    let (_, namespace) = notice.group.labels.iter().find(|(n, _)| n == "namespace")?;
    Some(word(namespace)).filter(|n| !n.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_names() {
        for (name, kept) in [
            ("sidecar-missing-3ilf", "sidecar-missing-3ilf"),
            ("a;rm -rf /`id`$(id)'\"", "arm-rfidid"),
            ("--kubeconfig=x", "kubeconfigx"),
            ("名前", ""),
        ] {
            assert_eq!(word(name), kept);
        }
    }
}
