//! Effects to API writes. Every write says what state it assumes, asks first whether this
//! process certainly leads, keeps to a pace, and reports how it ended; it is never
//! repeated here, because only the engine knows whether it is still wanted.

mod calls;
mod outcome;
mod pace;
mod review;
mod turns;

use std::sync::Arc;

use patrol_core::effect::Effect;
use patrol_core::event::{Event, Term, WriteId, WriteResult};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use crate::client::{Connection, OBJECT_DEADLINE};
use crate::events::{Announcer, Suppressed};
use crate::lease::Fence;
use pace::Pace;
pub use pace::WRITES_PER_SECOND;
use turns::Turns;

/// Writes under way at once: measured, 71 % of the peak rate at an eleventh of its latency.
const IN_FLIGHT: usize = 8;

/// Where answers go.
pub type Answers = mpsc::UnboundedSender<Event>;

/// What to do, the term in which it was asked, and where its end is told.
type Job = (Effect, Option<Term>, Answers);

/// Hands effects to the worker. Cheap to clone; never blocks.
#[derive(Clone)]
pub struct Writer {
    queue: mpsc::UnboundedSender<Job>,
    suppressed: Suppressed,
}

/// Carries effects out.
pub struct Worker {
    queue: mpsc::UnboundedReceiver<Job>,
    shared: Arc<Shared>,
}

struct Shared {
    connection: Connection,
    fence: Fence,
    announcer: Announcer,
    reviews: Turns,
    counts: Turns,
    slots: Semaphore,
    pace: Pace,
}

/// A writer and its worker, which writes at most so often a second in the long run.
/// `identity` names this replica in the events it writes.
#[must_use]
pub fn writer(
    connection: Connection,
    fence: Fence,
    identity: &str,
    writes_per_second: u32,
) -> (Writer, Worker) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let announcer = Announcer::new(connection.writes.clone(), identity);
    let suppressed = announcer.suppressed();
    let shared = Arc::new(Shared {
        connection,
        fence,
        announcer,
        reviews: Turns::default(),
        counts: Turns::default(),
        slots: Semaphore::new(IN_FLIGHT),
        pace: Pace::new(u64::from(writes_per_second)),
    });
    (
        Writer {
            queue: sender,
            suppressed,
        },
        Worker {
            queue: receiver,
            shared,
        },
    )
}

impl Writer {
    /// Events that were kept back so far.
    #[must_use]
    pub fn suppressed_events(&self) -> Suppressed {
        self.suppressed.clone()
    }

    /// Begins to carry out an effect; its end is an event in `answers`. A change that was asked in another term than the one
    /// in which this process leads, once it is its turn, is refused. The number of effects under way is bounded by the engine.
    pub fn carry_out(&self, effect: Effect, term: Option<Term>, answers: &Answers) {
        // A worker that is gone answers nothing: the engine counts the effect as lost.
        let _ = self.queue.send((effect, term, answers.clone()));
    }
}

impl Worker {
    /// Works until every writer is gone; then what is under way is ended.
    pub async fn run(mut self) {
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                job = self.queue.recv() => match job {
                    Some((effect, term, answers)) => {
                        let shared = Arc::clone(&self.shared);
                        // Numbered here, in the order in which they were asked.
                        let number = shared.number(&effect);
                        let fence = shared.fence.within(term);
                        tasks.spawn(async move {
                            shared.carry_out(effect, number, &fence, &answers).await;
                        });
                    }
                    None => break,
                },
                Some(_) = tasks.join_next() => {}
            }
        }
        while tasks.join_next().await.is_some() {}
    }
}

impl Shared {
    fn number(&self, effect: &Effect) -> u64 {
        match effect {
            Effect::Review(_) => self.reviews.number(),
            Effect::Count(_) => self.counts.number(),
            _ => 0,
        }
    }

    async fn carry_out(&self, effect: Effect, number: u64, fence: &Fence, answers: &Answers) {
        // Whoever asked may be gone: then nobody needs the answer.
        let answer = |event: Event| drop(answers.send(event));
        match effect {
            Effect::Review(kinds) => {
                let Some(_turn) = self.reviews.take(number).await else {
                    return;
                };
                if let Some(seen) = review::review(&self.connection.reads, &kinds).await {
                    answer(Event::Reviewed(seen));
                }
            }
            Effect::Count(crds) => {
                let Some(_turn) = self.counts.take(number).await else {
                    return;
                };
                for (crd, most) in crds {
                    let count = review::count(&self.connection.reads, &crd, most).await;
                    answer(Event::Counted(crd, count));
                }
            }
            // A courtesy, and a write all the same: who woke up and leads no more is silent.
            Effect::Announce(announcement) => {
                let announced = self.announcer.announce(&announcement);
                fence.while_leading(announced).await;
            }
            Effect::ReadTicket { id, key } => {
                let (seen, result) = calls::read_ticket(&self.connection.reads, &key).await;
                seen.into_iter().for_each(answer);
                answer(Event::Written(id, result));
            }
            // The shell keeps time and sends.
            Effect::Send { .. } | Effect::WakeAt(_) => {}
            write => {
                if let Some((id, result)) = self.write(write, fence).await {
                    answer(Event::Written(id, result));
                }
            }
        }
    }

    async fn write(&self, effect: Effect, fence: &Fence) -> Option<(WriteId, WriteResult)> {
        let id = calls::id_of(&effect)?;
        let Ok(_slot) = self.slots.acquire().await else {
            return Some((id, WriteResult::Failed));
        };
        self.pace.wait().await;
        let began = tokio::time::Instant::now();
        let server = calls::Server {
            http: &self.connection.writes,
            fence,
            until: began + OBJECT_DEADLINE,
        };
        let result = calls::write(&server, effect).await;
        let throttled = matches!(result, WriteResult::Throttled(_));
        self.pace.learn(began.elapsed(), throttled);
        Some((id, result))
    }
}
