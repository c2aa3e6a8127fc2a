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
    let calm = flood::run(binary, tickets, false)?;
    println!("  without faults: {calm}");
    let rough = flood::run(binary, tickets, true)?;
    println!(
        "  10 % answered with 503, 5 % not at all, {} s down: {rough}",
        OUTAGE.as_secs()
    );
    let ideal = calm.drained + OUTAGE;
    println!(
        "  drained in {:.2}x of the time without faults and the outage; {:.0}x fewer requests than tickets",
        rough.drained.as_secs_f64() / ideal.as_secs_f64(),
        tickets as f64 / rough.requests as f64
    );
    peer::run(tickets)
}

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
