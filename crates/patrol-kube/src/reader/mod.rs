//! Watches of the kinds a patrol reads, turned into events of the engine.
//!
//! kube's watcher is not used: it does not notice a watch that ends at once, does not list
//! again on a 410 by status, and one undecodable object stops it.
//! The loop here lists, watches, and lists again whenever it cannot be sure that it saw
//! everything; every object is decoded by itself. It says what it saw and what it could
//! not see; it never concludes anything from it.

pub(crate) mod backoff;
mod compare;
mod follow;
mod frames;
mod health;
mod list;
mod settings;
mod sight;
mod source;
mod trouble;
mod versions;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

use patrol_api::time::Time;
use patrol_core::event::Event;
use patrol_core::kind::Kind;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;

pub use health::{Health, KindHealth};
pub use settings::ReaderSettings;

use crate::boot_clock;
use crate::client::Http;
use source::Source;

/// What was read, and when: words that wait in a queue get no younger there, and freshness
/// is the age of a word.
#[derive(Clone, Debug)]
pub struct Received {
    /// When it came off the wire.
    pub at: Time,
    /// What it says.
    pub event: Event,
}

impl Received {
    /// Something that was read just now.
    #[must_use]
    pub fn now(event: Event) -> Self {
        Self {
            at: boot_clock::wall(),
            event,
        }
    }
}

/// Reads kinds until nobody takes events any more.
pub struct Reader {
    sources: Vec<Source>,
    health: Arc<Health>,
}

/// What the loops of all kinds have in common.
pub(super) struct Shared {
    http: Http,
    settings: ReaderSettings,
    health: Arc<Health>,
    events: mpsc::Sender<Received>,
    lists: Semaphore,
    /// Woken when the definition of a kind changes: it may be installed now.
    defined: BTreeMap<Kind, Notify>,
}

impl Reader {
    /// Prepares to read `kinds` over `http` (the connection's `reads`); events go into
    /// `events`, whose capacity bounds what is read ahead.
    #[must_use]
    pub fn new(
        http: Http,
        kinds: impl IntoIterator<Item = Kind>,
        settings: ReaderSettings,
        events: mpsc::Sender<Received>,
    ) -> Self {
        let kinds: Vec<Kind> = kinds.into_iter().collect();
        let health = Arc::new(Health::new(kinds.iter().copied()));
        let shared = Arc::new(Shared {
            http,
            lists: Semaphore::new(settings.lists.max(1)),
            settings,
            health: Arc::clone(&health),
            events,
            defined: kinds.iter().map(|k| (*k, Notify::new())).collect(),
        });
        Self {
            sources: kinds
                .into_iter()
                .map(|kind| Source::new(kind, Arc::clone(&shared)))
                .collect(),
            health,
        }
    }

    /// Counters of the watches, to be read at any time.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.health)
    }

    /// Reads. Ends when the receiver of the events is dropped; dropping the future ends
    /// every watch.
    ///
    /// # Errors
    /// When the loop of a kind panicked.
    pub async fn run(self) -> Result<(), tokio::task::JoinError> {
        let mut loops = JoinSet::new();
        for source in self.sources {
            loops.spawn(source.run());
        }
        while let Some(ended) = loops.join_next().await {
            ended?;
        }
        Ok(())
    }
}
