//! The alert rules as a `PrometheusRule`, from the plain rules file.

use serde_json::{Value, json};

use super::{Artefact, generated};
use crate::{Failure, repo};

const SOURCE: &str = "deploy/alerts/rules.yaml";

/// `deploy/alerts/prometheus-rule.yaml`.
pub(super) fn file() -> Result<Artefact, Failure> {
    let rules: Value = serde_saphyr::from_str(&repo::read(SOURCE)?)?;
    let groups = rules
        .get("groups")
        .ok_or_else(|| format!("{SOURCE}: has no groups: it is a Prometheus rules file"))?;
    let object = json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "kube-patrol",
            "namespace": patrol_api::names::DEFAULT_NAMESPACE,
            "labels": {"app.kubernetes.io/name": "kube-patrol"},
        },
        "spec": {"groups": groups},
    });
    Ok(Artefact {
        path: "deploy/alerts/prometheus-rule.yaml".into(),
        text: generated("#", "alerts")? + &serde_saphyr::to_string(&object)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Vec<Value> {
        let file: Value = serde_saphyr::from_str(&repo::read(SOURCE).unwrap()).unwrap();
        let groups = file["groups"].as_array().unwrap();
        groups
            .iter()
            .flat_map(|g| g["rules"].as_array().unwrap().clone())
            .collect()
    }

    #[test]
    fn every_alert_is_explained_tested_and_has_a_runbook() {
        let handbook = repo::read("docs/operations.md").unwrap();
        assert!(rules().len() >= 12);
        for rule in rules() {
            let name = rule["alert"].as_str().unwrap();
            for annotation in ["summary", "description", "runbook_url"] {
                let text = rule["annotations"][annotation].as_str();
                assert!(text.is_some_and(|t| !t.is_empty()), "{name}: {annotation}");
            }
            let url = rule["annotations"]["runbook_url"].as_str().unwrap();
            let anchor = format!("docs/operations.md#{}", name.to_lowercase());
            assert!(url.ends_with(&anchor), "{name}: {url}");
            let runbook = handbook
                .split("\n### ")
                .find(|part| part.lines().next() == Some(name))
                .unwrap_or_else(|| panic!("docs/operations.md has no section {name}"));
            for part in ["Meaning", "Impact", "Diagnosis", "Mitigation"] {
                assert!(runbook.contains(&format!("**{part}.**")), "{name}: {part}");
            }
            let test = repo::read(&format!("deploy/alerts/tests/{name}.yaml")).unwrap();
            assert!(test.contains("exp_alerts: []"), "{name}: no quiet case");
            assert!(test.contains("exp_labels:"), "{name}: no firing case");
        }
    }

    #[test]
    fn every_alert_asks_for_metrics_that_exist() {
        let known = repo::read("docs/reference/metrics.md").unwrap();
        for rule in rules() {
            let expr = rule["expr"].as_str().unwrap();
            let metrics: Vec<&str> = expr
                .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .filter(|word| word.starts_with("patrol_"))
                .collect();
            assert!(!metrics.is_empty(), "{expr}");
            for metric in metrics {
                assert!(known.contains(&format!("`{metric}`")), "{expr}: {metric}");
            }
        }
    }
}
