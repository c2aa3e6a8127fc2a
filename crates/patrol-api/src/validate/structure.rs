//! Types, bounds, enumerations and required fields.
//! Never evaluates a CEL rule.

use serde_json::{Map, Value};

use super::quote::{kind_of, quoted, shown};
use super::{Problem, field};

/// Everything that contradicts the structure of the schema.
pub(super) fn check(schema: &Value, object: &Value) -> Vec<Problem> {
    let mut found = Vec::new();
    walk(schema, "", object, &mut found);
    found
}

fn limit(schema: &Value, name: &str) -> Option<usize> {
    schema
        .get(name)
        .and_then(Value::as_u64)
        .and_then(|limit| usize::try_from(limit).ok())
}

fn walk(schema: &Value, path: &str, value: &Value, found: &mut Vec<Problem>) {
    let mismatch = wrong_type(schema, path, value);
    let fits = mismatch.is_none();
    found.extend(mismatch);
    if let Some(words) = schema.get("enum").and_then(Value::as_array)
        && !words.contains(value)
    {
        let words: Vec<_> = words.iter().map(shown).collect();
        let message = format!(
            "Unsupported value: {}: supported values: {}",
            shown(value),
            words.join(", ")
        );
        found.push(Problem::blocking(path, message));
    }
    // Of a value of the wrong type only a number is judged on.
    if !fits && !value.is_number() {
        return;
    }
    match value {
        Value::Object(fields) => walk_object(schema, path, fields, found),
        Value::Array(items) => walk_list(schema, path, items, found),
        Value::String(text) => walk_text(schema, path, text, found),
        Value::Number(_) => walk_number(schema, path, value, found),
        Value::Null | Value::Bool(_) => {}
    }
}

/// A whole number that a floating-point number holds exactly.
fn is_whole(float: f64) -> bool {
    const MOST: f64 = 9_007_199_254_740_991.0;
    float.fract() == 0.0 && float.abs() <= MOST
}

/// The API server names a number by its size once a format asks for one.
fn wrong_type(schema: &Value, path: &str, value: &Value) -> Option<Problem> {
    let wanted = schema.get("type").and_then(Value::as_str)?;
    let found = kind_of(value);
    let fits = match wanted {
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.as_f64().is_some_and(is_whole),
        other => found == other,
    };
    if fits {
        return None;
    }
    let format = schema.get("format").and_then(Value::as_str);
    let (wanted, found) = match (format, value) {
        (Some(format), Value::Number(number)) => {
            (format, if number.is_f64() { "float64" } else { "int64" })
        }
        (Some(format), Value::Bool(_) | Value::Object(_)) => (format, ""),
        _ => (wanted, found),
    };
    let message =
        format!("Invalid value: {found:?}: {path} in body must be of type {wanted}: {found:?}");
    Some(Problem::blocking(path, message))
}

fn walk_object(schema: &Value, path: &str, fields: &Map<String, Value>, found: &mut Vec<Problem>) {
    for name in schema
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|name| !fields.contains_key(*name))
    {
        found.push(Problem::blocking(field(path, name), "Required value"));
    }
    if let Some(least) = limit(schema, "minProperties")
        && fields.len() < least
    {
        let count = fields.len();
        let message = format!(
            "Invalid value: {count}: {path} in body should have at least {least} properties"
        );
        found.push(Problem::new(path, message));
    }
    if let Some(most) = limit(schema, "maxProperties")
        && fields.len() > most
    {
        let message = format!("Too many: {}: must have at most {most} items", fields.len());
        found.push(Problem::blocking(path, message));
    }
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

fn walk_list(schema: &Value, path: &str, items: &[Value], found: &mut Vec<Problem>) {
    let count = items.len();
    if let Some(least) = limit(schema, "minItems")
        && count < least
    {
        let message =
            format!("Invalid value: {count}: {path} in body should have at least {least} items");
        found.push(Problem::new(path, message));
    }
    if let Some(most) = limit(schema, "maxItems")
        && count > most
    {
        let message = format!("Too many: {count}: must have at most {most} items");
        found.push(Problem::blocking(path, message));
    }
    if let Some(schema) = schema.get("items") {
        for (at, item) in items.iter().enumerate() {
            walk(schema, &format!("{path}[{at}]"), item, found);
        }
    }
}

/// Of several things that are wrong with a text, the first is told.
fn walk_text(schema: &Value, path: &str, text: &str, found: &mut Vec<Problem>) {
    let shown = quoted(text);
    let length = text.chars().count();
    let pattern = schema.get("pattern").and_then(Value::as_str);
    if let Some(most) = limit(schema, "maxLength").filter(|most| length > *most) {
        let message = format!("Too long: may not be more than {most} bytes");
        found.push(Problem::blocking(path, message));
    } else if let Some(least) = limit(schema, "minLength").filter(|least| length < *least) {
        let message =
            format!("Invalid value: {shown}: {path} in body should be at least {least} chars long");
        found.push(Problem::new(path, message));
    } else if let Some(pattern) = pattern.filter(|pattern| !matches(pattern, text)) {
        let message = format!("Invalid value: {shown}: {path} in body should match '{pattern}'");
        found.push(Problem::new(path, message));
    }
    if schema.get("format").and_then(Value::as_str) == Some("date-time") && !is_date_time(text) {
        let message =
            format!("Invalid value: {shown}: {path} in body must be of type date-time: {shown}");
        found.push(Problem::blocking(path, message));
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    regex::Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(text))
}

fn is_date_time(text: &str) -> bool {
    text.parse::<crate::time::Time>().is_ok()
}

fn walk_number(schema: &Value, path: &str, value: &Value, found: &mut Vec<Problem>) {
    let number = value.as_f64().unwrap_or(f64::NAN);
    for (bound, outside, words) in [
        ("minimum", number < edge(schema, "minimum"), "greater"),
        ("maximum", number > edge(schema, "maximum"), "less"),
    ] {
        if outside && let Some(bound) = schema.get(bound) {
            let number = shown(value);
            let message = format!(
                "Invalid value: {number}: {path} in body should be {words} than or equal to {bound}"
            );
            found.push(Problem::new(path, message));
        }
    }
}

fn edge(schema: &Value, name: &str) -> f64 {
    schema.get(name).and_then(Value::as_f64).unwrap_or(f64::NAN)
}
