//! `cargo xtask bench`: the figures of docs/benchmarks.md. Speed belongs here and never in
//! a timed test. Run it with `--profile dist`, or the figures are those of a debug build.

mod idle;
mod pods;
mod store;

use crate::Failure;

/// What to measure.
#[derive(clap::Args)]
pub struct Args {
    /// Pod counts of the store benchmark
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 50_000, 100_000, 150_000])]
    pods: Vec<usize>,
    /// One of store, idle; both when absent
    #[arg(long)]
    only: Option<String>,
    /// The kube-patrol binary whose size and idle memory are measured
    #[arg(long)]
    binary: Option<std::path::PathBuf>,
    /// Measure one size in this process (the benchmark starts itself with this)
    #[arg(long, hide = true)]
    child: Option<usize>,
}

/// Runs the benchmarks.
pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(pods) = args.child {
        return store::measure(pods);
    }
    let wants = |name: &str| args.only.as_deref().is_none_or(|only| only == name);
    if cfg!(debug_assertions) {
        eprintln!(
            "bench: this is a debug build: run `cargo run --profile dist -p xtask -- bench` for figures to report"
        );
    }
    if wants("store") {
        store::run(&args.pods)?;
    }
    if wants("idle") {
        idle::run(args.binary.as_deref())?;
    }
    Ok(())
}
