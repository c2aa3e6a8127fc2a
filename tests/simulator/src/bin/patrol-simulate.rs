//! Runs the simulator: `patrol-simulate --seeds 2000`, or one seed with its story:
//! `patrol-simulate --seed 17 --trace`. Exit code 0 when no promise was broken, else 1.

use std::io::Write;
use std::process::ExitCode;
use std::time::Instant;

use patrol_simulator::{replay, run};

/// Lines of the story printed for a failing seed.
const TAIL: usize = 60;

struct Args {
    seeds: u64,
    start: u64,
    seed: Option<u64>,
    trace: bool,
    first: bool,
    threads: usize,
}

fn parse() -> Result<Args, String> {
    let mut args = Args {
        seeds: 2_000,
        start: 0,
        seed: None,
        trace: false,
        first: false,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut number = || {
            words
                .next()
                .and_then(|text| text.parse::<u64>().ok())
                .ok_or_else(|| format!("{word}: a number is missing"))
        };
        match word.as_str() {
            "--seeds" => args.seeds = number()?,
            "--from" => args.start = number()?,
            "--seed" => args.seed = Some(number()?),
            "--threads" => args.threads = usize::try_from(number()?).unwrap_or(1),
            "--trace" => args.trace = true,
            "--first" => args.first = true,
            _ => {
                return Err(format!(
                    "{word}: unknown argument: use --seeds N, --from N, --seed N, --threads N, --first, --trace"
                ));
            }
        }
    }
    Ok(args)
}

fn main() -> ExitCode {
    let args = match parse() {
        Ok(args) => args,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "patrol-simulate: {message}");
            return ExitCode::from(2);
        }
    };
    let mut out = std::io::stdout().lock();
    if let Some(seed) = args.seed {
        let (failure, story) = replay(seed, if args.trace { usize::MAX } else { TAIL });
        for line in story {
            let _ = writeln!(out, "{line}");
        }
        return match failure {
            Some(failure) => {
                let _ = writeln!(out, "{failure}");
                ExitCode::FAILURE
            }
            None => {
                let _ = writeln!(out, "seed {seed}: every promise was kept");
                ExitCode::SUCCESS
            }
        };
    }
    let began = Instant::now();
    let report = run(
        args.start..args.start + args.seeds,
        args.threads,
        args.first,
    );
    let seconds = began.elapsed().as_secs_f64();
    for failure in report.failures.iter().take(20) {
        let _ = writeln!(out, "{failure}");
    }
    if let (Some(first), false) = (report.failures.first(), args.first) {
        let _ = writeln!(out, "\nthe last of seed {}:", first.seed);
        for line in replay(first.seed, TAIL).1 {
            let _ = writeln!(out, "{line}");
        }
    }
    for (what, count) in &report.counts {
        let _ = writeln!(out, "{count:>12} {what}");
    }
    let _ = writeln!(
        out,
        "{} seeds in {seconds:.1} s, {} failed",
        report.seeds,
        report.failures.len()
    );
    if report.failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
