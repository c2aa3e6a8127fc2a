//! Pieces of OpenAPI schema that our types share: bounds, rules with a readable sentence, embedded Kubernetes types.
//! Never yields an untyped or unbounded node.

mod meta;
mod numbers;
mod spans;
mod text;

use serde_json::{Value, json};

pub(crate) use meta::{conditions, reported, required_selector, selector};
pub(crate) use numbers::{count, from_one, per_minute, replicas, tickets};
pub(crate) use spans::{clear_after, every, repeat, second, sla, span};
pub(crate) use text::*;

/// One validation rule: a CEL expression over `self` and the sentence shown when it is false.
pub(crate) type Rule<'a> = (&'a str, &'a str);

/// The `x-kubernetes-validations` of a webhook. The address is judged from outside, naming its path, because a server
/// quotes the value a rule stands on, and an address may hold a password.
pub(crate) fn webhook_rules() -> Value {
    json!([
        {
            "rule": "has(self.url) != has(self.urlFrom)",
            "message": "exactly one of url and urlFrom must be set",
        },
        {
            "rule": "!has(self.url) || self.url.matches('^https?://[^/?#@ ]+([/?#][^ ]*)?$')",
            "message": "must be an http or https address with a host and without user and password",
            "fieldPath": ".url",
        },
    ])
}

/// The value of `x-kubernetes-validations`.
pub(crate) fn rules(rules: &[Rule<'_>]) -> Value {
    rules
        .iter()
        .map(|(rule, message)| json!({"rule": rule, "message": message}))
        .collect()
}
