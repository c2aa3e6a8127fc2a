//! The loop of one kind: list, follow, list again when in doubt, say what is not seen.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use patrol_core::event::Event;
use patrol_core::facts::{ObjectKey, decode, identity_of};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use tokio::time::Instant;

use super::Shared;
use super::health::KindHealth;
use super::list::{Pager, is_absent};
use super::trouble::{SILENT, Trouble};
use super::versions::{Versions, number};
use super::watch::{End, Watch};
use crate::client::{JSON, METADATA_LIST};

/// Times a list is begun anew because it took longer than its version lived.
const LIST_RESTARTS: u32 = 3;
/// Very short watches in a row before the kind is listed again.
const SHORT_WATCHES: u32 = 3;

/// Reads one kind.
pub(super) struct Source {
    pub(super) kind: Kind,
    pub(super) shared: Arc<Shared>,
    /// The version up to which everything was seen.
    pub(super) version: String,
    pub(super) versions: Option<Versions>,
    failures: u32,
    failing_since: Option<Instant>,
    short_watches: u32,
    /// What the engine was told last.
    told: Told,
    /// A list after which the watch has to prove itself before the list counts.
    unproven: bool,
    /// The last watch fell silent: only words count as a sign of life now.
    pub(super) doubted: bool,
    verify_at: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Told {
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
        let sent = self.shared.events.send(event).await;
        sent.map_err(|_| Trouble::Closed)
    }

    // ------------------------------------------------------------ lists

    async fn list(&mut self) -> Result<(), Trouble> {
        let shared = Arc::clone(&self.shared);
        let _turn = shared.lists.acquire().await;
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
        let mut pager = Pager::new(&shared.http, &shared.settings, self.kind, JSON);
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

    async fn list_counts(&mut self) -> Result<(), Trouble> {
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

    // ------------------------------------------------------------ following

    /// Watches until the kind has to be listed again.
    async fn follow(&mut self) -> Result<(), Trouble> {
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

    fn relist(&self, why: &'static str) {
        tracing::info!(kind = %self.kind, why, "listing again");
        if let Some(health) = self.health() {
            health.add_relist();
        }
    }

    // ------------------------------------------------------------ trouble

    /// Says what a trouble means and waits as long as it asks for.
    async fn suffer(&mut self, trouble: Trouble) -> Result<(), Trouble> {
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
        match is_absent(&self.shared.http, self.kind).await {
            Ok(true) => {
                if self.told != Told::Absent {
                    tracing::info!(kind = %self.kind, "the kind is not installed");
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

    async fn lose(&mut self, why: Blindness) -> Result<(), Trouble> {
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

    // ------------------------------------------------------------ comparing

    /// Between two watches: time to begin a comparison, or to finish one that the watch
    /// never caught up with although it `had_time`. Returns whether to list again.
    async fn compare_at_end(&mut self, had_time: bool) -> Result<bool, Trouble> {
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
        let _turn = shared.lists.acquire().await;
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
                health.add_divergence();
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
    let mut pager = Pager::new(&shared.http, &shared.settings, kind, METADATA_LIST);
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

/// When a kind is first compared: the kinds share the period evenly.
fn offset(kind: Kind, every: Duration) -> Duration {
    let all = u32::try_from(Kind::ALL.len()).unwrap_or(1).max(1);
    let position = Kind::ALL.iter().position(|k| *k == kind).unwrap_or(0);
    let position = u32::try_from(position).unwrap_or(0);
    every / all * (position + 1)
}
