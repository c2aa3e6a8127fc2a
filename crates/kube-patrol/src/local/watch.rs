//! Waiting for files to change. It only shortens the wait: whoever uses it looks at
//! everything every ten seconds anyway, so a lost notification loses nothing.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::store::atomic;

/// A burst of changes is over when nothing happens for this long.
const QUIET: Duration = Duration::from_millis(150);
/// A burst that does not end is looked at in the middle.
const LONGEST: Duration = Duration::from_secs(2);

/// Watches folders and sends a message for each change that could matter.
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    paths: Vec<PathBuf>,
    watched: Vec<PathBuf>,
    reported: bool,
}

impl Watch {
    /// Begins to watch. `state` is the state folder: of what happens in it only the tickets
    /// matter. Where the system cannot watch, the periodic look remains.
    pub fn begin<M: Send + 'static>(
        paths: Vec<PathBuf>,
        state: PathBuf,
        send: Sender<M>,
        message: fn() -> M,
    ) -> Self {
        let tickets = state.join("tickets");
        let (inner_state, inner_tickets) = (real(&state), real(&tickets));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let matters = match event {
                Ok(event) => matters(&event, &inner_state, &inner_tickets),
                // Overflow and the like: something happened that was not told.
                Err(_) => true,
            };
            if matters {
                // A receiver that is gone has no use for it.
                let _ = send.send(message());
            }
        });
        let mut watch = Self {
            watcher: watcher.ok(),
            paths: paths.into_iter().chain([tickets]).collect(),
            watched: vec![],
            reported: false,
        };
        watch.renew();
        watch
    }

    /// Watches again what vanished and came back. Cheap when nothing did.
    pub fn renew(&mut self) {
        let Some(watcher) = &mut self.watcher else {
            self.report();
            return;
        };
        let mut failed = false;
        for path in &self.paths {
            let is_watched = self.watched.contains(path);
            match (path.exists(), is_watched) {
                (true, false) => match watcher.watch(path, RecursiveMode::Recursive) {
                    Ok(()) => self.watched.push(path.clone()),
                    Err(_) => failed = true,
                },
                (false, true) => {
                    // The system has dropped it already.
                    let _ = watcher.unwatch(path);
                    self.watched.retain(|watched| watched != path);
                }
                _ => {}
            }
        }
        if failed {
            self.report();
        }
    }

    fn report(&mut self) {
        if !std::mem::replace(&mut self.reported, true) {
            tracing::warn!(
                "the system cannot watch every input: changes are noticed every ten seconds"
            );
        }
    }
}

/// Waits until a burst of messages is over; hands out each of them.
pub fn until_quiet<M>(receiver: &Receiver<M>, mut each: impl FnMut(M) -> bool) {
    let end = Instant::now() + LONGEST;
    loop {
        let left = end.saturating_duration_since(Instant::now()).min(QUIET);
        match receiver.recv_timeout(left) {
            Ok(message) => {
                if !each(message) {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn real(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

fn matters(event: &Event, state: &Path, tickets: &Path) -> bool {
    match event.kind {
        // Reading is what we do ourselves.
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => {}
        EventKind::Access(_) => return false,
        _ => {}
    }
    event.paths.is_empty()
        || event.paths.iter().any(|path| {
            let path = path.as_path();
            if path.starts_with(tickets) {
                !is_hidden(path, tickets)
            } else {
                !path.starts_with(state) && !is_temporary(path)
            }
        })
}

fn is_hidden(path: &Path, root: &Path) -> bool {
    path.strip_prefix(root)
        .ok()
        .and_then(Path::file_name)
        .is_some_and(|name| {
            name.as_encoded_bytes()
                .starts_with(atomic::TEMPORARY.as_bytes())
        })
}

fn is_temporary(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."))
}
