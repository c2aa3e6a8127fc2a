//! A reader under test: its events as short words, and objects for the servers to serve.

use std::sync::Arc;
use std::time::Duration;

use patrol_core::event::Event;
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use patrol_kube::reader::{Health, KindHealth, Reader, ReaderSettings, Received};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::server::Server;

/// The longest wait for anything.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Times short enough for tests. Nothing is compared unless a test asks for it.
pub fn fast() -> ReaderSettings {
    ReaderSettings {
        watch_timeout: Duration::from_secs(1),
        watch_slack: Duration::from_millis(200),
        watch_start: Duration::from_millis(600),
        short_watch: Duration::from_millis(300),
        frame_max: 64 << 10,
        page_deadline: Duration::from_millis(600),
        page_max: 256 << 10,
        backoff: Duration::from_millis(20),
        backoff_max: Duration::from_millis(160),
        denied_max: Duration::from_millis(160),
        absent_every: Duration::from_millis(100),
        verify_every: None,
        ..ReaderSettings::default()
    }
}

pub struct Watching {
    events: mpsc::Receiver<Received>,
    health: Arc<Health>,
    task: JoinHandle<()>,
}

impl Watching {
    pub fn pods(server: &Server, settings: ReaderSettings) -> Self {
        Self::start(server, &[Kind::Pod], settings)
    }

    pub fn start(server: &Server, kinds: &[Kind], settings: ReaderSettings) -> Self {
        let (sender, events) = mpsc::channel(64);
        let reads = server.connection().reads;
        let reader = Reader::new(reads, kinds.iter().copied(), settings, sender);
        let health = reader.health();
        Self {
            events,
            health,
            task: tokio::spawn(async move { reader.run().await.unwrap() }),
        }
    }

    pub async fn next(&mut self) -> Event {
        let next = tokio::time::timeout(DEADLINE, self.events.recv());
        next.await
            .expect("no event in time")
            .expect("the reader ended")
            .event
    }

    /// The words of all events up to and including the first that is `last`.
    pub async fn until(&mut self, last: &str) -> Vec<String> {
        let mut words = vec![];
        let end = tokio::time::Instant::now() + DEADLINE;
        loop {
            let word = match tokio::time::timeout_at(end, self.events.recv()).await {
                Ok(event) => word(&event.expect("the reader ended").event),
                Err(_) => panic!("no {last:?} in time, only {words:?}"),
            };
            let done = word == last;
            words.push(word);
            if done {
                return words;
            }
        }
    }

    pub fn health(&self, kind: Kind) -> &KindHealth {
        self.health.kind(kind).unwrap()
    }

    pub fn pod_health(&self) -> &KindHealth {
        self.health(Kind::Pod)
    }

    /// Drops the receiver; the reader must end.
    pub async fn stop(self) {
        drop(self.events);
        let ended = tokio::time::timeout(DEADLINE, self.task).await;
        ended.expect("the reader still runs").unwrap();
    }
}

/// One event in a word or two.
pub fn word(event: &Event) -> String {
    match event {
        Event::Seen(seen) => format!("seen {}@{}", seen.key, seen.version),
        Event::Gone(_, key) => format!("gone {key}"),
        Event::Undecodable(error) => match &error.key {
            Some(key) => format!("undecodable {key}"),
            None => "undecodable".to_owned(),
        },
        Event::ListStarted(_) => "list".to_owned(),
        Event::ListFinished(_) => "listed".to_owned(),
        Event::Heard(_) => "heard".to_owned(),
        Event::Lost(_, Blindness::Denied(verb)) => format!("denied {verb}"),
        Event::Lost(_, Blindness::Failing(reason)) => format!("failing {reason}"),
        Event::NotInstalled(kind) => format!("absent {kind}"),
        other => format!("{other:?}"),
    }
}

pub fn count(words: &[String], word: &str) -> usize {
    words.iter().filter(|w| *w == word).count()
}

pub fn pod(name: &str, version: u64) -> Value {
    json!({"metadata": {"name": name, "namespace": "shop", "resourceVersion": version.to_string()},
        "spec": {"containers": [{"name": "c", "image": "i"}]}})
}

/// A list of pods, or of whatever the kind of the items is.
pub fn list(version: u64, items: &[Value]) -> Value {
    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": version.to_string()},
        "items": items})
}

/// A page that is followed by another.
pub fn page(version: u64, next: &str, items: &[Value]) -> Value {
    let mut page = list(version, items);
    page["metadata"]["continue"] = next.into();
    page
}

/// Lines of a watch.
pub fn lines(events: &[(&str, Value)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (what, object) in events {
        out.extend(json!({"type": what, "object": object}).to_string().bytes());
        out.push(b'\n');
    }
    out
}

pub fn bookmark(version: u64) -> (&'static str, Value) {
    let object = json!({"kind": "Pod", "apiVersion": "v1",
        "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null}});
    ("BOOKMARK", object)
}
