//! Kubernetes events for announcements, behind a limiter. They are a courtesy: the ticket
//! is the record, and a failure to write one changes nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use patrol_core::effect::Announcement;
use patrol_core::fingerprint::hash64;
use serde_json::{Value, json};

use crate::boot_clock;
use crate::client::{Call, Http, JSON, OBJECT_MAX};
use crate::path;

/// Events that may go at once, and how often another one may (the limits of client-go's
/// spam filter, faults.md B12).
const BURST: u64 = 25;
const EVERY: Duration = Duration::from_secs(12);
/// The same object and reason is told once in this time.
const QUIET: Duration = Duration::from_secs(300);
/// Objects and reasons remembered at most.
const REMEMBERED: usize = 4096;
const DEADLINE: Duration = Duration::from_secs(5);
/// Events about cluster-scoped objects live here, as everywhere in Kubernetes.
const CLUSTER_NAMESPACE: &str = "default";

/// Writes events.
pub(crate) struct Announcer {
    http: Http,
    instance: String,
    limiter: Mutex<Limiter>,
    written: AtomicU64,
}

struct Limiter {
    tokens: u64,
    filled: Duration,
    told: HashMap<u64, Duration>,
}

impl Announcer {
    pub(crate) fn new(http: Http, instance: &str) -> Self {
        Self {
            http,
            instance: instance.to_owned(),
            limiter: Mutex::new(Limiter {
                tokens: BURST,
                filled: boot_clock::boot(),
                told: HashMap::new(),
            }),
            written: AtomicU64::new(0),
        }
    }

    /// Writes an event if the limiter allows it.
    pub(crate) async fn announce(&self, announcement: &Announcement) {
        if !self.allows(announcement, boot_clock::boot()) {
            return;
        }
        let n = self.written.fetch_add(1, Ordering::Relaxed);
        let (namespace, body) = self.event(announcement, n);
        let root = path::version_root("events.k8s.io", "v1");
        let target = format!("{root}/namespaces/{}/events", path::escape(&namespace));
        let call = Call::send(Method::POST, target, JSON, &body);
        match self.http.call(call, DEADLINE, OBJECT_MAX).await {
            Ok(reply) if reply.status.is_success() => {}
            Ok(reply) => {
                tracing::debug!(status = reply.status.as_u16(), "an event was not written");
            }
            Err(error) => tracing::debug!(reason = error.as_str(), "an event was not written"),
        }
    }

    fn allows(&self, announcement: &Announcement, now: Duration) -> bool {
        let about = &announcement.about;
        let key = hash64(&[
            about.uid.as_bytes(),
            about.key.to_string().as_bytes(),
            announcement.reason.as_bytes(),
        ]);
        let mut limiter = self.limiter.lock().unwrap_or_else(PoisonError::into_inner);
        let gained = now.saturating_sub(limiter.filled).as_secs() / EVERY.as_secs();
        if gained > 0 {
            limiter.filled = now;
            limiter.tokens = limiter.tokens.saturating_add(gained).min(BURST);
        }
        limiter.told.retain(|_, at| now.saturating_sub(*at) < QUIET);
        if limiter.tokens == 0
            || limiter.told.contains_key(&key)
            || limiter.told.len() >= REMEMBERED
        {
            return false;
        }
        limiter.tokens -= 1;
        limiter.told.insert(key, now);
        true
    }

    fn event(&self, announcement: &Announcement, n: u64) -> (String, Value) {
        let about = &announcement.about;
        let info = about.kind.info();
        let namespace = if about.key.namespace.is_empty() {
            CLUSTER_NAMESPACE.to_owned()
        } else {
            about.key.namespace.to_string()
        };
        let now = chrono::Utc::now();
        let unique = hash64(&[
            &now.timestamp_nanos_opt().unwrap_or_default().to_be_bytes(),
            &n.to_be_bytes(),
            self.instance.as_bytes(),
        ]);
        let stem: String = about.key.name.chars().take(200).collect();
        let note: String = announcement.note.chars().take(1000).collect();
        let body = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": format!("{stem}.{unique:016x}"), "namespace": namespace},
            "eventTime": now.to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
            "reportingController": "kubepatrol.io/kube-patrol",
            "reportingInstance": self.instance,
            "action": announcement.reason,
            "reason": announcement.reason,
            "type": if announcement.warning { "Warning" } else { "Normal" },
            "note": note,
            "regarding": {
                "apiVersion": format!("{}/{}", info.group, info.version),
                "kind": info.kind,
                "namespace": about.key.namespace.as_str(),
                "name": *about.key.name,
                "uid": about.uid,
            },
        });
        (namespace, body)
    }
}
