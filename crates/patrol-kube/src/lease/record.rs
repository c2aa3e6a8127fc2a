//! The Lease object, as much of it as an election reads and writes.
//!
//! Fields and metadata of others are kept as they are.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// Tells processes of one identity apart: a restarted container from a twin.
const PROCESS: &str = "kubepatrol.io/process";

/// A Lease as the server returned it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Record {
    object: Map<String, Value>,
}

/// Who holds a lease.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Holder {
    /// Empty when it was handed over.
    pub(super) identity: String,
    pub(super) process: String,
}

/// What a holder writes.
pub(super) struct Claim<'a> {
    pub(super) identity: &'a str,
    pub(super) process: &'a str,
    pub(super) seconds: u64,
    pub(super) now: DateTime<Utc>,
}

impl Record {
    /// Parses a Lease; `None` when it is none.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let object = serde_json::from_slice(body).ok()?;
        let record = Self { object };
        (!record.version().is_empty()).then_some(record)
    }

    pub(super) fn holder(&self) -> Holder {
        let annotations = self.at("metadata", "annotations");
        let process = annotations.and_then(|all| all.get(PROCESS));
        Holder {
            identity: self.text("spec", "holderIdentity").to_owned(),
            process: process
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        }
    }

    /// Changes with every write to the object.
    pub(super) fn version(&self) -> &str {
        self.text("metadata", "resourceVersion")
    }

    /// How long the holder says that its lease lasts.
    pub(super) fn seconds(&self) -> u64 {
        self.number("leaseDurationSeconds")
    }

    /// How often the holder changed.
    pub(super) fn transitions(&self) -> u64 {
        self.number("leaseTransitions")
    }

    fn at(&self, section: &str, field: &str) -> Option<&Value> {
        self.object.get(section)?.get(field)
    }

    fn text(&self, section: &str, field: &str) -> &str {
        let value = self.at(section, field).and_then(Value::as_str);
        value.unwrap_or_default()
    }

    fn number(&self, field: &str) -> u64 {
        let value = self.at("spec", field).and_then(Value::as_u64);
        value.unwrap_or_default()
    }

    /// The Lease with which `claim` holds it: a renewal when it did before.
    pub(super) fn held(&self, claim: &Claim<'_>) -> Value {
        let before = self.holder();
        let renewal = before.identity == claim.identity && before.process == claim.process;
        let changed = before.identity != claim.identity;
        let mut spec = map(self.object.get("spec"));
        spec.insert("holderIdentity".into(), claim.identity.into());
        spec.insert("leaseDurationSeconds".into(), claim.seconds.max(1).into());
        spec.insert("renewTime".into(), micro(claim.now));
        if !renewal {
            let transitions = self.transitions().saturating_add(u64::from(changed));
            spec.insert("acquireTime".into(), micro(claim.now));
            spec.insert("leaseTransitions".into(), transitions.into());
        }
        self.with(spec, claim.process)
    }

    /// The Lease after its holder has let go.
    pub(super) fn released(&self, now: DateTime<Utc>) -> Value {
        let mut spec = map(self.object.get("spec"));
        // Absent is how an empty holder is written: the empty text is refused.
        spec.remove("holderIdentity");
        spec.insert("leaseDurationSeconds".into(), 1.into());
        spec.insert("renewTime".into(), micro(now));
        spec.insert("acquireTime".into(), micro(now));
        self.with(spec, "")
    }

    fn with(&self, spec: Map<String, Value>, process: &str) -> Value {
        let mut metadata = map(self.object.get("metadata"));
        let mut annotations = map(metadata.get("annotations"));
        annotations.insert(PROCESS.into(), process.into());
        metadata.insert("annotations".into(), annotations.into());
        let mut object = self.object.clone();
        object.insert("metadata".into(), metadata.into());
        object.insert("spec".into(), spec.into());
        object.into()
    }
}

fn map(value: Option<&Value>) -> Map<String, Value> {
    value
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default()
}

/// A Lease that is not there yet, held by `claim`.
pub(super) fn new(namespace: &str, name: &str, claim: &Claim<'_>) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "annotations": {PROCESS: claim.process},
            "labels": {"app.kubernetes.io/managed-by": "kube-patrol"},
        },
        "spec": {
            "holderIdentity": claim.identity,
            "leaseDurationSeconds": claim.seconds.max(1),
            "acquireTime": micro(claim.now),
            "renewTime": micro(claim.now),
            "leaseTransitions": 0,
        },
    })
}

fn micro(time: DateTime<Utc>) -> Value {
    time.to_rfc3339_opts(SecondsFormat::Micros, true).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 5_000).unwrap()
    }

    fn claim<'a>(identity: &'a str, process: &'a str) -> Claim<'a> {
        Claim {
            identity,
            process,
            seconds: 15,
            now: at(1_000),
        }
    }

    fn stored(mut object: Value) -> Record {
        object["metadata"]["resourceVersion"] = "7".into();
        Record::parse(object.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_renewal_keeps_the_acquire_time_and_a_takeover_counts() {
        let first = stored(new("ns", "kube-patrol", &claim("a", "1")));
        let renewed = stored(first.held(&Claim {
            now: at(2_000),
            ..claim("a", "1")
        }));
        assert_eq!(
            renewed.text("spec", "acquireTime"),
            "1970-01-01T00:16:40.000005Z"
        );
        assert_eq!(
            renewed.text("spec", "renewTime"),
            "1970-01-01T00:33:20.000005Z"
        );
        assert_eq!(renewed.transitions(), 0);
        let taken = stored(renewed.held(&claim("b", "2")));
        assert_eq!(taken.transitions(), 1);
        assert_eq!(taken.holder().identity, "b");
        assert_eq!(taken.holder().process, "2");
    }

    #[test]
    fn a_released_lease_has_no_holder_and_keeps_foreign_fields() {
        let mut object = new("ns", "kube-patrol", &claim("a", "1"));
        object["spec"]["strategy"] = "OldestEmulationVersion".into();
        object["metadata"]["annotations"]["else"] = "kept".into();
        let released = stored(stored(object).released(at(3_000)));
        assert_eq!(released.holder(), Holder::default());
        assert!(released.at("spec", "holderIdentity").is_none());
        assert_eq!(released.text("spec", "strategy"), "OldestEmulationVersion");
        assert_eq!(
            released.at("metadata", "annotations").unwrap()["else"],
            "kept"
        );
        assert_eq!(released.seconds(), 1);
    }

    #[test]
    fn what_is_no_lease_is_none() {
        for body in [
            "",
            "[]",
            "{}",
            "{\"metadata\": {}}",
            "\"x\"",
            "{\"metadata\": 1}",
        ] {
            assert_eq!(Record::parse(body.as_bytes()), None, "{body}");
        }
    }
}
