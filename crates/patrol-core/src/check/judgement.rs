//! What a check says: a verdict on a subject, with its evidence.

use std::sync::Arc;

use patrol_api::ticket::Subject;
use patrol_api::time::Time;
use patrol_api::words::{Party, Severity};

use crate::inventory::{Inventory, RootKey};
use crate::kind::Kind;
use crate::sym::Sym;

/// A verdict. Unknown neither opens nor resolves anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Seen, and right.
    Pass,
    /// Seen, and wrong.
    Fail,
    /// The rule does not apply to the subject.
    NotApplicable(Exempt),
    /// Could not be seen, or not yet: the reason as a short word (`grace`, `node-not-ready`).
    Unknown(Sym),
}

/// Why a rule does not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exempt {
    /// No live pods: not fixed, scale-up reopens.
    NoLivePods,
    /// The subject is not one this rule is about.
    NotSelected,
    /// The subject is on its way out: neither opens nor resolves.
    Leaving,
    /// The gap is reported by another ticket that names the common cause.
    Folded,
}

impl Verdict {
    /// The word of the verdict, as in `scan -o json`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Fail => "Fail",
            Self::NotApplicable(_) => "NotApplicable",
            Self::Unknown(_) => "Unknown",
        }
    }
}

/// How many of a subject's parts are affected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affected {
    /// Affected ones.
    pub count: u32,
    /// All that were looked at.
    pub total: u32,
    /// Names of affected ones, sorted, at most 20.
    pub sample: Vec<String>,
}

impl Affected {
    /// Names kept in a sample.
    pub const SAMPLE: usize = 20;

    /// Counts one part.
    pub fn count(&mut self, name: &str, affected: bool) {
        self.total = self.total.saturating_add(1);
        if affected {
            self.count = self.count.saturating_add(1);
            if self.sample.len() < Self::SAMPLE {
                self.sample.push(name.to_owned());
            }
        }
    }
}

/// What a check saw of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// What must be fixed; shared by the judgements of a unit.
    pub subject: Arc<Subject>,
    /// Tells several findings of one check on one subject apart (container, agent name).
    /// Part of the ticket's identity, so it must be stable.
    pub discriminator: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// Short reasons in kebab-case (`impostor`, `taint-not-tolerated`), stable words.
    pub reasons: Vec<Sym>,
    /// One sentence: what is wrong with what, in plain words; no secret values.
    pub message: String,
    /// How to fix this very case; empty takes the check's own text.
    pub remediation: String,
    /// Affected parts.
    pub affected: Affected,
    /// JSON pointers into the subject.
    pub paths: Vec<String>,
    /// Replaces the rule's severity for this finding.
    pub severity: Option<Severity>,
    /// Replaces the party for this finding.
    pub party: Option<Party>,
    /// Judge again at this time even if nothing changes (the end of a grace).
    pub recheck_at: Option<Time>,
}

impl Judgement {
    /// A judgement without reasons.
    #[must_use]
    pub fn new(subject: impl Into<Arc<Subject>>, verdict: Verdict) -> Self {
        Self {
            subject: subject.into(),
            discriminator: None,
            verdict,
            reasons: vec![],
            message: String::new(),
            remediation: String::new(),
            affected: Affected::default(),
            paths: vec![],
            severity: None,
            party: None,
            recheck_at: None,
        }
    }

    /// With a message.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// With one more reason.
    #[must_use]
    pub fn reason(mut self, reason: &str) -> Self {
        let reason = Sym::new(reason);
        if !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
        self
    }

    /// Judged again at `at`, or earlier if that was asked before.
    #[must_use]
    pub fn recheck(mut self, at: Option<Time>) -> Self {
        self.recheck_at = match (self.recheck_at, at) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self
    }
}

/// The subject of a root.
#[must_use]
pub fn root_subject(inventory: &Inventory, root: &RootKey) -> Subject {
    let info = root.kind.info();
    let uid = match root.kind {
        Kind::Pod => inventory.pod_at(&root.key).map(|p| p.uid.to_string()),
        kind => inventory
            .workload(kind, &root.key)
            .map(|w| w.meta.uid.to_string()),
    };
    Subject {
        group: info.group.to_owned(),
        kind: info.kind.to_owned(),
        namespace: Some(root.key.namespace.to_string()).filter(|ns| !ns.is_empty()),
        name: root.key.name.to_string(),
        uid: uid.filter(|u| !u.is_empty()),
    }
}

/// The subject of a cluster-scoped object of a kind we read.
#[must_use]
pub fn cluster_subject(kind: Kind, name: &str, uid: &crate::facts::Uid) -> Subject {
    let info = kind.info();
    Subject {
        group: info.group.to_owned(),
        kind: info.kind.to_owned(),
        namespace: None,
        name: name.to_owned(),
        uid: Some(uid.to_string()).filter(|u| !u.is_empty()),
    }
}

/// The subject of findings about the cluster itself.
#[must_use]
pub fn the_cluster() -> Subject {
    Subject {
        group: String::new(),
        kind: "Cluster".into(),
        namespace: None,
        name: "cluster".into(),
        uid: None,
    }
}
