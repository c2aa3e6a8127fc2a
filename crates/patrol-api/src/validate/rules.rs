//! Our CEL rules, run without a server.
//! Never passes an object because a rule could not be run: that is a problem of its own.

use kube_cel::{CompiledSchema, ErrorKind, ValidationError, Validator};
use serde_json::Value;

use super::Problem;
use super::quote::shown;

/// Every rule that is false for the object.
pub(super) fn check(schema: &Value, rules: &CompiledSchema, object: &Value) -> Vec<Problem> {
    let Err(errors) = Validator::new().validate_compiled(rules, object, None) else {
        return Vec::new();
    };
    errors
        .into_iter()
        .map(|error| say(schema, object, error))
        .collect()
}

fn say(schema: &Value, object: &Value, mut error: ValidationError) -> Problem {
    // A rule of the root that points to a field begins its path with a dot.
    if let Some(path) = error.field_path.strip_prefix('.') {
        error.field_path = path.to_owned();
    }
    if error.kind != ErrorKind::ValidationFailure {
        let message = format!(
            "Invalid value: the rule {:?} could not be run: {}",
            error.rule, error.message
        );
        return Problem::new(error.field_path, message);
    }
    let (node, value) = at(schema, object, &error.field_path);
    // The API server shows the value a rule stands on, but for objects and lists. A rule that only points to a field
    // with `fieldPath` does not stand on it.
    let message = match value {
        Some(value) if !value.is_object() && !value.is_array() && stands_on(node, &error.rule) => {
            format!("Invalid value: {}: {}", shown(value), error.message)
        }
        _ => format!("Invalid value: {}", error.message),
    };
    Problem::new(error.field_path, message)
}

fn stands_on(node: Option<&Value>, rule: &str) -> bool {
    node.and_then(|node| node.get("x-kubernetes-validations")?.as_array())
        .into_iter()
        .flatten()
        .any(|found| found.get("rule").and_then(Value::as_str) == Some(rule))
}

/// The schema and the value at a path such as `spec.checks[0].name`.
fn at<'a>(
    schema: &'a Value,
    object: &'a Value,
    path: &str,
) -> (Option<&'a Value>, Option<&'a Value>) {
    let (mut node, mut value) = (Some(schema), Some(object));
    for part in path.split('.') {
        for (depth, piece) in part.split('[').enumerate() {
            if depth == 0 {
                node = node.and_then(|node| node.get("properties")?.get(piece));
                value = value.and_then(|value| value.get(piece));
            } else {
                let index = piece.trim_end_matches(']').parse::<usize>().ok();
                node = node.and_then(|node| node.get("items"));
                value = value.zip(index).and_then(|(value, index)| value.get(index));
            }
        }
    }
    (node, value)
}
