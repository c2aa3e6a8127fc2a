//! Waiting for files to change. It only shortens the wait: whoever uses it looks at
//! everything every ten seconds anyway, so a lost notification loses nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::store::atomic;

/// A burst of changes is over when nothing happens for this long.
const QUIET: Duration = Duration::from_millis(150);
/// A burst that does not end is looked at in the middle.
const LONGEST: Duration = Duration::from_secs(2);

/// Watches folders and says so for each change that could matter.
pub struct Watch {
    watcher: Option<RecommendedWatcher>,
    paths: Vec<PathBuf>,
    watched: Vec<PathBuf>,
    reported: bool,
}

impl Watch {
    /// Begins to watch. `state` is the state folder: of what happens in it only the tickets
    /// matter. Where the system cannot watch, the periodic look remains.
    pub fn begin(paths: Vec<PathBuf>, state: PathBuf, changed: impl Fn() + Send + 'static) -> Self {
        let tickets = state.join("tickets");
        let (inner_state, inner_tickets) = (real(&state), real(&tickets));
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let matters = match event {
                Ok(event) => matters(&event, &inner_state, &inner_tickets),
                // Overflow and the like: something happened that was not told.
                Err(_) => true,
            };
            if matters {
                changed();
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

/// When to look after changes: once a burst of them is over, or in the middle of one that
/// does not end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Burst(Option<(Instant, Instant)>);

impl Burst {
    /// Something changed.
    pub fn changed(&mut self, now: Instant) {
        let first = self.0.map_or(now, |(first, _)| first);
        self.0 = Some((first, now));
    }

    /// When to look, if anything changed.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        self.0
            .map(|(first, last)| (last + QUIET).min(first + LONGEST))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_looked_at_when_it_is_over_and_in_the_middle_of_a_long_one() {
        let start = Instant::now();
        let mut burst = Burst::default();
        assert_eq!(burst.due(), None);
        burst.changed(start);
        assert_eq!(burst.due(), Some(start + QUIET));
        let later = start + Duration::from_millis(100);
        burst.changed(later);
        assert_eq!(burst.due(), Some(later + QUIET));
        burst.changed(start + LONGEST);
        assert_eq!(burst.due(), Some(start + LONGEST));
    }

    #[test]
    fn our_own_reads_and_writes_do_not_matter() {
        let (state, tickets) = (
            Path::new("/d/.kube-patrol"),
            Path::new("/d/.kube-patrol/tickets"),
        );
        let said = |kind, path: &str| {
            let event = Event::new(kind).add_path(path.into());
            matters(&event, state, tickets)
        };
        let modified = EventKind::Modify(notify::event::ModifyKind::Any);
        assert!(said(modified, "/d/web.yaml"));
        assert!(said(modified, "/d/.kube-patrol/tickets/shop/t.yaml"));
        assert!(!said(modified, "/d/.kube-patrol/tickets/shop/.tmp-1"));
        assert!(!said(modified, "/d/.kube-patrol/policies/p.yaml"));
        assert!(!said(modified, "/d/.web.yaml.swp"));
        assert!(!said(EventKind::Access(AccessKind::Read), "/d/web.yaml"));
        let closed = EventKind::Access(AccessKind::Close(AccessMode::Write));
        assert!(said(closed, "/d/web.yaml"));
    }
}
