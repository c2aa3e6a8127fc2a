//! `local DIR...`: the same engine on folders of manifests. Wiring only.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use patrol_core::check::Origin;
use patrol_core::engine::{Config, Patrol};
use patrol_core::event::{Event, Term};
use patrol_core::notice::Cluster;
use patrol_kube::boot_clock;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::egress::EgressArgs;
use super::signals::Signals;
use super::{Exit, Failure, ui};
use crate::local::{self, Options, SecretFile};
use crate::logging::{self, LogFormat, LogLevel};
use crate::metrics::Exporter;
use crate::shell::delivery::{Alone, Courier, Post};
use crate::shell::probes::{self, Probes};
use crate::shell::{Ended, Pulse, Shell};

/// Run the same engine on folders of manifests
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol local deploy/examples/local
  kube-patrol local manifests/ --policy policy.yaml --once
  kube-patrol local manifests/ --secret soc/url=url.txt --listen 127.0.0.1:8080

It runs until Ctrl-C. With --once it ends when all that is due is told, or failed.
Exit code: 0 clean or stopped, 1 open tickets, 2 could not run, 3 could not see
everything.")]
pub struct Args {
    /// Folders of manifests (or `kubectl get -o yaml` dumps)
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// File with policies; repeatable. Default: the policies found in the folders
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// Where tickets are kept. Default: .kube-patrol in the first folder
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// A value for a key of a Secret; repeatable
    #[arg(long = "secret", value_name = "NAME/KEY=FILE")]
    secrets: Vec<SecretFile>,
    /// Patrol once, then end
    #[arg(long)]
    once: bool,
    /// Address of metrics and probes. Default: none
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    #[command(flatten)]
    egress: EgressArgs,
    /// Log format: text or json. Default: text on a terminal, else json
    #[arg(long, value_enum, hide_possible_values = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Log level: error, warn, info or debug
    #[arg(long, value_enum, hide_possible_values = true, value_name = "LEVEL", default_value_t = LogLevel::Info)]
    log_level: LogLevel,
}

/// What is left to be written when it stops is written within this time.
const WRITING: Duration = Duration::from_secs(3);

pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    // Whoever sits at the terminal is told already, in fewer words.
    let audit = args.log_format.is_some() || !std::io::stderr().is_terminal();
    logging::init(args.log_format, args.log_level, audit);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let done = runtime.block_on(patrol(args));
    // A terminal or pipe that takes nothing any more must not hold up the end.
    runtime.shutdown_background();
    done
}

async fn patrol(args: Args) -> Result<Exit, Failure> {
    let signals = Signals::catch()?;
    let egress = args.egress.egress(None)?;
    let first = args.folders.first().cloned().unwrap_or_default();
    let options = Options {
        state: args.state.unwrap_or_else(|| {
            let home = if first.is_dir() {
                first
            } else {
                PathBuf::from(".")
            };
            home.join(local::STATE)
        }),
        folders: args.folders,
        policies: args.policy,
        secrets: args.secrets,
        namespace: patrol_api::names::DEFAULT_NAMESPACE.to_owned(),
        once: args.once,
    };
    let listener = match &args.listen {
        Some(address) => Some(probes::bind(address).await.map_err(Failure::new)?),
        None => None,
    };
    let (events, observed) = mpsc::channel(1024);
    let answers = mpsc::unbounded_channel();
    let (snapshots, asked) = mpsc::channel(8);
    let (stop, stopping) = watch::channel(false);
    let started = local::start(&options, events, answers.0.clone(), boot_clock::now)
        .map_err(|error| Failure::new(error.to_string()))?;
    let requests = super::operator::requests()?;
    let post = Post::new(
        Arc::clone(&started.edge) as Arc<dyn crate::shell::secrets::SecretSource>,
        Arc::new(Alone),
        true,
        vec![],
        boot_clock::now,
        requests.clone(),
    )
    .with_egress(egress)
    .with_printer(local::terminal::NAME, local::terminal::print);
    let config = Config {
        namespace: options.namespace.clone(),
        origin: Origin::Files,
        cluster: Cluster {
            id: started.cluster_id.clone(),
            name: String::new(),
        },
        ..Config::new(patrol_checks::CATALOGUE)
    };
    let pulse = Arc::new(Pulse::default());
    let shell = Shell {
        patrol: Patrol::new(config),
        edge: Arc::clone(&started.edge),
        courier: Courier::new(post),
        events: observed,
        answers,
        snapshots: asked,
        clock: boot_clock::now,
        pulse: Arc::clone(&pulse),
        stop: stopping,
        once: args.once,
        writing: Default::default(),
        term: None,
    };
    // Nobody else can lead; a send that fails means the loop has ended already.
    let _ = shell.answers.0.send(Event::Leading(Some(Term(1))));
    tracing::info!(state = %options.state.display(), "patrolling; Ctrl-C ends");
    let mut tasks: JoinSet<&'static str> = JoinSet::new();
    if let Some(listener) = listener {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(listen = %address, "metrics and probes");
        }
        let probes = Arc::new(Probes {
            pulse,
            snapshots,
            exporter: Exporter::new(Some(Box::new(move |families, snapshot| {
                requests.export(families, snapshot);
            }))),
            clock: boot_clock::now,
        });
        tasks.spawn(async move {
            drop(probes::serve(listener, probes).await);
            "the listener"
        });
    }
    let mut engine = tokio::spawn(shell.run());
    let mut lost = None;
    let ended = tokio::select! {
        ended = &mut engine => ended,
        _ = signals.first() => {
            stop.send_replace(true);
            engine.await
        }
        Some(task) = tasks.join_next() => {
            lost = Some(task.unwrap_or("a task"));
            stop.send_replace(true);
            engine.await
        }
    };
    started.edge.stop();
    let thread = started.thread;
    // What was asked of the thread before it was told to stop is done first.
    let written = tokio::task::spawn_blocking(move || thread.join());
    drop(tokio::time::timeout(WRITING, written).await);
    drop(started.lock);
    let fault = |what: &str| {
        Failure::new(format!(
            "{what} ended, which is a fault: start again, the state folder is safe"
        ))
    };
    let (ended, patrol) = ended.map_err(|_| fault("the engine"))?;
    if let Some(task) = lost {
        return Err(fault(task));
    }
    match ended {
        Ended::SourceEnded => Err(fault("the watch on the folders")),
        Ended::Stopped => Ok(Exit::Clean),
        Ended::Done => outcome(&patrol),
    }
}

/// The exit code of `--once`. What could not be told is said: the next run tells it.
fn outcome(patrol: &Patrol) -> Result<Exit, Failure> {
    for (receiver, count) in patrol.undelivered(boot_clock::now()) {
        let what = match count {
            1 => "1 alert was".to_owned(),
            more => format!("{more} alerts were"),
        };
        eprintln!(
            "kube-patrol: receiver {}: {what} not accepted: mend the receiver; the next run sends what is due",
            ui::clean(&receiver)
        );
    }
    let unwritten = patrol.unwritten();
    if unwritten > 0 {
        return Err(Failure::new(format!(
            "{}: the tickets could not be written: make the state folder writable, or free space on its disk",
            ui::number(unwritten, "finding", "findings")
        )));
    }
    let snapshot = patrol.snapshot(boot_clock::now());
    let complete =
        snapshot.kinds.values().all(|(_, readable, _)| *readable) && patrol.sees_everything();
    let open = snapshot
        .tickets
        .keys()
        .any(|(_, _, phase)| *phase != patrol_api::words::Phase::Resolved);
    Ok(match (complete, open) {
        (false, _) => Exit::Incomplete,
        (true, true) => Exit::Findings,
        (true, false) => Exit::Clean,
    })
}
