//! Leadership through a Lease, fail closed.
//!
//! The lease is renewed with the version it was last written with, so two holders cannot
//! both believe a write; leadership is given up before the lease can expire for anyone
//! else. Leases are advice all the same: every write must be safe under two leaders.

mod election;
mod fence;
mod record;
mod settings;

use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chrono::Utc;
use http::Method;
use patrol_core::event::Term;
use serde_json::Value;
use tokio::sync::watch;

pub use fence::Fence;
pub use settings::{LeaseSettings, LeaseStats};

use crate::boot_clock::boot;
use crate::client::{Call, Http, JSON, OBJECT_MAX, Reply};
use crate::error::CallError;
use crate::path;
use crate::status::Status;
use election::{Election, Move};
use record::{Claim, Record};

/// Name of the Lease in the operator's namespace.
pub const LEASE_NAME: &str = "kube-patrol";

/// How long the last write of a leader that goes may take.
const RELEASE_DEADLINE: Duration = Duration::from_secs(2);

/// Stands for election until told to stop.
pub struct Lease {
    http: Http,
    settings: LeaseSettings,
    election: Election,
    /// As last read or written.
    record: Option<Record>,
    fence: Fence,
    leading: watch::Sender<Option<Term>>,
    stats: Arc<LeaseStats>,
    /// The last try failed; only the first of a row is worth a line in the log.
    failing: bool,
}

/// Why a try did not go through.
enum Miss {
    /// Someone else wrote the lease first.
    Conflict,
    /// The call failed or was refused: a word for the log.
    Failed(&'static str),
}

impl From<CallError> for Miss {
    fn from(error: CallError) -> Self {
        Self::Failed(error.as_str())
    }
}

impl Lease {
    /// Prepares to stand for election over `http` (the connection's `writes`).
    #[must_use]
    pub fn new(http: Http, settings: LeaseSettings) -> Self {
        // Random keys of the standard library: unique enough for a handful of processes.
        let process = format!("{:016x}", RandomState::new().hash_one(std::process::id()));
        let election = Election::new(
            settings.identity.clone(),
            process,
            settings.duration,
            settings.takeover_wait,
        );
        Self {
            http,
            settings,
            election,
            record: None,
            fence: Fence::new(),
            leading: watch::Sender::new(None),
            stats: Arc::default(),
            failing: false,
        }
    }

    /// Whether this process certainly leads, for everyone who writes or sends.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Changes of leadership: the term, while this process leads. The fence is the truth; this tells when to look. Who looks
    /// late may miss that a term ended, but not that another one began.
    #[must_use]
    pub fn leading(&self) -> watch::Receiver<Option<Term>> {
        self.leading.subscribe()
    }

    /// Counters, to be read at any time.
    #[must_use]
    pub fn stats(&self) -> Arc<LeaseStats> {
        Arc::clone(&self.stats)
    }

    /// Stands for election until `stop` ends, then hands the lease over at once. Stop
    /// only after everything that writes or sends has ended. Dropped instead, the lease
    /// runs out by itself.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let pause = tokio::select! {
                biased;
                () = &mut stop => break,
                pause = self.turn() => pause,
            };
            self.show();
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.release().await;
    }

    /// One try to hold the lease; returns the pause before the next.
    async fn turn(&mut self) -> Duration {
        // It may have run out while we slept.
        self.give_up_in_time();
        self.show();
        let tried = match self.try_hold().await {
            // Look again at once: it was either our own write with a lost reply, or a
            // rival who has to be recognised.
            Err(Miss::Conflict) => {
                // The time of the last renewal may have run out while the reply was on its way.
                self.give_up_in_time();
                self.show();
                self.try_hold().await
            }
            other => other,
        };
        match tried {
            Ok(()) | Err(Miss::Conflict) => self.failing = false,
            Err(Miss::Failed(reason)) => {
                self.stats.failures.fetch_add(1, Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    let holder = self.election.is_holder();
                    tracing::warn!(reason, holder, "the lease cannot be read or written");
                }
            }
        }
        self.give_up_in_time();
        let now = boot();
        let retry = self.settings.retry_period;
        // Up to a tenth later, so that candidates do not meet.
        let retry = if self.election.is_holder() {
            retry
        } else {
            crate::reader::backoff::pause(retry / 5, retry / 5, 1) + retry
        };
        self.election
            .waits(now)
            .map_or(retry, |wait| wait.min(retry))
    }

    async fn try_hold(&mut self) -> Result<(), Miss> {
        let deadline = self.call_deadline();
        if !self.election.is_holder() || self.record.is_none() {
            self.record = self.read(deadline).await?;
        }
        let by = self.election.judge(self.record.as_ref(), boot());
        if by == Move::Wait {
            self.depose();
            return Ok(());
        }
        let began = boot();
        let claim = Claim {
            identity: &self.settings.identity,
            process: &self.election.process,
            seconds: whole_seconds(self.settings.duration),
            now: Utc::now(),
        };
        let namespace = &self.settings.namespace;
        let (method, target, body) = match &self.record {
            None => {
                let body = record::new(namespace, LEASE_NAME, &claim);
                (Method::POST, leases(namespace), body)
            }
            Some(record) => (Method::PUT, lease(namespace), record.held(&claim)),
        };
        match self.write(method, target, &body, deadline).await {
            Ok(record) => {
                self.record = Some(record);
                self.election.holds(by, began);
                self.stats.renewals.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(miss) => {
                // What is written there now is unknown, so it is read before the next try.
                self.record = None;
                Err(miss)
            }
        }
    }

    /// A holder's call may not last beyond the time at which it has to give up.
    fn call_deadline(&self) -> Duration {
        let whole = self.settings.renew_deadline;
        let left = self
            .election
            .renewed_at()
            .map_or(whole, |at| (at + whole).saturating_sub(boot()));
        // Two tries have to fit.
        left.min(whole / 2).max(Duration::from_millis(1))
    }

    async fn read(&self, deadline: Duration) -> Result<Option<Record>, Miss> {
        let call = Call::get(lease(&self.settings.namespace));
        let reply = self.http.call(call, deadline, OBJECT_MAX).await?;
        match reply.status.as_u16() {
            200 => parse(&reply).map(Some),
            // Only when the object is missing: a missing namespace or path is a failure.
            404 if Status::of(&reply).is("NotFound") => Ok(None),
            _ => Err(failed(&reply)),
        }
    }

    async fn write(
        &self,
        method: Method,
        target: String,
        body: &Value,
        deadline: Duration,
    ) -> Result<Record, Miss> {
        let call = Call::send(method, target, JSON, body);
        let reply = self.http.call(call, deadline, OBJECT_MAX).await?;
        match reply.status.as_u16() {
            200 | 201 => parse(&reply),
            409 => Err(Miss::Conflict),
            _ => Err(failed(&reply)),
        }
    }

    /// Gives leadership up when renewing has failed for too long.
    fn give_up_in_time(&mut self) {
        let expired = self
            .election
            .renewed_at()
            .is_some_and(|at| boot() >= at + self.settings.renew_deadline);
        if expired {
            self.record = None;
            self.depose();
        }
    }

    fn depose(&mut self) {
        if self.election.is_holder() {
            self.fence.lower();
            self.election.loses();
        }
    }

    /// Brings fence and channel in line with the election.
    fn show(&mut self) {
        let term = self
            .election
            .leads_until(boot())
            .map(|until| self.fence.raise(until));
        if term.is_none() {
            self.fence.lower();
        }
        let changed = self
            .leading
            .send_if_modified(|was| std::mem::replace(was, term) != term);
        if changed && term.is_some() {
            self.stats.gained.fetch_add(1, Ordering::Relaxed);
            tracing::info!(identity = %self.settings.identity, "leading");
        } else if changed {
            self.stats.lost.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(identity = %self.settings.identity, "no longer leading");
        }
    }

    /// Hands the lease over, so that the next leader need not wait.
    async fn release(mut self) {
        let held = self.election.is_holder();
        self.fence.lower();
        self.election.loses();
        self.leading.send_replace(None);
        if !held {
            return;
        }
        // The last write may have been cut short; what is there now has to be known.
        let record = match self.read(RELEASE_DEADLINE).await {
            Ok(Some(record)) => record,
            _ => return,
        };
        let holder = record.holder();
        if holder.identity != self.settings.identity || holder.process != self.election.process {
            return;
        }
        let body = record.released(Utc::now());
        let target = lease(&self.settings.namespace);
        match self
            .write(Method::PUT, target, &body, RELEASE_DEADLINE)
            .await
        {
            Ok(_) => tracing::info!("the lease is handed over"),
            Err(_) => tracing::warn!("the lease could not be handed over: it runs out by itself"),
        }
    }
}

/// Rounded up: nobody may think that our lease ends before we do.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

fn leases(namespace: &str) -> String {
    let root = path::version_root("coordination.k8s.io", "v1");
    format!("{root}/namespaces/{}/leases", path::escape(namespace))
}

fn lease(namespace: &str) -> String {
    format!("{}/{LEASE_NAME}", leases(namespace))
}

fn parse(reply: &Reply) -> Result<Record, Miss> {
    Record::parse(&reply.body).ok_or(Miss::Failed("MalformedReply"))
}

fn failed(reply: &Reply) -> Miss {
    Miss::Failed(match reply.status.as_u16() {
        401 => "Unauthorized",
        403 => "AccessDenied",
        404 => "NotFound",
        429 => "Throttled",
        500..=599 => "ServerError",
        _ => "UnexpectedStatus",
    })
}
