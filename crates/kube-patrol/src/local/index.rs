//! What was in which input file, kept over restarts: so that a file which is empty or broken
//! when the process starts still counts as holding what it held.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;
use serde::{Deserialize, Serialize};

use super::inputs::Id;
use super::store::atomic;

/// Objects by file.
pub type Index = BTreeMap<String, BTreeSet<Id>>;

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    group: String,
    kind: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    namespace: String,
    name: String,
}

/// Reads the index; one that is missing or broken is empty.
#[must_use]
pub fn load(path: &Path) -> Index {
    let lines: BTreeMap<String, Vec<Line>> = std::fs::read(path)
        .ok()
        .and_then(|content| serde_json::from_slice(&content).ok())
        .unwrap_or_default();
    lines
        .into_iter()
        .map(|(file, lines)| {
            let ids = lines.iter().filter_map(|line| {
                let kind = Kind::find(&line.group, &line.kind)?;
                Some((kind, ObjectKey::new(&line.namespace, &line.name)))
            });
            (file, ids.collect())
        })
        .collect()
}

/// Writes the index.
///
/// # Errors
/// When the disk refuses.
pub fn save(path: &Path, index: &Index) -> std::io::Result<()> {
    let lines: BTreeMap<&str, Vec<Line>> = index
        .iter()
        .map(|(file, ids)| {
            let lines = ids.iter().map(|(kind, key)| Line {
                group: kind.info().group.to_owned(),
                kind: kind.info().kind.to_owned(),
                namespace: key.namespace.to_string(),
                name: key.name.to_string(),
            });
            (file.as_str(), lines.collect())
        })
        .collect();
    let state = path.parent().unwrap_or(path);
    atomic::write(state, path, &serde_json::to_vec(&lines)?)
}
