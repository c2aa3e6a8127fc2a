//! What rest costs: the operator's requests during three patrols of an unchanged world.

use std::collections::BTreeMap;
use std::time::Duration;

use patrol_e2e::installed;

use super::Bench;
use super::log::{Log, Request, between};
use crate::Failure;

const PATROLS: usize = 3;
const EVERY: &str = "20s";
/// Longer than the patrols take.
const WITHIN: Duration = Duration::from_secs(120);

/// Counts; the world of the benchmark before stays as it is.
pub fn run(bench: &Bench) -> Result<(), Failure> {
    let mut log = Log::from_now(&bench.plane)?;
    bench.policy("steady", "steady", EVERY)?;
    let status = |r: &Request| r.ours && r.is("update", "patrolpolicies/status");
    // The change of the policy is told first, and then in the words of a patrol.
    log.until(WITHIN, "the changed policy to be told", 3, status)?;
    // From one patrol's status to that of the third after it.
    let seen = log.until(WITHIN, "three patrols", PATROLS, status)?;
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for request in seen.iter().filter(|r| r.ours) {
        let key = (request.verb.clone(), request.resource.clone());
        *counts.entry(key).or_default() += 1;
    }
    let took = match (seen.first(), seen.last()) {
        (Some(first), Some(last)) => between(first.received, last.done),
        _ => Duration::ZERO,
    };
    let tickets = installed::tickets(&bench.plane)?.len();
    println!(
        "{PATROLS} idle patrols of {EVERY} with {tickets} tickets open ({:.0} s), requests of the operator:",
        took.as_secs_f64()
    );
    for ((verb, resource), count) in counts {
        println!("  {verb} {resource}: {count}");
    }
    Ok(())
}
