//! Steps that only compute, each in a process of its own, beside the others: those that wait
//! for servers and clocks leave processors idle. They yield to them, and what they said is
//! shown when all have ended.

use std::process::ExitStatus;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Done, Step};
use crate::{Failure, repo};

/// The steps that run beside the others.
pub(super) struct Beside(JoinHandle<Vec<Said>>);

/// A step that has ended, with what it said.
struct Said {
    step: &'static Step,
    took: Duration,
    result: Result<Vec<u8>, String>,
}

/// Starts them, one after the other.
pub(super) fn start(steps: Vec<&'static Step>) -> Beside {
    for step in &steps {
        println!("\n=== {}: {}: beside the others", step.name, step.proves);
    }
    Beside(std::thread::spawn(move || {
        steps.into_iter().map(carry_out).collect()
    }))
}

impl Beside {
    /// Waits for them and shows what they said.
    pub(super) fn end(self) -> Result<Vec<Done>, Failure> {
        let all = self.0.join();
        let all = all.map_err(|_| "a step beside the others panicked: see above")?;
        Ok(all.into_iter().map(show).collect())
    }
}

fn show(said: Said) -> Done {
    let result = match said.result {
        Ok(words) => {
            println!("{}", String::from_utf8_lossy(&words));
            Ok(vec![])
        }
        Err(words) => {
            println!("{words}");
            Err("see above".into())
        }
    };
    Done {
        name: said.step.name,
        took: said.took,
        result,
    }
}

fn carry_out(step: &'static Step) -> Said {
    let began = Instant::now();
    let result = match run(step.name) {
        Ok((status, words)) if status.success() => Ok(words),
        Ok((_, words)) => Err(String::from_utf8_lossy(&words).into_owned()),
        Err(error) => Err(format!("FAILED {}: {error}", step.name)),
    };
    Said {
        step,
        took: began.elapsed(),
        result,
    }
}

/// Runs a step in a process of its own that yields to all others.
fn run(step: &str) -> Result<(ExitStatus, Vec<u8>), Failure> {
    let file = tempfile::NamedTempFile::new()?;
    let said = file.reopen()?;
    // By way of cargo: a step may have built this program anew, and its file is another then.
    let cargo = repo::cargo();
    let status = repo::command("nice")
        .args(["-n", "19"])
        .arg(cargo.get_program())
        .args(["run", "--quiet", "--package", "xtask", "--"])
        .args(["test", "--only", step])
        .stdout(said.try_clone()?)
        .stderr(said)
        .status()
        .map_err(|error| format!("nice: cannot be run: {error}"))?;
    Ok((status, std::fs::read(file.path())?))
}
