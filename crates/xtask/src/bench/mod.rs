//! `cargo xtask bench`: the figures of docs/benchmarks.md. Speed belongs here and never in
//! a timed test. Run it with `--profile dist`, or the figures are those of a debug build.

mod agenda;
mod binary;
mod cluster;
mod delivery;
mod idle;
mod pods;
mod store;

use patrol_kube::writer::WRITES_PER_SECOND;

use crate::Failure;

/// What to measure.
#[derive(clap::Args)]
pub struct Args {
    /// Pod counts of the store benchmark
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 50_000, 100_000, 150_000])]
    pods: Vec<usize>,
    /// One of store, agenda, idle, flood, dead, cluster, or of its parts latency and storm; all when absent
    #[arg(long)]
    only: Option<String>,
    /// Pods whose way to a ticket is timed
    #[arg(long, default_value_t = 300)]
    latency_pods: usize,
    /// Tickets opened at once
    #[arg(long, default_value_t = 5_000)]
    tickets: usize,
    /// Tickets that are due at once
    #[arg(long, default_value_t = 50_000)]
    due: usize,
    /// Open tickets of which the agenda knows when they are due
    #[arg(long, default_value_t = 150_000)]
    open: usize,
    /// Limits of writes a second to open them with: as shipped, and one that does not bind
    #[arg(long, value_delimiter = ',', default_values_t = [WRITES_PER_SECOND, 2_000])]
    write_limits: Vec<u32>,
    /// The kube-patrol binary to measure. Default: built with the profile dist
    #[arg(long)]
    binary: Option<std::path::PathBuf>,
    /// Measure one size in this process (the benchmark starts itself with this)
    #[arg(long, hide = true)]
    child: Option<usize>,
    /// The same for the agenda: tickets and routed receivers
    #[arg(long, hide = true)]
    agenda: Option<String>,
}

/// Runs the benchmarks.
pub fn run(args: &Args) -> Result<(), Failure> {
    if let Some(pods) = args.child {
        return store::measure(pods);
    }
    if let Some(what) = &args.agenda {
        return agenda::measure(what);
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
    if wants("agenda") {
        agenda::run(args.open)?;
    }
    if wants("flood") {
        delivery::flood(&binary::find(args.binary.as_deref())?, args.due)?;
    }
    if wants("dead") {
        delivery::dead(&binary::find(args.binary.as_deref())?)?;
    }
    if wants("idle") {
        idle::run(&binary::find(args.binary.as_deref())?)?;
    }
    let part = |name: &str| wants("cluster") || wants(name);
    if part("latency") || part("storm") {
        let sizes = cluster::Sizes {
            pods: args.latency_pods,
            tickets: args.tickets,
        };
        let binary = binary::find(args.binary.as_deref())?;
        if part("latency") {
            cluster::steady(&binary, sizes)?;
        }
        if part("storm") {
            cluster::storms(&binary, sizes, &args.write_limits)?;
        }
    }
    Ok(())
}
