//! The reader on a real API server: everything there is, changes, revoked rights, kinds
//! that go and come, an API server that restarts, and comparisons that find nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use patrol_core::event::Event;
use patrol_core::facts::ObjectKey;
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::installed::install_crds;
use patrol_kube::reader::{Health, Reader, ReaderSettings, Received};
use serde_json::json;
use tokio::sync::mpsc;

use crate::stage::{DEADLINE, operator, raise, send};

/// What a reader said so far, as the engine would keep it.
struct Seen {
    events: mpsc::Receiver<Received>,
    health: Arc<Health>,
    objects: BTreeMap<Kind, BTreeMap<ObjectKey, String>>,
    mentioned: BTreeMap<Kind, BTreeSet<ObjectKey>>,
    complete: BTreeSet<Kind>,
    absent: BTreeSet<Kind>,
    blind: BTreeMap<Kind, Blindness>,
}

impl Seen {
    async fn start(plane: &ControlPlane, settings: ReaderSettings) -> Self {
        let (sender, events) = mpsc::channel(64);
        let reader = Reader::new(operator(plane).await.reads, Kind::ALL, settings, sender);
        let health = reader.health();
        tokio::spawn(reader.run());
        Self {
            events,
            health,
            objects: BTreeMap::new(),
            mentioned: BTreeMap::new(),
            complete: BTreeSet::new(),
            absent: BTreeSet::new(),
            blind: BTreeMap::new(),
        }
    }

    async fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let end = tokio::time::Instant::now() + DEADLINE;
        while !done(self) {
            match tokio::time::timeout_at(end, self.events.recv()).await {
                Ok(Some(received)) => self.take(received.event),
                Ok(None) => panic!("{what}: the reader ended"),
                Err(_) => panic!(
                    "{what}: not in time; complete {:?}, absent {:?}, blind {:?}",
                    self.complete, self.absent, self.blind
                ),
            }
        }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::ListStarted(kind) => {
                self.mentioned.insert(kind, BTreeSet::new());
            }
            Event::Seen(seen) => {
                self.mentioned
                    .entry(seen.kind)
                    .or_default()
                    .insert(seen.key.clone());
                let kind = self.objects.entry(seen.kind).or_default();
                kind.insert(seen.key, seen.version);
            }
            Event::Gone(kind, key) => {
                self.objects.entry(kind).or_default().remove(&key);
            }
            Event::ListFinished(kind) => {
                let mentioned = self.mentioned.remove(&kind).unwrap_or_default();
                let objects = self.objects.entry(kind).or_default();
                objects.retain(|key, _| mentioned.contains(key));
                self.complete.insert(kind);
                self.blind.remove(&kind);
                self.absent.remove(&kind);
            }
            Event::Lost(kind, why) => {
                self.blind.insert(kind, why);
            }
            Event::NotInstalled(kind) => {
                self.absent.insert(kind);
                self.objects.remove(&kind);
            }
            Event::Heard(_) => {}
            other => panic!("{other:?}"),
        }
    }

    fn has(&self, kind: Kind, namespace: &str, name: &str) -> bool {
        let key = ObjectKey::new(namespace, name);
        self.objects
            .get(&kind)
            .is_some_and(|all| all.contains_key(&key))
    }

    fn all_seen(&self) -> bool {
        let known = |kind: &Kind| self.complete.contains(kind) || self.absent.contains(kind);
        self.blind.is_empty() && Kind::ALL.iter().all(known)
    }
}

fn make_pod(plane: &ControlPlane, name: &str) {
    let pod =
        json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    send(plane, "POST", "/api/v1/namespaces/shop/pods", &pod);
}

fn delete(plane: &ControlPlane, what: &[&str]) {
    let mut args = vec!["delete", "--wait=false"];
    args.extend(what);
    plane.kubectl(ADMIN, args).unwrap().success().unwrap();
}

fn settings() -> ReaderSettings {
    ReaderSettings {
        watch_timeout: Duration::from_secs(4),
        backoff: Duration::from_millis(200),
        backoff_max: Duration::from_secs(2),
        denied_max: Duration::from_secs(2),
        absent_every: Duration::from_secs(3600),
        page_limit: 2,
        verify_every: None,
        ..ReaderSettings::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_is_seen_through_changes_revocation_reinstallation_and_restart() {
    let Some(plane) = raise("everything_is_seen") else {
        return;
    };
    for n in 0..5 {
        make_pod(&plane, &format!("early-{n}"));
    }
    let mut seen = Seen::start(&plane, settings()).await;
    seen.until("everything listed", Seen::all_seen).await;
    assert_eq!(seen.absent, BTreeSet::from([Kind::SidecarSet]));
    assert!((0..5).all(|n| seen.has(Kind::Pod, "shop", &format!("early-{n}"))));
    assert!(
        seen.has(Kind::Namespace, "", "shop") && seen.has(Kind::Service, "default", "kubernetes")
    );
    assert!(seen.has(Kind::CustomResourceDefinition, "", "tickets.kubepatrol.io"));
    assert!(seen.has(Kind::ApiService, "", "v1.apps"));

    make_pod(&plane, "late");
    seen.until("a new pod", |s| s.has(Kind::Pod, "shop", "late"))
        .await;
    delete(
        &plane,
        &["pod", "late", "-n", "shop", "--grace-period=0", "--force"],
    );
    seen.until("a deleted pod", |s| !s.has(Kind::Pod, "shop", "late"))
        .await;

    // A CRD of ours goes and comes back: absent, then seen at once, by its definition.
    delete(&plane, &["crd", "tickets.kubepatrol.io"]);
    seen.until("no tickets", |s| s.absent.contains(&Kind::Ticket))
        .await;
    install_crds(&plane).unwrap();
    seen.until("tickets again", |s| !s.absent.contains(&Kind::Ticket))
        .await;
    seen.until("everything again", Seen::all_seen).await;

    // Rights on one kind are taken away: its watch ends within its timeout, then it is denied.
    // A role is rewritten, not removed, so that all other kinds stay.
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/kube-patrol";
    let before = crate::stage::get(&plane, role);
    let mut after = before.clone();
    for rule in after["rules"].as_array_mut().unwrap() {
        let resources = rule["resources"].as_array_mut().unwrap();
        resources.retain(|r| r != "pods");
    }
    send(&plane, "PUT", role, &after);
    seen.until("pods denied", |s| s.blind.contains_key(&Kind::Pod))
        .await;
    assert!(
        matches!(seen.blind[&Kind::Pod], Blindness::Denied(_)),
        "{:?}",
        seen.blind
    );
    assert!(
        seen.has(Kind::Pod, "shop", "early-0"),
        "what was seen is not taken for gone"
    );
    assert_eq!(seen.blind.len(), 1, "{:?}", seen.blind);
    delete(
        &plane,
        &[
            "pod",
            "early-0",
            "-n",
            "shop",
            "--grace-period=0",
            "--force",
        ],
    );
    after["rules"] = before["rules"].clone();
    after["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("resourceVersion");
    send(&plane, "PUT", role, &after);
    seen.until("pods again", |s| s.blind.is_empty()).await;
    assert!(
        !seen.has(Kind::Pod, "shop", "early-0"),
        "the sweep found the delete in the gap"
    );

    // The API server restarts; what happened meanwhile is found.
    plane.stop_api_server().unwrap();
    seen.until("blindness", |s| s.blind.len() == Kind::ALL.len() - 1)
        .await;
    plane.start_api_server().unwrap();
    make_pod(&plane, "after");
    seen.until("everything after the restart", |s| {
        s.all_seen() && s.has(Kind::Pod, "shop", "after")
    })
    .await;
}

/// Comparisons under change find no difference where there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn comparing_with_an_honest_server_finds_nothing() {
    let Some(plane) = raise("comparing_with_an_honest_server") else {
        return;
    };
    let settings = ReaderSettings {
        watch_timeout: Duration::from_secs(2),
        verify_every: Some(Duration::from_secs(2)),
        ..settings()
    };
    let mut seen = Seen::start(&plane, settings).await;
    seen.until("everything listed", Seen::all_seen).await;
    let mut n = 0;
    while seen.health.kind(Kind::Pod).unwrap().verifications() < 4 {
        n += 1;
        let name = format!("pod-{n}");
        make_pod(&plane, &name);
        if n % 2 == 0 {
            delete(
                &plane,
                &["pod", &name, "-n", "shop", "--grace-period=0", "--force"],
            );
        }
        let last = format!("pod-{}", if n % 2 == 0 { n - 1 } else { n });
        seen.until("the last pod", |s| s.has(Kind::Pod, "shop", &last))
            .await;
        assert!(n < 1_000, "nothing is compared");
    }
    for (kind, health) in seen.health.kinds() {
        assert_eq!((health.divergences(), health.relists()), (0, 0), "{kind}");
    }
}
