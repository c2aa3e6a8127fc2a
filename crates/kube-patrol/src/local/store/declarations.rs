//! Policies, receivers and waivers as an API server would keep them: the manifest's spec with the
//! version, generation, status and finalizers that only a store can remember.
//!
//! `policies/NAME.yaml`, `receivers/NAME.yaml` and `waivers/NAMESPACE.NAME.yaml` hold whole objects. They are ours alone:
//! people edit the manifests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use patrol_api::condition::meta_time;
use patrol_api::policy::{PatrolPolicy, PatrolPolicyStatus};
use patrol_api::receiver::{AlertReceiver, AlertReceiverStatus};
use patrol_api::time::Time;
use patrol_api::waiver::{TicketWaiver, TicketWaiverStatus};
use patrol_core::effect::Precondition;
use patrol_core::event::{Event, Refusal, WriteId, WriteResult, Written};
use patrol_core::facts::{Fact, ObjectKey, Observed};
use patrol_core::kind::Kind;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Trouble, atomic, names};
use crate::manifests::{read_yaml, to_yaml};

/// One of our kinds that people write and that carries a status.
pub trait Declared: Clone + PartialEq + Serialize + DeserializeOwned {
    /// Its status.
    type Status: Clone;
    /// Its kind.
    const KIND: Kind;
    /// Its metadata.
    fn metadata(&mut self) -> &mut ObjectMeta;
    /// Whether both ask for the same.
    fn same_spec(&self, other: &Self) -> bool;
    /// Its status, to be replaced.
    fn status(&mut self) -> &mut Option<Self::Status>;
    /// As a fact.
    fn fact(self: Box<Self>) -> Fact;
    /// As the answer to a write.
    fn written(self: Box<Self>) -> Written;
    /// Where the object kept under a name is. A namespaced one is kept as `NAMESPACE.NAME`: no namespace has a dot.
    #[must_use]
    fn place(name: &str) -> ObjectKey {
        ObjectKey::new("", name)
    }
    /// The name an object is kept under.
    #[must_use]
    fn name_of(key: &ObjectKey) -> String {
        key.name.to_string()
    }
}

impl Declared for TicketWaiver {
    type Status = TicketWaiverStatus;
    const KIND: Kind = Kind::TicketWaiver;
    fn metadata(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
    fn status(&mut self) -> &mut Option<TicketWaiverStatus> {
        &mut self.status
    }
    fn fact(self: Box<Self>) -> Fact {
        Fact::Waiver(self)
    }
    fn written(self: Box<Self>) -> Written {
        Written::Waiver(self)
    }
    fn place(name: &str) -> ObjectKey {
        let (namespace, name) = name.split_once('.').unwrap_or(("", name));
        ObjectKey::new(namespace, name)
    }
    fn name_of(key: &ObjectKey) -> String {
        format!("{}.{}", key.namespace, key.name)
    }
}

impl Declared for PatrolPolicy {
    type Status = PatrolPolicyStatus;
    const KIND: Kind = Kind::PatrolPolicy;
    fn metadata(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
    fn status(&mut self) -> &mut Option<PatrolPolicyStatus> {
        &mut self.status
    }
    fn fact(self: Box<Self>) -> Fact {
        Fact::Policy(self)
    }
    fn written(self: Box<Self>) -> Written {
        Written::Policy(self)
    }
}

impl Declared for AlertReceiver {
    type Status = AlertReceiverStatus;
    const KIND: Kind = Kind::AlertReceiver;
    fn metadata(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
    fn same_spec(&self, other: &Self) -> bool {
        self.spec == other.spec
    }
    fn status(&mut self) -> &mut Option<AlertReceiverStatus> {
        &mut self.status
    }
    fn fact(self: Box<Self>) -> Fact {
        Fact::Receiver(self)
    }
    fn written(self: Box<Self>) -> Written {
        Written::Receiver(self)
    }
}

/// The objects of one kind.
#[derive(Debug)]
pub struct Declarations<T> {
    state: PathBuf,
    root: PathBuf,
    trouble: Trouble,
    kept: BTreeMap<String, Box<T>>,
    /// Manifests that came while an object of that name was on its way out.
    waiting: BTreeMap<String, Box<T>>,
}

/// The objects in a folder of the state folder, for whoever only looks. What cannot be read
/// is left out.
#[must_use]
pub fn kept_objects<T: DeserializeOwned>(folder: &Path) -> Vec<T> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .and_then(names::object_name)
                .is_some()
        })
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .filter_map(|text| read_yaml(&text).ok())
        .collect()
}

impl<T: Declared> Declarations<T> {
    /// Reads what is kept in a folder of the state folder. A file that cannot be read counts as none: its
    /// manifest makes it anew.
    #[must_use]
    pub fn open(state: PathBuf, folder: &str) -> Self {
        let root = state.join(folder);
        atomic::sweep(&root);
        let mut kept = BTreeMap::new();
        for entry in fs::read_dir(&root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_str().and_then(names::object_name);
            let object = fs::read_to_string(entry.path())
                .ok()
                .and_then(|text| read_yaml::<Box<T>>(&text).ok());
            if let (Some(name), Some(mut object)) = (name, object) {
                let place = T::place(&name);
                object.metadata().name = Some(place.name.to_string());
                if !place.namespace.is_empty() {
                    object.metadata().namespace = Some(place.namespace.to_string());
                }
                kept.insert(name, object);
            }
        }
        Self {
            state,
            root,
            trouble: Trouble::default(),
            kept,
            waiting: BTreeMap::new(),
        }
    }

    /// Names of what is kept.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.kept.keys().map(String::as_str)
    }

    /// The object as it is kept.
    #[must_use]
    pub fn seen(&self, name: &str) -> Option<Event> {
        self.kept.get(name).map(|object| seen(name, object.clone()))
    }

    /// A manifest was read: new, changed or the same.
    pub fn manifest(&mut self, mut object: Box<T>, now: Time) -> Vec<Event> {
        let metadata = object.metadata();
        let name = T::name_of(&ObjectKey::new(
            metadata.namespace.as_deref().unwrap_or(""),
            metadata.name.as_deref().unwrap_or(""),
        ));
        let Some(before) = self.kept.get(&name) else {
            let metadata = object.metadata();
            metadata.generation = Some(1);
            metadata.resource_version = Some("1".to_owned());
            metadata.creation_timestamp = Some(meta_time(now));
            metadata.deletion_timestamp = None;
            metadata.finalizers = None;
            *object.status() = None;
            return self.take_in(&name, object);
        };
        let mut after = before.clone();
        if after.metadata().deletion_timestamp.is_some() {
            self.waiting.insert(name, object);
            return vec![];
        }
        if !after.same_spec(&object) {
            let generation = after.metadata().generation.unwrap_or_default();
            let mut next = object.clone();
            *next.metadata() = after.metadata().clone();
            *next.status() = after.status().clone();
            next.metadata().generation = Some(generation.saturating_add(1));
            after = next;
        }
        let (own, given) = (after.metadata(), object.metadata());
        own.labels.clone_from(&given.labels);
        own.annotations.clone_from(&given.annotations);
        own.uid.clone_from(&given.uid);
        if after == *before {
            return vec![seen(&name, after)];
        }
        raise_version(after.as_mut());
        self.take_in(&name, after)
    }

    /// The manifest is gone: so is the object, once no finalizer holds it.
    pub fn manifest_gone(&mut self, name: &str, now: Time) -> Vec<Event> {
        self.waiting.remove(name);
        let Some(before) = self.kept.get(name) else {
            return vec![gone::<T>(name)];
        };
        let mut after = before.clone();
        if !has_finalizers(after.as_mut()) {
            return self.drop_object(name);
        }
        if after.metadata().deletion_timestamp.is_some() {
            return vec![];
        }
        after.metadata().deletion_timestamp = Some(meta_time(now));
        raise_version(after.as_mut());
        self.take_in(name, after)
    }

    /// Replaces a status.
    pub fn write_status(
        &mut self,
        id: WriteId,
        at: &Precondition,
        status: T::Status,
    ) -> Vec<Event> {
        self.update(id, at, |object| *object.status() = Some(status))
    }

    /// Puts a finalizer on an object or takes it off; without one left, an object whose
    /// manifest is gone goes too.
    pub fn write_finalizer(
        &mut self,
        id: WriteId,
        at: &Precondition,
        finalizer: &str,
        present: bool,
        now: Time,
    ) -> Vec<Event> {
        let mut events = self.update(id, at, |object| {
            let held = object.metadata().finalizers.get_or_insert_default();
            held.retain(|name| name != finalizer);
            if present {
                held.push(finalizer.to_owned());
            }
        });
        let name = &T::name_of(&at.key);
        let leaves = self.kept.get(name).is_some_and(|object| {
            let mut object = object.clone();
            object.metadata().deletion_timestamp.is_some() && !has_finalizers(object.as_mut())
        });
        if leaves {
            events.extend(self.drop_object(name));
            if let Some(next) = self.waiting.remove(name) {
                events.extend(self.manifest(next, now));
            }
        }
        events
    }

    fn update(
        &mut self,
        id: WriteId,
        at: &Precondition,
        change: impl FnOnce(&mut T),
    ) -> Vec<Event> {
        let name = T::name_of(&at.key);
        let name = name.as_str();
        let (mut events, result) = match self.assumed(at) {
            Err(result) => (vec![], result),
            Ok(before) => {
                let mut after = Box::new(before.clone());
                change(&mut after);
                if *after == *before {
                    (vec![], WriteResult::Done(after.written()))
                } else {
                    raise_version(after.as_mut());
                    let result = self.store(name, &after);
                    let mut events = vec![];
                    if matches!(result, WriteResult::Done(_)) {
                        events.push(seen(name, after.clone()));
                        self.kept.insert(name.to_owned(), after);
                    }
                    (events, result)
                }
            }
        };
        events.push(Event::Written(id, result));
        events
    }

    fn assumed(&self, at: &Precondition) -> Result<&T, WriteResult> {
        let kept = self
            .kept
            .get(&T::name_of(&at.key))
            .ok_or(WriteResult::NotFound)?;
        let mut object = kept.clone();
        let metadata = object.metadata();
        let same = metadata.uid.as_deref() == Some(at.uid.as_str())
            && metadata.resource_version.as_deref() == Some(at.version.as_str());
        if same {
            Ok(kept)
        } else {
            Err(WriteResult::Conflict)
        }
    }

    /// Takes a manifest's object in. What the disk refuses counts in memory all the same:
    /// the manifest is the truth, and is read again at the next start.
    fn take_in(&mut self, name: &str, object: Box<T>) -> Vec<Event> {
        // A refusal has been said; nobody waits for this write.
        let _ = self.store(name, &object);
        self.kept.insert(name.to_owned(), object.clone());
        vec![seen(name, object)]
    }

    fn store(&mut self, name: &str, object: &T) -> WriteResult {
        let (Some(file), Ok(text)) = (names::file_name(name), to_yaml(object)) else {
            return WriteResult::Refused(Refusal::Invalid);
        };
        let what = format!("{} {name}", T::KIND);
        match atomic::write(&self.state, &self.root.join(file), text.as_bytes()) {
            Ok(()) => {
                self.trouble.succeeded(&what);
                WriteResult::Done(Box::new(object.clone()).written())
            }
            Err(error) => self.trouble.failed(what, &error),
        }
    }

    fn drop_object(&mut self, name: &str) -> Vec<Event> {
        if let Some(file) = names::file_name(name)
            && let Err(error) = atomic::remove(&self.root.join(file))
        {
            // It would come back at the next start and be dropped then.
            let _ = self.trouble.failed(format!("{} {name}", T::KIND), &error);
        }
        self.kept.remove(name);
        vec![gone::<T>(name)]
    }
}

fn has_finalizers<T: Declared>(object: &mut T) -> bool {
    object
        .metadata()
        .finalizers
        .as_ref()
        .is_some_and(|held| !held.is_empty())
}

fn raise_version<T: Declared>(object: &mut T) {
    let metadata = object.metadata();
    let version: u64 = metadata
        .resource_version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default();
    metadata.resource_version = Some(version.saturating_add(1).to_string());
}

fn seen<T: Declared>(name: &str, mut object: Box<T>) -> Event {
    Event::Seen(Box::new(Observed {
        kind: T::KIND,
        key: T::place(name),
        version: object
            .metadata()
            .resource_version
            .clone()
            .unwrap_or_default(),
        fact: object.fact(),
    }))
}

fn gone<T: Declared>(name: &str) -> Event {
    Event::Gone(T::KIND, T::place(name))
}

#[cfg(test)]
#[path = "declarations_tests.rs"]
mod tests;
