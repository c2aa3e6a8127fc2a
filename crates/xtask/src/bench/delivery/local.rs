//! kube-patrol in local mode, on a folder that the benchmark writes.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use patrol_e2e::child::Guarded;
use patrol_e2e::{http, peers, wait_until};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::super::store::resident_of;
use crate::Failure;

/// Pods in one file.
const PER_FILE: usize = 1_000;
const START: Duration = Duration::from_secs(300);

/// A running process, and its folder.
pub struct Local {
    process: Guarded,
    folder: TempDir,
    metrics: SocketAddr,
}

impl Local {
    /// Starts it on these objects, and waits until it serves metrics.
    pub fn start(binary: &Path, objects: &[Value]) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        for (n, part) in objects.chunks(PER_FILE).enumerate() {
            let documents: Vec<String> = part.iter().map(Value::to_string).collect();
            fs::write(
                data.join(format!("part-{n:03}.yaml")),
                documents.join("\n---\n"),
            )?;
        }
        let metrics = peers::free_address()?;
        let mut command = Command::new(binary);
        command.arg("local").arg(&data);
        command.args(["--listen", &metrics.to_string(), "--log-level", "warn"]);
        let log = folder.path().join("log");
        let mut process = Guarded::spawn("kube-patrol local", &mut command, &log, None, None)?;
        wait_until(START, "the metrics of local mode", || {
            process.check_alive()?;
            http::get(metrics, "/metrics").map(|_| ())
        })?;
        Ok(Self {
            process,
            folder,
            metrics,
        })
    }

    /// Adds one object while it runs.
    pub fn add(&self, name: &str, object: &Value) -> Result<(), Failure> {
        let data = self.folder.path().join("data");
        // Under another name first: nobody must read half of it.
        let draft = self.folder.path().join("draft");
        fs::write(&draft, object.to_string())?;
        fs::rename(draft, data.join(format!("{name}.yaml")))?;
        Ok(())
    }

    /// The sum of a metric's rows whose labels hold these words; `None` while the process is too busy to answer.
    pub fn metric(&self, name: &str, words: &str) -> Option<f64> {
        let text = http::get(self.metrics, "/metrics").ok()?.text();
        let rows = text.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']) && rest.contains(words))
        });
        let values = rows.filter_map(|row| row.rsplit(' ').next()?.parse::<f64>().ok());
        Some(values.sum())
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> Result<u64, Failure> {
        resident_of(&self.process.id().to_string())
    }

    /// Fails when it has ended.
    pub fn check_alive(&mut self) -> Result<(), Failure> {
        Ok(self.process.check_alive()?)
    }

    /// Stored tickets that say that a receiver was told that they fire.
    pub fn told(&self, receiver: &str) -> Result<usize, Failure> {
        let mut told = 0;
        let root = self.folder.path().join("data/.kube-patrol/tickets");
        for namespace in fs::read_dir(root)? {
            for file in fs::read_dir(namespace?.path())? {
                let path = file?.path();
                // Beside them lie files that are being written.
                if path.extension().is_none_or(|e| e != "yaml") {
                    continue;
                }
                let ticket: Value = serde_saphyr::from_str(&fs::read_to_string(path)?)?;
                let records = ticket.pointer("/status/alerts").and_then(Value::as_array);
                let fires = |record: &Value| {
                    let field = |name: &str| record.get(name).and_then(Value::as_str);
                    field("receiver") == Some(receiver) && field("state") == Some("Firing")
                };
                told += usize::from(records.into_iter().flatten().any(fires));
            }
        }
        Ok(told)
    }
}

/// A pod without the sidecar that the policy asks for.
pub fn pod(namespace: &str, n: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": namespace, "name": format!("pod-{n}"), "uid": format!("pod-{n}")},
        "spec": {"containers": [{"name": "app", "image": "registry.example.com/app:1"}]},
        "status": {"phase": "Running"}
    })
}

/// A webhook at this address.
pub fn webhook(name: &str, url: &str, per_minute: u32) -> Value {
    json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "AlertReceiver", "metadata": {"name": name},
        "spec": {"webhook": {"url": url}, "rate": {"perMinute": per_minute}}
    })
}

/// A policy that asks for the sidecar and tells these receivers, sixteen at most.
pub fn policy(name: &str, receivers: &[String], alerts: &Value) -> Value {
    let routes: Vec<Value> = receivers.iter().map(|name| json!({"name": name})).collect();
    let mut policy = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy", "metadata": {"name": name},
        "spec": {
            "schedule": {"every": "1h"},
            "checks": [{"name": "aegis", "sidecar": {"images": ["security/aegis*"]}}],
            "graces": {"podInjection": "0s", "podStart": "0s", "newNamespace": "0s"},
            "tickets": {"maxPerCheck": 100_000},
            "alerts": {"receivers": routes}
        }
    });
    if let (Some(into), Some(from)) = (
        policy
            .pointer_mut("/spec/alerts")
            .and_then(Value::as_object_mut),
        alerts.as_object(),
    ) {
        into.extend(from.clone());
    }
    policy
}
