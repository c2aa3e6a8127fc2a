//! F15: whoever mends a Secret is heard with the next look at it, and not with the next try. Local mode as it is, before a
//! receiver on loopback that asks for a key; and a clock that stands still from the first refusal on.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use patrol_api::time::Span;
use patrol_core::check::Origin;
use patrol_core::clock::Now;
use patrol_core::engine::{Config, Patrol};
use patrol_core::event::{DeliveryClass, Event, Term};
use patrol_core::kind::Kind;
use patrol_kube::boot_clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch as channel};

use super::super::delivery::{Alone, Courier, Post};
use super::super::requests::Requests;
use super::super::secrets::SecretSource;
use super::super::{Pulse, Shell};
use super::*;
use crate::local;

const BARE: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: registry.example.com/web:1}]}
";
const POLICY: &str = "apiVersion: kubepatrol.io/v1alpha1
kind: PatrolPolicy
metadata: {name: production}
spec:
  schedule: {every: 10m}
  checks: [{name: agent, severity: Critical, sidecar: {container: agent}}]
  alerts: {receivers: [{name: soc}]}
";

/// Milliseconds that the test let pass.
static PASSED: AtomicU64 = AtomicU64::new(0);

fn clock() -> Now {
    static BEGUN: OnceLock<Now> = OnceLock::new();
    let begun = BEGUN.get_or_init(boot_clock::now);
    let passed = Span::millis(PASSED.load(Ordering::SeqCst));
    Now {
        wall: begun.wall.plus(passed),
        mono: begun.mono.plus(passed),
    }
}

/// Takes what comes with the right key.
#[derive(Clone, Default)]
struct Guard {
    refused: Arc<AtomicUsize>,
    taken: Arc<AtomicUsize>,
}

impl Guard {
    async fn stand(self, listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = request(&mut stream).await;
            let is_right = head.contains("authorization: bearer right");
            let (count, status) = match is_right {
                true => (&self.taken, 204),
                false => (&self.refused, 401),
            };
            let reply =
                format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(reply.as_bytes()).await;
            let _ = stream.shutdown().await;
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// The head of a request, in lower case, once all of it has come.
async fn request(stream: &mut TcpStream) -> String {
    let mut all = vec![];
    let mut some = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&all).to_ascii_lowercase();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|l| l.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |l| l.trim().parse().unwrap());
            if all.len() >= head.len() + 4 + length {
                return head.to_owned();
            }
        }
        match stream.read(&mut some).await {
            Ok(0) | Err(_) => return text,
            Ok(n) => all.extend_from_slice(&some[..n]),
        }
    }
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

#[tokio::test]
async fn f15_row89_a_key_that_was_changed_is_used_without_waiting_for_the_next_try() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let guard = Guard::default();
    tokio::spawn(guard.clone().stand(listener));
    let world = tempfile::tempdir().unwrap();
    let keys = tempfile::tempdir().unwrap();
    let (folder, key) = (world.path(), keys.path());
    write(folder, "web.yaml", BARE);
    write(folder, "policy.yaml", POLICY);
    let receiver = format!(
        "apiVersion: kubepatrol.io/v1alpha1
kind: AlertReceiver
metadata: {{name: soc}}
spec:
  webhook:
    url: http://{address}/hook
    headersFrom: [{{name: Authorization, secretKeyRef: {{name: soc, key: token}}}}]
"
    );
    write(folder, "soc.yaml", &receiver);
    write(key, "token", "Bearer wrong");
    let secret = format!("soc/token={}", key.join("token").display());
    let options = local::Options {
        folders: vec![folder.to_path_buf()],
        policies: vec![],
        state: folder.join(local::STATE),
        secrets: vec![secret.parse().unwrap()],
        namespace: "kube-patrol".into(),
        once: false,
    };
    let (events, observed) = mpsc::channel(1024);
    let answers = mpsc::unbounded_channel();
    let (_snapshots, asked) = mpsc::channel(8);
    let (stop, stopping) = channel::channel(false);
    let started = local::start(&options, events, answers.0.clone(), clock).unwrap();
    let mut post = Post::new(
        Arc::clone(&started.edge) as Arc<dyn SecretSource>,
        Arc::new(Alone),
        true,
        vec![],
        clock,
        Requests::new().unwrap(),
    );
    post.rotations.every = Duration::from_millis(20);
    let shell = Shell {
        patrol: Patrol::new(Config {
            origin: Origin::Files,
            ..Config::new(patrol_checks::CATALOGUE)
        }),
        edge: Arc::clone(&started.edge),
        courier: Courier::new(post),
        events: observed,
        answers,
        snapshots: asked,
        clock,
        pulse: Arc::new(Pulse::default()),
        stop: stopping,
        once: false,
        writing: Default::default(),
        term: None,
    };
    let tick = shell.answers.0.clone();
    tick.send(Event::Leading(Some(Term(1)))).unwrap();
    let running = tokio::spawn(shell.run());
    until("it is told and refuses", || {
        PASSED.fetch_add(100, Ordering::SeqCst);
        tick.send(Event::Heard(Kind::Ticket)).unwrap();
        guard.refused.load(Ordering::SeqCst) > 0
    })
    .await;
    // From here on no time passes: no pause is ever over.
    assert_eq!(guard.taken.load(Ordering::SeqCst), 0);
    write(key, "token", "Bearer right");
    until("it takes the new key", || {
        guard.taken.load(Ordering::SeqCst) > 0
    })
    .await;
    stop.send(true).unwrap();
    let (_, patrol) = running.await.unwrap();
    let soc = patrol.snapshot(clock()).receivers;
    let soc = soc.iter().find(|r| r.name == "soc").unwrap();
    assert_eq!(soc.ready, Some(true));
    started.edge.stop();
    started.thread.join().unwrap();
}

/// What is remembered, and for how long.
#[test]
fn only_who_refuses_a_key_is_looked_at_and_not_for_ever() {
    use super::super::delivery::tests::{at, target};
    let key = target(patrol_api::receiver::WebhookSpec {
        signing_secret_ref: Some(at("sign")),
        ..Default::default()
    });
    let rotations = Rotations::default();
    let read = |value: &str| Credentials::of([(at("sign"), value)]);
    let now = clock();
    let note = |class, credentials| rotations.note(key.clone(), class, credentials, now);
    let config = Some(DeliveryClass::Config("x"));
    note(config, Some(read("old")));
    assert_eq!(rotations.list(now.mono).len(), 1);
    for class in [
        DeliveryClass::Accepted,
        DeliveryClass::Transient,
        DeliveryClass::Blocked,
    ] {
        note(config, Some(read("old")));
        note(Some(class), Some(read("old")));
        assert_eq!(rotations.list(now.mono).len(), 0, "{class:?}");
    }
    note(config, Some(Credentials::default()));
    assert_eq!(rotations.list(now.mono).len(), 0, "no Secret is involved");
    note(Some(DeliveryClass::SecretMissing), Some(read("old")));
    let entry = rotations.list(now.mono).pop().unwrap();
    // Tried again with another key meanwhile: that one is looked at from now on.
    note(config, Some(read("newer")));
    rotations.forget(&entry);
    assert_eq!(rotations.list(now.mono).len(), 1);
    let later = now.mono.plus(Span::minutes(31));
    assert_eq!(rotations.list(later).len(), 0);
}

#[test]
fn a_mark_tells_values_apart_and_shows_none() {
    use super::super::delivery::tests::at;
    let rotations = Rotations::default();
    let mark = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(key, value)| (at(key), *value));
        Credentials::of(pairs).mark(&rotations.hasher)
    };
    assert_eq!(
        mark(&[("a", "1"), ("b", "2")]),
        mark(&[("b", "2"), ("a", "1")])
    );
    let first = mark(&[("a", "1")]);
    for other in [
        &[("a", "2")][..],
        &[("b", "1")],
        &[],
        &[("a", "1"), ("b", "")],
    ] {
        assert_ne!(mark(other), first, "{other:?}");
    }
    // Another process says another number.
    let elsewhere = Credentials::of([(at("a"), "1")]).mark(&Rotations::default().hasher);
    assert_ne!(elsewhere, first);
}
