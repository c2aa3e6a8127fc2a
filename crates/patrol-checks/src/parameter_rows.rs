//! Tests of parameters: a policy whose values no check can read is refused, with a sentence
//! that names the field.

use patrol_api::policy::PatrolPolicy;
use patrol_core::rule::compile;
use serde_json::{Value, json};

use crate::CATALOGUE;
use crate::testing::now;

fn problems(check: &str, parameters: Value) -> Vec<String> {
    let policy = json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy",
        "metadata": {"name": "p"},
        "spec": {"baselines": ["namespace-coverage"],
            "checks": [{"name": "aegis", "sidecar": {"container": "aegis"}}],
            "overrides": [{"check": check, "parameters": parameters}]}});
    let policy: PatrolPolicy = serde_json::from_value(policy).unwrap();
    match compile(&policy, &CATALOGUE, now()) {
        Ok(_) => vec![],
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn values_that_a_check_can_read_are_taken() {
    for (check, parameters) in [
        (
            "namespace-psa-below-required",
            json!({"level": ["restricted"]}),
        ),
        (
            "namespace-psa-below-required",
            json!({"minVersion": ["v1.29"]}),
        ),
        (
            "namespace-psa-below-required",
            json!({"minVersion": ["latest"]}),
        ),
        (
            "namespace-psa-*",
            json!({"psaClusterDefault": ["baseline"]}),
        ),
        (
            "namespace-psa-*",
            json!({"privilegedAllowed": ["kube-*", "longhorn-system"]}),
        ),
        ("namespace-psa-*", json!({"privilegedAllowed": []})),
        ("sidecar-*", json!({"os": ["linux", "Windows"]})),
        (
            "sidecar-*",
            json!({"excludeOwnerKinds": ["CronJob", "pod"]}),
        ),
        // A glob may match checks that do not take it.
        ("*", json!({"level": ["baseline"]})),
    ] {
        assert_eq!(
            problems(check, parameters.clone()),
            [""; 0],
            "{check} {parameters}"
        );
    }
}

#[test]
fn values_that_no_check_can_read_are_refused_by_field() {
    for (check, parameters, problem) in [
        (
            "namespace-psa-below-required",
            json!({"level": ["strict"]}),
            "spec.overrides[0].parameters.level: \"strict\" is no level: use privileged, baseline or restricted",
        ),
        (
            "namespace-psa-below-required",
            json!({"level": ["baseline", "restricted"]}),
            "spec.overrides[0].parameters.level: takes one value, not 2",
        ),
        (
            "namespace-psa-below-required",
            json!({"minVersion": ["1.29"]}),
            "spec.overrides[0].parameters.minVersion: \"1.29\" is no version: use latest or a minor such as v1.29",
        ),
        (
            // Both checks take it, and it is said once.
            "namespace-psa-*",
            json!({"psaClusterDefault": ["x"]}),
            "spec.overrides[0].parameters.psaClusterDefault: \"x\" is no level: use privileged, baseline or restricted",
        ),
        (
            "sidecar-missing",
            json!({"os": ["beos"]}),
            "spec.overrides[0].parameters.os: \"beos\" is not known here: use linux, windows",
        ),
        (
            "sidecar-missing",
            json!({"excludeOwnerKinds": ["Cronjobs"]}),
            "spec.overrides[0].parameters.excludeOwnerKinds: \"Cronjobs\" is not known here: use ",
        ),
        (
            "sidecar-missing",
            json!({"colour": ["red"]}),
            "spec.overrides[0].parameters.colour: \"sidecar-missing\" takes no parameter of this name: use one of excludeOwnerKinds, os",
        ),
        (
            "sidecar-missing",
            json!({"level": ["baseline"]}),
            "spec.overrides[0].parameters.level: \"sidecar-missing\" takes no parameter of this name: use one of excludeOwnerKinds, os",
        ),
    ] {
        let said = problems(check, parameters.clone());
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with(problem), "{said:?}");
    }
}

#[test]
fn a_required_baseline_must_be_one() {
    let policy = json!({"metadata": {"name": "p"}, "spec": {"requiredBaselines": ["agents"]}});
    let policy: PatrolPolicy = serde_json::from_value(policy).unwrap();
    let said = compile(&policy, &CATALOGUE, now()).unwrap_err();
    assert_eq!(
        said[0].to_string(),
        "spec.requiredBaselines[0]: \"agents\" is no baseline: use one of agent-coverage, namespace-coverage"
    );
}

#[test]
fn every_parameter_of_the_catalogue_refuses_something() {
    for check in CATALOGUE.checks {
        for (name, _) in check.meta().parameters {
            let nonsense = ["[nonsense".to_owned(), "two".to_owned()];
            let id = check.meta().id;
            assert!(
                check.check_parameter(name, &nonsense).is_err(),
                "{id} {name}"
            );
        }
    }
}
