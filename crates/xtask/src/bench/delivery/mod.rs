//! Alerts on their way: a flood to a receiver that fails now and then, and one live receiver among dead ones. Real
//! processes on loopback; the receiver is the one of the end-to-end tests.

mod dead;
mod flood;
mod local;
mod peer;

use std::path::Path;
use std::time::{Duration, Instant};

use crate::Failure;

pub use dead::run as dead;

/// A flood of tickets: without faults, with them, and the same through Alertmanager.
pub fn flood(binary: &Path, tickets: usize) -> Result<(), Failure> {
    println!("{tickets} tickets that are due at once");
    let calm = flood::run(binary, tickets, None)?;
    println!("  without faults: {calm}");
    for seed in FAULTS {
        let rough = flood::run(binary, tickets, Some(seed))?;
        println!(
            "  10 % answered with 503, 5 % not at all, {} s down, seed {seed}: {rough}",
            OUTAGE.as_secs()
        );
        let ideal = calm.drained + OUTAGE;
        // What it refuses takes as much of its rate as what it takes.
        let at_its_rate = rough.requests as f64 * 60.0 / f64::from(flood::PER_MINUTE);
        let drained = rough.drained.as_secs_f64();
        println!(
            "    drained in {:.2}x of what its rate allows for so many requests and the outage, {:.2}x of the time without \
             faults and the outage; {:.0}x fewer requests than tickets",
            drained / (at_its_rate + OUTAGE.as_secs_f64()),
            drained / ideal.as_secs_f64(),
            tickets as f64 / rough.requests as f64
        );
    }
    peer::run(tickets)
}

/// Which requests fail is chance: whether the first tries after the outage are among them decides how long it seems to last.
const FAULTS: [u64; 3] = [1, 2, 3];
/// How long a receiver is down.
const OUTAGE: Duration = Duration::from_secs(60);

/// Polls until `done` says so, looking at memory meanwhile.
fn watch(
    within: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let began = Instant::now();
    while !look()? {
        if began.elapsed() > within {
            return Err(format!("{what}: not within {} s", within.as_secs()).into());
        }
        std::thread::park_timeout(Duration::from_millis(200));
    }
    Ok(())
}
