//! `cargo xtask test`: every level of test with one command, from the cheapest to the real
//! control plane. It runs all steps even when one fails, says loudly what it had to skip
//! and why, and ends with the time of each step. It decides nothing about the product.

mod beside;
mod steps;
mod tools;

use std::time::{Duration, Instant};

use crate::Failure;

/// The options of the task.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Run only this step; may be given several times
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,

    /// Print the steps and what they prove
    #[arg(long)]
    list: bool,
}

/// What a step had to leave out: one line each, with the reason.
type Skipped = Vec<String>;

/// A step of the test run.
struct Step {
    name: &'static str,
    proves: &'static str,
    /// It only computes: in a whole run it takes what the others leave of the processors.
    computes: bool,
    run: fn() -> Result<Skipped, Failure>,
}

/// A step that was run.
struct Done {
    name: &'static str,
    took: Duration,
    result: Result<Skipped, Failure>,
}

/// Runs the steps.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.list {
        for step in steps::ALL {
            println!("{:<11} {}", step.name, step.proves);
        }
        return Ok(());
    }
    if let Some(unknown) = args
        .only
        .iter()
        .find(|name| steps::ALL.iter().all(|step| step.name != **name))
    {
        return Err(format!("{unknown}: no such step: see `cargo xtask test --list`").into());
    }
    let whole = args.only.is_empty();
    let mut beside = None;
    let mut done: Vec<Done> = vec![];
    for step in steps::ALL {
        if step.computes && whole {
            // All of them, in the place of the first.
            let computing = || steps::ALL.iter().filter(|step| step.computes).collect();
            beside.get_or_insert_with(|| beside::start(computing()));
        } else if whole || args.only.iter().any(|name| name == step.name) {
            done.push(carry_out(step));
        }
    }
    if let Some(beside) = beside {
        done.extend(beside.end()?);
    }
    println!("{}", summary(&done));
    let failed: Vec<&str> = done
        .iter()
        .filter(|step| step.result.is_err())
        .map(|step| step.name)
        .collect();
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "{}: failed: see above, and repeat with `cargo xtask test --only {}`",
            failed.join(", "),
            failed.join(" --only ")
        )
        .into()),
    }
}

fn carry_out(step: &Step) -> Done {
    println!("\n=== {}: {}", step.name, step.proves);
    let began = Instant::now();
    let result = (step.run)();
    match &result {
        Ok(skipped) => skipped.iter().for_each(|line| println!("SKIPPED {line}")),
        Err(error) => println!("FAILED {}: {error}", step.name),
    }
    Done {
        name: step.name,
        took: began.elapsed(),
        result,
    }
}

fn summary(done: &[Done]) -> String {
    let mut lines = vec![String::new(), "=== summary".to_owned()];
    let (mut failed, mut skipped) = (0, vec![]);
    for step in done {
        let outcome = match &step.result {
            Ok(left_out) if left_out.is_empty() => "ok",
            Ok(left_out) => {
                skipped.extend(left_out.iter().map(|line| format!("{}: {line}", step.name)));
                "ok, with skips"
            }
            Err(_) => {
                failed += 1;
                "FAILED"
            }
        };
        let seconds = step.took.as_secs();
        lines.push(format!(
            "{:<11} {:>3}m {:02}s  {outcome}",
            step.name,
            seconds / 60,
            seconds % 60
        ));
    }
    if !skipped.is_empty() {
        lines.push("Not run here:".to_owned());
        lines.extend(skipped.iter().map(|line| format!("  {line}")));
    }
    lines.push(format!(
        "steps: {} passed, {failed} failed, {} skipped",
        done.len() - failed,
        skipped.len()
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(name: &'static str, result: Result<Skipped, Failure>) -> Done {
        Done {
            name,
            took: Duration::from_secs(61),
            result,
        }
    }

    #[test]
    fn the_summary_names_failures_skips_and_times() {
        let text = summary(&[
            done("unit", Ok(vec![])),
            done("alerts", Ok(vec!["promtool is not installed".into()])),
            done("e2e", Err("no".into())),
        ]);
        assert!(text.contains("unit          1m 01s  ok\n"), "{text}");
        assert!(text.contains("alerts: promtool is not installed"), "{text}");
        assert!(
            text.ends_with("steps: 2 passed, 1 failed, 1 skipped"),
            "{text}"
        );
    }

    #[test]
    fn steps_have_distinct_names() {
        let mut names: Vec<&str> = steps::ALL.iter().map(|step| step.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), steps::ALL.len());
    }
}
