//! Many tickets at once, against a bare loop that writes as many objects of the same kind
//! on as many connections.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, Utc};
use patrol_e2e::control_plane::ControlPlane;
use patrol_e2e::installed;
use serde_json::{Value, json};

use super::Bench;
use super::bare::{self, side_by_side};
use super::log::{Log, Request, between};
use crate::Failure;

/// Writes the operator has under way at once.
const SIDE_BY_SIDE: usize = 8;
/// Namespaces of the pods.
const NAMESPACES: usize = 10;
const WITHIN: Duration = Duration::from_secs(600);

/// Measures with a limit of writes a second.
pub fn run(bench: &Bench, binary: &Path, count: usize, limit: u32) -> Result<(), Failure> {
    let plane = &bench.plane;
    for n in 0..NAMESPACES {
        plane.create_namespace(&namespace(n))?;
    }
    side_by_side(plane, SIDE_BY_SIDE, count, |client, n| {
        let pod = installed::pod(&namespace(n), &format!("pod-{n}"), false);
        let path = format!("/api/v1/namespaces/{}/pods", namespace(n));
        client
            .request("POST", &path, Some(&pod))?
            .success()
            .map(drop)
    })?;
    let limit = limit.to_string();
    let mut operator = bench
        .operator(binary, &["--writes-per-second", &limit])?
        .spawn()?;
    let mut log = Log::from_now(plane)?;
    // One pod first: then everything is watched, and there is a ticket to be like.
    plane.create_namespace("first")?;
    installed::create_pod(plane, &installed::pod("first", "pod", false))?;
    bench.policy("first", "first", "1h")?;
    log.until(WITHIN, "the first ticket", 1, Request::opens)?;
    let tickets = installed::tickets_of(plane, "sidecar-missing")?;
    let like = bare::like(tickets.first().unwrap_or(&json!(null)));

    // Before and after, because whatever else runs on the machine slows one or the other.
    let before = bare_loop(plane, &mut log, count, "before", &like)?;
    bench.policy("storm", "storm-*", "1h")?;
    let opened = log.until(WITHIN, "the tickets", count, Request::opens)?;
    let status = |r: &Request| r.ours && r.is("update", "tickets/status") && r.code == 200;
    let meanwhile = opened.iter().filter(|r| status(r)).count();
    log.until(
        WITHIN,
        "the statuses",
        count.saturating_sub(meanwhile),
        status,
    )?;
    let after = bare_loop(plane, &mut log, count, "after", &like)?;
    operator.check_alive()?;

    let ours = span(&opened, Request::opens).ok_or("storm: no ticket")?;
    let policy = |r: &Request| !r.ours && r.resource == "patrolpolicies" && r.verb != "get";
    let applied = opened
        .iter()
        .rfind(|r| policy(r))
        .map_or(ours.0, |r| r.done);
    let floor = (before + after) / 2;
    println!("{count} tickets at once, {SIDE_BY_SIDE} writes under way, at most {limit} a second:");
    let (before, after) = (before.as_secs_f64(), after.as_secs_f64());
    println!("  bare loop of as many writes  {before:6.1} s before, {after:.1} s after");
    for (what, from) in [("first", ours.0), ("policy", applied)] {
        let took = between(from, ours.1).as_secs_f64();
        let times = took / floor.as_secs_f64();
        println!("  {what:<6} to last ticket       {took:6.1} s ({times:.2}x)");
    }
    println!("  statuses written meanwhile   {meanwhile:6}");
    let (mean, busy) = at_work(&opened, Request::opens, between(ours.0, ours.1));
    println!(
        "  a ticket at the server       {mean:6.1} ms in the mean, {busy:.1} of them at a time"
    );
    Ok(())
}

/// How long the bare loop takes, by the server's clock.
fn bare_loop(
    plane: &ControlPlane,
    log: &mut Log<'_>,
    count: usize,
    name: &str,
    like: &Value,
) -> Result<Duration, Failure> {
    log.more()?;
    side_by_side(plane, SIDE_BY_SIDE, count, |client, n| {
        bare::post(client, like, &namespace(n), &format!("{name}-{n}"))
    })?;
    let wanted = |r: &Request| !r.ours && r.is("create", "tickets");
    let seen = log.until(WITHIN, "the bare loop", count, wanted)?;
    let (first, last) = span(&seen, wanted).ok_or("storm: no bare write")?;
    let took = between(first, last);
    let (mean, busy) = at_work(&seen, wanted, took);
    println!(
        "a bare write {name}: {mean:.1} ms at the server in the mean, {busy:.1} of them at a time"
    );
    Ok(took)
}

/// Milliseconds that a request took at the server in the mean, and how many were there at
/// a time.
fn at_work(all: &[Request], wanted: impl Fn(&Request) -> bool, span: Duration) -> (f64, f64) {
    let times: Vec<_> = all
        .iter()
        .filter(|r| wanted(r))
        .map(Request::took)
        .collect();
    let sum = times.iter().sum::<Duration>().as_secs_f64();
    (
        sum * 1e3 / times.len().max(1) as f64,
        sum / span.as_secs_f64(),
    )
}

/// From the first of some requests to the end of the last.
fn span(
    all: &[Request],
    wanted: impl Fn(&Request) -> bool,
) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let of = || all.iter().filter(|r| wanted(r));
    let first = of().map(|r| r.received).min();
    first.zip(of().map(|r| r.done).max())
}

fn namespace(n: usize) -> String {
    format!("storm-{}", n % NAMESPACES)
}
