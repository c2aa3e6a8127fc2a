//! What the threads of a receiver share. One lock, held only for moments; one
//! condition variable that is told of every change.

use std::collections::{HashMap, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::Recorded;
use super::script::Reply;
use super::signature::Secret;

/// Chooses the answer to a request; `None` leaves it to the rest of the script.
pub(super) type Chooser = Box<dyn FnMut(&Recorded) -> Option<Reply> + Send>;

pub(super) struct State {
    pub(super) requests: Vec<Recorded>,
    pub(super) secrets: Vec<Secret>,
    pub(super) chooser: Option<Chooser>,
    /// Answers for the next requests, each used once.
    pub(super) next: VecDeque<Reply>,
    /// The answer to all others.
    pub(super) otherwise: Reply,
    /// Whether a new connection is read from.
    pub(super) reads: bool,
    /// Raised when the receiver goes down: waits of earlier eras end.
    pub(super) era: u64,
    /// The open connections by number, to close them.
    open: HashMap<u64, TcpStream>,
    pub(super) connections: u64,
    pub(super) peak: usize,
}

impl State {
    /// Whether no connection is open.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }
}

pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                requests: Vec::new(),
                secrets: Vec::new(),
                chooser: None,
                next: VecDeque::new(),
                otherwise: Reply::ok(),
                reads: true,
                era: 0,
                open: HashMap::new(),
                connections: 0,
                peak: 0,
            }),
            changed: Condvar::new(),
        }
    }

    /// The state. A panic in a chooser is the test's failure, not the end of the rest.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection in; `None` when the receiver went down meanwhile.
    pub(super) fn admit(&self, stream: &TcpStream, era: u64) -> Option<u64> {
        let mut state = self.lock();
        if state.era != era {
            return None;
        }
        let clone = stream.try_clone().ok()?;
        state.connections += 1;
        let number = state.connections;
        state.open.insert(number, clone);
        state.peak = state.peak.max(state.open.len());
        self.changed.notify_all();
        Some(number)
    }

    pub(super) fn forget(&self, number: u64) {
        self.lock().open.remove(&number);
        self.changed.notify_all();
    }

    pub(super) fn open(&self) -> usize {
        self.lock().open.len()
    }

    /// Ends every wait and connection of the current era.
    pub(super) fn end_era(&self) {
        let mut state = self.lock();
        state.era += 1;
        for stream in state.open.values() {
            // The peer may have closed it already.
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.changed.notify_all();
    }

    pub(super) fn is_era(&self, era: u64) -> bool {
        self.lock().era == era
    }

    pub(super) fn reads(&self) -> bool {
        self.lock().reads
    }

    pub(super) fn secrets(&self) -> Vec<Secret> {
        self.lock().secrets.clone()
    }

    /// Keeps a request and says how to answer it.
    pub(super) fn record(&self, recorded: Recorded) -> (usize, Reply) {
        let mut state = self.lock();
        let chosen = state.chooser.as_mut().and_then(|choose| choose(&recorded));
        let reply = chosen
            .or_else(|| state.next.pop_front())
            .unwrap_or_else(|| state.otherwise.clone());
        let index = state.requests.len();
        state.requests.push(recorded);
        self.changed.notify_all();
        (index, reply)
    }

    pub(super) fn replied(&self, index: usize, status: u16) {
        if let Some(recorded) = self.lock().requests.get_mut(index) {
            recorded.replied = Some(status);
        }
        self.changed.notify_all();
    }

    pub(super) fn sent(&self, index: usize, bytes: usize) {
        if let Some(recorded) = self.lock().requests.get_mut(index) {
            recorded.sent += u64::try_from(bytes).unwrap_or(u64::MAX);
        }
        self.changed.notify_all();
    }

    /// Rests for a scripted time; false when the era ended before.
    pub(super) fn rest(&self, time: Duration, era: u64) -> bool {
        let state = self.lock();
        let (state, _) = self
            .changed
            .wait_timeout_while(state, time, |state| state.era == era)
            .unwrap_or_else(PoisonError::into_inner);
        state.era == era
    }

    /// Asks after every change until there is a value; `None` at the deadline.
    pub(super) fn wait<T>(
        &self,
        within: Duration,
        mut value: impl FnMut(&State) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + within;
        let mut state = self.lock();
        loop {
            if let Some(value) = value(&state) {
                return Some(value);
            }
            let left = deadline.checked_duration_since(Instant::now())?;
            (state, _) = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}
