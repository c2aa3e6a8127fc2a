//! The account of what was met: kinds counted, and what was not inspected, with reasons.
//! Never holds a value of a file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;
use serde::Serialize;

/// The key under which documents without `kind` are counted.
pub const NO_KIND: &str = "(none)";

/// Where an object is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Source {
    /// The file as it was found from the path given; `-` for standard input.
    pub file: Arc<str>,
    /// Number of the document in the file, from 0.
    pub document: usize,
    /// First line of the document, or of the item of a list, from 1.
    pub line: usize,
}

/// Something that was met and not inspected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotInspected {
    /// The file or folder.
    pub file: Arc<str>,
    /// Number of the document, when only that one is concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<usize>,
    /// The line where it went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// One sentence.
    pub reason: String,
    /// Which kinds of object may be hidden behind it.
    #[serde(skip)]
    pub may_hold: MayHold,
    /// The one object that is concerned, when its name could be read.
    #[serde(skip)]
    pub object: Option<(Kind, ObjectKey)>,
}

impl NotInspected {
    /// A whole file or folder.
    #[must_use]
    pub fn whole(file: &Arc<str>, reason: impl Into<String>) -> Self {
        Self {
            file: Arc::clone(file),
            document: None,
            line: None,
            reason: reason.into(),
            may_hold: MayHold::Anything,
            object: None,
        }
    }

    /// For people: where, that it was not inspected, and why.
    #[must_use]
    pub fn sentence(&self) -> String {
        let line = self.line.map_or(String::new(), |line| format!(":{line}"));
        format!("{}{line}: not inspected: {}", self.file, self.reason)
    }
}

impl std::fmt::Display for NotInspected {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Which kinds of object a blind spot may hide. Whatever is possible counts: absence is
/// concluded only from what was read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MayHold {
    /// It could be anything.
    Anything,
    /// Only these kinds (perhaps none that a check reads).
    Kinds(BTreeSet<Kind>),
}

impl MayHold {
    /// Whether an object of `kind` may be hidden here.
    #[must_use]
    pub fn includes(&self, kind: Kind) -> bool {
        match self {
            Self::Anything => true,
            Self::Kinds(kinds) => kinds.contains(&kind),
        }
    }
}

/// The account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Coverage {
    /// Documents by kind, read or not.
    pub kinds: BTreeMap<String, usize>,
    /// What was not inspected.
    pub not_inspected: Vec<NotInspected>,
}

impl Coverage {
    /// Counts one document.
    pub fn count(&mut self, kind: &str) {
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
    }

    /// Adds another account to this one.
    pub fn add(&mut self, other: Self) {
        for (kind, count) in other.kinds {
            *self.kinds.entry(kind).or_default() += count;
        }
        self.not_inspected.extend(other.not_inspected);
    }

    /// Whether everything that was met could be read.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.not_inspected.is_empty()
    }
}
