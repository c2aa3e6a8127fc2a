//! What a trouble means: whether sight is lost, and how long to wait before the next try.

use patrol_core::event::Event;
use patrol_core::inventory::Blindness;
use tokio::time::Instant;

use super::list::is_absent;
use super::source::{Source, Told};
use super::trouble::{SILENT, Trouble};

impl Source {
    /// Says what a trouble means and waits as long as it asks for.
    pub(super) async fn suffer(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        self.failures = self.failures.saturating_add(1);
        let since = *self.failing_since.get_or_insert_with(Instant::now);
        if let Some(health) = self.health() {
            health.add_failure();
        }
        tracing::debug!(kind = %self.kind, failures = self.failures,
            reason = trouble.as_str(), "cannot read");
        let settings = &self.shared.settings;
        let mut longest = settings.backoff_max;
        self.doubted |= trouble == SILENT;
        match trouble {
            Trouble::Closed => return Err(Trouble::Closed),
            Trouble::Denied(verb) => {
                longest = settings.denied_max;
                self.lose(Blindness::Denied(verb.to_owned())).await?;
            }
            Trouble::NotFound => return self.not_found().await,
            Trouble::Throttled(_) => {
                if since.elapsed() > settings.throttled_max {
                    self.lose(Blindness::Failing("Throttled".to_owned()))
                        .await?;
                }
            }
            Trouble::Failing(..) | Trouble::Expired => {
                if self.failures >= 2 {
                    self.lose(Blindness::Failing(trouble.as_str().to_owned()))
                        .await?;
                }
            }
        }
        let pause = super::backoff::pause(self.shared.settings.backoff, longest, self.failures);
        let asked = trouble.retry_after().unwrap_or_default();
        tokio::time::sleep(pause.max(asked)).await;
        Ok(())
    }

    async fn not_found(&mut self) -> Result<(), Trouble> {
        if !self.kind.may_be_absent() {
            // Every API server has it: something between us and it answers.
            return Box::pin(self.suffer(Trouble::failing("NotServed"))).await;
        }
        match is_absent(&self.shared.http, self.kind).await {
            Ok(true) => {
                if self.told != Told::Absent {
                    if self.kind.is_ours() {
                        tracing::warn!(
                            kind = %self.kind,
                            "the kind is not installed: apply the definitions of kubepatrol.io, it goes on by itself"
                        );
                    } else {
                        tracing::info!(kind = %self.kind, "the kind is not installed");
                    }
                    self.told = Told::Absent;
                    if let Some(health) = self.health() {
                        health.set_seen(true);
                    }
                    self.send(Event::NotInstalled(self.kind)).await?;
                }
                self.failures = 0;
                self.failing_since = None;
                self.unproven = false;
                self.heard();
                self.wait_for_definition().await;
                Ok(())
            }
            // Something between us and the API server answers for it.
            Ok(false) => Box::pin(self.suffer(Trouble::failing("NotFoundButListed"))).await,
            Err(trouble) => Box::pin(self.suffer(trouble)).await,
        }
    }

    async fn wait_for_definition(&self) {
        let every = self.shared.settings.absent_every;
        let pause = super::backoff::pause(every, every, 1);
        if let Some(wake) = self.shared.defined.get(&self.kind) {
            // Either way the kind is looked for again.
            let _ = tokio::time::timeout(pause, wake.notified()).await;
        } else {
            tokio::time::sleep(pause).await;
        }
    }

    pub(super) async fn lose(&mut self, why: Blindness) -> Result<(), Trouble> {
        let told = Told::Blind(why.clone());
        if self.told == told {
            return Ok(());
        }
        tracing::warn!(kind = %self.kind, reason = why.reason(), detail = ?why, "sight is lost");
        self.told = told;
        if let Some(health) = self.health() {
            health.set_seen(false);
        }
        self.send(Event::Lost(self.kind, why)).await
    }
}
