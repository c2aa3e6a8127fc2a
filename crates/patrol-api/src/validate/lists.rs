//! Lists whose entries may not repeat.
//! Never judges an entry by itself.

use serde_json::{Map, Value};

use super::quote::shown;
use super::{Problem, field};

/// Every entry of a set or a keyed list that repeats an earlier one.
pub(super) fn check(schema: &Value, object: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    walk(schema, "", object, &mut found);
    found
}

fn walk(schema: &Value, path: &str, value: &Value, found: &mut Vec<Problem>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let known = schema
                    .get("properties")
                    .and_then(|all| all.get(name))
                    .or_else(|| schema.get("additionalProperties"));
                if let Some(known) = known {
                    walk(known, &field(path, name), value, found);
                }
            }
        }
        Value::Array(items) => {
            let mut keys: Vec<Value> = Vec::with_capacity(items.len());
            for (at, item) in items.iter().enumerate() {
                let path = format!("{path}[{at}]");
                if keyed(schema) && !item.is_object() && !item.is_null() {
                    let message = format!(
                        "Invalid value: {}: must be an object for an array of list-type map",
                        shown(item)
                    );
                    found.push(Problem::new(&*path, message));
                } else if let Some(key) = key(schema, item) {
                    if keys.contains(&key) {
                        found.push(Problem::new(
                            &*path,
                            format!("Duplicate value: {}", shown(&key)),
                        ));
                    }
                    keys.push(key);
                }
                walk(
                    schema.get("items").unwrap_or(&Value::Null),
                    &path,
                    item,
                    found,
                );
            }
        }
        _ => {}
    }
}

fn keyed(schema: &Value) -> bool {
    schema.get("x-kubernetes-list-type").and_then(Value::as_str) == Some("map")
}

/// What makes an entry the same as another; nothing in a list that may repeat itself.
fn key(schema: &Value, item: &Value) -> Option<Value> {
    match schema
        .get("x-kubernetes-list-type")
        .and_then(Value::as_str)?
    {
        "set" => Some(item.clone()),
        "map" => {
            let names = schema.get("x-kubernetes-list-map-keys")?.as_array()?;
            let fields: Map<_, _> = names
                .iter()
                .filter_map(Value::as_str)
                .filter_map(|name| Some((name.to_owned(), item.get(name)?.clone())))
                .collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        _ => None,
    }
}
