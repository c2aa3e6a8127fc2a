//! The run: a discrete-event loop over virtual time. It stands in for the shell of the
//! product: it feeds engines what a cluster would and carries out what they ask, as
//! unreliably as the seed says. No thread, no sleep, no clock.

use std::collections::BTreeMap;
use std::rc::Rc;

use patrol_api::time::Time;
use patrol_core::clock::{Mono, Now};
use patrol_core::effect::Effect;
use patrol_core::event::{Event, PartOutcome, Term};
use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;

use crate::book::{Book, Broken};
use crate::judge::Judge;
use crate::process::Process;
use crate::rng::Rng;
use crate::scenario::{Action, Faults, Flavour, MINUTE, Mishap, Scenario};
use crate::sink::Mood;
use crate::stream::{Frame, Weather};
use crate::trace::Trace;
use crate::world::World;
use crate::{invariants, naive, users};

/// Wall-clock time at which a run begins.
pub const BEGIN: i64 = 1_800_000_000;
/// More ticks than this in one second is a spin.
const SPIN: u32 = 400;

/// Something planned, for a process (`pid`) in one of its lives (`life`).
#[derive(Debug)]
#[allow(missing_docs)] // the variants' sentences say what their fields are
pub enum Occur {
    /// A frame of a watch arrives.
    Frame {
        pid: usize,
        life: u32,
        kind: Kind,
        epoch: u32,
        frame: Frame,
    },
    /// The engine is stepped.
    Tick { pid: usize, life: u32 },
    /// Watches say that they live.
    Bookmarks { pid: usize, life: u32 },
    /// A watch connects: with a list, or from where it was.
    Connect {
        pid: usize,
        life: u32,
        kind: Kind,
        list: bool,
    },
    /// An effect leaves the process's queue.
    Dispatch {
        pid: usize,
        life: u32,
        /// In which it was asked.
        term: Option<Term>,
        effect: Rc<Effect>,
    },
    /// A write arrives at the server.
    Execute {
        pid: usize,
        life: u32,
        effect: Rc<Effect>,
        reply: Reply,
    },
    /// A part of a delivery arrives at its receiver.
    Part {
        pid: usize,
        life: u32,
        term: Option<Term>,
        effect: Rc<Effect>,
        done: Vec<PartOutcome>,
        size: usize,
        from: usize,
        repeated: bool,
    },
    /// An answer arrives at the process.
    Answer {
        pid: usize,
        life: u32,
        event: Box<Event>,
    },
    /// A user acts.
    User(Action),
    /// Something goes wrong.
    Mishap(Mishap),
    /// A process starts.
    Start(usize),
    /// A process goes on.
    Resume(usize, u32),
    /// The lease is given.
    Elect(usize),
    /// A process is told about leadership.
    Lead {
        pid: usize,
        life: u32,
        leading: bool,
        term: Term,
    },
    /// A kind's CRD is back.
    Installed(Kind),
    /// Faults end.
    Calm,
}

/// What becomes of the answer to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It arrives.
    True,
    /// It says that the write failed, though it did not.
    Failed,
    /// It never arrives.
    Lost,
}

/// A run.
pub struct Sim {
    /// Chance.
    pub rng: Rng,
    /// Milliseconds since the run began.
    pub now: u64,
    /// Seconds the wall clock is off.
    pub offset: i64,
    queue: BTreeMap<(u64, u64), Occur>,
    planned: u64,
    /// The API server.
    pub world: World,
    /// The processes.
    pub processes: Vec<Process>,
    /// Who holds the lease.
    pub holder: Option<usize>,
    /// How often it was given.
    pub term: Term,
    /// Receivers' moods by address.
    pub moods: BTreeMap<String, Mood>,
    /// Faults of effects, now.
    pub faults: Faults,
    /// Faults of watches, now.
    pub weather: Weather,
    /// Whether creates of tickets are refused.
    pub refuse_creates: bool,
    /// What the seed decided.
    pub scenario: Scenario,
    /// What really holds.
    pub truth: Judge,
    truth_version: BTreeMap<Kind, u64>,
    /// Since when each identity has failed without a break.
    pub failing_since: BTreeMap<ObjectKey, u64>,
    /// The account.
    pub book: Book,
    /// Promises broken.
    pub broken: Vec<Broken>,
    /// The story, when asked for.
    pub trace: Trace,
}

impl Sim {
    /// The run of a seed, at its beginning.
    #[must_use]
    pub fn new(seed: u64, trace: bool) -> Self {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::new(&mut rng.fork());
        let mut sim = Self {
            now: 0,
            offset: 0,
            queue: BTreeMap::new(),
            planned: 0,
            world: World::default(),
            processes: (0..scenario.replicas).map(|_| Process::new()).collect(),
            holder: None,
            term: Term(0),
            moods: BTreeMap::new(),
            faults: scenario.faults,
            weather: scenario.weather,
            refuse_creates: false,
            truth: Judge::default(),
            truth_version: BTreeMap::new(),
            failing_since: BTreeMap::new(),
            book: Book::default(),
            broken: vec![],
            trace: Trace::new(trace),
            scenario,
            rng,
        };
        sim.begin();
        sim
    }

    fn begin(&mut self) {
        self.world.set_wall(self.wall());
        users::build(&mut self.world, &self.scenario);
        for kind in Kind::ALL {
            let wall = self.wall();
            self.truth.tell(&Event::ListStarted(kind), wall);
            self.truth.tell(&Event::ListFinished(kind), wall);
        }
        for pid in 0..self.processes.len() {
            self.plan(10, Occur::Start(pid));
        }
        self.plan(2_000, Occur::Elect(0));
        for (at, action) in std::mem::take(&mut self.scenario.actions) {
            self.plan(at, Occur::User(action));
        }
        for (at, mishap) in std::mem::take(&mut self.scenario.mishaps) {
            self.plan(at, Occur::Mishap(mishap));
        }
        self.plan(self.scenario.calm_at, Occur::Calm);
        self.follow_world();
    }

    /// The wall clock.
    #[must_use]
    pub fn wall(&self) -> Time {
        let seconds = i64::try_from(self.now / 1000).unwrap_or(0);
        Time::from_unix(BEGIN + seconds + self.offset)
    }

    /// Both clocks. Boot time does not begin at zero.
    #[must_use]
    pub fn clock(&self) -> Now {
        Now {
            wall: self.wall(),
            mono: Mono(self.now + 5_000_000),
        }
    }

    /// Plans something `after` milliseconds from now.
    pub fn plan(&mut self, after: u64, occur: Occur) {
        self.plan_at(self.now + after, occur);
    }

    /// Plans something.
    pub fn plan_at(&mut self, at: u64, occur: Occur) {
        self.planned += 1;
        self.queue.insert((at.max(self.now), self.planned), occur);
    }

    /// Notes a broken promise.
    pub fn break_promise(&mut self, invariant: &'static str, how: String) {
        let at = self.now;
        self.trace.say(at, || format!("BROKEN {invariant}: {how}"));
        if self.broken.len() < 20 {
            self.broken.push(Broken { invariant, at, how });
        }
    }

    /// Runs to the end, or to the first broken promise.
    pub fn run(&mut self) {
        let calm = self.scenario.calm_at;
        let settled = calm + invariants::settle_time(&self.scenario);
        let quiet = settled + 4 * self.scenario.period.max(MINUTE / 2);
        // A receiver that was unwell is asked again after ten minutes at the latest.
        let alerted = if self.scenario.moody {
            quiet.max(calm + 13 * MINUTE)
        } else {
            quiet
        };
        let end =
            alerted + self.scenario.repeat * 12 / 10 + self.scenario.group_interval + 2 * MINUTE;
        type Final = fn(&mut Sim);
        let stages: [(u64, Final); 7] = [
            (settled, invariants::tickets::at_rest),
            (quiet, invariants::quiet::at_rest),
            (alerted, invariants::alerts::all_told),
            (end, invariants::alerts::at_end),
            (end, invariants::incidents::at_rest),
            (end, invariants::tickets::at_end),
            (end, invariants::tickets::deleted_policies),
        ];
        for (until, check) in stages {
            self.run_until(until);
            if self.broken.is_empty() {
                check(self);
            }
            if !self.broken.is_empty() {
                return;
            }
        }
    }

    fn run_until(&mut self, until: u64) {
        while self.broken.is_empty() {
            let Some(entry) = self.queue.first_entry() else {
                break;
            };
            if entry.key().0 > until {
                break;
            }
            let ((at, _), occur) = entry.remove_entry();
            self.now = at;
            self.world.set_wall(self.wall());
            self.occur(occur);
            self.follow_world();
        }
        self.now = self.now.max(until);
        self.world.set_wall(self.wall());
        self.judge_truth();
    }

    fn occur(&mut self, occur: Occur) {
        match occur {
            Occur::Frame {
                pid,
                life,
                kind,
                epoch,
                frame,
            } => {
                let Some(process) = self.processes.get_mut(pid) else {
                    return;
                };
                if process.life != life {
                    return;
                }
                match process.streams.get_mut(&kind) {
                    Some(stream) if stream.epoch == epoch => {
                        stream.arrived = stream.arrived.max(frame.version);
                    }
                    _ => return,
                }
                self.deliver(pid, life, frame.event);
            }
            Occur::Tick { pid, life } => self.tick(pid, life),
            Occur::Bookmarks { pid, life } => self.bookmarks(pid, life),
            Occur::Connect {
                pid,
                life,
                kind,
                list,
            } => self.connect(pid, life, kind, list),
            Occur::Dispatch {
                pid,
                life,
                term,
                effect,
            } => self.dispatch(pid, life, term, &effect),
            Occur::Execute {
                pid,
                life,
                effect,
                reply,
            } => self.execute(pid, life, &effect, reply),
            Occur::Part {
                pid,
                life,
                term,
                effect,
                done,
                size,
                from,
                repeated,
            } => {
                self.part(pid, life, term, &effect, done, size, from, repeated);
            }
            Occur::Answer { pid, life, event } => self.deliver(pid, life, *event),
            Occur::User(action) => self.user(&action),
            Occur::Mishap(mishap) => self.mishap(mishap),
            Occur::Start(pid) => self.start(pid),
            Occur::Resume(pid, life) => self.resume(pid, life),
            Occur::Elect(pid) => self.elect(pid),
            Occur::Lead {
                pid,
                life,
                leading,
                term,
            } => {
                // It got the lease again before it heard that it had lost it, and hears of the new term alone.
                if !leading && self.holder == Some(pid) && term < self.term {
                    return;
                }
                if let Some(process) = self.processes.get_mut(pid)
                    && process.life == life
                {
                    process.term = leading.then_some(term);
                }
                self.deliver(pid, life, Event::Leading(leading.then_some(term)));
            }
            Occur::Installed(kind) => {
                self.world.missing.remove(&kind);
            }
            Occur::Calm => self.calm(),
        }
    }

    /// An event reaches a process.
    pub fn deliver(&mut self, pid: usize, life: u32, event: Event) {
        let clock = self.clock();
        let now = self.now;
        let Some(process) = self.processes.get_mut(pid) else {
            return;
        };
        if process.life != life {
            return;
        }
        if process.paused {
            process.backlog.push(event);
            return;
        }
        self.trace
            .say(now, || format!("p{pid} <- {}", crate::trace::event(&event)));
        process.witness.tell(&event, now, clock.wall);
        if let Event::Delivered(id, parts) = &event {
            self.book.learn(pid, life, *id, parts, now);
        }
        if let Some(engine) = &mut process.engine {
            let effects = engine.step(event, clock);
            self.emit(pid, life, effects);
        }
        let soon = self.rng.between(1, 60);
        self.tick_at(pid, life, now + soon);
    }

    fn tick_at(&mut self, pid: usize, life: u32, at: u64) {
        let Some(process) = self.processes.get_mut(pid) else {
            return;
        };
        if process.tick_at.is_some_and(|planned| planned <= at) {
            return;
        }
        process.tick_at = Some(at);
        self.plan_at(at, Occur::Tick { pid, life });
    }

    fn tick(&mut self, pid: usize, life: u32) {
        let clock = self.clock();
        let now = self.now;
        let Some(process) = self.processes.get_mut(pid) else {
            return;
        };
        // A tick that was overtaken by an earlier one is no longer planned.
        if process.life != life || process.tick_at != Some(now) {
            return;
        }
        process.tick_at = None;
        if process.paused {
            process.backlog.push(Event::Tick);
            return;
        }
        let second = now / 1000;
        process.spin = match process.spin {
            (s, n) if s == second => (s, n + 1),
            _ => (second, 1),
        };
        if process.spin.1 > SPIN {
            self.break_promise(
                "NO-SPIN",
                format!("process {pid} was stepped {SPIN} times within a second"),
            );
            return;
        }
        // Only a leader acts on what it was told; a new one starts without evidence.
        if process.term.is_some() {
            process.witness.settle(now, clock.wall);
        }
        if let Some(engine) = &mut process.engine {
            let effects = engine.step(Event::Tick, clock);
            self.book.count("ticks");
            self.emit(pid, life, effects);
        }
    }

    fn emit(&mut self, pid: usize, life: u32, effects: Vec<Effect>) {
        let term = self.processes.get(pid).and_then(|p| p.term);
        for effect in effects {
            if let Effect::WakeAt(at) = effect {
                let at = at.0.saturating_sub(5_000_000);
                let at = at.max(self.now + 1);
                self.tick_at(pid, life, at);
                continue;
            }
            let now = self.now;
            self.trace.say(now, || {
                format!("p{pid} -> {}", crate::trace::effect(&effect))
            });
            invariants::on_emit(self, pid, &effect);
            match &effect {
                Effect::Send {
                    id, target, notice, ..
                } => {
                    self.book.sends.insert((pid, life, *id), now);
                    self.book.sent(&target.uid, &notice.tickets);
                }
                Effect::CreateTicket { ticket, .. } => self.book.opened(ticket, now),
                _ => {}
            }
            let after = self.effect_delay();
            let effect = Rc::new(effect);
            let leaves = Occur::Dispatch {
                pid,
                life,
                term,
                effect,
            };
            self.plan(after, leaves);
        }
    }

    fn effect_delay(&mut self) -> u64 {
        if self.rng.chance(self.faults.late) {
            self.rng.between(500, 50_000)
        } else {
            self.rng.between(1, 40)
        }
    }

    // ------------------------------------------------------------ truth

    /// Whatever changed on the server goes onto every connected watch, and to the truth.
    fn follow_world(&mut self) {
        let touched = std::mem::take(&mut self.world.touched);
        let wall = self.wall();
        for kind in touched {
            for pid in 0..self.processes.len() {
                self.pump(pid, kind);
            }
            let from = self.truth_version.get(&kind).copied().unwrap_or_default();
            for change in self.world.changes_after(kind, from) {
                if let Some(value) = &change.value
                    && kind == Kind::AlertReceiver
                    && value.pointer("/spec/sendResolved") == Some(&false.into())
                {
                    self.book.unwilling.insert(change.key.name.to_string());
                }
                let event = match &change.value {
                    Some(value) => crate::stream::seen(kind, value),
                    None => Event::Gone(kind, change.key.clone()),
                };
                self.truth.tell(&event, wall);
            }
            self.truth_version.insert(kind, self.world.version());
        }
        self.judge_truth();
    }

    fn judge_truth(&mut self) {
        if !self.truth.judge(self.wall()) {
            return;
        }
        let now = self.now;
        let failing: BTreeMap<ObjectKey, u64> = self
            .truth
            .failing()
            .map(|(place, _)| {
                (
                    place.clone(),
                    self.failing_since.get(place).copied().unwrap_or(now),
                )
            })
            .collect();
        self.failing_since = failing;
        self.second_opinion();
    }

    /// The checks against the naive reading of the same objects.
    fn second_opinion(&mut self) {
        if !self.rng.chance(100) {
            return;
        }
        self.compare_with_naive();
    }

    /// As above, at once.
    pub fn compare_with_naive(&mut self) {
        if let Err(how) = naive::agrees(&self.world, &self.truth) {
            self.break_promise("ORACLE", how);
        }
    }

    // ------------------------------------------------------------ watches

    fn send_frames(&mut self, pid: usize, life: u32, kind: Kind, epoch: u32, frames: Vec<Frame>) {
        for frame in frames {
            let at = frame.at;
            self.plan_at(
                at,
                Occur::Frame {
                    pid,
                    life,
                    kind,
                    epoch,
                    frame,
                },
            );
        }
    }

    fn pump(&mut self, pid: usize, kind: Kind) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(pid) else {
            return;
        };
        let life = process.life;
        let Some(stream) = process.streams.get_mut(&kind) else {
            return;
        };
        if process.engine.is_none() {
            return;
        }
        let frames = stream.pump(kind, &self.world, now, &mut self.rng, &self.weather);
        let (epoch, lost) = (stream.epoch, stream.lost_a_frame);
        if lost {
            // The list that verifies the cache heals it, in time.
            let heal = self.rng.between(30_000, 2 * MINUTE);
            self.book.last_trouble = self.book.last_trouble.max(now + heal);
            self.plan(
                heal,
                Occur::Connect {
                    pid,
                    life,
                    kind,
                    list: true,
                },
            );
        }
        self.send_frames(pid, life, kind, epoch, frames);
    }

    /// A watch connects.
    pub fn connect(&mut self, pid: usize, life: u32, kind: Kind, list: bool) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(pid) else {
            return;
        };
        if process.life != life || process.engine.is_none() {
            return;
        }
        let Some(stream) = process.streams.get_mut(&kind) else {
            return;
        };
        let denied = self.world.denied.contains(&kind) || self.world.missing.contains(&kind);
        let frames = if list || denied || stream.arrived == 0 {
            stream.list(kind, &self.world, now, &mut self.rng, &self.weather)
        } else {
            stream.up = true;
            let mut frames = stream.pump(kind, &self.world, now, &mut self.rng, &self.weather);
            frames.push(stream.bookmark(kind, now, &mut self.rng, &self.weather));
            frames
        };
        let (epoch, up) = (stream.epoch, stream.up);
        self.send_frames(pid, life, kind, epoch, frames);
        if !up {
            let again = self.rng.between(5_000, 25_000);
            self.plan(
                again,
                Occur::Connect {
                    pid,
                    life,
                    kind,
                    list: true,
                },
            );
        }
    }

    fn bookmarks(&mut self, pid: usize, life: u32) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(pid) else {
            return;
        };
        if process.life != life || process.engine.is_none() {
            return;
        }
        let mut all = vec![];
        for (kind, stream) in &mut process.streams {
            if stream.up {
                let mut frame = stream.bookmark(*kind, now, &mut self.rng, &self.weather);
                // Mostly together, which saves steps.
                frame.at = stream.horizon.max(now + 80);
                all.push((*kind, stream.epoch, frame));
            }
        }
        for (kind, epoch, frame) in all {
            self.send_frames(pid, life, kind, epoch, vec![frame]);
        }
        let next = self.rng.between(20_000, 40_000);
        self.plan(next, Occur::Bookmarks { pid, life });
    }

    /// Whether there is a leader that runs.
    #[must_use]
    pub fn is_led_well(&self) -> bool {
        let leader = self.holder.and_then(|pid| self.processes.get(pid));
        leader.is_some_and(|p| p.is_alive() && !p.paused)
    }

    /// Whether the run is one in which nothing fails.
    #[must_use]
    pub fn is_calm(&self) -> bool {
        self.scenario.flavour == Flavour::Calm
    }
}
