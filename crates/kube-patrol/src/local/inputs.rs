//! The input folders: which objects stand in which file now. Files that did not change are
//! not parsed again. It says what is there and concludes nothing from what is not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use patrol_core::facts::{ObjectKey, Observed};
use patrol_core::fingerprint::hash64;
use patrol_core::kind::Kind;
use serde_json::Value;

use super::secrets::{self, Secrets};
use super::stamp::Stamp;
use crate::manifests::{
    self, Coverage, Decoded, FileContent, Found, MayHold, NotInspected, Source,
};

/// Which objects are taken from an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Everything that is patrolled, policies too.
    All,
    /// Everything but policies: those were named on the command line.
    AllButPolicies,
    /// Only what steers the patrol: policies, receivers and secrets.
    Declarations,
}

impl Take {
    fn takes(self, kind: Kind) -> bool {
        match (self, kind) {
            // Tickets are the state folder's.
            (_, Kind::Ticket) => false,
            (Self::All, _) => true,
            (Self::AllButPolicies, kind) => kind != Kind::PatrolPolicy,
            (Self::Declarations, kind) => kind.is_ours(),
        }
    }
}

/// Kind and place of an object.
pub type Id = (Kind, ObjectKey);

/// An object as it stands in a file.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What and where it is.
    pub id: Id,
    /// Where it is written.
    pub source: Source,
    /// Changes with the content.
    pub hash: u64,
    /// The fact, or why there is none.
    pub fact: Result<Box<Observed>, String>,
}

/// What one file holds.
#[derive(Debug, Default)]
pub struct FileEntries {
    /// Objects, in order.
    pub entries: Vec<Entry>,
    /// Documents of kinds that no check reads, by group and kind.
    pub others: BTreeMap<(String, String), u32>,
    /// The account.
    pub coverage: Coverage,
    /// Whether there is no document in it.
    pub is_empty: bool,
    secrets: Secrets,
}

/// Everything that is there now.
#[derive(Debug, Default)]
pub struct Scan {
    /// Files by path.
    pub files: BTreeMap<Arc<str>, Arc<FileEntries>>,
    /// Folders and files that could not be read at all.
    pub unreadable: Vec<NotInspected>,
}

impl Scan {
    /// Everything that was not inspected.
    pub fn not_inspected(&self) -> impl Iterator<Item = &NotInspected> {
        let in_files = self.files.values().flat_map(|f| &f.coverage.not_inspected);
        self.unreadable.iter().chain(in_files)
    }

    /// The secrets that stand in Secret objects; the first by path wins.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        let mut all = Secrets::default();
        for file in self.files.values() {
            all.add(&file.secrets);
        }
        all
    }
}

/// The inputs, with what is known of their files.
#[derive(Debug)]
pub struct Inputs {
    inputs: Vec<(PathBuf, Take)>,
    skip: Vec<PathBuf>,
    namespace: String,
    cache: BTreeMap<PathBuf, Cached>,
}

#[derive(Debug)]
struct Cached {
    stamp: Stamp,
    take: Take,
    file: Arc<FileEntries>,
}

impl Inputs {
    /// Inputs in the order in which they count; `skip` are folders that are not entered,
    /// `namespace` the one whose Secrets are read.
    #[must_use]
    pub fn new(inputs: Vec<(PathBuf, Take)>, skip: Vec<PathBuf>, namespace: String) -> Self {
        Self {
            inputs,
            skip,
            namespace,
            cache: BTreeMap::new(),
        }
    }

    /// The paths that are read.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.inputs.iter().map(|(path, _)| path.as_path())
    }

    /// Looks at everything.
    pub fn scan(&mut self) -> Scan {
        let mut scan = Scan::default();
        let mut cache = BTreeMap::new();
        for (input, take) in &self.inputs {
            for found in manifests::find(&[input], &self.skip) {
                match found {
                    Found::NotInspected(entry) => scan.unreadable.push(entry),
                    Found::File(path) if cache.contains_key(&path) => {}
                    Found::File(path) => {
                        let known = self.cache.remove(&path);
                        let (cached, stamp) = read(&path, *take, &self.namespace, known);
                        let name: Arc<str> = path.to_string_lossy().into();
                        scan.files.insert(name, Arc::clone(&cached));
                        if let Some(stamp) = stamp {
                            let file = cached;
                            let take = *take;
                            cache.insert(path, Cached { stamp, take, file });
                        }
                    }
                }
            }
        }
        self.cache = cache;
        scan
    }
}

fn read(
    path: &Path,
    take: Take,
    namespace: &str,
    known: Option<Cached>,
) -> (Arc<FileEntries>, Option<Stamp>) {
    // Stamped before it is read: a change in between then shows.
    let stamp = Stamp::of(path);
    if let (Some(known), Some(stamp)) = (known, stamp)
        && known.stamp == stamp
        && known.take == take
    {
        return (known.file, Some(stamp));
    }
    let file = FileEntries::of(manifests::read_file(path), take, namespace);
    (Arc::new(file), stamp.filter(Stamp::is_settled))
}

impl FileEntries {
    fn of(content: FileContent, take: Take, namespace: &str) -> Self {
        let mut file = Self {
            coverage: content.coverage,
            is_empty: content.is_empty,
            ..Self::default()
        };
        for object in content.objects {
            if object.kind == "Secret" && object.api_version == "v1" {
                file.secrets
                    .add(&secrets::of_object(&object.value, namespace));
            }
            file.take_in(object, take);
        }
        file
    }

    fn take_in(&mut self, object: manifests::Object, take: Take) {
        let Some((kind, key)) = object.identity() else {
            let group = patrol_core::kind::group_of(&object.api_version).to_owned();
            let count = self.others.entry((group, object.kind)).or_default();
            *count = count.saturating_add(1);
            return;
        };
        if !take.takes(kind) {
            return;
        }
        let id = (kind, key.clone());
        let hash = hash64(&[object.value.to_string().as_bytes()]);
        let fact = match object.decoded {
            Decoded::Unread => return,
            Decoded::Broken(error) => Err(error.reason),
            Decoded::Fact(seen) => match admit(kind, &object.value) {
                Ok(()) => Ok(seen),
                Err(reason) => {
                    self.coverage.not_inspected.push(NotInspected {
                        file: Arc::clone(&object.source.file),
                        document: Some(object.source.document),
                        line: Some(object.source.line),
                        reason: format!("{kind} {} is invalid: {reason}", id.1),
                        may_hold: MayHold::Kinds([kind].into()),
                        object: Some(id.clone()),
                    });
                    Err(reason)
                }
            },
        };
        self.entries.push(Entry {
            id,
            source: object.source,
            hash,
            fact,
        });
    }
}

/// What an API server would refuse of ours is refused here, in its words.
fn admit(kind: Kind, value: &Value) -> Result<(), String> {
    if !kind.is_ours() {
        return Ok(());
    }
    match patrol_api::validate::validate(value).first() {
        None => Ok(()),
        Some(problem) => Err(problem.to_string()),
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// What a file with this content holds.
    pub fn file(name: &str, text: &str) -> FileEntries {
        let content = manifests::read_bytes(&name.into(), text.as_bytes().to_vec(), false);
        FileEntries::of(content, Take::All, "kube-patrol")
    }
}

#[cfg(test)]
#[path = "inputs_tests.rs"]
mod tests;
