//! The definitions in `crds/` are the ones the types say, and kubectl can explain every field of them.
//! `UPDATE=1 cargo test -p patrol-api` writes the files anew.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

use std::path::PathBuf;

use patrol_api::crd::{crds, manifest};
use serde_json::Value;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crds")
}

fn manifests() -> Vec<(String, Value)> {
    crds()
        .iter()
        .map(|crd| {
            (
                format!("{}_{}.yaml", crd.spec.group, crd.spec.names.plural),
                manifest(crd),
            )
        })
        .collect()
}

fn schema(manifest: &Value) -> &Value {
    manifest
        .pointer("/spec/versions/0/schema/openAPIV3Schema")
        .unwrap()
}

/// Calls `visit` for every node below a schema, with its path.
fn walk<'a>(path: &str, node: &'a Value, visit: &mut dyn FnMut(&str, &'a Value)) {
    visit(path, node);
    for (name, child) in node
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        walk(&format!("{path}.{name}"), child, visit);
    }
    if let Some(items) = node.get("items") {
        walk(&format!("{path}[]"), items, visit);
    }
    if let Some(values) = node.get("additionalProperties") {
        walk(&format!("{path}{{}}"), values, visit);
    }
}

#[test]
fn committed_files_are_current() {
    let update = std::env::var_os("UPDATE").is_some();
    for (name, manifest) in manifests() {
        let path = folder().join(&name);
        let text = serde_saphyr::to_string(&manifest).unwrap();
        let back: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(
            back, manifest,
            "{name} does not read back as it was written"
        );
        if update {
            std::fs::write(&path, &text).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == text,
            "{} is not what the types say: run UPDATE=1 cargo test -p patrol-api --test crds",
            path.display()
        );
        assert!(
            text.len() < 200_000,
            "{name} is too large for client-side apply: {} bytes",
            text.len()
        );
    }
    let files = std::fs::read_dir(folder()).unwrap();
    let mut found: Vec<_> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    // kubectl apply -k crds takes the folder as it is.
    found.retain(|name| name != "kustomization.yaml");
    found.sort();
    let wanted: Vec<_> = manifests().into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, wanted);
}

#[test]
fn every_field_is_described_in_sentences() {
    let mut wrong = Vec::new();
    for (name, manifest) in manifests() {
        walk(&name, schema(&manifest), &mut |path, node| {
            if path.contains(".metadata") || path.ends_with("[]") || path.ends_with("{}") {
                return;
            }
            let text = node
                .get("description")
                .and_then(Value::as_str)
                .unwrap_or("");
            if !text.ends_with('.') || text.len() < 5 || text.contains('\n') {
                wrong.push(format!("{path}: {text:?}"));
            }
            // What people write says what happens when they do not; required fields need no default.
            if let Some(required) = node.get("properties").and_then(Value::as_object) {
                let must = node.get("required").and_then(Value::as_array);
                for (field, child) in required {
                    let is_required =
                        must.is_some_and(|must| must.contains(&Value::from(field.as_str())));
                    let text = child
                        .get("description")
                        .and_then(Value::as_str)
                        .unwrap_or("");
                    let leaf = child.get("properties").is_none();
                    let said = text.contains("efault")
                        || text.contains("only there")
                        || text.contains("only for it");
                    if path.contains(".spec")
                        && !path.contains(".finding")
                        && leaf
                        && !is_required
                        && !said
                    {
                        wrong.push(format!("{path}.{field} names no default: {text:?}"));
                    }
                }
            }
        });
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// T12: who may write in one namespace must not get at another through us. Each field that speaks of namespaces is here with
/// the reason why it does not do that.
const SPEAK_OF_NAMESPACES: [(&str, &str); 6] = [
    (
        "patrolpolicies.spec.checks[].component.anyOf[].workload.namespace",
        "policies are cluster-scoped: an admin's",
    ),
    (
        "patrolpolicies.spec.checks[].nodeAgent.namespace",
        "an admin's",
    ),
    (
        "patrolpolicies.spec.graces.newNamespace",
        "a time and no name",
    ),
    ("patrolpolicies.spec.scope.namespaces", "an admin's"),
    (
        "tickets.spec.finding.subject.namespace",
        "the operator's to write: admission refuses it from anybody else",
    ),
    (
        "ticketwaivers.spec.namespaces",
        "counts in the operator's namespace alone",
    ),
];

#[test]
fn t12_no_field_reaches_another_namespace_unnoticed() {
    let mut found = Vec::new();
    for (name, manifest) in manifests() {
        let kind = name.trim_end_matches(".yaml").rsplit('_').next().unwrap();
        walk(kind, schema(&manifest), &mut |path, _| {
            let field = path.rsplit('.').next().unwrap_or_default();
            let is_it = field.to_lowercase().contains("namespace");
            if is_it && !path.ends_with("[]") && !path.ends_with("{}") {
                found.push(path.to_owned());
            }
        });
    }
    assert_eq!(found, SPEAK_OF_NAMESPACES.map(|(path, _)| path));
    let policies = crds()
        .into_iter()
        .find(|crd| crd.spec.names.plural == "patrolpolicies");
    assert_eq!(policies.unwrap().spec.scope, "Cluster");
}

#[test]
fn every_node_is_typed_and_bounded() {
    let mut wrong = Vec::new();
    for (name, manifest) in manifests() {
        walk(&name, schema(&manifest), &mut |path, node| {
            let has = |field: &str| node.get(field).is_some();
            let fits = match node.get("type").and_then(Value::as_str) {
                Some("string") => {
                    has("maxLength")
                        || has("enum")
                        || has("format")
                        || path.ends_with(".apiVersion")
                        || path.ends_with(".kind")
                }
                Some("array") => has("maxItems") && has("items"),
                Some("object") => {
                    has("properties")
                        || (has("additionalProperties") && has("maxProperties"))
                        || path.ends_with(".metadata")
                }
                Some("integer") => {
                    matches!(
                        node.get("format").and_then(Value::as_str),
                        Some("int32" | "int64")
                    )
                }
                Some("boolean") => true,
                _ => false,
            };
            if !fits || has("nullable") || has("x-kubernetes-preserve-unknown-fields") {
                wrong.push(format!("{path}: {:?}", node.get("type")));
            }
        });
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn kubectl_finds_and_prints_our_kinds() {
    for (kind, short, columns, wide) in [
        (
            "AlertReceiver",
            "arcv",
            "Ready Pending Last-Success Age",
            "Circuit Coverage Locale",
        ),
        (
            "PatrolPolicy",
            "patrol ppol",
            "Ready Compliant Covered Open Critical Last-Patrol Age",
            "Mode Cron Every Next Alerting Suspended",
        ),
        (
            "Ticket",
            "tkt",
            "Severity Check Subject State Party Age Due",
            "Last-Seen Alerted Policy Message",
        ),
    ] {
        let (_, manifest) = manifests()
            .into_iter()
            .find(|(_, m)| m["spec"]["names"]["kind"] == kind)
            .unwrap();
        assert_eq!(
            manifest["spec"]["names"]["shortNames"],
            serde_json::json!(short.split(' ').collect::<Vec<_>>())
        );
        assert_eq!(
            manifest["spec"]["names"]["categories"],
            serde_json::json!(["patrol"])
        );
        let version = &manifest["spec"]["versions"][0];
        assert_eq!(version["subresources"], serde_json::json!({"status": {}}));
        let named = |wide: bool| {
            let columns = version["additionalPrinterColumns"].as_array().unwrap();
            let names: Vec<_> = columns
                .iter()
                .filter(|column| (column["priority"].as_i64() == Some(1)) == wide)
                .map(|column| column["name"].as_str().unwrap())
                .collect();
            names.join(" ")
        };
        assert_eq!(named(false), columns);
        assert_eq!(named(true), wide);
    }
}
