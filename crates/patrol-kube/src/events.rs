//! Kubernetes events for announcements, behind a limiter. They are a courtesy: the ticket
//! is the record, and a failure to write one changes nothing.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Method;
use patrol_core::effect::Announcement;
use patrol_core::fingerprint::hash64;
use serde_json::{Value, json};

use crate::boot_clock;
use crate::client::{Call, Http, JSON, OBJECT_MAX};
use crate::path;

/// Events that may go at once, over all objects, and how often another one may: ten
/// thousand tickets opened at once are no reason for ten thousand events.
const BURST: u64 = 25;
const EVERY: Duration = Duration::from_secs(12);
/// The same object and reason is told once in this time (one event, not sixty, when two
/// writers fight over an object).
const QUIET: Duration = Duration::from_secs(300);
/// Objects and reasons remembered at most.
const REMEMBERED: usize = 4096;
const DEADLINE: Duration = Duration::from_secs(5);
/// Events about cluster-scoped objects live here, as everywhere in Kubernetes.
const CLUSTER_NAMESPACE: &str = "default";

/// Events that the limiter kept back, counted. Clones share one account.
#[derive(Clone, Debug, Default)]
pub struct Suppressed(Arc<[AtomicU64; 2]>);

impl Suppressed {
    const REASONS: [&str; 2] = ["RateLimited", "Repeated"];

    /// How many, by reason.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        Self::REASONS.into_iter().zip(counts)
    }

    fn add(&self, reason: &str) {
        let counted = Self::REASONS.iter().zip(self.0.iter());
        for (_, count) in counted.filter(|(known, _)| **known == reason) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Writes events.
pub(crate) struct Announcer {
    http: Http,
    instance: String,
    limiter: Mutex<Limiter>,
    suppressed: Suppressed,
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
            suppressed: Suppressed::default(),
            limiter: Mutex::new(Limiter {
                tokens: BURST,
                filled: boot_clock::boot(),
                told: HashMap::new(),
            }),
        }
    }

    pub(crate) fn suppressed(&self) -> Suppressed {
        self.suppressed.clone()
    }

    /// Writes an event if the limiter allows it.
    pub(crate) async fn announce(&self, announcement: &Announcement) {
        if !self.allows(announcement, boot_clock::boot()) {
            return;
        }
        let (namespace, body) = self.event(announcement);
        let root = path::version_root("events.k8s.io", "v1");
        let target = format!("{root}/namespaces/{}/events", path::escape(&namespace));
        let call = Call::send(Method::POST, target, JSON, &body);
        match self.http.call(call, DEADLINE, OBJECT_MAX).await {
            // The name says what it is about: a repeat after a crash meets the first one.
            Ok(reply) if reply.status.is_success() || reply.status == 409 => {}
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
            limiter.filled += EVERY * u32::try_from(gained).unwrap_or(u32::MAX);
            limiter.tokens = limiter.tokens.saturating_add(gained).min(BURST);
        }
        limiter.told.retain(|_, at| now.saturating_sub(*at) < QUIET);
        if limiter.told.contains_key(&key) {
            self.suppressed.add("Repeated");
            return false;
        }
        if limiter.tokens == 0 || limiter.told.len() >= REMEMBERED {
            self.suppressed.add("RateLimited");
            return false;
        }
        limiter.tokens -= 1;
        limiter.told.insert(key, now);
        true
    }

    fn event(&self, announcement: &Announcement) -> (String, Value) {
        let about = &announcement.about;
        let info = about.kind.info();
        let namespace = if about.key.namespace.is_empty() {
            CLUSTER_NAMESPACE.to_owned()
        } else {
            about.key.namespace.to_string()
        };
        let now = chrono::Utc::now();
        let period = now.timestamp() / i64::try_from(QUIET.as_secs()).unwrap_or(i64::MAX);
        let unique = hash64(&[
            about.uid.as_bytes(),
            about.key.to_string().as_bytes(),
            announcement.reason.as_bytes(),
            announcement.note.as_bytes(),
            &period.to_be_bytes(),
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

#[cfg(test)]
mod tests {
    use super::*;
    use patrol_core::effect::About;
    use patrol_core::facts::ObjectKey;
    use patrol_core::kind::Kind;

    fn announcer() -> Announcer {
        let config = kube::Config::new(http::Uri::from_static("http://127.0.0.1:1"));
        let connection = crate::Connection::with(config).unwrap();
        Announcer::new(connection.writes, "replica-0")
    }

    fn about(name: &str, reason: &str) -> Announcement {
        Announcement {
            about: About {
                kind: Kind::Ticket,
                key: ObjectKey::new("shop", name),
                uid: format!("uid-of-{name}"),
            },
            reason: reason.to_owned(),
            note: "A note.".to_owned(),
            warning: true,
        }
    }

    #[tokio::test]
    async fn a_fight_over_one_object_is_told_once_in_five_minutes() {
        let announcer = announcer();
        let start = boot_clock::boot();
        let told = (0..600)
            .filter(|second| {
                let now = start + Duration::from_secs(*second);
                announcer.allows(&about("t", "Reasserted"), now)
            })
            .count();
        assert_eq!(told, 2);
        let counts: Vec<_> = announcer.suppressed().counts().collect();
        assert_eq!(counts, [("RateLimited", 0), ("Repeated", 598)]);
    }

    #[tokio::test]
    async fn a_storm_is_cut_to_the_burst_and_then_a_trickle() {
        let announcer = announcer();
        let start = boot_clock::boot();
        let told = |from: u64, at: Duration| {
            (from..from + 1_000)
                .filter(|n| announcer.allows(&about(&format!("t{n}"), "Opened"), start + at))
                .count()
        };
        assert_eq!(told(0, Duration::ZERO), 25);
        assert_eq!(told(10_000, Duration::from_secs(61)), 5);
        let counts: Vec<_> = announcer.suppressed().counts().collect();
        assert_eq!(counts, [("RateLimited", 2_000 - 30), ("Repeated", 0)]);
    }

    #[tokio::test]
    async fn a_repeat_has_the_same_name_and_another_note_another() {
        let announcer = announcer();
        let name = |a: &Announcement| announcer.event(a).1["metadata"]["name"].clone();
        let first = name(&about("t", "Opened"));
        // Two readings of the clock may lie in two periods; a third cannot make a third.
        assert!((0..3).any(|_| name(&about("t", "Opened")) == first));
        let mut other = about("t", "Opened");
        other.note = "Another note.".to_owned();
        assert_ne!(name(&other), first);
        other.about.key = ObjectKey::new("", &"x".repeat(250));
        let (namespace, body) = announcer.event(&other);
        assert_eq!(namespace, "default");
        assert!(body["metadata"]["name"].as_str().unwrap().len() <= 253);
    }
}
