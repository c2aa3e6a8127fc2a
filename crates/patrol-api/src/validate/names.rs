//! `metadata`: the object's name, labels and annotations, as for any object of a cluster.
//! Never judges a name that the schema or a rule of ours speaks about.

use regex::Regex;
use serde_json::Value;

use super::Problem;
use super::quote::{kind_of, quoted};

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// What is wrong with the object's metadata.
pub(super) fn check(object: &Value) -> Vec<Problem> {
    let metadata = object.get("metadata").unwrap_or(&Value::Null);
    let mut found = wrong_types(metadata);
    if !found.is_empty() {
        return found;
    }
    name(metadata, &mut found);
    for (field, values) in [("metadata.labels", true), ("metadata.annotations", false)] {
        let entries = metadata.pointer(&format!("/{}", field.trim_start_matches("metadata.")));
        for (key, value) in entries.and_then(Value::as_object).into_iter().flatten() {
            // Annotation keys are judged in lower case, but shown as written.
            let judged = if values {
                key.clone()
            } else {
                key.to_lowercase()
            };
            if let Some(wrong) = wrong_key(&judged) {
                found.push(Problem::new(
                    field,
                    format!("Invalid value: {}: {wrong}", quoted(key)),
                ));
            }
            if values && let Some(value) = value.as_str() {
                label_value(field, value, &mut found);
            }
        }
    }
    found
}

fn wrong_types(metadata: &Value) -> Vec<Problem> {
    let wrong = |field: &str, wanted: &str, value: &Value| {
        let kind = kind_of(value);
        let message =
            format!("Invalid value: {kind:?}: {field} in body must be of type {wanted}: {kind:?}");
        Problem::blocking(field, message)
    };
    if !metadata.is_object() && !metadata.is_null() {
        return vec![wrong("metadata", "object", metadata)];
    }
    let mut found = Vec::new();
    for name in ["name", "generateName", "namespace"] {
        if let Some(value) = metadata
            .get(name)
            .filter(|value| !value.is_string() && !value.is_null())
        {
            found.push(wrong(&format!("metadata.{name}"), "string", value));
        }
    }
    for name in ["labels", "annotations"] {
        match metadata.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::Object(entries)) => {
                for (key, value) in entries
                    .iter()
                    .filter(|(_, value)| !value.is_string() && !value.is_null())
                {
                    found.push(wrong(&format!("metadata.{name}.{key}"), "string", value));
                }
            }
            Some(other) => found.push(wrong(&format!("metadata.{name}"), "object", other)),
        }
    }
    found
}

fn name(metadata: &Value, found: &mut Vec<Problem>) {
    let text = |field: &str| metadata.get(field).and_then(Value::as_str).unwrap_or("");
    let (name, generated) = (text("name"), text("generateName"));
    if name.is_empty() {
        if generated.is_empty() {
            let message = "Required value: name or generateName is required";
            found.push(Problem::blocking("metadata.name", message));
        } else if !is_subdomain(&format!("{generated}x")) {
            let message = format!("Invalid value: {}: {SUBDOMAIN}", quoted(generated));
            found.push(Problem::new("metadata.generateName", message));
        }
        return;
    }
    if name.len() > 253 {
        let message = format!(
            "Invalid value: {}: must be no more than 253 characters",
            quoted(name)
        );
        found.push(Problem::new("metadata.name", message));
    }
    if !is_subdomain(name) {
        let message = format!("Invalid value: {}: {SUBDOMAIN}", quoted(name));
        found.push(Problem::new("metadata.name", message));
    }
}

fn is_subdomain(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.split('.').all(|label| {
        label.bytes().all(|c| inner(c) || c == b'-')
            && label.bytes().next().is_some_and(inner)
            && label.bytes().last().is_some_and(inner)
    })
}

fn matches(pattern: &str, text: &str) -> bool {
    Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
}

fn wrong_key(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    match prefix {
        Some("") => return Some("prefix part must be non-empty".to_owned()),
        Some(prefix) if !is_subdomain(prefix) => return Some(format!("prefix part {SUBDOMAIN}")),
        _ => {}
    }
    if name.is_empty() {
        return Some("name part must be non-empty".to_owned());
    }
    if name.len() > 63 {
        return Some("name part must be no more than 63 bytes".to_owned());
    }
    (!matches("^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$", name)).then(|| NAME_PART.to_owned())
}

fn label_value(field: &str, value: &str, found: &mut Vec<Problem>) {
    if value.len() > 63 {
        let message = format!(
            "Invalid value: {}: must be no more than 63 bytes",
            quoted(value)
        );
        found.push(Problem::new(field, message));
    }
    if !matches("^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$", value) {
        let message = format!("Invalid value: {}: {LABEL_VALUE}", quoted(value));
        found.push(Problem::new(field, message));
    }
}
