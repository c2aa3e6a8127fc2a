//! The reference of our kinds: every field of a definition with type, default and meaning,
//! as Markdown. The words are those of the definition; nothing is added here.

use std::fmt::Write as _;

use serde_json::Value;

use super::{Artefact, cell, markdown};
use crate::Failure;

/// `docs/reference/policy.md`, `receiver.md`, `ticket.md` and `waiver.md`.
pub(super) fn files(crds: &[(String, Value)]) -> Result<Vec<Artefact>, Failure> {
    crds.iter().map(|(_, crd)| file(crd)).collect()
}

fn file(crd: &Value) -> Result<Artefact, Failure> {
    let word = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or("");
    let kind = word("/spec/names/kind");
    let path = match kind {
        "PatrolPolicy" => "docs/reference/policy.md",
        "AlertReceiver" => "docs/reference/receiver.md",
        "Ticket" => "docs/reference/ticket.md",
        "TicketWaiver" => "docs/reference/waiver.md",
        other => return Err(format!("{other}: has no reference page").into()),
    };
    let schema = crd
        .pointer("/spec/versions/0/schema/openAPIV3Schema")
        .ok_or("the definition has no schema")?;
    let mut out = markdown(kind, "crds");
    let names: Vec<&str> = crd
        .pointer("/spec/names/shortNames")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    write!(
        out,
        "\n`{}.{}`, version `{}`, {}, short {}.\n",
        word("/spec/names/plural"),
        word("/spec/group"),
        word("/spec/versions/0/name"),
        match word("/spec/scope") {
            "Cluster" => "one for the whole cluster",
            _ => "in a namespace",
        },
        list(&names)
    )?;
    write!(out, "\n{}\n", description(schema))?;
    write!(
        out,
        "\nThe same words come from `kubectl explain {} --recursive`. A field without a default may be absent, save those marked required.\n",
        word("/spec/names/plural")
    )?;
    let mut selectors = false;
    for part in ["spec", "status"] {
        let Some(node) = schema.pointer(&format!("/properties/{part}")) else {
            continue;
        };
        write!(out, "\n## {part}\n\n{}\n", description(node))?;
        rules(&mut out, node)?;
        let (plain, nested): (Vec<_>, Vec<_>) =
            fields(node).partition(|(_, child)| inner(child).is_none());
        table(&mut out, "", node, &plain)?;
        for (name, child) in nested {
            let path = format!("{part}.{name}");
            write!(out, "\n### {path}\n\n")?;
            let default = default_of(child);
            write!(out, "{}\n\nType: {}.", description(child), type_of(child))?;
            if !default.is_empty() {
                write!(out, " Default {default}.")?;
            }
            if is_required(node, name) {
                out.push_str(" Required.");
            }
            out.push('\n');
            rules(&mut out, child)?;
            let mut rows = vec![];
            flatten("", child, &mut rows, &mut selectors);
            table_rows(&mut out, &rows)?;
        }
    }
    if selectors {
        out.push_str("\n## LabelSelector\n\nAs everywhere in Kubernetes: `matchLabels` (labels that must be there with these values) and `matchExpressions` (`key`, `operator` `In`, `NotIn`, `Exists` or `DoesNotExist`, `values`); all must hold, and an empty selector matches everything.\n");
    }
    Ok(Artefact {
        path: path.into(),
        text: out,
    })
}

/// A row: path, type with limits, default, description.
type Row = [String; 4];

fn table(
    out: &mut String,
    prefix: &str,
    parent: &Value,
    fields: &[(&String, &Value)],
) -> Result<(), Failure> {
    let rows: Vec<Row> = fields
        .iter()
        .map(|(name, node)| row(&format!("{prefix}{name}"), parent, name, node))
        .collect();
    table_rows(out, &rows)
}

fn table_rows(out: &mut String, rows: &[Row]) -> Result<(), Failure> {
    if rows.is_empty() {
        return Ok(());
    }
    out.push_str("\n| field | type | default | meaning |\n| --- | --- | --- | --- |\n");
    for [path, kind, default, meaning] in rows {
        writeln!(out, "| `{path}` | {kind} | {default} | {meaning} |")?;
    }
    Ok(())
}

fn row(path: &str, parent: &Value, name: &str, node: &Value) -> Row {
    let mut meaning = cell(&description(node));
    for rule in messages(node) {
        // The same sentence may already be the description's.
        if !meaning.contains(&rule) {
            meaning.push_str(&format!(" *Rule: {}.*", cell(&rule)));
        }
    }
    let default = match default_of(node) {
        none if none.is_empty() && is_required(parent, name) => "required".into(),
        default => default,
    };
    [path.to_owned(), type_of(node), default, meaning]
}

/// Every field below a node, depth first.
fn flatten(prefix: &str, node: &Value, rows: &mut Vec<Row>, selectors: &mut bool) {
    let Some((suffix, object)) = inner(node) else {
        return;
    };
    let prefix = match (prefix, suffix) {
        ("", "") => String::new(),
        ("", suffix) => format!("{suffix}."),
        (prefix, suffix) => format!("{prefix}{suffix}."),
    };
    for (name, child) in fields(object) {
        let path = format!("{prefix}{name}");
        rows.push(row(&path, object, name, child));
        if is_selector(child) {
            *selectors = true;
        } else {
            flatten(&path, child, rows, selectors);
        }
    }
}

/// The object that a field's own fields are in: itself, or the items of a list.
fn inner(node: &Value) -> Option<(&'static str, &Value)> {
    if node.get("properties").is_some() {
        return Some(("", node));
    }
    let items = node.get("items")?;
    items.get("properties").map(|_| ("[]", items))
}

fn fields(node: &Value) -> impl Iterator<Item = (&String, &Value)> {
    node.get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn is_selector(node: &Value) -> bool {
    let mut names: Vec<&str> = fields(node).map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names == ["matchExpressions", "matchLabels"]
}

fn is_required(parent: &Value, name: &str) -> bool {
    parent
        .get("required")
        .and_then(Value::as_array)
        .is_some_and(|all| all.iter().any(|field| field == name))
}

fn description(node: &Value) -> String {
    let text = node
        .get("description")
        .or_else(|| node.pointer("/items/description"));
    text.and_then(Value::as_str).unwrap_or("").trim().to_owned()
}

fn default_of(node: &Value) -> String {
    match node.get("default") {
        None => String::new(),
        // Each field of it says its own default.
        Some(Value::Object(fields)) if fields.is_empty() => String::new(),
        Some(Value::String(text)) if text.is_empty() => "`\"\"`".into(),
        Some(Value::String(text)) => format!("`{text}`"),
        Some(other) => format!("`{other}`"),
    }
}

fn type_of(node: &Value) -> String {
    if is_selector(node) {
        return "LabelSelector".into();
    }
    let word = |key: &str| node.get(key).and_then(Value::as_str);
    if let Some(words) = node.get("enum").and_then(Value::as_array) {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        return list(&words);
    }
    let kind = match (word("type"), word("format")) {
        (Some("array"), _) => {
            let items = node.get("items").map_or(String::new(), type_of);
            format!("list of {items}")
        }
        (Some("object"), _) => match node.get("additionalProperties") {
            Some(values) => format!("map of {}", type_of(values)),
            None => "object".into(),
        },
        (Some(kind), Some("date-time")) => format!("{kind}, a time"),
        (Some(kind), _) => kind.to_owned(),
        (None, _) => "any".into(),
    };
    let bound = |key: &str| node.get(key).map(ToString::to_string);
    let bounds = match (bound("minimum"), bound("maximum")) {
        (Some(low), Some(high)) => format!(", {low} to {high}"),
        (Some(low), None) => format!(", at least {low}"),
        (None, Some(high)) => format!(", at most {high}"),
        (None, None) => String::new(),
    };
    let count = bound("maxItems").map_or(String::new(), |most| format!(", at most {most}"));
    format!("{kind}{bounds}{count}")
}

/// The sentences of a node's validation rules, as a list.
fn rules(out: &mut String, node: &Value) -> Result<(), Failure> {
    let all = messages(node);
    if all.is_empty() {
        return Ok(());
    }
    out.push_str("\nRules:\n\n");
    for message in all {
        writeln!(out, "- {message}")?;
    }
    Ok(())
}

fn messages(node: &Value) -> Vec<String> {
    node.get("x-kubernetes-validations")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|rule| rule.get("message").and_then(Value::as_str))
        .map(|text| text.trim_end_matches('.').to_owned())
        .collect()
}

fn list(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_of_lists_are_named_by_their_path() {
        let node = json!({"type": "array", "items": {
            "type": "object", "required": ["name"],
            "properties": {
                "name": {"type": "string", "description": "Its name."},
                "pods": {"type": "object", "properties": {"matchLabels": {}, "matchExpressions": {}}},
            }
        }});
        let (mut rows, mut selectors) = (vec![], false);
        flatten("checks", &node, &mut rows, &mut selectors);
        let paths: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
        assert_eq!(paths, ["checks[].name", "checks[].pods"]);
        assert_eq!(rows[0][2], "required");
        assert!(selectors);
    }

    #[test]
    fn every_field_of_every_kind_has_a_row() {
        for (name, crd) in super::super::crds::manifests() {
            let text = file(&crd).unwrap().text;
            let rows = text.lines().filter(|l| l.starts_with("| `")).count();
            let nested = text.lines().filter(|l| l.starts_with("### ")).count();
            assert!(rows + nested > 10, "{name}: {rows} rows");
            assert!(!text.contains("|  |  |  |"), "{name}: an empty row");
        }
    }
}
