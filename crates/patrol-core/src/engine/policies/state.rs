//! What the engine holds of a policy.

use patrol_api::names::ANNOTATION_PATROL_NOW;
use patrol_api::policy::{PatrolPolicy, PatrolPolicyStatus, TicketRules};
use patrol_api::time::{Span, Time};
use patrol_api::words::Trigger;

use super::FINALIZER;
use crate::clock::Mono;
use crate::effect::{About, Precondition};
use crate::facts::ObjectKey;
use crate::kind::Kind;
use crate::rule::Problem;

#[derive(Debug)]
pub(in crate::engine) struct PolicyState {
    pub object: Box<PatrolPolicy>,
    /// What is wrong with it; empty when it compiles.
    pub problems: Vec<Problem>,
    /// As it should be reported.
    pub status: PatrolPolicyStatus,
    pub patrol: Round,
    /// The value of the annotation that the patrol under way answers.
    pub answering: Option<String>,
    /// Start of the last patrol, and the next one after it.
    pub next_start: Option<(Time, Option<Time>)>,
    /// End of the last complete patrol, and when the next one is overdue.
    pub overdue_at: Option<(Time, Time)>,
    /// The same while it is overdue: only another complete patrol ends that.
    pub stalled: Option<(Time, Time)>,
    /// When it was last compiled.
    pub compiled: Mono,
    pub retry_at: Option<Mono>,
    pub failures: u32,
    pub listed: bool,
    pub finalizer: Finalizer,
}

/// How the writing of the finalizer goes.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::engine) struct Finalizer {
    /// The last write was refused: alerts go out without it.
    pub refused: bool,
    /// Writes in a row that failed, and when the last one did.
    failures: u32,
    failed: Mono,
}

impl Finalizer {
    pub fn fail(&mut self, refused: bool, now: Mono) {
        self.refused = refused;
        self.failures = self.failures.saturating_add(1);
        self.failed = now;
    }

    /// When the next write may be tried. A refusal lasts until someone acts, so the finalizer
    /// is then put on ever more rarely; but whoever deletes a policy waits for it to come off.
    pub fn retry_at(&self, present: bool) -> Mono {
        let (base, most) = match (self.refused, present) {
            (true, true) => (30, 600),
            (true, false) => (5, 60),
            (false, _) => (1, 60),
        };
        let wait = match self.failures {
            0 => 0,
            n => (base << (n - 1).min(10)).min(most),
        };
        self.failed.plus(Span::seconds(wait))
    }
}

/// Where a policy's patrol stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Round {
    Idle,
    /// Asked whether its kinds are readable.
    Reviewing {
        trigger: Trigger,
        started: Time,
        asked: Mono,
    },
    /// Its units are being judged.
    Judging {
        trigger: Trigger,
        started: Time,
        since: Mono,
    },
}

impl PolicyState {
    pub fn name(&self) -> &str {
        self.object.metadata.name.as_deref().unwrap_or("")
    }

    pub fn uid(&self) -> &str {
        self.object.metadata.uid.as_deref().unwrap_or("")
    }

    pub fn is_valid(&self) -> bool {
        self.problems.is_empty()
    }

    pub fn is_suspended(&self) -> bool {
        self.object.spec.suspend
    }

    pub fn is_leaving(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    pub fn is_patrolling(&self) -> bool {
        self.patrol != Round::Idle
    }

    pub fn ticket_rules(&self) -> &TicketRules {
        &self.object.spec.tickets
    }

    pub fn max_per_check(&self) -> usize {
        usize::try_from(self.object.spec.tickets.max_per_check).unwrap_or(usize::MAX)
    }

    pub fn has_finalizer(&self) -> bool {
        self.object
            .metadata
            .finalizers
            .iter()
            .flatten()
            .any(|f| f == FINALIZER)
    }

    pub fn asked_now(&self) -> Option<&str> {
        self.object
            .metadata
            .annotations
            .as_ref()?
            .get(ANNOTATION_PATROL_NOW)
            .map(String::as_str)
    }

    pub fn generation(&self) -> i64 {
        self.object.metadata.generation.unwrap_or_default()
    }

    pub fn about(&self) -> About {
        About {
            kind: Kind::PatrolPolicy,
            key: ObjectKey::new("", self.name()),
            uid: self.uid().to_owned(),
        }
    }

    pub fn precondition(&self) -> Precondition {
        Precondition {
            key: ObjectKey::new("", self.name()),
            uid: self.uid().to_owned(),
            version: self
                .object
                .metadata
                .resource_version
                .clone()
                .unwrap_or_default(),
        }
    }
}

pub(super) fn is_older(held: &PatrolPolicy, new: &PatrolPolicy) -> bool {
    let version = |p: &PatrolPolicy| {
        p.metadata
            .resource_version
            .as_deref()
            .and_then(|v| v.parse::<u128>().ok())
    };
    held.metadata.uid == new.metadata.uid
        && matches!((version(held), version(new)), (Some(a), Some(b)) if b <= a)
}
