//! One watch, from its request to its end.
//!
//! It is dead at the latest a little after the time the server was asked to close it.

use std::borrow::Cow;

use bytes::Bytes;
use http::StatusCode;
use patrol_core::event::Event;
use patrol_core::facts::identity_of;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use super::frames::{FrameError, Frames};
use super::source::{Source, version_of};
use super::trouble::{SILENT, Trouble};
use super::versions::{Versions, number};
use crate::client::Call;
use crate::path;
use crate::status::Status;

/// How a watch ended.
pub(super) enum End {
    /// The server closed it, or the connection broke between events: everything up to
    /// the source's version was seen.
    Proper {
        /// Nothing was heard before.
        silent: bool,
    },
    /// A comparison found that events were lost.
    Diverged,
    /// An event could not be read: what it said is lost.
    Malformed,
    /// It did not begin, was ended by an error, or fell silent.
    Trouble(Trouble),
}

/// A watch that is about to begin.
pub(super) struct Watch<'a> {
    source: &'a mut Source,
    alive: bool,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow, rename = "type")]
    what: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

impl<'a> Watch<'a> {
    pub(super) fn new(source: &'a mut Source) -> Self {
        Self {
            source,
            alive: false,
        }
    }

    pub(super) async fn run(mut self) -> End {
        let started = Instant::now();
        let mut frames = match self.open().await {
            Ok(frames) => frames,
            Err(trouble) => return End::Trouble(trouble),
        };
        let settings = &self.source.shared.settings;
        let dead_at = started + settings.watch_timeout + settings.watch_slack;
        let proven_at = if self.source.doubted {
            dead_at
        } else {
            dead_at.min(started + settings.short_watch)
        };
        loop {
            let until = if self.alive { dead_at } else { proven_at };
            let step = match timeout_at(until, frames.next()).await {
                Ok(Some(Ok(line))) => self.event(&line).await,
                Ok(None | Some(Err(FrameError::Broken))) => Err(End::Proper {
                    silent: !self.alive,
                }),
                Ok(Some(Err(FrameError::TooLong))) => Err(End::Malformed),
                Err(_) if until < dead_at => self.live().await,
                Err(_) => Err(End::Trouble(SILENT)),
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    async fn open(&self) -> Result<Frames, Trouble> {
        let Source {
            kind,
            shared,
            version,
            ..
        } = &*self.source;
        let settings = &shared.settings;
        let target = format!(
            "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={}",
            path::collection(*kind),
            settings.watch_timeout.as_secs().max(1),
            path::escape(version)
        );
        let opened = shared.http.open(Call::get(target), settings.watch_start);
        let opened = opened.await?;
        if opened.status != StatusCode::OK {
            let (status, pause) = (opened.status, opened.retry_after);
            return Err(Trouble::of_status(status, pause, "watch"));
        }
        Ok(Frames::new(opened.body, settings.frame_max))
    }

    async fn live(&mut self) -> Result<(), End> {
        self.alive = true;
        self.source.alive().await.map_err(End::Trouble)
    }

    async fn event(&mut self, line: &Bytes) -> Result<(), End> {
        let frame: Frame<'_> = serde_json::from_slice(line).map_err(|_| End::Malformed)?;
        if frame.what == "ERROR" {
            return Err(error(frame.object.get().as_bytes()));
        }
        if !self.alive {
            self.live().await?;
        }
        let object = line.slice_ref(frame.object.get().as_bytes());
        let version = match &*frame.what {
            "ADDED" | "MODIFIED" => self.source.take(&object).await.map_err(End::Trouble)?,
            "DELETED" => {
                self.deleted(&object).await?;
                version_of(&object)
            }
            "BOOKMARK" => {
                let heard = Event::Heard(self.source.kind);
                self.source.send(heard).await.map_err(End::Trouble)?;
                version_of(&object)
            }
            _ => return Err(End::Malformed),
        };
        self.source.heard();
        // Without a version the next watch would repeat what was seen, or miss it.
        let version = version.filter(|v| !v.is_empty()).ok_or(End::Malformed)?;
        self.source.version = version;
        self.compare()
    }

    async fn deleted(&mut self, object: &[u8]) -> Result<(), End> {
        let key = identity_of(object).ok_or(End::Malformed)?;
        if let Some(versions) = &mut self.source.versions {
            versions.lost(&key);
        }
        let gone = Event::Gone(self.source.kind, key);
        self.source.send(gone).await.map_err(End::Trouble)
    }

    /// Finishes a comparison once the watch has reached the version of its list.
    fn compare(&mut self) -> Result<(), End> {
        let awaited = self.source.versions.as_ref().and_then(Versions::awaited);
        let reached = number(&self.source.version);
        match (awaited, reached) {
            (Some(at), Some(version)) if version >= at => match self.source.compared() {
                Some(true) => Err(End::Diverged),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }
}

/// The end that an ERROR event means.
fn error(object: &[u8]) -> End {
    let status = Status::parse(object);
    if status.is_expired() {
        return End::Trouble(Trouble::Expired);
    }
    let code = status.code.and_then(|code| StatusCode::from_u16(code).ok());
    let code = code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    End::Trouble(Trouble::of_status(code, None, "watch"))
}
