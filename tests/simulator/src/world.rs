//! A model of the API server: objects with versions, a history for watches, and the rules
//! of writes that the product relies on (preconditions, status as a subresource, names,
//! namespaces, finalizers). It never fails by chance: faults belong to the shell.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use patrol_api::policy::{PatrolPolicy, PatrolPolicyStatus};
use patrol_api::receiver::AlertReceiverStatus;
use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::Time;
use patrol_api::waiver::TicketWaiverStatus;
use patrol_core::effect::Precondition;
use patrol_core::event::{Refusal, WriteResult, Written};
use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

/// One change of one object, as a watch reports it.
#[derive(Clone, Debug)]
pub struct Change {
    /// Version of the store after it.
    pub version: u64,
    /// Which object.
    pub key: ObjectKey,
    /// The object after it; `None` when it was deleted.
    pub value: Option<Rc<Value>>,
}

/// The store.
#[derive(Debug, Default)]
pub struct World {
    objects: BTreeMap<(Kind, ObjectKey), Rc<Value>>,
    log: BTreeMap<Kind, Vec<Change>>,
    version: u64,
    uids: u64,
    wall: Option<Time>,
    /// Kinds whose list and watch are refused.
    pub denied: BTreeSet<Kind>,
    /// Kinds whose CRD is not there.
    pub missing: BTreeSet<Kind>,
    /// Kinds that changed since this was last taken.
    pub touched: BTreeSet<Kind>,
}

impl World {
    /// Tells the server's time, which stamps what is created from now on.
    pub fn set_wall(&mut self, wall: Time) {
        self.wall = Some(wall);
    }

    /// The server's time.
    #[must_use]
    pub fn wall(&self) -> Time {
        self.wall.unwrap_or(Time::from_unix(0))
    }

    /// Version of the store.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// An object.
    #[must_use]
    pub fn get(&self, kind: Kind, key: &ObjectKey) -> Option<&Rc<Value>> {
        self.objects.get(&(kind, key.clone()))
    }

    /// All objects of a kind, by key.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = (&ObjectKey, &Rc<Value>)> {
        self.objects
            .range((kind, ObjectKey::default())..)
            .take_while(move |((k, _), _)| *k == kind)
            .map(|((_, key), value)| (key, value))
    }

    /// Keys of a kind in a namespace.
    #[must_use]
    pub fn keys_in(&self, kind: Kind, namespace: &str) -> Vec<ObjectKey> {
        self.all(kind)
            .filter(|(key, _)| key.namespace == *namespace)
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// The tickets there are, decoded.
    #[must_use]
    pub fn tickets(&self) -> Vec<(ObjectKey, Ticket)> {
        self.all(Kind::Ticket)
            .filter_map(|(key, value)| Some((key.clone(), typed(value)?)))
            .collect()
    }

    /// The policies there are, decoded.
    #[must_use]
    pub fn policies(&self) -> Vec<PatrolPolicy> {
        self.all(Kind::PatrolPolicy)
            .filter_map(|(_, value)| typed(value))
            .collect()
    }

    /// Changes of a kind after `version`.
    pub fn changes_after(&self, kind: Kind, version: u64) -> &[Change] {
        let log = self.log.get(&kind).map_or(&[][..], Vec::as_slice);
        let from = log.partition_point(|change| change.version <= version);
        log.get(from..).unwrap_or_default()
    }

    /// Creates or replaces an object as a user would: metadata the server owns is kept or
    /// made, a changed spec raises the generation. Returns its UID.
    pub fn apply(&mut self, kind: Kind, mut value: Value) -> String {
        let key = key_of(&value);
        let before = self.get(kind, &key).cloned();
        let created = self.wall().to_string();
        let uid = match &before {
            Some(old) => text(old, "/metadata/uid"),
            None => self.fresh_uid(),
        };
        let generation = match &before {
            Some(old) if old.get("spec") == value.get("spec") => {
                number(old, "/metadata/generation")
            }
            Some(old) => number(old, "/metadata/generation") + 1,
            None => 1,
        };
        if let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.insert("uid".into(), json!(uid));
            meta.insert("generation".into(), json!(generation));
            let stamp = match &before {
                Some(old) => old.pointer("/metadata/creationTimestamp").cloned(),
                None => meta.get("creationTimestamp").cloned(),
            };
            meta.insert("creationTimestamp".into(), stamp.unwrap_or(json!(created)));
        }
        self.store(kind, key, value);
        uid
    }

    /// Changes an object in place. Returns whether it was there.
    pub fn edit(&mut self, kind: Kind, key: &ObjectKey, change: impl FnOnce(&mut Value)) -> bool {
        let Some(before) = self.get(kind, key).cloned() else {
            return false;
        };
        let mut value = (*before).clone();
        change(&mut value);
        if value.get("spec") != before.get("spec") {
            let generation = number(&before, "/metadata/generation") + 1;
            set(&mut value, "metadata", "generation", json!(generation));
        }
        if value != *before {
            self.store(kind, key.clone(), value);
        }
        true
    }

    /// Deletes an object, or marks it when a finalizer holds it.
    pub fn delete(&mut self, kind: Kind, key: &ObjectKey) -> bool {
        let Some(value) = self.get(kind, key).cloned() else {
            return false;
        };
        if has_finalizer(&value) {
            if value.pointer("/metadata/deletionTimestamp").is_none() {
                let wall = self.wall().to_string();
                self.edit(kind, key, |v| {
                    set(v, "metadata", "deletionTimestamp", json!(wall))
                });
            }
            return true;
        }
        self.remove(kind, key);
        true
    }

    fn remove(&mut self, kind: Kind, key: &ObjectKey) {
        self.version += 1;
        self.objects.remove(&(kind, key.clone()));
        self.touched.insert(kind);
        self.log.entry(kind).or_default().push(Change {
            version: self.version,
            key: key.clone(),
            value: None,
        });
    }

    fn store(&mut self, kind: Kind, key: ObjectKey, mut value: Value) -> Rc<Value> {
        self.version += 1;
        let version = self.version.to_string();
        set(&mut value, "metadata", "resourceVersion", json!(version));
        let value = Rc::new(value);
        self.objects.insert((kind, key.clone()), Rc::clone(&value));
        self.touched.insert(kind);
        self.log.entry(kind).or_default().push(Change {
            version: self.version,
            key,
            value: Some(Rc::clone(&value)),
        });
        value
    }

    fn fresh_uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.uids)
    }

    // ------------------------------------------------------------ writes of the product

    /// POST of a ticket: the status is dropped, as the API server does.
    pub fn create_ticket(&mut self, ticket: &Ticket) -> WriteResult {
        let Ok(mut value) = serde_json::to_value(ticket) else {
            return WriteResult::Refused(Refusal::Invalid);
        };
        let key = key_of(&value);
        match self.get(Kind::Namespace, &ObjectKey::new("", &key.namespace)) {
            None => return WriteResult::Refused(Refusal::NamespaceNotFound),
            Some(ns) if ns.pointer("/metadata/deletionTimestamp").is_some() => {
                return WriteResult::Refused(Refusal::NamespaceTerminating);
            }
            Some(_) => {}
        }
        if let Some(there) = self.get(Kind::Ticket, &key) {
            return WriteResult::Exists(typed(there).map(Box::new));
        }
        if let Some(object) = value.as_object_mut() {
            object.remove("status");
        }
        self.apply(Kind::Ticket, value);
        self.done(&key)
    }

    /// PUT of a ticket's status.
    pub fn write_ticket_status(&mut self, at: &Precondition, status: &TicketStatus) -> WriteResult {
        self.guarded(Kind::Ticket, at, |value| {
            set_top(value, "status", serde_json::to_value(status));
        })
    }

    /// PATCH of a ticket's labels.
    pub fn write_ticket_labels(
        &mut self,
        at: &Precondition,
        labels: &BTreeMap<String, String>,
    ) -> WriteResult {
        self.guarded(Kind::Ticket, at, |value| {
            for (name, label) in labels {
                set_label(value, name, label);
            }
        })
    }

    /// DELETE of a ticket.
    pub fn delete_ticket(&mut self, at: &Precondition) -> WriteResult {
        if let Some(result) = self.check(Kind::Ticket, at) {
            return result;
        }
        self.delete(Kind::Ticket, &at.key);
        WriteResult::Done(Written::Nothing)
    }

    /// PUT of a policy's status.
    pub fn write_policy_status(
        &mut self,
        at: &Precondition,
        status: &PatrolPolicyStatus,
    ) -> WriteResult {
        self.guarded(Kind::PatrolPolicy, at, |value| {
            set_top(value, "status", serde_json::to_value(status));
        })
    }

    /// PUT of a receiver's status.
    pub fn write_receiver_status(
        &mut self,
        at: &Precondition,
        status: &AlertReceiverStatus,
    ) -> WriteResult {
        self.guarded(Kind::AlertReceiver, at, |value| {
            set_top(value, "status", serde_json::to_value(status));
        })
    }

    /// Replaces the status of a waiver.
    pub fn write_waiver_status(
        &mut self,
        at: &Precondition,
        status: &TicketWaiverStatus,
    ) -> WriteResult {
        self.guarded(Kind::TicketWaiver, at, |value| {
            set_top(value, "status", serde_json::to_value(status));
        })
    }

    /// Puts our finalizer on a policy or takes it off; the last one off ends a deletion.
    pub fn write_policy_finalizer(&mut self, at: &Precondition, present: bool) -> WriteResult {
        let result = self.guarded(Kind::PatrolPolicy, at, |value| {
            let list = if present {
                json!(["kubepatrol.io/closing"])
            } else {
                json!([])
            };
            set(value, "metadata", "finalizers", list);
        });
        let ended = self.get(Kind::PatrolPolicy, &at.key).is_some_and(|v| {
            v.pointer("/metadata/deletionTimestamp").is_some() && !has_finalizer(v)
        });
        if ended {
            self.remove(Kind::PatrolPolicy, &at.key);
        }
        result
    }

    fn check(&self, kind: Kind, at: &Precondition) -> Option<WriteResult> {
        let Some(value) = self.get(kind, &at.key) else {
            return Some(WriteResult::NotFound);
        };
        let same = text(value, "/metadata/uid") == at.uid
            && text(value, "/metadata/resourceVersion") == at.version;
        (!same).then_some(WriteResult::Conflict)
    }

    fn guarded(
        &mut self,
        kind: Kind,
        at: &Precondition,
        change: impl FnOnce(&mut Value),
    ) -> WriteResult {
        if let Some(result) = self.check(kind, at) {
            return result;
        }
        // A write that changes nothing does not raise the version: `edit` sees to it.
        self.edit(kind, &at.key, change);
        match kind {
            Kind::Ticket => self.done(&at.key),
            Kind::PatrolPolicy => self
                .get(kind, &at.key)
                .and_then(|v| typed(v))
                .map_or(WriteResult::NotFound, |p| {
                    WriteResult::Done(Written::Policy(Box::new(p)))
                }),
            _ => WriteResult::Done(Written::Nothing),
        }
    }

    fn done(&self, key: &ObjectKey) -> WriteResult {
        match self.get(Kind::Ticket, key).and_then(|v| typed(v)) {
            Some(ticket) => WriteResult::Done(Written::Ticket(Box::new(ticket))),
            None => WriteResult::NotFound,
        }
    }
}

/// An object as its type.
#[must_use]
pub fn typed<T: serde::de::DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

/// Where an object is.
#[must_use]
pub fn key_of(value: &Value) -> ObjectKey {
    ObjectKey::new(
        value
            .pointer("/metadata/namespace")
            .and_then(Value::as_str)
            .unwrap_or(""),
        value
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .unwrap_or(""),
    )
}

/// A text of an object, empty when it is not there.
#[must_use]
pub fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or("")
        .to_owned()
}

fn number(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn has_finalizer(value: &Value) -> bool {
    value
        .pointer("/metadata/finalizers")
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty())
}

/// Sets `value[part][field]`.
pub fn set(value: &mut Value, part: &str, field: &str, to: Value) {
    if let Some(object) = value.get_mut(part).and_then(Value::as_object_mut) {
        object.insert(field.to_owned(), to);
    }
}

fn set_top(value: &mut Value, field: &str, to: Result<Value, serde_json::Error>) {
    if let (Some(object), Ok(to)) = (value.as_object_mut(), to) {
        object.insert(field.to_owned(), to);
    }
}

fn set_label(value: &mut Value, name: &str, label: &str) {
    let Some(meta) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
        return;
    };
    let labels = meta.entry("labels").or_insert_with(|| json!({}));
    if let Some(labels) = labels.as_object_mut() {
        labels.insert(name.to_owned(), json!(label));
    }
}
