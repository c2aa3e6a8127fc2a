//! The coverage account of a patrol: every subject once, and nothing skipped in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use patrol_api::policy::{CoverageRow, SubjectCounts};
use patrol_api::ticket::Subject;

use crate::check::{Judgement, Verdict};
use crate::inventory::Inventory;
use crate::kind::Kind;

/// The coverage account: every subject once, by its worst verdict.
#[derive(Default)]
pub(super) struct Account {
    subjects: BTreeMap<Arc<Subject>, Standing>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    NotApplicable,
    Passed,
    Unknown(BTreeSet<String>),
    Failed,
}

impl Account {
    /// Counts one judgement.
    pub fn add(&mut self, judgement: Judgement) {
        let standing = match judgement.verdict {
            Verdict::Fail => Standing::Failed,
            Verdict::Pass => Standing::Passed,
            Verdict::NotApplicable(_) => Standing::NotApplicable,
            Verdict::Unknown(reason) => Standing::Unknown(BTreeSet::from([reason.to_string()])),
        };
        let held = self
            .subjects
            .entry(judgement.subject)
            .or_insert(Standing::NotApplicable);
        match (&mut *held, standing) {
            (Standing::Unknown(a), Standing::Unknown(b)) => a.extend(b),
            (held, new) if *held < new => *held = new,
            _ => {}
        }
    }

    pub fn counts(&self) -> SubjectCounts {
        let mut counts = SubjectCounts::default();
        for standing in self.subjects.values() {
            counts.inspected += 1;
            match standing {
                Standing::NotApplicable => counts.not_applicable += 1,
                Standing::Passed => counts.passed += 1,
                Standing::Unknown(_) => counts.unknown += 1,
                Standing::Failed => counts.failed += 1,
            }
        }
        counts
    }

    pub fn rows(&self, kinds: &BTreeSet<Kind>, inventory: &Inventory) -> Vec<CoverageRow> {
        let mut rows: BTreeMap<String, CoverageRow> = BTreeMap::new();
        let mut reasons: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (subject, standing) in &self.subjects {
            let kind = kind_word(&subject.kind, &subject.group);
            let row = rows.entry(kind.clone()).or_default();
            row.inspected += 1;
            match standing {
                Standing::NotApplicable => row.not_applicable += 1,
                Standing::Unknown(why) => {
                    row.unknown += 1;
                    reasons.entry(kind).or_default().extend(why.iter().cloned());
                }
                _ => {}
            }
        }
        for kind in kinds {
            let sight = inventory.sight(*kind);
            let word = kind_word(kind.info().kind, kind.info().group);
            if let Some(why) = sight.blindness() {
                reasons
                    .entry(word.clone())
                    .or_default()
                    .insert(why.reason().to_owned());
                rows.entry(word.clone()).or_default();
            }
            if sight.blind_count() > 0 {
                let count = sight.blind_count();
                reasons
                    .entry(word.clone())
                    .or_default()
                    .insert(format!("{count} undecodable"));
                rows.entry(word).or_default();
            }
        }
        rows.into_iter()
            .map(|(kind, mut row)| {
                row.reasons = reasons
                    .remove(&kind)
                    .unwrap_or_default()
                    .into_iter()
                    .take(16)
                    .collect();
                row.kind = kind;
                row
            })
            .collect()
    }
}

fn kind_word(kind: &str, group: &str) -> String {
    if group.is_empty() {
        kind.to_owned()
    } else {
        format!("{kind}.{group}")
    }
}
