//! The tasks of the repository, `cargo xtask TASK`. This file only reads the command
//! line: each task has a module of its own.

mod bench;
mod cluster;
mod demo;
mod fuzz;
mod generate;
mod repo;
mod simulate;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The tasks of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Raise a real control plane on this machine and print its kubeconfig
    Cluster(cluster::Args),
    /// Tell the whole story on a real API server: gaps, tickets, alerts, mending
    Demo(demo::Args),
    /// Write what follows from code: CRDs, rights, install file, references, alert rules
    Generate(generate::Args),
    /// Run every test there is, or one step of them
    Test(test::Args),
    /// Run the seeded simulator with arguments of its own
    Simulate(simulate::Args),
    /// Feed the parsers, renderers and filters with bytes nobody chose
    Fuzz(fuzz::Args),
    /// Measure memory, speed and size
    Bench(bench::Args),
}

/// What went wrong, for people.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let done = match Cli::parse().task {
        Task::Cluster(args) => cluster::run(&args),
        Task::Demo(args) => demo::run(&args),
        Task::Generate(args) => generate::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Simulate(args) => simulate::run(&args),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Bench(args) => bench::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            ExitCode::FAILURE
        }
    }
}
