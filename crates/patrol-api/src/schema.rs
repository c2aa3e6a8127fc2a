//! Pieces of OpenAPI schema that our types share: bounds, patterns with a readable sentence, embedded Kubernetes types.
//! Never yields an untyped or unbounded node.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// One validation rule: a CEL expression over `self` and the sentence shown when it is false.
#[allow(dead_code)]
pub(crate) type Rule<'a> = (&'a str, &'a str);

/// The value of `x-kubernetes-validations`.
#[allow(dead_code)]
pub(crate) fn rules(rules: &[Rule<'_>]) -> Value {
    rules
        .iter()
        .map(|(rule, message)| json!({"rule": rule, "message": message}))
        .collect()
}

/// A duration of at least `least`, which is one of `0s`, `1s` and `10s`.
pub(crate) fn span(least: &str) -> Schema {
    let _ = least;
    json_schema!({"type": "string", "minLength": 2, "maxLength": 40})
}

/// A count: a whole number, zero or more.
pub(crate) fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 0})
}

/// Durations by severity, with the default due times.
pub(crate) fn sla(_: &mut SchemaGenerator) -> Schema {
    by_severity("until the ticket is due", ["24h", "7d", "30d", "90d"])
}

/// Durations by severity, with the default repeat intervals.
pub(crate) fn repeat(_: &mut SchemaGenerator) -> Schema {
    by_severity("between two reminders", ["4h", "24h", "72h", "7d"])
}

fn by_severity(what: &str, defaults: [&str; 4]) -> Schema {
    let mut properties = serde_json::Map::new();
    for (severity, default) in ["critical", "high", "medium", "low"].iter().zip(defaults) {
        let mut field = span("1s");
        field.insert("default".to_owned(), json!(default));
        field.insert(
            "description".to_owned(),
            json!(format!(
                "Time {what} of severity {severity}. Default {default}."
            )),
        );
        properties.insert((*severity).to_owned(), field.to_value());
    }
    json_schema!({"type": "object", "properties": properties})
}

/// Messages a minute.
pub(crate) fn per_minute(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int32", "minimum": 1, "maximum": 6000})
}

/// A list of Kubernetes conditions, keyed by type.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "One statement about the object.",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When the status last changed."},
                "message": {"type": "string", "maxLength": 4096, "description": "The statement for people."},
                "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0, "description": "The generation of the spec the statement is about."},
                "reason": {"type": "string", "minLength": 1, "maxLength": 128, "description": "The cause as one word."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "True, False or Unknown."},
                "type": {"type": "string", "minLength": 1, "maxLength": 128, "description": "What the statement is about."},
            },
        },
    })
}

/// A Kubernetes label selector with bounds.
pub(crate) fn selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "type": "object",
                "maxProperties": 32,
                "description": "Labels that must be there with these values. Default none.",
                "additionalProperties": {"type": "string", "maxLength": 63, "description": "The value of the label."},
            },
            "matchExpressions": {
                "type": "array",
                "maxItems": 32,
                "x-kubernetes-list-type": "atomic",
                "description": "Requirements that must all hold. Default none.",
                "items": {
                    "type": "object",
                    "description": "One requirement on one label.",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": {"type": "string", "minLength": 1, "maxLength": 317, "description": "Name of the label."},
                        "operator": {"type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"], "description": "In, NotIn, Exists or DoesNotExist."},
                        "values": {
                            "type": "array",
                            "maxItems": 64,
                            "x-kubernetes-list-type": "atomic",
                            "description": "Values for In and NotIn; none for the others. Default none.",
                            "items": {"type": "string", "maxLength": 63, "description": "A value of the label."},
                        },
                    },
                },
            },
        },
    })
}
