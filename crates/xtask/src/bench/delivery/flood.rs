//! Many tickets that are due at once, to one webhook.

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use patrol_e2e::random::Random;
use patrol_e2e::receiver::{Receiver, Recorded, Reply};
use serde_json::json;

use super::local::{Local, pod, policy, webhook};
use super::{OUTAGE, watch};
use crate::Failure;

const LONG: Duration = Duration::from_secs(1_800);
/// The receiver's limit of messages a minute. Low enough to be what decides.
pub const PER_MINUTE: u32 = 120;
/// Everything is found and stored before the first message goes.
const GROUP_WAIT: &str = "2m";

/// What became of it.
pub struct Drained {
    tickets: usize,
    /// Tickets that the receiver was told of, by the tickets' own records.
    told: usize,
    /// Tickets that were accepted more than once.
    twice: usize,
    pub requests: usize,
    accepted: usize,
    /// From the first request to the last acceptance.
    pub drained: Duration,
    /// Resident memory before the first request, and how much it grew until the end.
    memory: (u64, u64),
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mb = |bytes: u64| bytes as f64 / 1e6;
        write!(
            f,
            "{} lost, {} told twice, {} requests ({} accepted), drained in {:.1} s, memory {:.1} MB and {:.1} MB more at most",
            self.tickets - self.told,
            self.twice,
            self.requests,
            self.accepted,
            self.drained.as_secs_f64(),
            mb(self.memory.0),
            mb(self.memory.1)
        )
    }
}

/// Opens so many tickets and watches them go out.
/// `faults`: from which seed some requests fail, if any do.
pub fn run(binary: &Path, tickets: usize, faults: Option<u64>) -> Result<Drained, Failure> {
    let (seed, faults) = (faults.unwrap_or_default(), faults.is_some());
    let receiver = Receiver::start()?;
    let log = Arc::new(Mutex::new(Log::default()));
    let (kept, mut random) = (Arc::clone(&log), Random::new(seed));
    receiver.script_with(move |request| {
        let reply = match random.below(100) {
            0..10 if faults => Reply::status(503),
            10..15 if faults => Reply::hang(),
            _ => Reply::ok(),
        };
        let fine = reply == Reply::ok();
        kept.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(request, fine);
        Some(reply)
    });
    let mut objects = vec![
        webhook("soc", &receiver.url("/flood"), PER_MINUTE),
        policy(
            "bench",
            &["soc".to_owned()],
            &json!({"groupWait": GROUP_WAIT}),
        ),
    ];
    objects.extend((0..tickets).map(|n| pod("shop", n)));
    let mut local = Local::start(binary, &objects)?;
    drop(objects);
    let read = || -> (usize, usize, Option<Instant>) {
        let log = log.lock().unwrap_or_else(PoisonError::into_inner);
        (log.requests, log.once.len(), log.first)
    };
    let mut before = 0;
    watch(LONG, "the first request", || {
        local.check_alive()?;
        before = local.resident()?;
        Ok(read().0 > 0)
    })?;
    let began = read().2.ok_or("no request")?;
    let (mut most, mut outage) = (before, None);
    watch(LONG, "every ticket to be told", || {
        local.check_alive()?;
        most = most.max(local.resident()?);
        match outage {
            // In the middle of the flood.
            None if faults && began.elapsed() > Duration::from_secs(5) => {
                receiver.down();
                outage = Some(Instant::now());
            }
            Some(at) if receiver_is_down(at) => {}
            Some(_) => receiver.up()?,
            None => {}
        }
        // A look at the metrics costs the process a walk over all tickets: not before everything was accepted.
        if read().1 < tickets {
            return Ok(false);
        }
        let told = local.metric("patrol_alerts_delivered_total", "receiver=\"soc\"");
        Ok(told.is_some_and(|told| told >= tickets as f64))
    })?;
    let log = log.lock().unwrap_or_else(PoisonError::into_inner);
    // The last records are still being written.
    let mut told = 0;
    let written = watch(
        Duration::from_secs(60),
        "every record to be written",
        || {
            told = local.told("soc")?;
            Ok(told >= tickets)
        },
    );
    if let Err(late) = written {
        eprintln!("bench: {late}");
    }
    Ok(Drained {
        tickets,
        told,
        twice: log.twice.len(),
        requests: log.requests,
        accepted: log.accepted,
        drained: log.last.unwrap_or(began) - began,
        memory: (before, most - before),
    })
}

fn receiver_is_down(since: Instant) -> bool {
    since.elapsed() < OUTAGE
}

/// What the receiver keeps of the requests; all of them would fill the memory.
#[derive(Default)]
struct Log {
    requests: usize,
    accepted: usize,
    first: Option<Instant>,
    last: Option<Instant>,
    once: BTreeSet<String>,
    twice: BTreeSet<String>,
}

impl Log {
    fn take(&mut self, request: &Recorded, fine: bool) {
        self.requests += 1;
        self.first.get_or_insert(request.instant);
        if !fine {
            return;
        }
        self.accepted += 1;
        self.last = Some(request.instant);
        let told = request.notice().map(|notice| notice.data.tickets);
        for event in told.into_iter().flatten() {
            if !self.once.insert(event.event_id.clone()) {
                self.twice.insert(event.event_id);
            }
        }
    }
}
