//! From what stands in the files to what is the case: differences between two looks, and the
//! rule that what cannot be read is not gone.
//!
//! Pure but for the scan it is given: it reads no file and no clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use patrol_core::clock::Mono;
use patrol_core::facts::Observed;
use patrol_core::kind::Kind;

use super::index::Index;
use super::inputs::{Entry, Id, Scan};
use crate::manifests::{MayHold, Source};

/// An empty file is taken at its word after this time: it may be a save in progress.
pub const EMPTY_MILLIS: u64 = 60_000;

/// What a look found out.
#[derive(Clone, Debug)]
pub enum Change {
    /// An object is new or different.
    Seen(Box<Observed>),
    /// An object is there and cannot be read; or it may be hidden in what cannot be read.
    Blind(Id, String),
    /// Something of this kind may be hidden in what cannot be read.
    Hidden(Kind, String),
    /// An object is gone: everything could be read, and it was nowhere.
    Gone(Id),
}

/// The result of a look.
#[derive(Debug, Default)]
pub struct Look {
    /// Every object and every blind spot, when the blind spots changed; otherwise the
    /// differences alone.
    pub whole: bool,
    /// What there is to say.
    pub changes: Vec<Change>,
    /// Objects that are written a second time, with the place of the first.
    pub repeated: Vec<(Source, Source, Id)>,
}

/// What is known of the inputs.
#[derive(Debug, Default)]
pub struct World {
    objects: BTreeMap<Id, Held>,
    files: BTreeMap<Arc<str>, Memory>,
    hidden: BTreeSet<(Kind, String)>,
    looked: bool,
}

#[derive(Debug)]
struct Held {
    fact: Option<Box<Observed>>,
    hash: u64,
    file: Arc<str>,
    blind: Option<String>,
}

#[derive(Debug, Default)]
struct Memory {
    holds: BTreeSet<Id>,
    empty_since: Option<Mono>,
}

/// Something that could not be read, and what may be hidden in it.
struct Spot {
    file: Arc<str>,
    reason: String,
    may_hold: MayHold,
}

impl Spot {
    fn explains(&self, id: &Id, file: &str) -> bool {
        // A folder that cannot be read speaks for all below it.
        let below = || {
            file.strip_prefix(self.file.as_ref())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.may_hold.includes(id.0) || below()
    }
}

impl World {
    /// A world that knows what an earlier process knew.
    #[must_use]
    pub fn remembering(index: Index, kept: impl IntoIterator<Item = Id>) -> Self {
        let mut world = Self::default();
        for (file, ids) in index {
            let file: Arc<str> = file.into();
            for id in &ids {
                world.remember(id.clone(), &file);
            }
            let memory = Memory {
                holds: ids,
                empty_since: None,
            };
            world.files.insert(file, memory);
        }
        for id in kept {
            if !world.objects.contains_key(&id) {
                world.remember(id, &"".into());
            }
        }
        world
    }

    fn remember(&mut self, id: Id, file: &Arc<str>) {
        let held = Held {
            fact: None,
            hash: 0,
            file: Arc::clone(file),
            blind: None,
        };
        self.objects.insert(id, held);
    }

    /// Which file holds what.
    #[must_use]
    pub fn index(&self) -> Index {
        self.files
            .iter()
            .filter(|(_, memory)| !memory.holds.is_empty())
            .map(|(file, memory)| (file.to_string(), memory.holds.clone()))
            .collect()
    }

    /// Compares a scan with what was known.
    pub fn look(&mut self, scan: &Scan, now: Mono) -> Look {
        let (present, repeated) = first_by_path(scan);
        let spots = self.spots(scan, now);
        let mut look = Look {
            repeated,
            ..Look::default()
        };
        let mut blindness_changed = !self.looked;
        for (id, entry) in &present {
            self.take_in(id, entry, &mut look.changes, &mut blindness_changed);
        }
        self.miss(&present, &spots, &mut look.changes, &mut blindness_changed);
        blindness_changed |= self.hide(scan, &spots);
        self.remember_files(scan, &spots);
        self.looked = true;
        if blindness_changed {
            look.whole = true;
            let gone = |change: &Change| matches!(change, Change::Gone(_));
            look.changes.retain(gone);
            look.changes.extend(self.everything());
        }
        look
    }

    /// Everything that cannot be read now.
    fn spots(&mut self, scan: &Scan, now: Mono) -> Vec<Spot> {
        let mut spots: Vec<Spot> = scan
            .not_inspected()
            .map(|entry| Spot {
                file: Arc::clone(&entry.file),
                reason: entry.to_string(),
                may_hold: entry.may_hold.clone(),
            })
            .collect();
        for (file, entries) in &scan.files {
            let Some(memory) = self.files.get_mut(file) else {
                continue;
            };
            if !entries.is_empty {
                memory.empty_since = None;
            } else if !memory.holds.is_empty() {
                let since = *memory.empty_since.get_or_insert(now);
                if now.since(since) < EMPTY_MILLIS {
                    spots.push(Spot {
                        file: Arc::clone(file),
                        reason: format!("{file}: is empty, and held objects before"),
                        may_hold: MayHold::Kinds(memory.holds.iter().map(|id| id.0).collect()),
                    });
                }
            }
        }
        spots
    }

    fn take_in(
        &mut self,
        id: &Id,
        entry: &Entry,
        changes: &mut Vec<Change>,
        blindness_changed: &mut bool,
    ) {
        let before = self.objects.get_mut(id);
        match (&entry.fact, before) {
            (Ok(fact), Some(held)) => {
                let was_blind = held.blind.take().is_some();
                *blindness_changed |= was_blind;
                held.file = Arc::clone(&entry.source.file);
                if held.fact.is_none() || held.hash != entry.hash || was_blind {
                    held.hash = entry.hash;
                    held.fact = Some(fact.clone());
                    changes.push(Change::Seen(fact.clone()));
                }
            }
            (Ok(fact), None) => {
                let held = Held {
                    fact: Some(fact.clone()),
                    hash: entry.hash,
                    file: Arc::clone(&entry.source.file),
                    blind: None,
                };
                self.objects.insert(id.clone(), held);
                changes.push(Change::Seen(fact.clone()));
            }
            (Err(reason), held) => {
                let known = held.as_ref().and_then(|h| h.blind.as_ref()) == Some(reason);
                *blindness_changed |= !known;
                match held {
                    Some(held) => held.blind = Some(reason.clone()),
                    None => {
                        self.remember(id.clone(), &entry.source.file);
                        if let Some(held) = self.objects.get_mut(id) {
                            held.blind = Some(reason.clone());
                        }
                    }
                }
            }
        }
    }

    /// What is known and was not met: gone when everything could be read, else Unknown.
    fn miss(
        &mut self,
        present: &BTreeMap<Id, &Entry>,
        spots: &[Spot],
        changes: &mut Vec<Change>,
        blindness_changed: &mut bool,
    ) {
        let missing: Vec<Id> = self
            .objects
            .keys()
            .filter(|id| !present.contains_key(id))
            .cloned()
            .collect();
        for id in missing {
            let Some(held) = self.objects.get_mut(&id) else {
                continue;
            };
            match why_not_gone(&id, &held.file, spots) {
                Some(reason) => {
                    *blindness_changed |= held.blind.as_ref() != Some(&reason);
                    held.blind = Some(reason);
                }
                None => {
                    *blindness_changed |= held.blind.is_some();
                    self.objects.remove(&id);
                    changes.push(Change::Gone(id));
                }
            }
        }
    }

    /// What may be hidden without our ever having seen it. Returns whether that changed.
    fn hide(&mut self, scan: &Scan, spots: &[Spot]) -> bool {
        // The one object that is concerned is told by its name.
        let named: BTreeSet<String> = scan
            .not_inspected()
            .filter(|entry| entry.object.is_some())
            .map(ToString::to_string)
            .collect();
        let mut hidden = BTreeSet::new();
        for spot in spots {
            let is_empty_file = scan.files.get(&spot.file).is_some_and(|f| f.is_empty);
            if is_empty_file || named.contains(&spot.reason) {
                continue;
            }
            for kind in Kind::ALL {
                if kind != Kind::Ticket && spot.may_hold.includes(kind) {
                    hidden.insert((kind, spot.reason.clone()));
                }
            }
        }
        let changed = hidden != self.hidden;
        self.hidden = hidden;
        changed
    }

    fn remember_files(&mut self, scan: &Scan, spots: &[Spot]) {
        let blind: BTreeSet<&str> = spots.iter().map(|spot| spot.file.as_ref()).collect();
        for (file, entries) in &scan.files {
            let ids = entries.entries.iter().map(|entry| entry.id.clone());
            let memory = self.files.entry(Arc::clone(file)).or_default();
            if blind.contains(file.as_ref()) {
                memory.holds.extend(ids);
            } else {
                memory.holds = ids.collect();
            }
        }
        // A file that is not there keeps its memory while anything of it is not settled.
        let objects = &self.objects;
        self.files.retain(|file, memory| {
            scan.files.contains_key(file) || memory.holds.iter().any(|id| objects.contains_key(id))
        });
    }

    fn everything(&self) -> Vec<Change> {
        let mut changes = vec![];
        for (id, held) in &self.objects {
            if let Some(fact) = &held.fact
                && (held.blind.is_none() || id.0.is_ours())
            {
                changes.push(Change::Seen(fact.clone()));
            }
            if let Some(reason) = &held.blind {
                changes.push(Change::Blind(id.clone(), reason.clone()));
            }
        }
        let hidden = self.hidden.iter();
        changes.extend(hidden.map(|(kind, reason)| Change::Hidden(*kind, reason.clone())));
        changes
    }
}

/// While any input is a blind spot, nothing that is inspected counts as gone. Of our own
/// kinds, an object is gone unless it may be hidden in the blind spot: a broken manifest of
/// something else must not keep a policy alive for ever.
fn why_not_gone(id: &Id, file: &str, spots: &[Spot]) -> Option<String> {
    let spot = spots
        .iter()
        .find(|spot| spot.file.as_ref() == file)
        .or_else(|| spots.iter().find(|spot| spot.explains(id, file)))
        .or_else(|| spots.first().filter(|_| !id.0.is_ours()))?;
    Some(format!(
        "may be hidden in what cannot be read: {}",
        spot.reason
    ))
}

type Repeated = Vec<(Source, Source, Id)>;

/// Each object where it stands first by path; the others with the place of the first.
fn first_by_path(scan: &Scan) -> (BTreeMap<Id, &Entry>, Repeated) {
    let mut present: BTreeMap<Id, &Entry> = BTreeMap::new();
    let mut repeated = vec![];
    for entry in scan.files.values().flat_map(|file| &file.entries) {
        match present.get(&entry.id) {
            None => {
                present.insert(entry.id.clone(), entry);
            }
            Some(first) => {
                repeated.push((entry.source.clone(), first.source.clone(), entry.id.clone()));
            }
        }
    }
    (present, repeated)
}

#[cfg(test)]
#[path = "world_tests.rs"]
mod tests;
