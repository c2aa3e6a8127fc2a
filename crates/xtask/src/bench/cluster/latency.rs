//! From a pod to its ticket, and how many writes it takes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use patrol_e2e::control_plane::ADMIN;
use patrol_e2e::{installed, wait_until};
use serde_json::Value;

use super::log::{Log, Request, between};
use super::{Bench, bare, line, percentile};
use crate::Failure;

const NAMESPACE: &str = "steady";
/// Pods that only warm connections and caches.
const WARM: usize = 20;
/// A pod at most this often: a busy cluster, not a flood.
const PACE: Duration = Duration::from_millis(100);

/// Times `count` pods, one after the other, a bare write after each.
pub fn run(bench: &Bench, count: usize) -> Result<(), Failure> {
    let plane = &bench.plane;
    plane.create_namespace(NAMESPACE)?;
    bench.policy("steady", NAMESPACE, "1h")?;
    let mut client = plane.client(ADMIN)?;
    let mut log = Log::from_now(plane)?;
    let (mut pods, mut opened, mut floor, mut all) = (vec![], vec![], vec![], vec![]);
    let mut like: Option<Value> = None;
    for n in 0..WARM + count {
        let began = Instant::now();
        let name = format!("pod-{n}");
        installed::create_pod(plane, &installed::pod(NAMESPACE, &name, false))?;
        let seen = log.until(installed::SOON, "the pod's ticket", 1, Request::opens)?;
        if like.is_none() {
            let tickets = installed::tickets_of(plane, "sidecar-missing")?;
            like = tickets.first().map(bare::like);
        }
        if let Some(like) = &like {
            bare::post(&mut client, like, NAMESPACE, &format!("bare-{n}"))?;
        }
        // The bare write is answered; the log has it at once.
        let bare_write = |r: &Request| !r.ours && r.is("create", "tickets");
        let later = log.until(installed::SOON, "the bare write", 1, bare_write)?;
        if n >= WARM {
            let made = |r: &&Request| r.is("create", "pods") && r.name == name;
            pods.extend(seen.iter().find(made).cloned());
            opened.extend(seen.iter().find(|r| r.opens()).cloned());
            floor.extend(later.iter().find(|r| bare_write(r)).map(Request::took));
        }
        all.extend(seen.into_iter().chain(later));
        wait_until(PACE * 2, "the next turn", || {
            (began.elapsed() >= PACE).then_some(())
        })?;
    }
    if pods.len() != count || opened.len() != count || floor.len() != count {
        return Err("latency: the audit log lacks requests".into());
    }
    report(&pods, &opened, floor);
    // Statuses follow within seconds.
    all.extend(log.until(installed::SOON, "the statuses", 1, |r| {
        r.ours
            && r.is("update", "tickets/status")
            && opened.last().is_some_and(|t| t.name == r.name)
    })?);
    writes(&all, WARM + count);
    Ok(())
}

fn report(pods: &[Request], opened: &[Request], mut floor: Vec<Duration>) {
    let pairs = || pods.iter().zip(opened);
    println!("from a pod to its ticket, {} pods one by one:", pods.len());
    println!(
        "{}",
        line("  bare POST of a ticket-sized object", &mut floor, None)
    );
    let base = Some(percentile(&floor, 50));
    let rows: [(&str, Vec<Duration>); 4] = [
        (
            "  pod write answered to ticket stored",
            pairs().map(|(p, t)| between(p.done, t.done)).collect(),
        ),
        (
            "    of which until the server has the operator's POST",
            pairs().map(|(p, t)| between(p.done, t.received)).collect(),
        ),
        (
            "    of which the POST itself",
            opened.iter().map(Request::took).collect(),
        ),
        (
            "  pod write sent to ticket stored",
            pairs().map(|(p, t)| between(p.received, t.done)).collect(),
        ),
    ];
    for (what, mut times) in rows {
        println!("{}", line(what, &mut times, base));
    }
}

/// Everything the operator wrote to tickets.
fn writes(all: &[Request], tickets: usize) {
    let mut counts: BTreeMap<(String, String, u64), usize> = BTreeMap::new();
    for request in all.iter().filter(|r| r.ours && r.is_sidecar()) {
        let key = (request.verb.clone(), request.resource.clone(), request.code);
        *counts.entry(key).or_default() += 1;
    }
    println!("requests of the operator about {tickets} tickets:");
    for ((verb, resource, code), count) in counts {
        println!("  {verb} {resource}: {count}, answered {code}");
    }
}
