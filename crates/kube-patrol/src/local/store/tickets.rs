//! Tickets as files: `tickets/NAMESPACE/NAME.yaml`, one whole object each.
//!
//! The folder is the truth and the memory knows it by its digest: before each write the file is
//! compared with what was written last, so that an edit by hand counts as the newer version
//! and the write conflicts, as it would at an API server.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::PathBuf;

use patrol_api::ticket::{Ticket, TicketStatus};
use patrol_api::time::Time;
use patrol_core::effect::{Effect, Precondition};
use patrol_core::event::{Event, Refusal, WriteId, WriteResult, Written};
use patrol_core::facts::{DecodeError, Fact, ObjectKey, Observed};
use patrol_core::fingerprint;
use patrol_core::kind::Kind;

use super::edits::{Held, held_elsewhere, try_hold};
use super::files::{entries, is_absence};
use super::{Trouble, atomic, names, random};
use crate::local::stamp::Stamp;
use crate::manifests::to_yaml;

/// Where a file that is no ticket is put aside.
const BROKEN: &str = ".broken";

/// The tickets of a state folder.
#[derive(Debug)]
pub struct Tickets {
    state: PathBuf,
    root: PathBuf,
    known: BTreeMap<ObjectKey, Known>,
    trouble: Trouble,
    /// Files and folders that cannot be read, and why, for as long as that lasts. What is in
    /// them is not known, so it is never replaced.
    unreadable: BTreeMap<ObjectKey, String>,
    closed: BTreeSet<PathBuf>,
}

/// A ticket as it was last written or read.
#[derive(Debug)]
struct Known {
    /// What a file that is edited is put back to. The status is read from the file when it is needed: with tens of thousands of
    /// tickets it would be most of what is held here.
    without_status: Box<Ticket>,
    /// The digest of the bytes it was written as.
    content: [u8; 32],
    /// The file as it was when it was last found to hold them, once it is at rest.
    stamp: Option<Stamp>,
}

enum OnDisk {
    Absent,
    Unchanged,
    Changed(Box<Ticket>, [u8; 32]),
    NoTicket,
    Unreadable(io::Error),
}

impl Tickets {
    /// The tickets of a state folder; nothing is read yet.
    #[must_use]
    pub fn new(state: PathBuf) -> Self {
        Self {
            root: state.join("tickets"),
            state,
            known: BTreeMap::new(),
            trouble: Trouble::default(),
            unreadable: BTreeMap::new(),
            closed: BTreeSet::new(),
        }
    }

    /// Removes what a crash left behind and lists every ticket.
    pub fn list(&mut self) -> Vec<Event> {
        for (_, folder) in self.folders() {
            atomic::sweep(&folder);
        }
        self.known.clear();
        self.unreadable.clear();
        let mut events = vec![Event::ListStarted(Kind::Ticket)];
        // A list says what there is, held or not.
        let _hold = try_hold(&self.root);
        events.extend(self.look_at_all());
        events.push(Event::ListFinished(Kind::Ticket));
        events
    }

    /// Notices what was changed by hand since the last look.
    pub fn refresh(&mut self) -> Vec<Event> {
        let Held::Here(_hold) = try_hold(&self.root) else {
            // Whoever holds them is about to change one, which brings the next look.
            return vec![];
        };
        self.look_at_all()
    }

    fn look_at_all(&mut self) -> Vec<Event> {
        if atomic::is_adrift(&self.state) {
            // Not seen is not gone.
            return vec![];
        }
        let mut keys: BTreeSet<ObjectKey> = self.known.keys().cloned().collect();
        keys.extend(self.unreadable.keys().cloned());
        keys.extend(self.on_disk());
        let at_rest = |key: &ObjectKey| {
            let known = self.known.get(key)?;
            let path = names::path(&self.root, key)?;
            Some(known.stamp? == Stamp::of(&path)?)
        };
        keys.retain(|key| at_rest(key) != Some(true));
        keys.iter().filter_map(|key| self.look(key)).collect()
    }

    /// Carries out an effect on a ticket; anything else is none of ours.
    pub fn carry_out(&mut self, effect: Effect, now: Time) -> Vec<Event> {
        let Held::Here(_hold) = try_hold(&self.root) else {
            return held_elsewhere(&effect);
        };
        match effect {
            Effect::CreateTicket { id, ticket } => self.create(id, ticket, now),
            Effect::WriteTicketStatus { id, at, status } => self.write_status(id, &at, *status),
            Effect::WriteTicketLabels { id, at, labels } => self.update(id, &at, |ticket| {
                let held = ticket.metadata.labels.get_or_insert_default();
                held.extend(labels);
            }),
            Effect::DeleteTicket { id, at } => self.delete(id, &at),
            Effect::ReadTicket { id, key } => self.read(id, &key),
            _ => vec![],
        }
    }

    fn create(&mut self, id: WriteId, mut ticket: Box<Ticket>, now: Time) -> Vec<Event> {
        let key = ObjectKey::new(
            ticket.metadata.namespace.as_deref().unwrap_or_default(),
            ticket.metadata.name.as_deref().unwrap_or_default(),
        );
        let mut events: Vec<Event> = self.look(&key).into_iter().collect();
        let result = match self.known.get(&key) {
            _ if self.unreadable.contains_key(&key) => WriteResult::Exists(None),
            Some(_) => WriteResult::Exists(self.load(&key)),
            None => match random::uuid() {
                Ok(uid) => {
                    ticket.metadata.uid = Some(uid);
                    ticket.metadata.creation_timestamp =
                        Some(patrol_api::condition::meta_time(now));
                    ticket.metadata.generation = Some(1);
                    // The status comes with it, where an API server would drop it.
                    if let Some(status) = &mut ticket.status {
                        status.observed_generation = Some(1);
                    }
                    ticket.metadata.resource_version = Some("1".to_owned());
                    self.put(&key, ticket, &mut events)
                }
                Err(error) => self.trouble.failed(format!("Ticket {key}"), &error),
            },
        };
        events.push(Event::Written(id, result));
        events
    }

    fn write_status(&mut self, id: WriteId, at: &Precondition, status: TicketStatus) -> Vec<Event> {
        self.update(id, at, |ticket| ticket.status = Some(status))
    }

    fn update(
        &mut self,
        id: WriteId,
        at: &Precondition,
        change: impl FnOnce(&mut Ticket),
    ) -> Vec<Event> {
        let mut events: Vec<Event> = self.look(&at.key).into_iter().collect();
        let result = match self.assumed(at) {
            Err(result) => result,
            Ok(before) => {
                let mut ticket = before.clone();
                change(&mut ticket);
                if ticket == before {
                    // As at an API server: a write that changes nothing is none.
                    WriteResult::Done(Written::Ticket(ticket))
                } else {
                    ticket.metadata.resource_version = Some(next_version(&before));
                    self.put(&at.key, ticket, &mut events)
                }
            }
        };
        events.push(Event::Written(id, result));
        events
    }

    fn delete(&mut self, id: WriteId, at: &Precondition) -> Vec<Event> {
        let mut events: Vec<Event> = self.look(&at.key).into_iter().collect();
        let result = match (self.assumed(at).map(drop), names::path(&self.root, &at.key)) {
            (Err(result), _) => result,
            (Ok(()), None) => WriteResult::NotFound,
            (Ok(()), Some(path)) => match atomic::remove(&path) {
                Err(error) => self.trouble.failed(format!("Ticket {}", at.key), &error),
                Ok(()) => {
                    self.known.remove(&at.key);
                    events.push(Event::Gone(Kind::Ticket, at.key.clone()));
                    WriteResult::Done(Written::Nothing)
                }
            },
        };
        events.push(Event::Written(id, result));
        events
    }

    fn read(&mut self, id: WriteId, key: &ObjectKey) -> Vec<Event> {
        let mut events: Vec<Event> = self.look(key).into_iter().collect();
        if let Some(reason) = self.unreadable.get(key) {
            let event = undecodable(key, reason);
            return vec![
                event,
                Event::Written(id, WriteResult::Done(Written::Nothing)),
            ];
        }
        let result = match self.load(key) {
            Some(ticket) => WriteResult::Done(Written::Ticket(ticket)),
            None if self.known.contains_key(key) => WriteResult::Failed,
            None => WriteResult::NotFound,
        };
        events.push(Event::Written(id, result));
        events
    }

    /// The ticket, if it is in the state that a write assumes.
    fn assumed(&self, at: &Precondition) -> Result<Box<Ticket>, WriteResult> {
        if self.unreadable.contains_key(&at.key) {
            return Err(WriteResult::Failed);
        }
        let known = self.known.get(&at.key).ok_or(WriteResult::NotFound)?;
        let metadata = &known.without_status.metadata;
        let same = metadata.uid.as_deref() == Some(at.uid.as_str())
            && metadata.resource_version.as_deref() == Some(at.version.as_str());
        if same {
            self.load(&at.key).ok_or_else(|| {
                tracing::warn!(
                    "Ticket {}: its file could not be read again: the write is tried again",
                    at.key
                );
                WriteResult::Failed
            })
        } else {
            Err(WriteResult::Conflict)
        }
    }

    /// Writes a ticket and says that it was seen.
    fn put(
        &mut self,
        key: &ObjectKey,
        ticket: Box<Ticket>,
        events: &mut Vec<Event>,
    ) -> WriteResult {
        let Some(path) = names::path(&self.root, key) else {
            return WriteResult::Refused(Refusal::Invalid);
        };
        let Ok(text) = to_yaml(&ticket) else {
            return WriteResult::Refused(Refusal::Invalid);
        };
        if let Err(error) = atomic::write(&self.state, &path, text.as_bytes()) {
            return self.trouble.failed(format!("Ticket {key}"), &error);
        }
        self.trouble.succeeded(&format!("Ticket {key}"));
        self.know(key, &ticket, digest(text.as_bytes()));
        events.push(seen(key, ticket.clone()));
        WriteResult::Done(Written::Ticket(ticket))
    }

    // ------------------------------------------------------------ edits by hand

    /// Compares one file with what is known of it; says what changed.
    fn look(&mut self, key: &ObjectKey) -> Option<Event> {
        let found = self.compare(key);
        if let OnDisk::Unreadable(error) = &found {
            return self.is_blind(key, error);
        }
        let was_blind = self.unreadable.contains_key(key);
        let mended = match found {
            // What cannot be read once more stays a blind spot until the next look.
            OnDisk::Unchanged if was_blind => Some(self.load(key)?),
            _ => None,
        };
        if was_blind {
            self.unreadable.remove(key);
            tracing::info!("mended: Ticket {key}");
        }
        match found {
            OnDisk::Unreadable(_) => None,
            OnDisk::Unchanged if was_blind => mended.map(|ticket| seen(key, ticket)),
            OnDisk::Unchanged => None,
            OnDisk::Absent => self.forget(key, was_blind),
            OnDisk::NoTicket => {
                self.set_aside(key);
                self.forget(key, was_blind)
            }
            OnDisk::Changed(ticket, content) => Some(self.adopt(key, ticket, content)),
        }
    }

    /// Not seen is not gone: what is known of it stays, and so does the file.
    fn is_blind(&mut self, key: &ObjectKey, error: &io::Error) -> Option<Event> {
        if atomic::is_adrift(&self.state) {
            // A folder that is gone is told of as a whole.
            return None;
        }
        let reason = crate::manifests::io_reason(error);
        if self.unreadable.get(key) == Some(&reason) {
            return None;
        }
        let path = names::path(&self.root, key).unwrap_or_default();
        tracing::warn!(
            "{}: {reason}; until then Ticket {key} is a blind spot and the file is left alone",
            path.display()
        );
        let event = undecodable(key, &reason);
        self.unreadable.insert(key.clone(), reason);
        Some(event)
    }

    fn forget(&mut self, key: &ObjectKey, was_blind: bool) -> Option<Event> {
        let was_known = self.known.remove(key).is_some();
        (was_known || was_blind).then(|| Event::Gone(Kind::Ticket, key.clone()))
    }

    fn compare(&mut self, key: &ObjectKey) -> OnDisk {
        let Some(path) = names::path(&self.root, key) else {
            return OnDisk::Absent;
        };
        let stamp = Stamp::of(&path).filter(Stamp::is_settled);
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) if is_absence(&error) && !atomic::is_adrift(&self.state) => {
                return OnDisk::Absent;
            }
            Err(error) => return OnDisk::Unreadable(error),
        };
        match self.known.get_mut(key) {
            Some(known) if known.content == digest(&content) => {
                known.stamp = stamp;
                OnDisk::Unchanged
            }
            _ => match decode(&content) {
                Some(ticket) => OnDisk::Changed(ticket, digest(&content)),
                None => OnDisk::NoTicket,
            },
        }
    }

    /// Takes an edited file in. What an API server keeps immutable is put back; the rest is
    /// a newer version.
    fn adopt(&mut self, key: &ObjectKey, mut ticket: Box<Ticket>, content: [u8; 32]) -> Event {
        let before = ticket.clone();
        let metadata = &mut ticket.metadata;
        metadata.namespace = Some(key.namespace.to_string());
        metadata.name = Some(key.name.to_string());
        match self.known.get(key).map(|known| &known.without_status) {
            Some(known) => {
                metadata.uid.clone_from(&known.metadata.uid);
                metadata.creation_timestamp = known.metadata.creation_timestamp.clone();
                metadata.resource_version = Some(next_version(known));
                ticket.spec.finding = known.spec.finding.clone();
                let generation = known.metadata.generation.unwrap_or_default();
                // What people ask for is a new generation, as at an API server.
                let asked = i64::from(ticket.spec != known.spec);
                metadata.generation = Some(generation.saturating_add(asked));
            }
            None => {
                if metadata.uid.as_deref().unwrap_or_default().is_empty() {
                    metadata.uid = random::uuid().ok();
                }
                if version(&before) == 0 {
                    metadata.resource_version = Some("1".to_owned());
                }
            }
        }
        self.know(key, &ticket, content);
        if *ticket != *before {
            // What was put back is put back on disk, too; if that fails, the memory holds.
            let mut events = vec![];
            self.put(key, ticket.clone(), &mut events);
        }
        seen(key, ticket)
    }

    /// This is what the file with these bytes means.
    fn know(&mut self, key: &ObjectKey, ticket: &Ticket, content: [u8; 32]) {
        let without_status = Box::new(Ticket {
            metadata: ticket.metadata.clone(),
            spec: ticket.spec.clone(),
            status: None,
        });
        let known = Known {
            without_status,
            content,
            stamp: None,
        };
        self.known.insert(key.clone(), known);
    }

    /// The whole ticket; `None`: the file cannot be read, or is another one than a moment ago.
    fn load(&self, key: &ObjectKey) -> Option<Box<Ticket>> {
        let known = self.known.get(key)?;
        let content = fs::read(names::path(&self.root, key)?).ok()?;
        let same = known.content == digest(&content);
        let status = same.then(|| decode(&content)).flatten()?.status;
        let mut ticket = known.without_status.clone();
        ticket.status = status;
        Some(ticket)
    }

    fn set_aside(&self, key: &ObjectKey) {
        let Some(path) = names::path(&self.root, key) else {
            return;
        };
        let mut aside = path.clone().into_os_string();
        aside.push(BROKEN);
        let result = match fs::rename(&path, &aside) {
            Ok(()) => "it was put aside with the ending .broken".to_owned(),
            Err(error) => crate::manifests::io_reason(&error),
        };
        tracing::warn!("Ticket {key}: the file is no ticket: {result}");
    }

    fn folders(&self) -> Vec<(String, PathBuf)> {
        entries(&self.root)
            .into_iter()
            .filter_map(|(name, path)| Some((names::namespace(&name)?, path)))
            .collect()
    }

    fn on_disk(&mut self) -> Vec<ObjectKey> {
        let mut keys = vec![];
        for (namespace, folder) in self.folders() {
            if let Err(error) = fs::read_dir(&folder) {
                if !is_absence(&error) && self.closed.insert(folder.clone()) {
                    tracing::warn!(
                        "{}: {}; until then the tickets in it are not seen, and left alone",
                        folder.display(),
                        crate::manifests::io_reason(&error)
                    );
                }
                continue;
            }
            self.closed.remove(&folder);
            for (file, _) in entries(&folder) {
                if let Some(name) = names::object_name(&file) {
                    keys.push(ObjectKey::new(&namespace, &name));
                }
            }
        }
        keys
    }
}

fn digest(content: &[u8]) -> [u8; 32] {
    fingerprint::digest(&[content])
}

fn decode(content: &[u8]) -> Option<Box<Ticket>> {
    let text = std::str::from_utf8(content).ok()?;
    crate::manifests::read_yaml(text).ok().map(Box::new)
}

fn version(ticket: &Ticket) -> u64 {
    ticket
        .metadata
        .resource_version
        .as_deref()
        .and_then(|version| version.parse().ok())
        .unwrap_or_default()
}

fn next_version(ticket: &Ticket) -> String {
    version(ticket).saturating_add(1).to_string()
}

fn undecodable(key: &ObjectKey, reason: &str) -> Event {
    Event::Undecodable(DecodeError {
        kind: Kind::Ticket,
        key: Some(key.clone()),
        reason: reason.to_owned(),
    })
}

fn seen(key: &ObjectKey, ticket: Box<Ticket>) -> Event {
    Event::Seen(Box::new(Observed {
        kind: Kind::Ticket,
        key: key.clone(),
        version: version(&ticket).to_string(),
        fact: Fact::Ticket(ticket),
    }))
}

#[cfg(test)]
#[path = "tickets_tests.rs"]
mod tests;
