//! Memory and CPU of the store: decode from JSON, keep, relist, judge everything again.

use std::process::Command;
use std::time::Duration;

use patrol_api::policy::PatrolPolicy;
use patrol_api::time::Time;
use patrol_core::check::{Origin, OwnState};
use patrol_core::facts::{Observed, decode};
use patrol_core::inspect::{Inspector, inspect_each};
use patrol_core::inventory::Inventory;
use patrol_core::kind::Kind;
use patrol_core::rule::{Rulebook, compile};
use patrol_core::sym::Sym;

use super::pods as objects;
use crate::Failure;

const NOW: i64 = 1_795_600_000;

/// Measures every size in a process of its own, so that sizes do not share memory.
pub fn run(sizes: &[usize]) -> Result<(), Failure> {
    println!(
        "{:>8} {:>10} {:>10} {:>10} {:>12} {:>12} {:>14} {:>14}",
        "pods",
        "JSON B/pod",
        "RSS MiB",
        "B/pod",
        "relist MiB",
        "decode us",
        "decode+store us",
        "re-judge ms"
    );
    for size in sizes {
        let status = Command::new(std::env::current_exe()?)
            .args(["bench", "--child", &size.to_string()])
            .status()?;
        if !status.success() {
            return Err(format!("the measurement of {size} pods failed").into());
        }
    }
    Ok(())
}

/// Measures one size.
pub fn measure(count: usize) -> Result<(), Failure> {
    let before = resident()?;
    let (mut inventory, first) = filled(count)?;
    let after = resident()?;
    for kind in [Kind::Pod, Kind::ReplicaSet, Kind::Deployment] {
        inventory.relist_started(kind);
    }
    owners(&mut inventory, count)?;
    pods(&mut inventory, count)?;
    for kind in [Kind::Pod, Kind::ReplicaSet, Kind::Deployment] {
        inventory.relist_finished(kind);
    }
    let relisted = resident()?;
    let judged = judge(&inventory)?;
    let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
    println!(
        "{count:>8} {:>10} {:>10.1} {:>10} {:>12.1} {:>12.1} {:>14.1} {:>14.1}",
        first.bytes / count,
        mib(after),
        after.saturating_sub(before) / count as u64,
        mib(relisted),
        first.decode.as_secs_f64() * 1e6 / count as f64,
        first.total.as_secs_f64() * 1e6 / count as f64,
        judged.as_secs_f64() * 1e3,
    );
    Ok(())
}

/// An inventory that has seen a whole cluster of `count` pods.
pub fn filled(count: usize) -> Result<(Inventory, Filled), Failure> {
    let mut inventory = Inventory::new();
    for kind in Kind::ALL {
        inventory.relist_started(kind);
    }
    let mut json = String::with_capacity(16_384);
    for n in 0..objects::NAMESPACES {
        objects::write_namespace(&mut json, n);
        inventory.upsert(decode(Kind::Namespace, json.as_bytes())?);
    }
    for n in 0..objects::nodes(count) {
        objects::write_node(&mut json, n);
        inventory.upsert(decode(Kind::Node, json.as_bytes())?);
    }
    owners(&mut inventory, count)?;
    let first = pods(&mut inventory, count)?;
    for kind in Kind::ALL {
        inventory.relist_finished(kind);
        inventory.sight_mut(kind).heard(Time::from_unix(NOW));
    }
    Ok((inventory, first))
}

/// How much JSON the pods were, and what they took.
#[derive(Default)]
pub struct Filled {
    bytes: usize,
    decode: Duration,
    total: Duration,
}

/// Every ReplicaSet and Deployment.
fn owners(inventory: &mut Inventory, count: usize) -> Result<(), Failure> {
    let mut json = String::with_capacity(16_384);
    for w in 0..count.div_ceil(objects::PER_WORKLOAD) {
        objects::write_replica_set(&mut json, w);
        inventory.upsert(decode(Kind::ReplicaSet, json.as_bytes())?);
        objects::write_deployment(&mut json, w);
        inventory.upsert(decode(Kind::Deployment, json.as_bytes())?);
    }
    Ok(())
}

/// Every pod, timed.
fn pods(inventory: &mut Inventory, count: usize) -> Result<Filled, Failure> {
    let mut json = String::with_capacity(16_384);
    let nodes = objects::nodes(count);
    let mut filled = Filled::default();
    for i in 0..count {
        objects::write(&mut json, i, nodes);
        filled.bytes += json.len();
        let start = cpu();
        let seen: Observed = decode(Kind::Pod, json.as_bytes())?;
        filled.decode += cpu() - start;
        inventory.upsert(seen);
        filled.total += cpu() - start;
    }
    Ok(filled)
}

pub fn judge(inventory: &Inventory) -> Result<Duration, Failure> {
    let policy: PatrolPolicy = serde_json::from_value(serde_json::json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy", "metadata": {"name": "bench"},
        "spec": {"checks": [{"name": "aegis", "sidecar": {"images": ["security/aegis*"]}}]}
    }))?;
    let catalogue = patrol_checks::CATALOGUE;
    let rules = compile(&policy, &catalogue, Time::from_unix(NOW))
        .map_err(|problems| format!("{problems:?}"))?;
    let mut rulebook = Rulebook::default();
    rulebook.policies.insert(Sym::new("bench"), rules);
    let own = OwnState::default();
    let inspector = Inspector {
        catalogue: &catalogue,
        inventory,
        rulebook: &rulebook,
        origin: Origin::Cluster,
        own: &own,
        now: Time::from_unix(NOW),
    };
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let start = cpu();
        let mut judged = 0;
        // As a patrol does.
        inspect_each(
            &inspector,
            rulebook.rules_of("bench").iter(),
            |_, _, judgement| judged += usize::from(!judgement.subject.name.is_empty()),
        );
        if judged < inventory.count(Kind::Deployment) {
            return Err("not everything was judged".into());
        }
        best = best.min(cpu() - start);
    }
    Ok(best)
}

/// CPU time of this thread: other programs on the machine do not count.
pub fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// Resident memory of this process in bytes.
pub fn resident() -> Result<u64, Failure> {
    resident_of("self")
}

/// Resident memory of a process in bytes.
pub fn resident_of(process: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find(|l| l.starts_with("VmRSS:"))
        .ok_or("no VmRSS in /proc")?;
    let kib: u64 = line
        .split_whitespace()
        .nth(1)
        .ok_or("VmRSS without a number")?
        .parse()?;
    Ok(kib * 1024)
}
