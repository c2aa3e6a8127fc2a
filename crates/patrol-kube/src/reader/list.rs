//! Lists in pages. A list is complete or an error: a page that is cut, malformed or
//! refused never counts as the end.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use patrol_core::kind::Kind;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::SemaphorePermit;

use super::settings::ReaderSettings;
use super::trouble::Trouble;
use super::{Shared, backoff};
use crate::client::{Call, Http};
use crate::error::CallError;
use crate::path;
use crate::status::Status;

/// Tries of one page after the first; the first page has one, its caller backs off.
const PAGE_TRIES: u32 = 6;

const MALFORMED: Trouble = Trouble::failing("MalformedReply");

/// Reads one list, page by page. It has one of the turns for lists, save while it waits to
/// try again: kinds that cannot be read keep no other from being listed.
pub(super) struct Pager<'a> {
    shared: &'a Shared,
    turn: Option<SemaphorePermit<'a>>,
    kind: Kind,
    accept: &'static str,
    limit: u32,
    next: Next,
    version: Option<String>,
}

enum Next {
    First,
    After(String),
    Done,
}

/// One page: each item's JSON, not copied.
pub(super) struct Page {
    pub(super) items: Vec<Bytes>,
    /// Of the list as a whole.
    pub(super) version: String,
}

#[derive(Deserialize)]
struct RawPage<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    metadata: RawListMeta<'a>,
    /// Some servers write `null` for none.
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawListMeta<'a> {
    #[serde(borrow, default)]
    resource_version: Cow<'a, str>,
    #[serde(borrow, default, rename = "continue")]
    next: Option<Cow<'a, str>>,
}

impl<'a> Pager<'a> {
    pub(super) fn new(shared: &'a Shared, kind: Kind, accept: &'static str) -> Self {
        Self {
            shared,
            turn: None,
            kind,
            accept,
            limit: shared.settings.page_limit,
            next: Next::First,
            version: None,
        }
    }

    /// The next page; `None` after the last.
    ///
    /// [`Trouble::Expired`] means that the list has to begin anew.
    pub(super) async fn next(&mut self) -> Result<Option<Page>, Trouble> {
        let tries = match self.next {
            Next::First => 1,
            Next::After(_) => PAGE_TRIES,
            Next::Done => return Ok(None),
        };
        let mut failures = 0;
        loop {
            if self.turn.is_none() {
                // Never closed; without turns a list would still be right.
                self.turn = self.shared.lists.acquire().await.ok();
            }
            match self.page().await {
                Ok(page) => return Ok(Some(page)),
                Err(trouble) if trouble.is_passing() && failures + 1 < tries => {
                    failures += 1;
                    self.turn = None;
                    let pause = self.shared.settings.pause(failures);
                    tokio::time::sleep(pause.max(trouble.retry_after().unwrap_or_default())).await;
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    async fn page(&mut self) -> Result<Page, Trouble> {
        let reply = loop {
            let call = Call {
                method: Method::GET,
                target: self.target(),
                accept: self.accept,
                body: None,
            };
            let settings = &self.shared.settings;
            let called = self
                .shared
                .http
                .call(call, settings.page_deadline, settings.page_max);
            match called.await {
                // Very large objects: fewer of them at a time.
                Err(CallError::TooLong(_)) if self.limit > 1 => {
                    self.limit = (self.limit / 4).max(1)
                }
                Err(error) => return Err(error.into()),
                Ok(reply) => break reply,
            }
        };
        if reply.status != StatusCode::OK {
            return Err(Trouble::of_status(reply.status, reply.retry_after, "list"));
        }
        self.take(&reply.body)
    }

    fn target(&self) -> String {
        let path = path::collection(self.kind);
        match &self.next {
            Next::After(token) => {
                format!(
                    "{path}?limit={}&continue={}",
                    self.limit,
                    path::escape(token)
                )
            }
            _ => format!("{path}?limit={}", self.limit),
        }
    }

    fn take(&mut self, body: &Bytes) -> Result<Page, Trouble> {
        let raw: RawPage<'_> = serde_json::from_slice(body).map_err(|_| MALFORMED)?;
        if !raw.kind.ends_with("List") || raw.metadata.resource_version.is_empty() {
            return Err(MALFORMED);
        }
        // The first page's version: later ones repeat it, and if one did not, watching
        // from the oldest loses nothing.
        let version = self
            .version
            .get_or_insert_with(|| raw.metadata.resource_version.clone().into_owned())
            .clone();
        self.next = match raw.metadata.next {
            Some(token) if !token.is_empty() => Next::After(token.into_owned()),
            _ => Next::Done,
        };
        let items = raw.items.unwrap_or_default();
        Ok(Page {
            items: items
                .into_iter()
                .map(|item| body.slice_ref(item.get().as_bytes()))
                .collect(),
            version,
        })
    }
}

/// Whether a kind that answered 404 is really not installed: discovery says so too, in
/// words that only an API server has. A bare 404 says nothing (whoever answers one for
/// everything answers it here as well).
pub(super) async fn is_absent(http: &Http, kind: Kind) -> Result<bool, Trouble> {
    #[derive(Deserialize)]
    struct Resources {
        kind: String,
        resources: Vec<Named>,
    }
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    let info = kind.info();
    let reply = http
        .get(path::version_root(info.group, info.version))
        .await?;
    match reply.status.as_u16() {
        200 => match serde_json::from_slice::<Resources>(&reply.body) {
            Ok(all) if all.kind == "APIResourceList" => {
                Ok(!all.resources.iter().any(|r| r.name == info.resource))
            }
            _ => Err(MALFORMED),
        },
        // The group's own address does not exist where nothing of the group does.
        404 => is_group_absent(http, info.group, info.version).await,
        // Where discovery is closed to us, the 404 has to be believed.
        403 if Status::of(&reply).is("Forbidden") => Ok(true),
        _ => Err(Trouble::of_status(reply.status, reply.retry_after, "get")),
    }
}

/// Whether the list of all groups is one and lacks this version.
async fn is_group_absent(http: &Http, group: &str, version: &str) -> Result<bool, Trouble> {
    #[derive(Deserialize)]
    struct Groups {
        kind: String,
        groups: Vec<Group>,
    }
    #[derive(Deserialize)]
    struct Group {
        name: String,
        versions: Vec<Version>,
    }
    #[derive(Deserialize)]
    struct Version {
        version: String,
    }
    let reply = http.get("/apis".to_owned()).await?;
    match reply.status.as_u16() {
        200 => match serde_json::from_slice::<Groups>(&reply.body) {
            Ok(all) if all.kind == "APIGroupList" => {
                let mut found = all.groups.iter().filter(|g| g.name == group);
                Ok(!found.any(|g| g.versions.iter().any(|v| v.version == version)))
            }
            _ => Err(MALFORMED),
        },
        403 if Status::of(&reply).is("Forbidden") => Ok(true),
        404 => Err(Trouble::failing("NotServed")),
        _ => Err(Trouble::of_status(reply.status, reply.retry_after, "get")),
    }
}

impl ReaderSettings {
    /// The pause after this many failures in a row.
    pub(super) fn pause(&self, failures: u32) -> Duration {
        backoff::pause(self.backoff, self.backoff_max, failures)
    }
}
