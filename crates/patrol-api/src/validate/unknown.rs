//! Fields that no schema knows.
//! Never judges the value of a field.

use serde_json::Value;

use super::{Problem, field};

/// The fields of `metadata` that objects may carry.
const METADATA: [&str; 15] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Every field that is not in the schema.
pub(super) fn fields(schema: &Value, object: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        match name.as_str() {
            "apiVersion" | "kind" => {}
            "metadata" => {
                for name in value.as_object().into_iter().flat_map(|all| all.keys()) {
                    if !METADATA.contains(&name.as_str()) {
                        found.push(Problem::unknown(field("metadata", name)));
                    }
                }
            }
            _ => walk_field(schema, "", name, value, &mut found),
        }
    }
    found
}

fn walk_field(schema: &Value, path: &str, name: &str, value: &Value, found: &mut Vec<Problem>) {
    let path = field(path, name);
    let known = schema
        .get("properties")
        .and_then(|all| all.get(name))
        .or_else(|| schema.get("additionalProperties"));
    match known {
        Some(schema) => walk(schema, &path, value, found),
        None => found.push(Problem::unknown(path)),
    }
}

fn walk(schema: &Value, path: &str, value: &Value, found: &mut Vec<Problem>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                walk_field(schema, path, name, value, found);
            }
        }
        Value::Array(items) => {
            let schema = schema.get("items").unwrap_or(&Value::Null);
            for (at, item) in items.iter().enumerate() {
                walk(schema, &format!("{path}[{at}]"), item, found);
            }
        }
        _ => {}
    }
}
