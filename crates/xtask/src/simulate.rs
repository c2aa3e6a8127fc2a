//! `cargo xtask simulate -- ARGS`: the seeded simulator with any arguments of its own.

use crate::{Failure, repo};

/// The options of the task.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Arguments of the simulator, such as `--seeds 100000` or `--seed 17 --trace`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs the simulator.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let status = command(&args.arguments).status()?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("simulator: ended with {status}").into()),
    }
}

/// The simulator as a program to run.
pub(crate) fn command(arguments: &[String]) -> std::process::Command {
    let mut command = repo::cargo();
    command
        .args(["run", "--quiet", "--package", "patrol-simulator"])
        .args(["--bin", "patrol-simulate", "--"])
        .args(arguments);
    command
}
