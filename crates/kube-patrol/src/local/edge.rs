//! Starts local mode's one thread and hands effects to it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use patrol_api::waiver::TicketWaiver;
use patrol_core::clock::Now;
use patrol_core::effect::Effect;
use patrol_core::event::{Event, Term};
use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;
use patrol_kube::boot_clock;
use patrol_kube::reader::Received;
use tokio::sync::mpsc;

use super::inputs::{Inputs, Scan, Take};
use super::secrets::{LastGood, SecretFile, Secrets};
use super::store::lock::{Lock, LockError, lock};
use super::store::{Declarations, Declared, Tickets, atomic, random};
use super::watch::Watch;
use super::worker::{Changes, Order, Sink, Stopped, Worker};
use super::world::World;
use super::{index, terminal};
use crate::shell::secrets::{Reading, SecretSource};
use crate::shell::{Answers, Edge};

/// Name of the default state folder inside the first input folder.
pub const STATE: &str = ".kube-patrol";

/// What was in which input file.
const INDEX: &str = "index.json";

/// What local mode works on.
#[derive(Clone, Debug)]
pub struct Options {
    /// Folders of manifests, in the order in which they count.
    pub folders: Vec<PathBuf>,
    /// Policy files; when given, policies in the folders do not count.
    pub policies: Vec<PathBuf>,
    /// State folder.
    pub state: PathBuf,
    /// Values that stand for Secrets' keys.
    pub secrets: Vec<SecretFile>,
    /// The operator's namespace.
    pub namespace: String,
    /// One patrol of every policy, whenever the last one was.
    pub once: bool,
}

/// Why local mode cannot start.
#[derive(Debug)]
pub enum LocalError {
    /// An input does not exist.
    Missing(PathBuf),
    /// Another process works on the state folder.
    Held(PathBuf, Option<u32>),
    /// The disk refuses.
    Io(PathBuf, std::io::Error),
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(
                f,
                "{}: no such file or folder: name one that exists",
                path.display()
            ),
            Self::Held(path, pid) => {
                let who = pid.map_or("another process".to_owned(), |pid| format!("process {pid}"));
                write!(
                    f,
                    "{}: {who} works on this state folder: stop it, or give another --state",
                    path.display()
                )
            }
            Self::Io(path, error) => write!(
                f,
                "{}: {}, or give another --state",
                path.display(),
                super::store::write_reason(error)
            ),
        }
    }
}

impl std::error::Error for LocalError {}

/// The edge as the shell sees it.
pub struct LocalEdge {
    orders: Sender<Order>,
    secrets: Arc<RwLock<Secrets>>,
    files: Vec<SecretFile>,
    last_good: LastGood,
}

/// What was started.
pub struct Started {
    /// The edge.
    pub edge: Arc<LocalEdge>,
    /// The thread, which ends after `LocalEdge::stop`.
    pub thread: JoinHandle<()>,
    /// Stable id of this installation.
    pub cluster_id: String,
    /// Holds the state folder.
    pub lock: Lock,
}

/// Starts: takes the state folder, looks at everything, and goes on looking.
///
/// # Errors
/// When an input does not exist or the state folder cannot be had.
pub fn start(
    options: &Options,
    events: mpsc::Sender<Received>,
    answers: Answers,
    clock: fn() -> Now,
) -> Result<Started, LocalError> {
    let state = &options.state;
    let remembered = index::load(&state.join(INDEX));
    for path in options.folders.iter().chain(&options.policies) {
        // One that held something the last time is a blind spot, and no slip of the pen.
        if !path.exists() && !remembers(&remembered, path) {
            return Err(LocalError::Missing(path.clone()));
        }
    }
    let held = lock(state).map_err(|error| match error {
        LockError::Held(pid) => LocalError::Held(state.clone(), pid),
        LockError::Io(error) => LocalError::Io(state.clone(), error),
    })?;
    let cluster_id = prepare(state).map_err(|error| LocalError::Io(state.clone(), error))?;
    let (orders, received) = channel();
    let secrets = Arc::new(RwLock::new(Secrets::default()));
    let mut worker = worker(options, Arc::clone(&secrets), clock);
    let watched: Vec<PathBuf> = worker.inputs.paths().map(Path::to_path_buf).collect();
    let (changes, changed) = (orders.clone(), Arc::clone(&worker.changed));
    let watch = Watch::begin(watched, state.clone(), move || {
        if !changed.swap(true, Ordering::AcqRel) {
            // A thread that is gone has no use for it.
            let _ = changes.send(Order::Changed);
        }
    });
    let mut sink = Channels { events, answers };
    let thread = std::thread::spawn(move || {
        if worker.start(&mut sink).is_ok() {
            worker.run(&received, watch, sink);
        }
    });
    Ok(Started {
        edge: Arc::new(LocalEdge {
            orders,
            secrets,
            files: options.secrets.clone(),
            last_good: LastGood::default(),
        }),
        thread,
        cluster_id,
        lock: held,
    })
}

fn worker(options: &Options, secrets: Arc<RwLock<Secrets>>, clock: fn() -> Now) -> Worker {
    let state = &options.state;
    let named = !options.policies.is_empty();
    let take = if named {
        Take::AllButPolicies
    } else {
        Take::All
    };
    let inputs = options
        .policies
        .iter()
        .map(|path| (path.clone(), Take::Declarations))
        .chain(options.folders.iter().map(|path| (path.clone(), take)))
        .collect();
    let policies = Declarations::open(state.clone(), "policies");
    let receivers = Declarations::open(state.clone(), "receivers");
    let waivers = Declarations::open(state.clone(), "waivers");
    let index = state.join(INDEX);
    let saved = index::load(&index);
    let kept = |kind: Kind, names: Vec<String>| {
        names
            .into_iter()
            .filter(|name| name != terminal::NAME)
            .map(move |name| (kind, ObjectKey::new("", &name)))
    };
    let world = World::remembering(
        saved.clone(),
        kept(
            Kind::PatrolPolicy,
            policies.names().map(str::to_owned).collect(),
        )
        .chain(kept(
            Kind::AlertReceiver,
            receivers.names().map(str::to_owned).collect(),
        ))
        .chain(
            waivers
                .names()
                .map(|name| (Kind::TicketWaiver, TicketWaiver::place(name)))
                .collect::<Vec<_>>(),
        ),
    );
    Worker {
        inputs: Inputs::new(inputs, vec![state.clone()], options.namespace.clone()),
        world,
        tickets: Tickets::new(state.clone()),
        policies,
        receivers,
        waivers,
        secrets,
        index,
        saved,
        clock,
        scan: Scan::default(),
        changed: Changes::default(),
        // Any new value asks for a patrol.
        patrol_now: options
            .once
            .then(random::uuid)
            .and_then(std::io::Result::ok),
        trouble: Default::default(),
        said: std::collections::BTreeSet::new(),
    }
}

/// The files that were read the last time a state folder was worked on.
#[must_use]
pub fn remembered_files(state: &Path) -> Vec<PathBuf> {
    let index = index::load(&state.join(INDEX));
    index.keys().map(PathBuf::from).collect()
}

/// Whether an input that is not there held something the last time.
fn remembers(index: &index::Index, input: &Path) -> bool {
    index.keys().any(|file| Path::new(file).starts_with(input))
}

/// Makes the state folder usable; returns its id.
fn prepare(state: &Path) -> std::io::Result<String> {
    atomic::sweep(state);
    atomic::make(state, &state.join("tickets"))?;
    cluster_id(state)
}

fn cluster_id(state: &Path) -> std::io::Result<String> {
    let path = state.join("cluster-id");
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => {
            let id = random::uuid()?;
            atomic::write(state, &path, id.as_bytes())?;
            Ok(id)
        }
    }
}

struct Channels {
    events: mpsc::Sender<Received>,
    answers: Answers,
}

impl Sink for Channels {
    fn observed(&mut self, event: Event) -> Result<(), Stopped> {
        let received = Received::now(event);
        self.events.blocking_send(received).map_err(|_| Stopped)
    }

    fn answered(&mut self, event: Event) -> Result<(), Stopped> {
        self.answers.send(event).map_err(|_| Stopped)
    }
}

impl LocalEdge {
    /// Ends the thread once it has done what was asked before.
    pub fn stop(&self) {
        // A thread that is gone has stopped.
        let _ = self.orders.send(Order::Stop);
    }
}

impl Edge for LocalEdge {
    /// The thread answers into the channel it was started with, which is the same.
    fn carry_out(&self, effect: Effect, _term: Option<Term>, _answers: &Answers) {
        // A thread that is gone answers nothing: the engine counts the effect as lost.
        let _ = self.orders.send(Order::Effect(Box::new(effect)));
    }
}

impl SecretSource for LocalEdge {
    fn read<'a>(&'a self, name: &'a str, key: &'a str, _fresh: bool) -> Reading<'a> {
        let from_file = self
            .files
            .iter()
            .find(|f| f.name == name && f.key == key)
            .and_then(SecretFile::read);
        let value = from_file.or_else(|| {
            let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
            secrets.get(name, key).cloned()
        });
        let value = self.last_good.take(name, key, value, boot_clock::boot());
        Box::pin(std::future::ready(value))
    }
}
