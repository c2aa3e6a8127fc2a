//! Policies for commands that judge without an engine: from files, or made of baselines.

use std::collections::BTreeSet;
use std::sync::Arc;

use patrol_api::policy::PatrolPolicy;
use patrol_core::facts::Fact;
use patrol_core::rule::{Rulebook, compile};
use patrol_core::sym::Sym;

use super::Failure;
use crate::manifests::{self, Decoded, Input, MayHold, NotInspected, Object};

/// The policies in these files.
///
/// # Errors
/// When a file cannot be read, holds no PatrolPolicy, or one is invalid.
pub fn policies_in(files: &[std::path::PathBuf]) -> Result<Vec<PatrolPolicy>, Failure> {
    let mut out = vec![];
    for file in files {
        let loaded = manifests::load(&[Input::Path(file.clone())], &[], |_, _| {});
        if let Some(missed) = loaded.coverage.not_inspected.first() {
            return Err(Failure::new(missed.to_string()));
        }
        let found = policies_of(&loaded.objects)?;
        if found.is_empty() {
            return Err(Failure::new(format!(
                "{}: holds no PatrolPolicy: name a file that does",
                file.display()
            )));
        }
        out.extend(found);
    }
    Ok(out)
}

/// The policies of one file, all of them valid.
fn policies_of(objects: &[Object]) -> Result<Vec<PatrolPolicy>, Failure> {
    let mut out = vec![];
    for object in objects.iter().filter(|o| o.kind == "PatrolPolicy") {
        if let Some(problem) = patrol_api::validate::validate(&object.value).first() {
            return Err(Failure::new(
                refusal(object, &problem.to_string()).to_string(),
            ));
        }
        out.extend(policy(object));
    }
    Ok(out)
}

fn policy(object: &Object) -> Option<PatrolPolicy> {
    match &object.decoded {
        Decoded::Fact(seen) => match &seen.fact {
            Fact::Policy(policy) => Some((**policy).clone()),
            _ => None,
        },
        _ => None,
    }
}

fn refusal(object: &Object, problem: &str) -> NotInspected {
    NotInspected {
        file: Arc::clone(&object.source.file),
        document: Some(object.source.document),
        line: Some(object.source.line),
        reason: format!("PatrolPolicy/{}: {problem}", object.name()),
        // A policy that is not judged hides no object.
        may_hold: MayHold::Kinds(BTreeSet::new()),
        object: None,
    }
}

/// The policies among manifests.
#[derive(Default)]
pub struct Among {
    /// The rules of those that are valid.
    pub book: Rulebook,
    /// The others, with the first problem of each.
    pub refused: Vec<NotInspected>,
}

/// Takes the valid policies among objects; one that is not stops no other.
#[must_use]
pub fn among(objects: &[Object]) -> Among {
    let mut out = Among::default();
    let mut policies = vec![];
    for object in objects.iter().filter(|o| o.kind == "PatrolPolicy") {
        let schema = patrol_api::validate::validate(&object.value);
        let problem = match (schema.first(), policy(object)) {
            (Some(problem), _) => Some(problem.to_string()),
            (None, Some(policy)) => match rulebook(std::slice::from_ref(&policy)) {
                Ok(_) => {
                    policies.push(policy);
                    None
                }
                Err(problem) => {
                    out.refused.push(NotInspected {
                        reason: problem.to_string(),
                        ..refusal(object, "")
                    });
                    None
                }
            },
            // What cannot be decoded is in the account already.
            (None, None) => None,
        };
        out.refused
            .extend(problem.map(|problem| refusal(object, &problem)));
    }
    // Each of them has compiled.
    out.book = rulebook(&policies).unwrap_or_default();
    out
}

/// Whatever needs no requirement of the user's own can be said of any manifests.
///
/// # Errors
/// When a built-in baseline is wrong, which a test excludes.
pub fn every_baseline() -> Result<Rulebook, Failure> {
    let all: Vec<String> = patrol_checks::CATALOGUE
        .baselines
        .iter()
        .map(|b| b.name.to_owned())
        .collect();
    rulebook(&[of_baselines(&all)])
}

/// A policy that only names baselines.
#[must_use]
pub fn of_baselines(names: &[String]) -> PatrolPolicy {
    let mut policy = PatrolPolicy::new(
        "scan",
        patrol_api::policy::PatrolPolicySpec {
            baselines: names.to_vec(),
            ..Default::default()
        },
    );
    policy.metadata.name = Some("scan".into());
    policy
}

/// Compiles policies to a rulebook.
///
/// # Errors
/// The first problem of the first policy that has one.
pub fn rulebook(policies: &[PatrolPolicy]) -> Result<Rulebook, Failure> {
    let catalogue = patrol_checks::CATALOGUE;
    let now = patrol_kube::boot_clock::wall();
    let mut book = Rulebook::default();
    for policy in policies {
        let name = policy.metadata.name.clone().unwrap_or_default();
        let rules = compile(policy, &catalogue, now).map_err(|problems| {
            let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Failure::new(format!("PatrolPolicy/{name}: {}", all.join("; ")))
        })?;
        book.policies.insert(Sym::new(&name), rules);
    }
    if !book.policies.is_empty() {
        book.always_on = catalogue.always_on_rules();
    }
    Ok(book)
}
