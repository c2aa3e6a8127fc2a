//! A control plane with the product's kinds and rights, and the edge connected to it.

use std::path::PathBuf;
use std::time::Duration;

use patrol_core::effect::{Effect, Precondition};
use patrol_core::event::{Event, Term, WriteId, WriteResult, Written};
use patrol_core::facts::ObjectKey;
use patrol_e2e::control_plane::{ADMIN, Builder, ControlPlane};
use patrol_e2e::installed::{NAMESPACE, install};
use patrol_e2e::skip::or_skip;
use patrol_kube::Connection;
use patrol_kube::lease::Fence;
use patrol_kube::writer::{Answers, WRITES_PER_SECOND, Writer, writer};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// The longest wait for anything.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A control plane without controllers, so that what is half done stays so.
pub fn raise(test: &str) -> Option<ControlPlane> {
    raise_with(test, ControlPlane::builder())
}

pub fn raise_with(test: &str, builder: Builder) -> Option<ControlPlane> {
    let flag = "--disable-admission-plugins=ServiceAccount";
    let plane = or_skip(test, builder.api_server_flag(flag).start()).unwrap()?;
    install(&plane).unwrap();
    plane.create_namespace("shop").unwrap();
    Some(plane)
}

/// Connected under the service account of the operator.
pub async fn operator(plane: &ControlPlane) -> Connection {
    let account = plane.service_account_kubeconfig(NAMESPACE, NAMESPACE);
    connect(account.unwrap()).await
}

pub async fn connect(kubeconfig: PathBuf) -> Connection {
    Connection::from_kubeconfig(&kubeconfig).await.unwrap()
}

/// An object as the administrator sees it.
pub fn get(plane: &ControlPlane, path: &str) -> Value {
    let reply = plane.request(ADMIN, "GET", path, None).unwrap();
    reply.success().unwrap()
}

pub fn send(plane: &ControlPlane, method: &str, path: &str, body: &Value) -> Value {
    let reply = plane.request(ADMIN, method, path, Some(body)).unwrap();
    reply.success().unwrap()
}

/// A writer under test.
pub struct Writing {
    pub writer: Writer,
    pub answers: Answers,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Writing {
    pub fn start(connection: Connection) -> Self {
        let (writer, worker) = writer(connection, Fence::always(), "replica-0", WRITES_PER_SECOND);
        tokio::spawn(worker.run());
        let (answers, events) = mpsc::unbounded_channel();
        Self {
            writer,
            answers,
            events,
        }
    }

    pub async fn event(&mut self, effect: Effect) -> Event {
        self.writer.carry_out(effect, Some(Term(1)), &self.answers);
        self.next().await
    }

    pub async fn next(&mut self) -> Event {
        let next = tokio::time::timeout(DEADLINE, self.events.recv());
        next.await.expect("no answer in time").unwrap()
    }

    pub async fn write(&mut self, effect: Effect) -> WriteResult {
        match self.event(effect).await {
            Event::Written(ID, result) => result,
            other => panic!("{other:?}"),
        }
    }

    /// Writes and returns the precondition of the next write.
    pub async fn done(&mut self, effect: Effect) -> Precondition {
        let what = format!("{effect:?}");
        let metadata = match self.write(effect).await {
            WriteResult::Done(Written::Ticket(ticket)) => ticket.metadata,
            WriteResult::Done(Written::Policy(policy)) => policy.metadata,
            WriteResult::Done(Written::Receiver(receiver)) => receiver.metadata,
            other => panic!("{what}: {other:?}"),
        };
        let namespace = metadata.namespace.unwrap_or_default();
        Precondition {
            key: ObjectKey::new(&namespace, &metadata.name.unwrap()),
            uid: metadata.uid.unwrap(),
            version: metadata.resource_version.unwrap(),
        }
    }
}

pub const ID: WriteId = WriteId(7);
pub const TICKETS: &str = "/apis/kubepatrol.io/v1alpha1/namespaces/shop/tickets";
pub const POLICIES: &str = "/apis/kubepatrol.io/v1alpha1/patrolpolicies";

/// The creation of a ticket.
pub fn create(namespace: &str, name: &str) -> Effect {
    let ticket = json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "Ticket",
        "metadata": {"name": name, "namespace": namespace,
            "labels": {"kubepatrol.io/state": "open", "kubepatrol.io/policy": "p"}},
        "spec": {"finding": {"policy": "p", "check": "sidecar-missing", "layer": "L4",
            "subject": {"group": "apps", "kind": "Deployment", "namespace": namespace,
                "name": "web", "uid": "5b1a4a5e-0000-4000-8000-000000000000"},
            "subjectRef": "Deployment/web"}},
        "status": {"title": "as a file keeps it"}});
    Effect::CreateTicket {
        id: ID,
        ticket: Box::new(serde_json::from_value(ticket).unwrap()),
    }
}

/// The same with another version.
pub fn stale(at: &Precondition) -> Precondition {
    Precondition {
        version: "1".to_owned(),
        ..at.clone()
    }
}

/// The same with the UID of another object of the same name.
pub fn other(at: &Precondition) -> Precondition {
    Precondition {
        uid: "00000000-0000-4000-8000-000000000000".to_owned(),
        ..at.clone()
    }
}
