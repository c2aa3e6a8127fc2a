//! `cargo xtask demo`: the whole story on a real API server, told on the terminal: gaps,
//! tickets, signed webhooks, mending, the end of each ticket.
//!
//! It shows only what really happens: each chapter waits for what it tells, and one whose
//! expectation does not come true ends the demo with a failure. It pretends nothing and
//! leaves nothing behind.

mod chapters;
mod teller;

use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use patrol_e2e::skip::MODE;
use patrol_e2e::{Error, build, operator};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::timeout;

use crate::Failure;
use teller::Teller;

/// How long the story may take to end what it started once it is asked to stop.
const ENDING: Duration = Duration::from_secs(20);
/// The exit code of a shell for a program that Ctrl-C ended.
const INTERRUPTED: i32 = 130;

/// The options of the task.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Tells the story; Ctrl-C ends it, with everything it started.
pub(crate) fn run(_: &Args) -> Result<(), Failure> {
    match listen_and_tell()? {
        Err(Error::Unavailable(why)) => Err(format!(
            "demo: needs a real API server, which is not here: {why}. Without one, `cargo run -- local \
             deploy/examples/local` shows the same product on a folder of manifests"
        )
        .into()),
        Err(error) => Err(format!("demo: {error}").into()),
        Ok(()) => Ok(()),
    }
}

/// The demo as a test: what could not be told here, and why.
pub(crate) fn test() -> Result<Vec<String>, Failure> {
    match listen_and_tell()? {
        Ok(()) => Ok(vec![]),
        Err(Error::Unavailable(why)) if std::env::var(MODE).is_ok_and(|m| m == "required") => {
            Err(format!("{MODE}=required, but {why}").into())
        }
        Err(Error::Unavailable(why)) => Ok(vec![format!("the demo: {why}")]),
        Err(error) => Err(error.into()),
    }
}

/// Tells the story in a thread of its own, because everything in it blocks.
fn listen_and_tell() -> Result<patrol_e2e::Result<()>, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = Arc::new(AtomicBool::new(false));
        let teller = Teller::new(Arc::clone(&stop));
        let mut story = tokio::task::spawn_blocking(move || tell(&teller));
        tokio::select! {
            told = &mut story => return Ok(told?),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        eprintln!("\nInterrupted: ending everything that was started.");
        stop.store(true, Ordering::Relaxed);
        // Dropping it ends the processes; should that hang, their watchdogs do it.
        drop(timeout(ENDING, story).await);
        exit(INTERRUPTED)
    })
}

fn tell(teller: &Teller) -> patrol_e2e::Result<()> {
    // Asked first, so that a missing part is told before anything starts.
    build::control_plane()?;
    build::kwok()?;
    // So is the operator: a build within a chapter would look like a story that hangs.
    operator::program()?;
    chapters::tell(teller)
}
