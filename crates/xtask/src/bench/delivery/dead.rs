//! One live receiver among many that are dead.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};

use patrol_api::time::Time;
use patrol_e2e::receiver::Receiver;
use serde_json::json;

use super::local::{Local, pod, policy, webhook};
use super::watch;
use crate::Failure;

const LONG: Duration = Duration::from_secs(600);
/// Tickets, each of a namespace and so of a group of its own: none waits for another's interval.
const TICKETS: usize = 200;
/// From one to the next.
const EVERY: Duration = Duration::from_millis(250);
const GROUP_WAIT: u64 = 1;
const DEAD: usize = 63;
/// Receivers that a policy names.
const ROUTES: usize = 16;

/// Times how late the live one hears, alone and among dead ones.
pub fn run(binary: &Path) -> Result<(), Failure> {
    let (alone, among) = (report(binary, 0)?, report(binary, DEAD)?);
    let more = among.saturating_sub(alone);
    println!(
        "memory of one more receiver: {:.1} kB",
        more as f64 / DEAD as f64 / 1e3
    );
    Ok(())
}

/// Says how late the live one was; the memory at the end.
fn report(binary: &Path, dead: usize) -> Result<u64, Failure> {
    let (mut late, resident) = measure(binary, dead)?;
    late.sort_unstable();
    let at = |percent: usize| {
        let place = late.len().saturating_sub(1) * percent / 100;
        late.get(place).copied().unwrap_or_default()
    };
    println!(
        "{dead} dead receivers beside a live one: due to accepted p50 {} ms, p99 {} ms, most {} ms (up to 1 s of it is that \
         times are written in whole seconds); memory {:.1} MB",
        at(50),
        at(99),
        at(100),
        resident as f64 / 1e6
    );
    Ok(resident)
}

/// How late each ticket was accepted in milliseconds, and the memory at the end.
fn measure(binary: &Path, dead: usize) -> Result<(Vec<u64>, u64), Failure> {
    // Nobody listens there any more.
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let receiver = Receiver::start()?;
    let mut names = vec!["live".to_owned()];
    let mut objects = vec![webhook("live", &receiver.url("/live"), 6_000)];
    for n in 0..dead {
        let name = format!("dead-{n}");
        objects.push(webhook(&name, &format!("http://{closed}/{n}"), 6_000));
        names.push(name);
    }
    let alerts = json!({"groupWait": format!("{GROUP_WAIT}s"), "groupBy": ["namespace"]});
    // A policy names so many at most: each of them has tickets of its own, and the live one hears of those of the first.
    for (n, names) in names.chunks(ROUTES).enumerate() {
        objects.push(policy(&format!("bench-{n}"), names, &alerts));
    }
    let mut local = Local::start(binary, &objects)?;
    let mut next = Instant::now();
    let mut made = 0;
    watch(LONG, "every ticket to be accepted", || {
        local.check_alive()?;
        while made < TICKETS && next <= Instant::now() {
            local.add(&format!("pod-{made}"), &pod(&format!("ns-{made}"), made))?;
            made += 1;
            next += EVERY;
        }
        let accepted = receiver.requests().iter().filter(|r| r.accepted()).count();
        Ok(accepted >= TICKETS)
    })?;
    let resident = local.resident()?;
    let mut late = vec![];
    for request in receiver.requests().iter().filter(|r| r.accepted()) {
        let notice = request.notice()?;
        let accepted = request.at.duration_since(UNIX_EPOCH)?.as_millis();
        let opened = notice.raw.pointer("/data/tickets/0/openedAt");
        let opened: Time = serde_json::from_value(opened.ok_or("no openedAt")?.clone())?;
        let due = u128::from(opened.unix().unsigned_abs() + GROUP_WAIT) * 1_000;
        late.push(u64::try_from(accepted.saturating_sub(due))?);
    }
    Ok((late, resident))
}
