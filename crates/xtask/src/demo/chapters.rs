//! The chapters of the demo, in their order.

#![allow(
    clippy::indexing_slicing,
    reason = "a field that a JSON value does not have reads as null, it does not panic"
)]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::time::Duration;

use data_encoding::BASE64;
use patrol_e2e::control_plane::{ADMIN, ControlPlane};
use patrol_e2e::installed::{self, Stage};
use patrol_e2e::operator::Process;
use patrol_e2e::receiver::{Event, Recorded};
use patrol_e2e::{Error, Result};
use serde_json::Value;

use super::teller::Teller;

const CLUSTER: &str = include_str!("cluster.yaml");
const POLICY: &str = include_str!("policy.yaml");

/// A gap of the story.
struct Gap {
    check: &'static str,
    /// As a ticket names its subject.
    subject: &'static str,
    namespace: &'static str,
}

const NODE: Gap = Gap {
    check: "node-agent-missing",
    subject: "Node/gpu-1",
    namespace: installed::NAMESPACE,
};
const AGENT: Gap = Gap {
    check: "node-agent-excluded",
    subject: "DaemonSet/falco",
    namespace: "security",
};
const WORKLOAD: Gap = Gap {
    check: "sidecar-missing",
    subject: "Deployment/web",
    namespace: "shop",
};
const INJECTOR: Gap = Gap {
    check: "injector-unhealthy",
    subject: "MutatingWebhookConfiguration/injector",
    namespace: installed::NAMESPACE,
};

/// Adds the container that the ticket asks for.
const SIDECAR: &str = r#"{"spec": {"template": {"spec": {"containers": [{"name": "aegis", "image": "registry.example.com/security/aegis:3"}]}}}}"#;
/// Lets the agent run on the node that it missed.
const TOLERATION: &str = r#"{"spec": {"template": {"spec": {"tolerations": [{"key": "example.com/gpu", "operator": "Exists"}]}}}}"#;

/// Tells all of them.
pub(super) fn tell(teller: &Teller) -> Result<()> {
    let stage = cluster(teller)?;
    let plane = &stage.plane;
    let story = Story {
        teller,
        plane,
        stage: &stage,
        operator: RefCell::new(teller.told(installed::operator(plane, "demo")?.spawn())?),
    };
    story.policy()?;
    story.alarm()?;
    story.injector_down()?;
    story.mend_workload()?;
    story.mend_node()?;
    story.mend_injector()?;
    story.all_clear()?;
    teller.end("Every gap was found, told, mended and told as closed.")
}

/// A real control plane with the product's objects, and what runs on it.
fn cluster(teller: &Teller) -> Result<Stage> {
    teller.chapter(
        "A cluster with two gaps",
        "etcd, kube-apiserver, controller-manager and scheduler run on loopback; kwok plays the kubelet of three \
         nodes. The agent falco does not tolerate the taint of gpu-1, and the Deployment web was made without \
         its sidecar aegis.",
    )?;
    let builder = ControlPlane::builder().controllers().scheduler().kwok();
    let Some(stage) = Stage::raise("demo", builder)? else {
        return Err(Error::unavailable("the control plane cannot be raised"));
    };
    let plane = &stage.plane;
    let authority = BASE64.encode(plane.authority()?.as_bytes());
    teller.told(plane.apply(&CLUSTER.replace("AUTHORITY", &authority)))?;
    let ready = |what: &str, path: &str, wanted: fn(&Value) -> bool| {
        teller.wait(what, || {
            let seen = plane.request(ADMIN, "GET", path, None)?.success()?;
            match wanted(&seen) {
                true => Ok(()),
                false => Err(Error::failed(seen["status"].to_string())),
            }
        })
    };
    for node in ["worker-1", "worker-2", "gpu-1"] {
        let path = format!("/api/v1/nodes/{node}");
        ready(&format!("Node {node}"), &path, |seen| {
            installed::condition_of(seen, "Ready")["status"] == "True"
        })?;
    }
    let available = |seen: &Value| seen["status"]["availableReplicas"] == seen["spec"]["replicas"];
    for (namespace, name) in [
        ("security", "injector"),
        ("shop", "web"),
        ("shop", "orders"),
    ] {
        let path = format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}");
        ready(&format!("Deployment {name}"), &path, available)?;
    }
    let path = "/apis/apps/v1/namespaces/security/daemonsets/falco";
    let agents = |seen: &Value| seen["status"]["numberReady"] == 2;
    ready("DaemonSet falco on two nodes", path, agents)?;
    teller.kubectl(plane, &["get", "nodes"])?;
    teller.kubectl(plane, &["get", "daemonsets,deployments", "-A"])?;
    Ok(stage)
}

/// What the chapters share.
struct Story<'a> {
    teller: &'a Teller,
    plane: &'a ControlPlane,
    stage: &'a Stage,
    operator: RefCell<Process>,
}

impl Story<'_> {
    fn policy(&self) -> Result<()> {
        self.teller.chapter(
            "A policy, and its tickets",
            "The operator runs as the service account of deploy/, with exactly the shipped rights. The policy asks \
             for the sidecar in shop and for the agent on every node. Each gap becomes a Ticket, in the namespace \
             of whoever has to act.",
        )?;
        self.teller.told(self.plane.apply(POLICY))?;
        for gap in [&WORKLOAD, &NODE, &AGENT] {
            self.ticket(gap)?;
        }
        self.teller
            .kubectl(self.plane, &["get", "tickets.kubepatrol.io", "-A"])?;
        let ticket = self.ticket(&NODE)?;
        for (word, field) in [("Why", "message"), ("Fix", "remediation")] {
            let text = ticket["status"][field].as_str().unwrap_or("?");
            self.teller.remark(&format!("{word} gpu-1: {text}"))?;
        }
        Ok(())
    }

    fn alarm(&self) -> Result<()> {
        self.teller.chapter(
            "The webhook fires",
            "The receiver checks the Standard Webhooks signature of every notice. It will be told again and again \
             until the gaps are gone.",
        )?;
        [&WORKLOAD, &NODE, &AGENT]
            .into_iter()
            .try_for_each(|gap| self.notice(gap, "Firing"))
    }

    fn injector_down(&self) -> Result<()> {
        self.teller.chapter(
            "The injector goes down, and nothing else says so",
            "With failurePolicy: Ignore the API server goes on without it: from now on pods are made without \
             their sidecar. A change is judged on its watch event; nobody waits for the next patrol.",
        )?;
        let scale = ["scale", "deployment/injector", "-n", "security"];
        self.teller
            .kubectl(self.plane, &[&scale[..], &["--replicas=0"]].concat())?;
        let ticket = self.ticket(&INJECTOR)?;
        let name = ticket["metadata"]["name"].as_str().unwrap_or("?");
        let place = ["-n", INJECTOR.namespace];
        self.teller
            .kubectl(self.plane, &[&["get", "ticket", name], &place[..]].concat())?;
        self.notice(&INJECTOR, "Firing")
    }

    fn mend_workload(&self) -> Result<()> {
        self.teller.chapter(
            "The workload is mended",
            "The sidecar is added to the template; the Deployment rolls out. Nobody closes a ticket by hand: it \
             resolves when the gap is seen to be gone.",
        )?;
        let patch = ["patch", "deployment", "web", "-n", "shop", "-p", SIDECAR];
        self.teller.kubectl(self.plane, &patch)?;
        self.resolved(&WORKLOAD)
    }

    fn mend_node(&self) -> Result<()> {
        self.teller.chapter(
            "The node is mended",
            "The agent learns to tolerate the taint. Two tickets end: the node's, and that of the DaemonSet which \
             left it out.",
        )?;
        let patch = [
            "patch",
            "daemonset",
            "falco",
            "-n",
            "security",
            "-p",
            TOLERATION,
        ];
        self.teller.kubectl(self.plane, &patch)?;
        self.resolved(&NODE)?;
        self.resolved(&AGENT)
    }

    fn mend_injector(&self) -> Result<()> {
        self.teller.chapter(
            "The injector comes back",
            "Its Service has a ready endpoint again.",
        )?;
        let scale = ["scale", "deployment/injector", "-n", "security"];
        self.teller
            .kubectl(self.plane, &[&scale[..], &["--replicas=1"]].concat())?;
        self.resolved(&INJECTOR)
    }

    fn all_clear(&self) -> Result<()> {
        self.teller.chapter(
            "All clear",
            "The policy is compliant, every ticket is kept with its history, and no other was opened on the way.",
        )?;
        let compliant = "--for=condition=Compliant";
        let policy = "patrolpolicy/production";
        self.teller
            .kubectl(self.plane, &["wait", compliant, policy, "--timeout=60s"])?;
        self.teller
            .kubectl(self.plane, &["get", "patrolpolicies"])?;
        self.teller
            .kubectl(self.plane, &["get", "tickets.kubepatrol.io", "-A"])?;
        let tickets = self.teller.told(installed::tickets(self.plane))?;
        let seen: BTreeSet<String> = tickets.iter().map(installed::line).collect();
        let wanted = [&WORKLOAD, &NODE, &AGENT, &INJECTOR];
        let wanted: BTreeSet<String> = wanted
            .map(|gap| format!("{} {} Resolved", gap.check, gap.subject))
            .into();
        if seen != wanted || tickets.len() != wanted.len() {
            let text = format!("the tickets are {seen:?}, not {wanted:?}");
            return self.teller.told(Err(Error::failed(text)));
        }
        let mut operator = self.operator.borrow_mut();
        let status = self
            .teller
            .told(operator.terminate(Duration::from_secs(10)))?;
        match status.code() {
            Some(0) => Ok(()),
            _ => {
                let text = format!("the operator ended with {status}: {}", operator.stderr()?);
                self.teller.told(Err(Error::failed(text)))
            }
        }
    }

    /// Waits for something that only a living operator does.
    fn wait<T>(&self, what: &str, mut probe: impl FnMut() -> Result<T>) -> Result<T> {
        let seen = self.teller.wait(what, || {
            let alive = self.operator.borrow_mut().check_alive();
            match alive {
                Ok(()) => probe().map(Ok),
                Err(dead) => Ok(Err(dead)),
            }
        })?;
        self.teller.told(seen)
    }

    /// The ticket of a gap, once it is open with its status.
    fn ticket(&self, gap: &Gap) -> Result<Value> {
        let wanted = format!("{} {} Open", gap.check, gap.subject);
        let what = format!("the ticket `{wanted}`");
        self.wait(&what, || {
            let all = installed::tickets(self.plane)?;
            let seen: Vec<String> = all.iter().map(installed::line).collect();
            all.into_iter()
                .find(|t| {
                    installed::line(t) == wanted && t["metadata"]["namespace"] == gap.namespace
                })
                .ok_or_else(|| Error::failed(format!("{seen:?}")))
        })
    }

    /// Waits for the end of a gap's ticket with kubectl, and for the notice of it.
    fn resolved(&self, gap: &Gap) -> Result<()> {
        let tickets = self
            .teller
            .told(installed::tickets_of(self.plane, gap.check))?;
        let name = tickets.iter().find_map(|t| t["metadata"]["name"].as_str());
        let object = format!("ticket/{}", name.unwrap_or("?"));
        let condition = "--for=condition=Resolved";
        let args = [
            "wait",
            condition,
            &object,
            "-n",
            gap.namespace,
            "--timeout=60s",
        ];
        self.teller.kubectl(self.plane, &args)?;
        self.notice(gap, "Closed")
    }

    /// Waits for the notice about a gap, and shows it.
    fn notice(&self, gap: &Gap, state: &str) -> Result<()> {
        let what = format!("the notice `{} {} {state}`", gap.check, gap.subject);
        let (request, events) = self.wait(&what, || {
            let requests = self.stage.receiver.requests();
            let seen = requests.len();
            requests
                .into_iter()
                .filter(Recorded::accepted)
                .find_map(|request| {
                    let events = request.notice().ok()?.data.tickets;
                    let found = events.iter().any(|e| is_about(e, gap) && e.state == state);
                    found.then_some((request, events))
                })
                .ok_or_else(|| Error::failed(format!("{seen} other notices")))
        })?;
        let shown: Vec<&Event> = events.iter().filter(|e| is_about(e, gap)).collect();
        self.teller.notice(&request, &shown)
    }
}

fn is_about(event: &Event, gap: &Gap) -> bool {
    let subject = format!("{}/{}", event.subject.kind, event.subject.name);
    event.check == gap.check && subject == gap.subject
}
