//! `cargo xtask cluster`: a real control plane to try things on, until Ctrl-C.
//!
//! It raises what the end-to-end tests run on and touches nothing of the user's: no
//! kubeconfig but its own, no port beyond loopback, nothing left when it ends.

use clap::ValueEnum;
use patrol_e2e::control_plane::{ADMIN, ControlPlane, KWOK_NODE};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::Failure;

/// The options of the task.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Parts beside etcd and kube-apiserver
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PART,...")]
    with: Vec<Part>,

    /// End when standard input closes, for scripts that hold the other end
    #[arg(long)]
    until_stdin_closes: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// kube-controller-manager: owners, namespaces and service accounts live
    Controllers,
    /// kube-scheduler: pods get nodes
    Scheduler,
    /// kwok: nodes with its annotation are Ready, and pods on them run
    Kwok,
}

/// Raises the control plane and waits for the end.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // Listened to from here on: Ctrl-C during the start ends the parts as well.
    let stop = {
        let _inside = runtime.enter();
        Stop::listen(args.until_stdin_closes)?
    };
    let plane = start(args)?;
    explain(&plane, args)?;
    runtime.block_on(stop.asked());
    plane.check_alive()?;
    eprintln!("Ending the control plane.");
    Ok(plane.discard()?)
}

fn start(args: &Args) -> Result<ControlPlane, Failure> {
    let mut builder = ControlPlane::builder();
    for part in &args.with {
        builder = match part {
            Part::Controllers => builder.controllers(),
            Part::Scheduler => builder.scheduler(),
            Part::Kwok => builder.kwok(),
        };
    }
    Ok(builder.start()?)
}

/// The kubeconfig on standard output, for scripts; how to use it on standard error.
fn explain(plane: &ControlPlane, args: &Args) -> Result<(), Failure> {
    let kubeconfig = plane.kubeconfig(ADMIN)?;
    println!("{}", kubeconfig.display());
    eprintln!("API server: {}", plane.server());
    eprintln!("Logs:       {}", plane.logs().display());
    eprintln!();
    eprintln!("In another terminal:");
    eprintln!("  export KUBECONFIG={}", kubeconfig.display());
    eprintln!("  alias kubectl={}", plane.kubectl_path().display());
    eprintln!("  kubectl get namespaces");
    if args.with.contains(&Part::Kwok) {
        let (key, value) = KWOK_NODE;
        eprintln!("Nodes with the annotation {key}: {value} become Ready.");
    }
    eprintln!();
    eprintln!("Ctrl-C ends it and removes everything.");
    Ok(())
}

/// What ends the task.
struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
    stdin: Option<oneshot::Receiver<()>>,
}

impl Stop {
    fn listen(until_stdin_closes: bool) -> Result<Self, Failure> {
        let stdin = until_stdin_closes.then(|| {
            let (closed, wait) = oneshot::channel();
            // A thread of its own: reading blocks, and it ends with the process.
            std::thread::spawn(move || {
                // An error is an end too.
                let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
                let _ = closed.send(());
            });
            wait
        });
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            stdin,
        })
    }

    async fn asked(mut self) {
        let stdin = async {
            match self.stdin.take() {
                // The sender only goes when standard input has closed.
                Some(closed) => closed.await.unwrap_or_default(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
            () = stdin => {}
        }
    }
}
