//! One process under test: an engine, its watches, and a witness of what it was told.

use std::collections::BTreeMap;

use patrol_api::ticket::Finding;
use patrol_api::time::{Span, Time};
use patrol_core::engine::{Config, Patrol};
use patrol_core::event::{Event, Term};
use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;
use patrol_core::notice::Cluster;

use crate::judge::{HOME, Judge};
use crate::stream::Stream;

/// A kind is fresh while it spoke at most so long ago, milliseconds.
const FRESH: u64 = 61_000;

/// Runs are short: this stands for the longest time between two tries of a delivery when it
/// is asked how long an alert has been undelivered.
pub const ATTEMPT_WINDOW: Span = Span::seconds(80);

/// A process.
#[derive(Debug)]
pub struct Process {
    /// The engine; `None` while the process is dead.
    pub engine: Option<Patrol>,
    /// Which life of the process this is.
    pub life: u32,
    /// Whether it is stopped.
    pub paused: bool,
    /// What waits for it while it is stopped.
    pub backlog: Vec<Event>,
    /// Its watches.
    pub streams: BTreeMap<Kind, Stream>,
    /// The tick that is planned.
    pub tick_at: Option<u64>,
    /// What it was told.
    pub witness: Witness,
    /// What it was told of leadership.
    pub term: Option<Term>,
    /// Ticks in the running second, to notice a spin.
    pub spin: (u64, u32),
}

/// The evidence a process was given.
#[derive(Debug, Default)]
pub struct Witness {
    /// What it was told, judged.
    pub judge: Judge,
    heard: BTreeMap<Kind, u64>,
    /// When each kind was last not seen well.
    blind: BTreeMap<Kind, (u64, Time)>,
    /// When the process last took the lead: what it saw before is no evidence.
    took_lead: Option<(u64, Time)>,
    /// When each identity was last anything but clean.
    unclean: BTreeMap<ObjectKey, (u64, Time)>,
    /// The `clearAfter` of each policy, and since when it was known.
    patience: BTreeMap<String, Vec<(Time, Span)>>,
    /// When the process last concluded that a ticket has ended.
    pub concluded: BTreeMap<ObjectKey, Time>,
}

impl Process {
    /// A process that has not started.
    #[must_use]
    pub fn new() -> Self {
        Self {
            engine: None,
            life: 0,
            paused: false,
            backlog: vec![],
            streams: BTreeMap::new(),
            tick_at: None,
            witness: Witness::default(),
            term: None,
            spin: (0, 0),
        }
    }

    /// Starts it with nothing in memory.
    pub fn start(&mut self) {
        let mut config = Config::new(patrol_checks::CATALOGUE);
        config.namespace = HOME.to_owned();
        config.attempt_window = ATTEMPT_WINDOW;
        config.cluster = Cluster {
            id: "simulated".into(),
            name: String::new(),
        };
        self.engine = Some(Patrol::new(config));
        self.life += 1;
        self.paused = false;
        self.term = None;
        self.backlog.clear();
        self.tick_at = None;
        self.witness = Witness::default();
        self.streams = Kind::ALL
            .into_iter()
            .map(|kind| (kind, Stream::default()))
            .collect();
    }

    /// Ends it: all memory and everything not yet on the wire is gone.
    pub fn kill(&mut self) {
        self.engine = None;
        self.life += 1;
        self.paused = false;
        self.term = None;
        self.backlog.clear();
        self.tick_at = None;
    }

    /// Whether it runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.engine.is_some()
    }
}

impl Default for Process {
    fn default() -> Self {
        Self::new()
    }
}

impl Witness {
    /// Takes in what the process is told.
    pub fn tell(&mut self, event: &Event, now: u64, wall: Time) {
        match event {
            Event::Seen(seen) => self.hear(seen.kind, now),
            Event::Gone(kind, _) | Event::ListFinished(kind) | Event::Heard(kind) => {
                self.hear(*kind, now);
            }
            Event::Leading(Some(_)) => self.took_lead = Some((now, wall)),
            _ => {}
        }
        self.judge.tell(event, wall);
    }

    fn hear(&mut self, kind: Kind, now: u64) {
        self.heard.insert(kind, now);
    }

    /// Judges what is known now; to be called before the process may act on it.
    pub fn settle(&mut self, now: u64, wall: Time) {
        for kind in Kind::ALL {
            if self.is_silent(kind, now) {
                self.blind.insert(kind, (now, wall));
            }
        }
        self.judge.judge(wall);
        for (name, policy) in self.judge.policies() {
            let clear_after = policy.spec.tickets.clear_after;
            let known = self.patience.entry(name.clone()).or_default();
            if known.last().is_none_or(|(_, last)| *last != clear_after) {
                known.push((wall, clear_after));
            }
        }
        for place in self.judge.said().keys() {
            self.unclean.insert(place.clone(), (now, wall));
        }
        for kind in Kind::ALL {
            if self.judge.is_blind(kind) {
                self.blind.insert(kind, (now, wall));
            }
        }
    }

    /// Whether a kind that a check reads fell silent, so that nothing may be concluded.
    #[must_use]
    pub fn is_stale(&self, finding: &Finding, now: u64) -> bool {
        self.judge
            .needs(finding)
            .iter()
            .any(|kind| self.is_silent(*kind, now))
    }

    fn is_silent(&self, kind: Kind, now: u64) -> bool {
        let heard = self.heard.get(&kind);
        !self.judge.is_absent(kind) && heard.is_none_or(|at| now.saturating_sub(*at) > FRESH)
    }

    /// The shortest `clearAfter` that may have been in force for a decision: a policy may
    /// have been edited between a decision and its write.
    #[must_use]
    pub fn clear_after(&self, policy: &str, decided: Time) -> Span {
        let known = self.patience.get(policy).map_or(&[][..], Vec::as_slice);
        let ends = known.iter().skip(1).map(|(at, _)| Some(*at)).chain([None]);
        known
            .iter()
            .zip(ends)
            .filter(|((since, _), _)| since.unix() <= decided.unix() + 1)
            .filter(|(_, end)| end.is_none_or(|end| end.unix() + 1 >= decided.unix()))
            .map(|((_, clear_after), _)| *clear_after)
            .min()
            .unwrap_or(Span::ZERO)
    }

    /// Since when the process has had reason to think that an identity is clean: the last
    /// time it had none.
    #[must_use]
    pub fn last_unclean(&self, place: &ObjectKey, finding: &Finding) -> Option<(u64, Time)> {
        self.judge
            .needs(finding)
            .iter()
            .filter_map(|kind| self.blind.get(kind))
            .chain(self.unclean.get(place))
            .chain(&self.took_lead)
            .copied()
            .max_by_key(|(at, _)| *at)
    }
}
