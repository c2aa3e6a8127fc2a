//! Judges one of our objects offline, with the sentences the API server would answer with.
//! Never judges what a schema or CEL rule cannot say (zones, dates, names of other objects).
//!
//! The order is the API server's: unknown fields, and only without them defaults, names, structure, lists, and CEL rules
//! when nothing before made the object unfit for them.

mod defaults;
mod lists;
mod names;
mod quote;
mod rules;
mod structure;
mod unknown;

use std::fmt;
use std::sync::OnceLock;

use kube_cel::{CompiledSchema, compile_schema};
use serde_json::Value;

use crate::{crd, names as words};

/// One thing that is wrong with an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Path of the field, such as `spec.checks[0].name`.
    pub field: String,
    /// What is wrong with it, in the API server's words.
    pub message: String,
    blocking: bool,
}

impl Problem {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            blocking: false,
        }
    }

    /// One that keeps the rules from being evaluated.
    fn blocking(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            blocking: true,
            ..Self::new(field, message)
        }
    }

    fn unknown(field: String) -> Self {
        let message = format!("unknown field {field:?}");
        Self::new(field, message)
    }
}

impl fmt::Display for Problem {
    /// The sentence, beginning with the field.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.starts_with("unknown field") {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.field, self.message)
        }
    }
}

/// A kind of ours with its schema.
struct Known {
    kind: String,
    schema: Value,
    rules: CompiledSchema,
}

fn known() -> &'static [Known] {
    static KNOWN: OnceLock<Vec<Known>> = OnceLock::new();
    KNOWN.get_or_init(|| {
        crd::crds()
            .iter()
            .map(|crd| {
                let schema = crd::schema(crd);
                Known {
                    kind: crd.spec.names.kind.clone(),
                    rules: compile_schema(&schema),
                    schema,
                }
            })
            .collect()
    })
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or("")
}

/// True when the object belongs to our API group, whatever its version and kind.
#[must_use]
pub fn is_ours(object: &Value) -> bool {
    text(object, "apiVersion").split('/').next() == Some(words::GROUP)
}

/// What is wrong with the object; nothing when the API server would accept it.
#[must_use]
pub fn validate(object: &Value) -> Vec<Problem> {
    match admit(object) {
        Ok(_) => Vec::new(),
        Err(problems) => problems,
    }
}

/// The object as the API server would keep it when it is created: without a status and nulls, with every default.
///
/// # Errors
/// Everything that is wrong with the object, in the order of its fields.
pub fn admit(object: &Value) -> Result<Value, Vec<Problem>> {
    let kind = text(object, "kind");
    if text(object, "apiVersion") != words::API_VERSION {
        let message = format!(
            "Unsupported value: {:?}: supported values: {:?}",
            text(object, "apiVersion"),
            words::API_VERSION
        );
        return Err(vec![Problem::new("apiVersion", message)]);
    }
    let Some(known) = known().iter().find(|known| known.kind == kind) else {
        let kinds: Vec<_> = known()
            .iter()
            .map(|known| format!("{:?}", known.kind))
            .collect();
        let message = format!(
            "Unsupported value: {kind:?}: supported values: {}",
            kinds.join(", ")
        );
        return Err(vec![Problem::new("kind", message)]);
    };
    let mut problems = unknown::fields(&known.schema, object);
    if !problems.is_empty() {
        problems.sort();
        return Err(problems);
    }
    let mut whole = defaults::fill(&known.schema, object);
    if let Some(fields) = whole.as_object_mut() {
        fields.remove("status");
    }
    problems.extend(names::check(&whole));
    problems.extend(structure::check(&known.schema, &whole));
    problems.extend(lists::check(&known.schema, &whole));
    if !problems.iter().any(|problem| problem.blocking) {
        problems.extend(rules::check(&known.schema, &known.rules, &whole));
    }
    if problems.is_empty() {
        return Ok(whole);
    }
    problems.sort();
    problems.dedup();
    Err(problems)
}

/// The path of a field in an object; the root's path is empty.
fn field(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}
