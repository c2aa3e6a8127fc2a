//! Pieces of OpenAPI schema that our types share: bounds, rules with a readable sentence, embedded Kubernetes types.
//! Never yields an untyped or unbounded node.

mod meta;
mod numbers;
mod spans;
mod text;

use serde_json::{Value, json};

pub(crate) use meta::{conditions, reported, required_selector, selector};
pub(crate) use numbers::{count, days_of_month, from_one, per_minute, replicas, tickets};
pub(crate) use spans::{clear_after, every, max_quiet, repeat, second, sla, span};
pub(crate) use text::*;

/// One validation rule: a CEL expression over `self` and the sentence shown when it is false.
pub(crate) type Rule<'a> = (&'a str, &'a str);

/// An http or https address, as a pattern of CEL.
const ADDRESS: &str = "^https?://[^/?#@ ]+([/?#][^ ]*)?$";
const ADDRESS_SAYS: &str =
    "must be an http or https address with a host and without user and password";

/// A rule about an address in a field. The address is judged from outside, naming its path, because a server quotes the
/// value a rule stands on, and an address may hold a password.
fn address(field: &str, rule: &str) -> Value {
    json!({"rule": rule, "message": ADDRESS_SAYS, "fieldPath": format!(".{field}")})
}

/// A rule that addresses beside a client certificate are https: over http nobody asks for it.
fn client_certificate(rule: &str) -> Value {
    json!({
        "rule": format!("!has(self.clientCertSecretRef) || {rule}"),
        "message": "a client certificate is only shown over https: write an https address, or leave clientCertSecretRef out",
        "fieldPath": ".clientCertSecretRef",
    })
}

/// The `x-kubernetes-validations` of a webhook.
pub(crate) fn webhook_rules() -> Value {
    json!([
        {
            "rule": "has(self.url) != has(self.urlFrom)",
            "message": "exactly one of url and urlFrom must be set",
        },
        address("url", &format!("!has(self.url) || self.url.matches('{ADDRESS}')")),
        client_certificate("!has(self.url) || self.url.startsWith('https:')"),
    ])
}

/// The `x-kubernetes-validations` of an Alertmanager.
pub(crate) fn alertmanager_rules() -> Value {
    json!([
        {
            "rule": "[has(self.url), has(self.urlFrom), has(self.urls)].exists_one(is_set, is_set)",
            "message": "exactly one of url, urlFrom and urls must be set",
        },
        address("url", &format!("!has(self.url) || self.url.matches('{ADDRESS}')")),
        address("urls", &format!("!has(self.urls) || self.urls.all(u, u.matches('{ADDRESS}'))")),
        client_certificate(
            "(!has(self.url) || self.url.startsWith('https:')) && (!has(self.urls) || self.urls.all(u, u.startsWith('https:')))",
        ),
    ])
}

/// The `x-kubernetes-validations` of a PagerDuty service.
pub(crate) fn pagerduty_rules() -> Value {
    json!([address(
        "url",
        &format!("!has(self.url) || self.url.matches('{ADDRESS}')")
    )])
}

/// The value of `x-kubernetes-validations`.
pub(crate) fn rules(rules: &[Rule<'_>]) -> Value {
    rules
        .iter()
        .map(|(rule, message)| json!({"rule": rule, "message": message}))
        .collect()
}
