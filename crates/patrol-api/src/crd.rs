//! Our custom resource definitions, ready to apply, and the same as YAML.
//! Never applies them, and never holds a rule of its own beyond the objects' names.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
    ValidationRule,
};
use kube_core::CustomResourceExt;
use serde_json::{Map, Value};

use crate::names::COVERAGE_POLICY;
use crate::policy::PatrolPolicy;
use crate::receiver::AlertReceiver;
use crate::ticket::Ticket;
use crate::waiver::TicketWaiver;

/// The longest name of a policy or receiver, so that it fits into a label of its tickets.
const NAME_MAX: i64 = 63;

/// The definitions of all our kinds.
#[must_use]
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![
        tidy(AlertReceiver::crd(), true),
        tidy(PatrolPolicy::crd(), true),
        tidy(Ticket::crd(), false),
        tidy(TicketWaiver::crd(), false),
    ]
}

/// A definition as JSON, without the empty fields that only a server fills.
#[must_use]
pub fn manifest(crd: &CustomResourceDefinition) -> Value {
    let mut value = serde_json::to_value(crd).unwrap_or(Value::Null);
    if let Some(object) = value.as_object_mut() {
        object.remove("status");
    }
    whole_numbers(&mut value);
    value
}

/// The schema of a definition's one version, as JSON.
#[must_use]
pub(crate) fn schema(crd: &CustomResourceDefinition) -> Value {
    manifest(crd)
        .pointer("/spec/versions/0/schema/openAPIV3Schema")
        .cloned()
        .unwrap_or(Value::Null)
}

fn tidy(mut crd: CustomResourceDefinition, short_name: bool) -> CustomResourceDefinition {
    let policy = crd.spec.names.kind == "PatrolPolicy";
    for version in &mut crd.spec.versions {
        let Some(root) = version
            .schema
            .as_mut()
            .and_then(|schema| schema.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        tidy_node(root);
        if short_name {
            limit_name(root);
        }
        if policy {
            reserve_name(root);
        }
    }
    crd
}

/// Makes a node say one thing once, in one line: absent is the only way to say nothing (no `null`), and an object whose fields all
/// have defaults has the default `{}`, so that each default is written in one place.
fn tidy_node(node: &mut JSONSchemaProps) {
    if node.nullable.take().is_some()
        && let Some(words) = &mut node.enum_
    {
        words.retain(|word| !word.0.is_null());
    }
    if let Some(description) = &mut node.description {
        *description = description.replace('\n', " ");
    }
    for child in node.properties.iter_mut().flat_map(BTreeMap::values_mut) {
        tidy_node(child);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut node.items {
        tidy_node(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut node.additional_properties {
        tidy_node(values);
    }
    let properties = node.properties.as_ref();
    if let Some(JSON(Value::Object(default))) = &mut node.default
        && default.keys().all(|key| {
            properties.is_some_and(|all| all.get(key).is_some_and(|field| field.default.is_some()))
        })
    {
        *default = Map::new();
    }
}

fn limit_name(root: &mut JSONSchemaProps) {
    let name = JSONSchemaProps {
        type_: Some("string".to_owned()),
        max_length: Some(NAME_MAX),
        ..JSONSchemaProps::default()
    };
    let metadata = JSONSchemaProps {
        type_: Some("object".to_owned()),
        properties: Some(BTreeMap::from([("name".to_owned(), name)])),
        ..JSONSchemaProps::default()
    };
    root.properties
        .get_or_insert_default()
        .insert("metadata".to_owned(), metadata);
}

fn reserve_name(root: &mut JSONSchemaProps) {
    root.x_kubernetes_validations
        .get_or_insert_default()
        .push(ValidationRule {
            rule: format!("!has(self.metadata.name) || self.metadata.name != '{COVERAGE_POLICY}'"),
            message: Some(format!(
                "{COVERAGE_POLICY} is reserved for the always-on coverage checks"
            )),
            field_path: Some(".metadata.name".to_owned()),
            ..ValidationRule::default()
        });
}

/// Writes `0.0` as `0`: the library keeps bounds as floating-point numbers.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(float) = number.as_f64()
                && float.fract() == 0.0
                && let Ok(whole) = format!("{float:.0}").parse::<i64>()
            {
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
