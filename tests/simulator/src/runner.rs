//! Runs seeds, on as many threads as asked, and says what came of them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::book::Broken;
use crate::sim::Sim;

/// A seed that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What broke first.
    pub broken: Vec<Broken>,
}

/// What came of a range of seeds.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Seeds that were run.
    pub seeds: u64,
    /// Those that broke a promise, in order.
    pub failures: Vec<Failure>,
    /// What happened in all of them together.
    pub counts: BTreeMap<&'static str, u64>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for broken in &self.broken {
            writeln!(
                f,
                "seed {}: {} broken at {}.{:03} s: {}",
                self.seed,
                broken.invariant,
                broken.at / 1000,
                broken.at % 1000,
                broken.how
            )?;
        }
        write!(f, "replay with: cargo xtask simulate --seed {}", self.seed)
    }
}

fn one(seed: u64) -> (Vec<Broken>, BTreeMap<&'static str, u64>) {
    // A panic in the engine is a failure of its seed, not the end of the others.
    let result = catch_unwind(AssertUnwindSafe(|| {
        let mut sim = Sim::new(seed, false);
        sim.run();
        (sim.broken, sim.book.counts)
    }));
    result.unwrap_or_else(|panic| {
        let how = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()))
            .unwrap_or_default();
        let broken = Broken {
            invariant: "PANIC",
            at: 0,
            how,
        };
        (vec![broken], BTreeMap::new())
    })
}

/// Runs seeds on `threads` threads; stops after the first failure when `first` is set.
#[must_use]
pub fn run(seeds: Range<u64>, threads: usize, first: bool) -> Report {
    let next = AtomicU64::new(seeds.start);
    let stop = AtomicBool::new(false);
    let report = Mutex::new(Report::default());
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let (broken, counts) = one(seed);
                    let mut report = report
                        .lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner);
                    report.seeds += 1;
                    for (what, count) in counts {
                        *report.counts.entry(what).or_default() += count;
                    }
                    if !broken.is_empty() {
                        report.failures.push(Failure { seed, broken });
                        if first {
                            stop.store(true, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let mut report = report
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    report.failures.sort_by_key(|f| f.seed);
    report
}

/// Runs one seed and returns its failure, if any, with the last `lines` of its story.
#[must_use]
pub fn replay(seed: u64, lines: usize) -> (Option<Failure>, Vec<String>) {
    let mut sim = Sim::new(seed, true);
    sim.run();
    let tail = sim.trace.tail(lines);
    let failure = (!sim.broken.is_empty()).then_some(Failure {
        seed,
        broken: sim.broken,
    });
    (failure, tail)
}
