//! Who may write what of a ticket and a waiver, as admission policies that the API server
//! itself enforces. Roles cannot say it: they know no fields, no state and no author.
//! Never reads the cluster's own data beyond the object, its namespace and the request.

use patrol_api::names::{DEFAULT_NAMESPACE, GROUP, VERSION};
use serde_json::{Value, json};

use super::rbac::{Object, metadata_of};

const REGISTRATION: &str = "admissionregistration.k8s.io/v1";

/// A rule for everyone but the operator.
struct Rule {
    /// True where the request is fine.
    expression: String,
    /// What is wrong and what to do, in a sentence.
    message: String,
    /// The same as an expression, where it says more; the sentence stands in if it fails.
    says: Option<String>,
}

impl Rule {
    fn new(expression: impl Into<String>, message: &str) -> Self {
        Self {
            expression: expression.into(),
            message: message.to_owned(),
            says: None,
        }
    }

    fn value(&self) -> Value {
        let mut value = json!({
            "expression": self.expression,
            "message": self.message,
            "reason": "Forbidden",
        });
        if let (Some(fields), Some(says)) = (value.as_object_mut(), &self.says) {
            fields.insert("messageExpression".into(), json!(says));
        }
        value
    }
}

/// The policies with their bindings.
pub(super) fn objects() -> Vec<Object> {
    let tickets = policy(
        "tickets",
        &["CREATE", "UPDATE", "DELETE"],
        &[
            // Controllers of Kubernetes itself clean up: after namespaces, owners, migrations.
            (
                "cleansUp",
                "request.userInfo.username == 'system:kube-controller-manager' || \
                 request.userInfo.username.startsWith('system:serviceaccount:kube-system:')",
            ),
            (
                "resolved",
                "has(oldObject.status) && has(oldObject.status.phase) && \
                 oldObject.status.phase == 'Resolved'",
            ),
            (
                "labels",
                "has(object.metadata.labels) ? object.metadata.labels : {}",
            ),
            (
                "oldLabels",
                "has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}",
            ),
        ],
        &of_tickets(),
    );
    let waivers = policy("ticketwaivers", &["CREATE", "UPDATE"], &[], &of_waivers());
    vec![
        Object {
            comment: "What a ticket says is the operator's; people take it, put it off, assign it, ask for a new look.",
            value: tickets,
        },
        Object {
            comment: "",
            value: binding("tickets"),
        },
        Object {
            comment: "Who approves a waiver does so in their own name.",
            value: waivers,
        },
        Object {
            comment: "",
            value: binding("ticketwaivers"),
        },
    ]
}

fn of_tickets() -> Vec<Rule> {
    let ours = format!("{GROUP}/");
    vec![
        Rule::new(
            "request.operation != 'CREATE'",
            "only kube-patrol opens tickets: write a PatrolPolicy whose checks find the gap",
        ),
        Rule::new(
            not_status(),
            "only kube-patrol writes the status of a ticket: mend the gap and it resolves by \
             itself, or take it with \"kubectl patrol ack\"",
        ),
        Rule::new(
            "request.operation != 'UPDATE' || object.spec.finding == oldObject.spec.finding",
            "spec.finding says what kube-patrol found: write only spec.assignee, \
             spec.acknowledge, spec.snooze and spec.recheck",
        ),
        Rule::new(
            format!(
                "request.operation != 'UPDATE' || (\
                 variables.labels.all(key, !key.startsWith('{ours}') || \
                 (key in variables.oldLabels && variables.oldLabels[key] == variables.labels[key])) && \
                 variables.oldLabels.all(key, !key.startsWith('{ours}') || key in variables.labels))"
            ),
            &format!(
                "only kube-patrol writes the labels {ours}* of a ticket: use a label with a \
                 prefix of your own"
            ),
        ),
        Rule::new(
            format!(
                "request.operation != 'UPDATE' || variables.cleansUp || ({} && {})",
                unchanged("metadata", "ownerReferences", "[]"),
                unchanged("metadata", "finalizers", "[]"),
            ),
            "owners and finalizers would end a ticket or keep it against what it says: leave \
             metadata.ownerReferences and metadata.finalizers as they are",
        ),
        Rule::new(
            "request.operation != 'DELETE' || variables.resolved || variables.cleansUp || \
             has(namespaceObject.metadata.deletionTimestamp)",
            "an open ticket is not deleted: mend the gap and it resolves by itself, take it \
             with \"kubectl patrol ack\", or have it waived with a TicketWaiver",
        ),
        by("acknowledge", "ack"),
        by("snooze", "snooze"),
    ]
}

fn of_waivers() -> Vec<Rule> {
    let mut approved = Rule::new(
        "!has(object.spec.approvedBy) || \
         object.spec.approvedBy == request.userInfo.username || \
         (request.operation == 'UPDATE' && object.spec == oldObject.spec)",
        "spec.approvedBy names someone else than who asks: write your own user name",
    );
    approved.says = Some(own_name("spec.approvedBy", "approve it yourself as"));
    vec![
        Rule::new(
            not_status(),
            "only kube-patrol writes the status of a waiver: change its spec, or delete it",
        ),
        approved,
    ]
}

/// Nobody acknowledges or snoozes in another's name: neither by writing the name nor by
/// changing what stands above it.
fn by(field: &str, command: &str) -> Rule {
    let path = format!("spec.{field}");
    let mut rule = Rule::new(
        format!(
            "request.operation != 'UPDATE' || !has(object.{path}) || !has(object.{path}.by) || \
             object.{path}.by == request.userInfo.username || \
             (has(oldObject.{path}) && object.{path} == oldObject.{path})"
        ),
        &format!(
            "{path}.by names someone else than who asks: use \"kubectl patrol {command}\", or \
             write your own user name"
        ),
    );
    let advice = format!("use \"kubectl patrol {command}\", or write");
    rule.says = Some(own_name(&format!("{path}.by"), &advice));
    rule
}

/// A sentence, as an expression, that tells people the name they are known by.
fn own_name(field: &str, advice: &str) -> String {
    format!("'{field} names someone else than who asks: {advice} ' + request.userInfo.username")
}

fn not_status() -> &'static str {
    "!has(request.subResource) || request.subResource != 'status'"
}

/// That a field which may be absent is what it was.
fn unchanged(parent: &str, field: &str, absent: &str) -> String {
    let of = |object: &str| {
        format!("(has({object}.{parent}.{field}) ? {object}.{parent}.{field} : {absent})")
    };
    format!("{} == {}", of("object"), of("oldObject"))
}

fn name(resource: &str) -> String {
    format!("{DEFAULT_NAMESPACE}-{resource}")
}

fn policy(resource: &str, verbs: &[&str], variables: &[(&str, &str)], rules: &[Rule]) -> Value {
    let operator = format!("system:serviceaccount:{DEFAULT_NAMESPACE}:{DEFAULT_NAMESPACE}");
    let mut value = json!({
        "apiVersion": REGISTRATION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": metadata_of(&name(resource), &[]),
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{
                "apiGroups": [GROUP],
                "apiVersions": [VERSION],
                "operations": verbs,
                "resources": [resource, format!("{resource}/status")],
            }]},
            "matchConditions": [{
                "name": "not-the-operator",
                "expression": format!("request.userInfo.username != '{operator}'"),
            }],
            "validations": rules.iter().map(Rule::value).collect::<Vec<_>>(),
        },
    });
    let spec = value.get_mut("spec").and_then(Value::as_object_mut);
    if let (Some(spec), false) = (spec, variables.is_empty()) {
        let variables: Vec<Value> = variables
            .iter()
            .map(|(name, expression)| json!({"name": name, "expression": expression}))
            .collect();
        spec.insert("variables".into(), json!(variables));
    }
    value
}

fn binding(resource: &str) -> Value {
    json!({
        "apiVersion": REGISTRATION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": metadata_of(&name(resource), &[]),
        "spec": {"policyName": name(resource), "validationActions": ["Deny"]},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field that is added to a ticket is either the operator's, and then it is guarded
    /// here, or people may write it.
    #[test]
    fn what_people_may_write_of_a_ticket_is_what_nothing_guards() {
        let crds = patrol_api::crd::crds();
        let ticket = crds.iter().find(|c| c.spec.names.kind == "Ticket").unwrap();
        let manifest = patrol_api::crd::manifest(ticket);
        let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        let mut fields: Vec<&str> = manifest
            .pointer(schema)
            .and_then(Value::as_object)
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        fields.sort_unstable();
        let people = ["acknowledge", "assignee", "finding", "recheck", "snooze"];
        assert_eq!(fields, people, "who writes the new field?");
    }

    #[test]
    fn every_refusal_is_a_sentence_that_says_what_is_wrong_and_what_to_do() {
        for rule in of_tickets().iter().chain(&of_waivers()) {
            let (wrong, todo) = rule.message.split_once(": ").unwrap();
            assert!(!wrong.is_empty() && !todo.is_empty());
            assert!(!rule.message.ends_with('.') && rule.message.len() < 200);
            // As the API server asks: in one line.
            assert!(!rule.message.contains('\n'), "{}", rule.message);
        }
    }

    #[test]
    fn every_policy_is_bound() {
        let all = objects();
        let names = |kind: &str| -> Vec<String> {
            let of_kind = all.iter().filter(|o| o.value["kind"] == kind);
            of_kind
                .map(|o| o.value["metadata"]["name"].to_string())
                .collect()
        };
        let policies = names("ValidatingAdmissionPolicy");
        assert_eq!(policies.len(), 2);
        assert_eq!(policies, names("ValidatingAdmissionPolicyBinding"));
    }
}
