//! Whole numbers with bounds, in formats the API server knows.
//! Never an unsigned format.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A count: zero or more.
pub(crate) fn count(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 0})
}

/// A number that counts from one.
pub(crate) fn from_one(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 1})
}

/// A number of replicas or objects that must at least be there.
pub(crate) fn replicas(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int32", "minimum": 0, "maximum": 100_000})
}

/// A number of tickets.
pub(crate) fn tickets(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int64", "minimum": 1, "maximum": 100_000})
}

/// Messages a minute.
pub(crate) fn per_minute(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "integer", "format": "int32", "minimum": 1, "maximum": 6_000})
}

/// Days of a month.
pub(crate) fn days_of_month(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 31,
        "x-kubernetes-list-type": "set",
        "items": {"type": "integer", "format": "int32", "minimum": 1, "maximum": 31},
    })
}
