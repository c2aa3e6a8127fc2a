//! The loop of one kind: list, follow, list again when in doubt, say what is not seen.

use bytes::Bytes;
use patrol_core::event::Event;
use patrol_core::facts::{ObjectKey, decode};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use std::sync::Arc;
use tokio::time::Instant;

use super::compare::offset;
use super::health::KindHealth;
use super::list::Pager;
use super::trouble::Trouble;
use super::versions::Versions;
use super::{Received, Shared};
use crate::client::JSON;

/// Times a list is begun anew because it took longer than its version lived.
const LIST_RESTARTS: u32 = 3;
/// Reads one kind.
pub(super) struct Source {
    pub(super) kind: Kind,
    pub(super) shared: Arc<Shared>,
    /// The version up to which everything was seen.
    pub(super) version: String,
    pub(super) versions: Option<Versions>,
    pub(super) failures: u32,
    pub(super) failing_since: Option<Instant>,
    pub(super) short_watches: u32,
    /// What the engine was told last.
    pub(super) told: Told,
    /// A list after which the watch has to prove itself before the list counts.
    pub(super) unproven: bool,
    /// The last watch fell silent: only words count as a sign of life now.
    pub(super) doubted: bool,
    pub(super) verify_at: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Seen,
    Blind(Blindness),
    Absent,
}

impl Source {
    pub(super) fn new(kind: Kind, shared: Arc<Shared>) -> Self {
        let every = shared.settings.verify_every;
        Self {
            kind,
            version: String::new(),
            versions: every.map(|_| Versions::default()),
            failures: 0,
            failing_since: None,
            short_watches: 0,
            told: Told::Blind(Blindness::Unsynced),
            unproven: false,
            doubted: false,
            verify_at: every.map(|every| Instant::now() + offset(kind, every)),
            shared,
        }
    }

    /// Lists and follows until nobody listens.
    pub(super) async fn run(mut self) {
        while self.round().await.is_ok() {}
    }

    /// One list and the watches that follow it. An error is the end of the process.
    async fn round(&mut self) -> Result<(), Trouble> {
        match self.list().await {
            Ok(()) => self.follow().await,
            Err(trouble) => self.suffer(trouble).await,
        }
    }

    pub(super) fn health(&self) -> Option<&KindHealth> {
        self.shared.health.kind(self.kind)
    }

    pub(super) async fn send(&self, event: Event) -> Result<(), Trouble> {
        let sent = self.shared.events.send(Received::now(event)).await;
        sent.map_err(|_| Trouble::Closed)
    }

    // ------------------------------------------------------------ lists

    async fn list(&mut self) -> Result<(), Trouble> {
        let shared = Arc::clone(&self.shared);
        let mut restarts = 0;
        loop {
            match self.list_once(&shared).await {
                Err(Trouble::Expired) if restarts < LIST_RESTARTS => restarts += 1,
                Err(Trouble::Expired) => return Err(Trouble::failing("ListExpires")),
                other => return other,
            }
        }
    }

    async fn list_once(&mut self, shared: &Shared) -> Result<(), Trouble> {
        let mut pager = Pager::new(shared, self.kind, JSON);
        if let Some(versions) = &mut self.versions {
            *versions = Versions::default();
        }
        let mut begun = false;
        while let Some(page) = pager.next().await? {
            if !begun {
                // Only now: a list that cannot even begin puts nothing in doubt.
                self.send(Event::ListStarted(self.kind)).await?;
                begun = true;
            }
            for item in &page.items {
                self.take(item).await?;
            }
            self.version = page.version;
        }
        if let Some(health) = self.health() {
            health.add_list();
            health.hear();
        }
        match self.told {
            Told::Seen | Told::Absent | Told::Blind(Blindness::Unsynced) => {
                self.list_counts().await
            }
            // It may be the watch that fails: a list alone does not give sight back, or
            // sight would flap with every list.
            Told::Blind(_) => {
                self.unproven = true;
                Ok(())
            }
        }
    }

    pub(super) async fn list_counts(&mut self) -> Result<(), Trouble> {
        self.unproven = false;
        self.told = Told::Seen;
        if let Some(health) = self.health() {
            health.set_seen(true);
        }
        self.send(Event::ListFinished(self.kind)).await
    }

    /// Decodes an object and hands it on. Returns its version.
    pub(super) async fn take(&mut self, json: &Bytes) -> Result<Option<String>, Trouble> {
        let kind = self.kind;
        match decode(kind, json) {
            Ok(seen) => {
                if let Some(versions) = &mut self.versions {
                    versions.saw(&seen.key, &seen.version);
                }
                let version = seen.version.clone();
                if kind == Kind::CustomResourceDefinition {
                    self.definition_changed(&seen.key);
                }
                self.send(Event::Seen(Box::new(seen))).await?;
                Ok(Some(version))
            }
            Err(error) => {
                tracing::warn!(%kind, object = ?error.key.as_ref().map(ToString::to_string),
                    reason = %error.reason, "an object cannot be decoded: it is a blind spot");
                if let Some(health) = self.health() {
                    health.add_undecodable();
                }
                let version = version_of(json);
                if let (Some(versions), Some(key), Some(version)) =
                    (&mut self.versions, &error.key, &version)
                {
                    versions.saw(key, version);
                }
                self.send(Event::Undecodable(error)).await?;
                Ok(version)
            }
        }
    }

    /// Kinds that are not installed are looked for when their definition changes.
    fn definition_changed(&self, definition: &ObjectKey) {
        for (kind, wake) in &self.shared.defined {
            let info = kind.info();
            let name = definition.name.split_once('.');
            if name == Some((info.resource, info.group)) {
                wake.notify_one();
            }
        }
    }
}

/// The version of an object whose rest may not be decodable.
pub(super) fn version_of(json: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Meta {
        resource_version: String,
    }
    #[derive(serde::Deserialize)]
    struct Object {
        metadata: Meta,
    }
    let object: Object = serde_json::from_slice(json).ok()?;
    Some(object.metadata.resource_version)
}
