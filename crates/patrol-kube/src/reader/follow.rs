//! Watching a kind until it has to be listed again.

use std::time::Duration;

use patrol_core::event::Event;
use patrol_core::inventory::Blindness;
use tokio::time::Instant;

use super::source::{Source, Told};
use super::trouble::Trouble;
use super::watch::{End, Watch};

/// Very short watches in a row before the kind is listed again.
const SHORT_WATCHES: u32 = 3;

impl Source {
    /// Watches until the kind has to be listed again.
    pub(super) async fn follow(&mut self) -> Result<(), Trouble> {
        let mut first = true;
        loop {
            if let (false, Some(health)) = (first, self.health()) {
                health.add_restart();
            }
            first = false;
            let started = Instant::now();
            let end = Watch::new(self).run().await;
            let lasted = started.elapsed();
            match end {
                End::Proper { silent } => {
                    if self.ended(silent, lasted).await? {
                        return Ok(());
                    }
                }
                End::Diverged => {
                    self.relist("the watch and a list differ: an event was lost");
                    return Ok(());
                }
                End::Malformed => {
                    self.relist("a watch event cannot be read");
                    return self.suffer(Trouble::failing("MalformedWatch")).await;
                }
                End::Trouble(Trouble::Expired) => return self.expired(lasted).await,
                End::Trouble(trouble) => {
                    self.suffer(trouble).await?;
                    if self.told != Told::Seen {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// A watch ended in good order. Returns whether to list again.
    async fn ended(&mut self, silent: bool, lasted: Duration) -> Result<bool, Trouble> {
        let settings = &self.shared.settings;
        let (short, whole) = (lasted < settings.short_watch, settings.watch_timeout / 2);
        if short && silent {
            return self.too_short().await;
        }
        if short {
            tokio::time::sleep(settings.backoff).await;
        } else if silent {
            self.alive().await?;
        }
        self.compare_at_end(lasted >= whole).await
    }

    /// The watched version is too old: only a list helps, but a server that always says
    /// so is not asked in a hot loop.
    async fn expired(&mut self, lasted: Duration) -> Result<(), Trouble> {
        self.relist("the watched version is too old");
        if lasted >= self.shared.settings.short_watch {
            return Ok(());
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures > 2 {
            self.lose(Blindness::Failing("WatchExpires".to_owned()))
                .await?;
        }
        tokio::time::sleep(self.shared.settings.pause(self.failures)).await;
        Ok(())
    }

    /// A watch ended at once and said nothing. Returns whether to list again.
    async fn too_short(&mut self) -> Result<bool, Trouble> {
        self.short_watches += 1;
        self.failures = self.failures.saturating_add(1);
        let rounds = self.short_watches / SHORT_WATCHES;
        let again = self.short_watches.is_multiple_of(SHORT_WATCHES);
        if again {
            self.relist("watches end at once");
            if rounds > 1 {
                self.lose(Blindness::Failing("WatchEndsAtOnce".to_owned()))
                    .await?;
            }
        }
        let pause = self.shared.settings.pause(self.failures);
        tokio::time::sleep(pause).await;
        Ok(again)
    }

    /// The watch gave a sign of life: the kind is seen.
    pub(super) async fn alive(&mut self) -> Result<(), Trouble> {
        self.failures = 0;
        self.failing_since = None;
        self.short_watches = 0;
        self.doubted = false;
        if self.unproven {
            self.list_counts().await?;
        }
        self.heard();
        self.send(Event::Heard(self.kind)).await
    }

    pub(super) fn heard(&self) {
        if let Some(health) = self.health() {
            health.hear();
        }
    }

    pub(super) fn relist(&self, why: &'static str) {
        tracing::info!(kind = %self.kind, why, "listing again");
        if let Some(health) = self.health() {
            health.add_relist();
        }
    }
}
