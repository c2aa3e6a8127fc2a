//! Comparing what the watch brought with a list of metadata, now and then: the only way to
//! notice an event that the server's cache or something on the way lost.

use std::sync::Arc;
use std::time::Duration;

use patrol_core::facts::{ObjectKey, identity_of};
use patrol_core::kind::Kind;
use tokio::time::Instant;

use super::Shared;
use super::list::Pager;
use super::source::{Source, version_of};
use super::trouble::Trouble;
use super::versions::{Versions, number};
use crate::client::METADATA_LIST;

impl Source {
    /// Between two watches: time to begin a comparison, or to finish one that the watch
    /// never caught up with although it `had_time`. Returns whether to list again.
    pub(super) async fn compare_at_end(&mut self, had_time: bool) -> Result<bool, Trouble> {
        if had_time && self.compared() == Some(true) {
            self.relist("the watch and a list differ: an event was lost");
            return Ok(true);
        }
        let due = self.verify_at.is_some_and(|at| Instant::now() >= at);
        let under_way = self.versions.as_ref().and_then(Versions::awaited);
        if !due || under_way.is_some() {
            return Ok(false);
        }
        let shared = Arc::clone(&self.shared);
        if let Some(every) = shared.settings.verify_every {
            self.verify_at = Some(Instant::now() + every);
        }
        match list_versions(&shared, self.kind).await {
            Ok(Some((at, listed))) => {
                if let Some(versions) = &mut self.versions {
                    versions.begin(at, listed.into_iter());
                }
            }
            Ok(None) => {}
            Err(Trouble::Closed) => return Err(Trouble::Closed),
            // The next watch or list will say what is the matter.
            Err(trouble) => tracing::debug!(kind = %self.kind, reason = trouble.as_str(),
                "cannot compare with a list"),
        }
        Ok(false)
    }

    /// Finishes a comparison that the watch has caught up with, if there is one: whether
    /// there is a difference.
    pub(super) fn compared(&mut self) -> Option<bool> {
        let differing = self.versions.as_mut().and_then(Versions::finish)?;
        if let Some(health) = self.health() {
            health.add_verification();
            if differing > 0 {
                health.add_divergences(differing);
                tracing::warn!(kind = %self.kind, objects = differing,
                    "objects differ from a list although the watch lost nothing");
            }
        }
        Some(differing > 0)
    }
}

type Listed = (u64, Vec<(ObjectKey, u64)>);

/// Lists the versions of all objects; `None` when the server's are no numbers.
async fn list_versions(shared: &Shared, kind: Kind) -> Result<Option<Listed>, Trouble> {
    let mut pager = Pager::new(shared, kind, METADATA_LIST);
    let mut listed = Vec::new();
    let mut at = None;
    while let Some(page) = pager.next().await? {
        let Some(version) = number(&page.version) else {
            return Ok(None);
        };
        at = Some(version);
        for item in &page.items {
            let (Some(key), Some(version)) = (
                identity_of(item),
                version_of(item).as_deref().and_then(number),
            ) else {
                return Ok(None);
            };
            listed.push((key, version));
        }
    }
    Ok(at.map(|at| (at, listed)))
}

/// When a kind is first compared: the kinds share the period evenly.
pub(super) fn offset(kind: Kind, every: Duration) -> Duration {
    let all = u32::try_from(Kind::ALL.len()).unwrap_or(1).max(1);
    let position = Kind::ALL.iter().position(|k| *k == kind).unwrap_or(0);
    let position = u32::try_from(position).unwrap_or(0);
    every / all * (position + 1)
}
