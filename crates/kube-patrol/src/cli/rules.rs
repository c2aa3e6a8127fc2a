//! Policies for commands that judge without an engine: from files, or made of baselines.

use patrol_api::policy::PatrolPolicy;
use patrol_core::facts::Fact;
use patrol_core::rule::{Rulebook, compile};
use patrol_core::sym::Sym;

use super::Failure;
use crate::manifests::{self, Decoded, Input, Object};

/// The policies in these files.
///
/// # Errors
/// When a file cannot be read, holds no PatrolPolicy, or one is invalid.
pub fn policies_in(files: &[std::path::PathBuf]) -> Result<Vec<PatrolPolicy>, Failure> {
    let mut out = vec![];
    for file in files {
        let loaded = manifests::load(&[Input::Path(file.clone())], &[]);
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

/// The policies among objects.
///
/// # Errors
/// When one is invalid.
pub fn policies_of(objects: &[Object]) -> Result<Vec<PatrolPolicy>, Failure> {
    let mut out = vec![];
    for object in objects.iter().filter(|o| o.kind == "PatrolPolicy") {
        let name = object.name();
        let place = format!("{}:{}", object.source.file, object.source.line);
        if let Some(problem) = patrol_api::validate::validate(&object.value).first() {
            return Err(Failure::new(format!(
                "{place}: PatrolPolicy/{name}: {problem}"
            )));
        }
        if let Decoded::Fact(seen) = &object.decoded
            && let Fact::Policy(policy) = &seen.fact
        {
            out.push((**policy).clone());
        }
    }
    Ok(out)
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
