//! The operator on the real API server: how soon a gap has its ticket, what a ticket costs,
//! what rest costs, and how a flood of tickets compares with a bare loop of writes.
//!
//! Times and counts are those of the API server's own audit log: one clock, and no observer
//! that adds to the load. Nothing here is a test: no figure fails.

mod bare;
mod latency;
mod log;
mod quiet;
mod storm;

use std::path::Path;
use std::time::Duration;

use patrol_e2e::control_plane::ControlPlane;
use patrol_e2e::installed::{self, Stage};
use patrol_e2e::{Error, operator};
use serde_json::{Value, json};

use crate::Failure;

/// How many of everything.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Pods whose way to a ticket is timed.
    pub pods: usize,
    /// Tickets opened at once.
    pub tickets: usize,
}

/// Measures a busy and an idle cluster.
pub fn steady(binary: &Path, sizes: Sizes) -> Result<(), Failure> {
    let bench = Bench::raise()?;
    let mut operator = bench.operator(binary, &[])?.spawn()?;
    latency::run(&bench, sizes.pods)?;
    quiet::run(&bench)?;
    Ok(operator.check_alive()?)
}

/// Measures a flood of tickets under each limit of writes a second.
pub fn storms(binary: &Path, sizes: Sizes, limits: &[u32]) -> Result<(), Failure> {
    for limit in limits {
        let bench = Bench::raise()?;
        storm::run(&bench, binary, sizes.tickets, *limit)?;
    }
    Ok(())
}

/// A control plane that records every request.
struct Bench {
    plane: ControlPlane,
    _receiver: patrol_e2e::receiver::Receiver,
}

impl Bench {
    fn raise() -> Result<Self, Failure> {
        let builder = ControlPlane::builder().audit();
        let Some(Stage { plane, receiver }) = Stage::raise("bench", builder)? else {
            return Err("bench: no control plane on this machine: see above".into());
        };
        bare::install(&plane)?;
        Ok(Self {
            plane,
            _receiver: receiver,
        })
    }

    fn operator(&self, binary: &Path, flags: &[&str]) -> Result<operator::Builder, Error> {
        Ok(installed::operator(&self.plane, "bench")?
            .args(flags)
            .program(binary))
    }

    /// A policy that asks for the sidecar in namespaces of this glob, without graces, and
    /// tells nobody.
    fn policy(&self, name: &str, namespaces: &str, every: &str) -> Result<(), Error> {
        let mut policy = installed::policy(name);
        if let Some(spec) = policy.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("alerts");
            spec.insert(
                "scope".into(),
                json!({"namespaces": {"include": [namespaces]}}),
            );
            spec.insert("schedule".into(), json!({"every": every}));
            spec.insert("tickets".into(), json!({"maxPerCheck": 100_000}));
        }
        self.plane.apply(&policy.to_string()).map(drop)
    }
}

/// The value below which `percent` of the sorted values lie.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let at = last * percent / 100;
    sorted.get(at).copied().unwrap_or_default()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// `what: p50 1.0 ms, p99 2.0 ms`, with multiples of a base.
fn line(what: &str, times: &mut [Duration], base: Option<Duration>) -> String {
    times.sort_unstable();
    let (half, most) = (percentile(times, 50), percentile(times, 99));
    let multiple = |time: Duration| match base {
        Some(base) => format!(" ({:.2}x)", time.as_secs_f64() / base.as_secs_f64()),
        None => String::new(),
    };
    format!(
        "{what:<58} p50 {:6.1} ms{}  p99 {:6.1} ms",
        millis(half),
        multiple(half),
        millis(most),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let times: Vec<_> = (1..=101).map(Duration::from_millis).collect();
        assert_eq!(percentile(&times, 50), Duration::from_millis(51));
        assert_eq!(percentile(&times, 99), Duration::from_millis(100));
        assert_eq!(percentile(&[], 50), Duration::ZERO);
    }
}
