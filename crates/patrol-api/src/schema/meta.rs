//! Schemas of the Kubernetes types we embed: conditions and label selectors, with bounds and short descriptions.
//! Never looser than the Kubernetes types themselves.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::rules;

/// A generation the operator reports.
pub(crate) fn reported(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64"})
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
                "observedGeneration": {"type": "integer", "format": "int64", "description": "The generation of the spec the statement is about."},
                "reason": {"type": "string", "minLength": 1, "maxLength": 128, "description": "The cause as one word."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"], "description": "True, False or Unknown."},
                "type": {"type": "string", "minLength": 1, "maxLength": 128, "description": "What the statement is about."},
            },
        },
    })
}

const KEY: &str =
    "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$";
const VALUE: &str = "^([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?$";

/// A Kubernetes label selector; an empty one selects everything.
pub(crate) fn selector(_: &mut SchemaGenerator) -> Schema {
    let mut schema = base();
    schema.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
    schema
}

/// A Kubernetes label selector that may not be empty.
pub(crate) fn required_selector(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = selector(generator);
    schema.insert(
        "x-kubernetes-validations".to_owned(),
        rules(&[(
            "(has(self.matchLabels) && self.matchLabels.size() > 0) || (has(self.matchExpressions) && self.matchExpressions.size() > 0)",
            "must name at least one label: an empty selector selects everything",
        )]),
    );
    schema
}

fn base() -> Schema {
    let labels = format!("self.all(key, key.matches('{KEY}'))");
    json_schema!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "type": "object",
                "maxProperties": 16,
                "description": "Labels that must be there with these values. Default none.",
                "additionalProperties": {"type": "string", "maxLength": 63, "pattern": VALUE},
                "x-kubernetes-validations": rules(&[(&labels, "must have legal label keys")]),
            },
            "matchExpressions": {
                "type": "array",
                "maxItems": 16,
                "x-kubernetes-list-type": "atomic",
                "description": "Requirements that must all hold. Default none.",
                "items": requirement(),
            },
        },
    })
}

fn requirement() -> Value {
    json!({
        "type": "object",
        "description": "One requirement on one label.",
        "required": ["key", "operator"],
        "x-kubernetes-validations": rules(&[(
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && self.values.size() > 0)",
            "values must be given for the operators In and NotIn, and only for them",
        )]),
        "properties": {
            "key": {
                "type": "string",
                "maxLength": 317,
                "description": "Name of the label.",
                "pattern": KEY,
            },
            "operator": {
                "type": "string",
                "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                "description": "In, NotIn, Exists or DoesNotExist.",
            },
            "values": {
                "type": "array",
                "maxItems": 32,
                "x-kubernetes-list-type": "atomic",
                "description": "Values for In and NotIn. Default none.",
                "items": {
                    "type": "string",
                    "maxLength": 63,
                    "pattern": VALUE,
                },
            },
        },
    })
}
