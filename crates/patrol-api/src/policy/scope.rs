//! Which part of the cluster a policy patrols.
//! Never judges whether a glob or selector matches anything.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_default;

/// Which namespaces and nodes are patrolled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct Scope {
    /// Namespaces whose objects are inspected. Default every namespace.
    #[serde(default, skip_serializing_if = "is_default")]
    pub namespaces: NamespaceScope,
    /// Nodes that are inspected. Default every node.
    #[serde(default, skip_serializing_if = "is_default")]
    pub nodes: NodeScope,
}

/// Which namespaces are patrolled; include, exclude and selector must all hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct NamespaceScope {
    /// Globs of namespace names, one of which must match. Default every name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::namespace_globs")]
    pub include: Vec<String>,
    /// Globs of namespace names, none of which may match. Default none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "crate::schema::namespace_globs")]
    pub exclude: Vec<String>,
    /// Labels of the namespace. Default any labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::selector")]
    pub selector: Option<LabelSelector>,
}

/// Which nodes are patrolled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(inline)]
pub struct NodeScope {
    /// Labels of the node. Default any labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::selector")]
    pub selector: Option<LabelSelector>,
}
