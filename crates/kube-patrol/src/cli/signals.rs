//! SIGTERM and SIGINT: both ask for a clean end.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals, from the moment on that this exists. Before it, one may be lost without a trace: the first process of a
/// container, and what a shell started in the background, have them ignored.
pub struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Catches them. To be called first of all, within a runtime.
    ///
    /// # Errors
    /// The system refuses.
    pub fn catch() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    /// The name of the first that came.
    pub async fn first(mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
        }
    }
}
