//! `operator`: the long-running operator in a cluster. Wiring only.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use patrol_api::time::Span;
use patrol_core::effect::Effect;
use patrol_core::engine::{Config, Patrol, Snapshot};
use patrol_core::event::{Event, Term};
use patrol_core::kind::Kind;
use patrol_core::notice::Cluster;
use patrol_kube::boot_clock;
use patrol_kube::events::Suppressed;
use patrol_kube::lease::{Fence, Lease, LeaseSettings, LeaseStats};
use patrol_kube::reader::{Health, KindHealth, Reader, ReaderSettings};
use patrol_kube::secrets::Secrets;
use patrol_kube::skew::{self, Skew};
use patrol_kube::writer::{WRITES_PER_SECOND, Writer, writer};
use patrol_kube::{Connection, ServerAddresses};
use patrol_notify::Secret;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::egress::EgressArgs;
use super::signals::Signals;
use super::{Exit, Failure};
use crate::logging::{self, LogFormat, LogLevel};
use crate::metrics::{Described, EdgeMetrics, Exporter, Families};
use crate::shell::delivery::{self, Courier, Post};
use crate::shell::denied::Denied;
use crate::shell::probes::{self, Probes};
use crate::shell::requests::Requests;
use crate::shell::secrets::{Reading, SecretSource};
use crate::shell::{Answers, Edge, Ended, Pulse, Shell};

/// Most receivers answer within this time.
const LEAST: Duration = Duration::from_secs(5);

/// How long each part of a clean end may take. The engine's own, see the shell, is below
/// the first; all together stay below ten seconds.
const ENGINE_ENDS: Duration = Duration::from_millis(6_500);
const WRITER_ENDS: Duration = Duration::from_secs(1);
const LEASE_ENDS: Duration = Duration::from_secs(2);

/// The API server's clock is compared with ours at every reply.
const LOOK_AT_CLOCK: Duration = Duration::from_secs(10);

/// Events read ahead of the engine.
const AHEAD: usize = 1024;

/// Run the operator in a cluster
#[derive(clap::Args)]
#[command(after_help = "Examples:
  kube-patrol operator
  KUBECONFIG=admin.conf kube-patrol operator --namespace kube-patrol --listen 127.0.0.1:8080")]
pub struct Args {
    /// The operator's namespace: tickets about cluster-scoped subjects, Secrets and the Lease
    #[arg(long, env = "POD_NAMESPACE", default_value = patrol_api::names::DEFAULT_NAMESPACE)]
    namespace: String,
    /// Address of metrics and probes
    #[arg(long, value_name = "ADDR", default_value = ":8080")]
    listen: String,
    /// Name of this replica in the Lease. Default: the host name
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,
    /// How long a lease lasts without renewal
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    lease_duration: Span,
    /// How long the leader tries to renew before it steps down
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    renew_deadline: Span,
    /// Pause between tries
    #[arg(long, value_name = "DURATION", default_value = "2s")]
    retry_period: Span,
    /// How long a new leader holds still after a take-over that was no clean hand-over
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    takeover_wait: Span,
    /// How often watches are compared with a list of metadata; 0s: never
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    verify_cache_every: Span,
    /// Writes to the API server a second at most, in the long run; halved while it asks for less or answers late
    #[arg(long, value_name = "N", default_value_t = WRITES_PER_SECOND, value_parser = clap::value_parser!(u32).range(1..))]
    writes_per_second: u32,
    /// Let receivers on loopback be told (meant for tests)
    #[arg(long)]
    allow_loopback_receivers: bool,
    #[command(flatten)]
    egress: EgressArgs,
    /// Name of the cluster in messages
    #[arg(long, value_name = "NAME", env = "CLUSTER_NAME", default_value = "")]
    cluster_name: String,
    /// Log format: text or json. Default: text on a terminal, else json
    #[arg(long, value_enum, hide_possible_values = true, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// Log level: error, warn, info or debug
    #[arg(long, value_enum, hide_possible_values = true, value_name = "LEVEL", default_value_t = LogLevel::Info)]
    log_level: LogLevel,
}

struct ClusterEdge {
    writer: Writer,
}

impl Edge for ClusterEdge {
    fn carry_out(&self, effect: Effect, term: Option<Term>, answers: &Answers) {
        if let Effect::Announce(announcement) = &effect {
            logging::announcement(announcement);
        }
        self.writer.carry_out(effect, term, answers);
    }
}

struct LeaseFence {
    lease: Fence,
    /// With less than this left of the lease nothing is begun.
    least: Duration,
}

impl delivery::Fence for LeaseFence {
    fn may_send(&self) -> Option<Duration> {
        // A request is cut short when the lease may have run out. One that would be cut
        // before an answer is likely is not begun: it would only be a repeat later.
        self.lease.remaining().filter(|left| *left > self.least)
    }

    fn leads(&self) -> bool {
        self.lease.remaining().is_some()
    }

    fn is_in(&self, term: Option<Term>) -> bool {
        self.lease.within(term).remaining().is_some()
    }
}

struct ClusterSecrets(Secrets);

impl SecretSource for ClusterSecrets {
    fn read<'a>(&'a self, name: &'a str, key: &'a str, fresh: bool) -> Reading<'a> {
        Box::pin(async move {
            let bytes = self.0.read(name, key, fresh).await?;
            Some(Secret::new(bytes.0))
        })
    }
}

pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    logging::init(args.log_format, args.log_level, true);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(operate(args))
}

async fn operate(args: Args) -> Result<Exit, Failure> {
    let signals = Signals::catch()?;
    let identity = match args.identity.clone().filter(|i| !i.is_empty()) {
        Some(identity) => identity,
        None => host_name(),
    };
    let settings = LeaseSettings {
        duration: args.lease_duration.as_duration(),
        renew_deadline: args.renew_deadline.as_duration(),
        retry_period: args.retry_period.as_duration(),
        takeover_wait: args.takeover_wait.as_duration(),
        ..LeaseSettings::new(&args.namespace, &identity)
    };
    settings.check().map_err(Failure::new)?;
    let connection = Connection::infer()
        .await
        .map_err(|e| Failure::new(e.to_string()))?;
    let egress = args.egress.egress(connection.server_name())?;
    let listener = probes::bind(&args.listen).await.map_err(Failure::new)?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(listen = %address, %identity, namespace = args.namespace, "started");
    }

    let mut tasks: JoinSet<&'static str> = JoinSet::new();
    let (events, observed) = mpsc::channel(AHEAD);
    let answers = mpsc::unbounded_channel();
    let (snapshots, asked) = mpsc::channel(8);
    let (stop, stopping) = watch::channel(false);

    let reader = Reader::new(
        connection.reads.clone(),
        Kind::ALL,
        ReaderSettings {
            verify_every: Some(args.verify_cache_every.as_duration()).filter(|d| !d.is_zero()),
            ..ReaderSettings::default()
        },
        events,
    );
    let health = reader.health();
    let mut server = ServerAddresses::new(connection.clone());
    let denied = Denied::default();
    deny(&denied, server.look().await);
    let skew = connection.skew();
    let lease = Lease::new(connection.writes.clone(), settings);
    let (fence, lease_stats) = (lease.fence(), lease.stats());
    let requests = requests()?;
    let (writer, worker) = writer(
        connection.clone(),
        fence.clone(),
        &identity,
        args.writes_per_second,
    );
    let post = Post::new(
        Arc::new(ClusterSecrets(Secrets::new(
            connection.reads.clone(),
            &args.namespace,
        ))),
        Arc::new(LeaseFence {
            lease: fence,
            least: (args.lease_duration.as_duration() / 3).min(LEAST),
        }),
        args.allow_loopback_receivers,
        denied.clone(),
        boot_clock::now,
        requests.clone(),
    )
    .with_egress(egress);
    let config = Config {
        namespace: args.namespace.clone(),
        cluster: Cluster {
            id: String::new(),
            name: args.cluster_name.clone(),
        },
        ..Config::new(patrol_checks::CATALOGUE)
    };
    let suppressed = writer.suppressed_events();
    let pulse = Arc::new(Pulse::default());
    let shell = Shell {
        patrol: Patrol::new(config),
        edge: Arc::new(ClusterEdge { writer }),
        courier: Courier::new(post),
        events: observed,
        answers,
        snapshots: asked,
        clock: boot_clock::now,
        pulse: Arc::clone(&pulse),
        stop: stopping,
        once: false,
        writing: Default::default(),
        term: None,
    };
    let leads = shell.answers.0.clone();
    let mut leading = lease.leading();
    let (released, release) = watch::channel(false);

    tasks.spawn(async move {
        drop(reader.run().await);
        "the watches"
    });
    tasks.spawn(async move { match server.follow(|found| deny(&denied, found)).await {} });
    tasks.spawn(watch_clock(skew.clone(), shell.answers.0.clone()));
    let mut writes = tokio::spawn(worker.run());
    tasks.spawn(async move {
        loop {
            let term = *leading.borrow_and_update();
            if leads.send(Event::Leading(term)).is_err() || leading.changed().await.is_err() {
                return "the watch on leadership";
            }
        }
    });
    let probes = Arc::new(Probes {
        pulse,
        snapshots,
        exporter: Exporter::new(Some(edge_metrics(
            health,
            lease_stats,
            suppressed,
            skew,
            requests,
        ))),
        clock: boot_clock::now,
    });
    tasks.spawn(async move {
        drop(probes::serve(listener, probes).await);
        "the listener"
    });
    let mut lease_release = release;
    let election = tokio::spawn(lease.run(async move {
        drop(lease_release.wait_for(|released| *released).await);
    }));
    let mut engine = tokio::spawn(shell.run());

    let ended = tokio::select! {
        signal = signals.first() => {
            tracing::info!(signal, "stopping");
            None
        }
        Some(task) = tasks.join_next() => {
            Some(task.unwrap_or("a task"))
        }
        _ = &mut writes => Some("the writer"),
        shell = &mut engine => {
            let why = match shell {
                Ok((Ended::SourceEnded, _)) => "the watches",
                _ => "the engine",
            };
            return Err(Failure::new(format!(
                "{why} ended, which is a fault: the operator stops and is safe to start again"
            )));
        }
    };
    // First nothing is sent any more and what was told is on record, then the last writes
    // end (the engine held their only source), and only then is the lease handed over: the
    // next leader must not find half of it.
    stop.send_replace(true);
    if tokio::time::timeout(ENGINE_ENDS, &mut engine)
        .await
        .is_err()
    {
        engine.abort();
    }
    if !writes.is_finished() {
        drop(tokio::time::timeout(WRITER_ENDS, &mut writes).await);
        writes.abort();
    }
    released.send_replace(true);
    drop(tokio::time::timeout(LEASE_ENDS, election).await);
    match ended {
        None => Ok(Exit::Clean),
        Some(what) => Err(Failure::new(format!(
            "{what} ended, which is a fault: the operator stops and is safe to start again"
        ))),
    }
}

/// Nothing is sent to the API server, nor to this process.
fn deny(denied: &Denied, mut server: Vec<IpAddr>) {
    server.extend(own_addresses());
    denied.set(server);
}

/// Where this process itself and the cluster's way to its API server are: no receivers. The
/// downward API tells each address of the pod.
fn own_addresses() -> Vec<IpAddr> {
    ["KUBERNETES_SERVICE_HOST", "POD_IP", "POD_IPS"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .flat_map(|text| addresses(&text))
        .collect()
}

fn addresses(text: &str) -> Vec<IpAddr> {
    text.split(',')
        .filter_map(|one| one.trim().parse().ok())
        .collect()
}

fn host_name() -> String {
    let name = rustix::system::uname();
    let text = name.nodename().to_string_lossy().into_owned();
    if text.is_empty() {
        "kube-patrol".into()
    } else {
        text
    }
}

/// The account of requests, in both modes.
pub(super) fn requests() -> Result<Requests, Failure> {
    Requests::new().map_err(|error| Failure::new(format!("metrics: {error}: report this fault")))
}

fn edge_metrics(
    health: Arc<Health>,
    lease: Arc<LeaseStats>,
    suppressed: Suppressed,
    skew: Skew,
    requests: Requests,
) -> EdgeMetrics {
    Box::new(move |families: &mut Families, snapshot: &Snapshot| {
        watch_metrics(families, &health);
        lease_metrics(families, &lease);
        event_metrics(families, &suppressed);
        skew_metrics(families, &skew);
        requests.export(families, snapshot);
    })
}

/// Every metric of the operator, whether it has rows now or not.
pub(super) fn described_metrics() -> Vec<Described> {
    let mut families = Families::default();
    watch_metrics(&mut families, &Health::default());
    lease_metrics(&mut families, &LeaseStats::default());
    event_metrics(&mut families, &Suppressed::default());
    skew_metrics(&mut families, &Skew::default());
    if let Ok(requests) = Requests::new() {
        requests.export(&mut families, &Snapshot::default());
    }
    let mut all = crate::metrics::described();
    all.extend(families.described());
    all
}

fn event_metrics(families: &mut Families, suppressed: &Suppressed) {
    families.counters(
        "events_suppressed_total",
        "Kubernetes events not written, by reason: RateLimited in a storm, Repeated for one object within five minutes.",
        ["reason"],
        suppressed
            .counts()
            .map(|(reason, n)| ([reason.to_owned()], n)),
    );
}

/// Says when the clock goes wrong, and when it goes right again.
async fn watch_clock(skew: Skew, events: mpsc::UnboundedSender<Event>) -> &'static str {
    let mut watch = skew::Watch::default();
    let mut beats = tokio::time::interval(LOOK_AT_CLOCK);
    loop {
        beats.tick().await;
        if let Some(seconds) = watch.news(skew.seconds())
            && events.send(Event::Skewed(seconds)).is_err()
        {
            return "the watch on the clock";
        }
    }
}

fn skew_metrics(families: &mut Families, skew: &Skew) {
    families.gauges(
        "clock_skew_seconds",
        "Seconds that this process's wall clock is ahead of the API server's, negative when behind.",
        [],
        // Whole seconds that fit are exact.
        skew.seconds()
            .and_then(|seconds| i32::try_from(seconds).ok())
            .map(|seconds| ([], f64::from(seconds))),
    );
}

fn lease_metrics(families: &mut Families, stats: &LeaseStats) {
    for (name, help, count) in [
        (
            "lease_renewals_total",
            "Writes of the Lease that succeeded.",
            stats.renewals(),
        ),
        (
            "lease_failures_total",
            "Reads and writes of the Lease that failed.",
            stats.failures(),
        ),
        (
            "leadership_gained_total",
            "Times this replica became leader.",
            stats.gained(),
        ),
        (
            "leadership_lost_total",
            "Times this replica stopped leading otherwise than by a clean end.",
            stats.lost(),
        ),
    ] {
        families.counters(name, help, [], [([], count)]);
    }
}

fn watch_metrics(families: &mut Families, health: &Health) {
    type Count = fn(&KindHealth) -> u64;
    let counters: [(&str, &str, Count); 7] = [
        (
            "watch_restarts_total",
            "Watches that were begun again, by kind.",
            KindHealth::restarts,
        ),
        ("lists_total", "Complete lists, by kind.", KindHealth::lists),
        (
            "relists_total",
            "Lists that a trouble made necessary (an expired version, a broken or short watch, a lost event), by kind.",
            KindHealth::relists,
        ),
        (
            "relist_divergence_total",
            "Objects that the watch cache had wrong, found by comparing it with a list, by kind.",
            KindHealth::divergences,
        ),
        (
            "cache_verifications_total",
            "Comparisons of the watch cache with a list, by kind.",
            KindHealth::verifications,
        ),
        (
            "read_failures_total",
            "Lists and watches that failed, by kind.",
            KindHealth::failures,
        ),
        (
            "undecodable_objects_total",
            "Objects that could not be decoded and so are blind spots, counted each time they are seen, by kind.",
            KindHealth::undecodable,
        ),
    ];
    for (name, help, count) in counters {
        let rows = health
            .kinds()
            .map(|(kind, h)| ([kind.to_string()], count(h)));
        families.counters(name, help, ["kind"], rows);
    }
}
