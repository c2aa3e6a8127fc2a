//! Waivers: which tickets one stands over, and until when. A waiver that cannot be used affects only itself.
//!
//! Pure. A namespaced waiver never reaches beyond its namespace; nothing on a user's own object waives anything.

use patrol_api::ticket::Finding;
use patrol_api::time::{Span, Time};
use patrol_api::waiver::TicketWaiver;
use patrol_api::words::{Severity, Treatment};

use crate::facts::{Labels, ObjectKey};
use crate::pattern::Glob;
use crate::selector::Selector;
use crate::ticket::overlay::Waived;

/// How long a waiver lasts that does not say.
const DEFAULT: Span = Span::days(90);
/// How long one may last at most.
const MOST: Span = Span::days(365);
/// How long a mute lasts at most, and when it does not say.
const MOST_MUTED: Span = Span::days(30);
/// So long before its end a waiver is about to expire.
pub const WARNED: Span = Span::days(7);
/// A waiver that stands over nothing for so long is dead.
const UNUSED: Span = Span::days(30);
/// The check about waivers themselves: only a waiver that names it in full stands over it.
const ABOUT_WAIVERS: &str = "waiver-overdue";

/// A compiled waiver.
#[derive(Clone, Debug)]
pub struct Waiver {
    /// Where it is.
    pub key: ObjectKey,
    /// When it ends.
    pub until: Time,
    /// What it does.
    pub treatment: Treatment,
    checks: Vec<Glob>,
    names_about_waivers: bool,
    kind: Option<String>,
    names: Vec<Glob>,
    selector: Option<Selector>,
    /// `None`: the waiver's own namespace; else globs, none of them meaning every ticket.
    namespaces: Option<Vec<Glob>>,
    most: Option<Severity>,
    waived: Waived,
}

/// Why a waiver does not hold: the field and one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unusable {
    /// A word for conditions and events.
    pub reason: &'static str,
    /// What is wrong and what to do.
    pub message: String,
}

impl Waiver {
    /// Compiles a waiver. `operator` is the operator's namespace.
    ///
    /// # Errors
    /// What a schema cannot say: a time that is too far away, a namespace that is not its own.
    pub fn compile(object: &TicketWaiver, operator: &str) -> Result<Self, Unusable> {
        let key = ObjectKey::new(
            object.metadata.namespace.as_deref().unwrap_or(""),
            object.metadata.name.as_deref().unwrap_or(""),
        );
        let spec = &object.spec;
        let until = until(object)?;
        let shared = *key.namespace == *operator;
        if !shared && !spec.namespaces.is_empty() {
            return Err(unusable(format!(
                "spec.namespaces is only for waivers in the namespace {operator}: remove it, a waiver holds for its own namespace"
            )));
        }
        let subjects = spec.subjects.clone().unwrap_or_default();
        let globs = |field: &str, texts: &[String]| {
            texts
                .iter()
                .map(|text| Glob::compile(text).map_err(|why| unusable(format!("{field}: {why}"))))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            until,
            treatment: spec.treatment,
            checks: globs("spec.checks", &spec.checks)?,
            names_about_waivers: spec.checks.iter().any(|check| check == ABOUT_WAIVERS),
            kind: subjects.kind,
            names: globs("spec.subjects.names", &subjects.names)?,
            selector: subjects
                .selector
                .as_ref()
                .map(|selector| {
                    Selector::compile(selector)
                        .map_err(|why| unusable(format!("spec.subjects.selector: {why}")))
                })
                .transpose()?,
            namespaces: match shared {
                true => Some(globs("spec.namespaces", &spec.namespaces)?),
                false => None,
            },
            most: spec.max_severity,
            waived: Waived {
                waiver: key.to_string(),
                owner: spec.owner.clone(),
                reason: spec.reason.clone(),
                until,
                reset_sla: spec.reset_sla,
            },
            key,
        })
    }

    /// Whether it stands over a ticket, its end aside. `labels` are those of the subject itself.
    #[must_use]
    pub fn covers(&self, finding: &Finding, severity: Severity, labels: Option<&Labels>) -> bool {
        self.covers_but_for_labels(finding, severity)
            && self
                .selector
                .as_ref()
                .is_none_or(|selector| labels.is_some_and(|labels| selector.matches(labels)))
    }

    /// The same, whatever the labels of the subject are.
    #[must_use]
    pub fn covers_but_for_labels(&self, finding: &Finding, severity: Severity) -> bool {
        let subject = &finding.subject;
        let namespace = subject.namespace.as_deref();
        let in_reach = match &self.namespaces {
            None => namespace == Some(&*self.key.namespace),
            Some(globs) if globs.is_empty() => true,
            Some(globs) => namespace.is_some_and(|ns| globs.iter().any(|glob| glob.matches(ns))),
        };
        in_reach
            && self.checks.iter().any(|glob| glob.matches(&finding.check))
            && (finding.check != ABOUT_WAIVERS || self.names_about_waivers)
            && self.kind.as_ref().is_none_or(|kind| *kind == subject.kind)
            && (self.names.is_empty() || self.names.iter().any(|glob| glob.matches(&subject.name)))
            && self.most.is_none_or(|most| severity <= most)
    }

    /// Whether it asks for labels of subjects.
    #[must_use]
    pub fn reads_labels(&self) -> bool {
        self.selector.is_some()
    }

    /// As an overlay of tickets.
    #[must_use]
    pub fn waived(&self) -> &Waived {
        &self.waived
    }
}

/// When a waiver ends.
///
/// # Errors
/// When that is too far away, or cannot be said.
pub fn until(object: &TicketWaiver) -> Result<Time, Unusable> {
    let created = object
        .metadata
        .creation_timestamp
        .as_ref()
        .map(patrol_api::condition::from_meta_time);
    let (most, most_says, default) = match object.spec.treatment {
        Treatment::Waive => (MOST, "365 days", DEFAULT),
        Treatment::Mute => (MOST_MUTED, "30 days", MOST_MUTED),
    };
    match (object.spec.expires_at, created) {
        (Some(until), Some(created)) if until > created.plus(most) => Err(Unusable {
            reason: "Unbounded",
            message: format!(
                "spec.expiresAt lies more than {most_says} after the waiver was created: give a time up to {}",
                created.plus(most)
            ),
        }),
        (Some(until), Some(_)) => Ok(until),
        (None, Some(created)) => Ok(created.plus(default)),
        (_, None) => Err(Unusable {
            reason: "Unbounded",
            message: "the waiver has no creation time, so that its end cannot be judged: apply it to a cluster, or to a folder that kube-patrol local watches".into(),
        }),
    }
}

fn unusable(message: String) -> Unusable {
    Unusable {
        reason: "Invalid",
        message,
    }
}

/// How a waiver stands, for its condition and the check about waivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It holds.
    Active,
    /// It holds and ends within a week.
    Expiring,
    /// Its time is over.
    Expired,
    /// It has stood over nothing for a month.
    Unused,
    /// Its end is too far away.
    Unbounded,
    /// It cannot be used.
    Invalid,
}

impl Standing {
    /// The word in conditions, events and tickets.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "Active",
            Self::Expiring => "Expiring",
            Self::Expired => "Expired",
            Self::Unused => "Unused",
            Self::Unbounded => "Unbounded",
            Self::Invalid => "Invalid",
        }
    }

    /// Whether tickets are under it.
    #[must_use]
    pub const fn holds(self) -> bool {
        matches!(self, Self::Active | Self::Expiring | Self::Unused)
    }
}

/// How a waiver that ends at `until` stands. `idle_since` is since when it stands over no ticket.
#[must_use]
pub fn standing(until: Time, idle_since: Option<Time>, now: Time) -> Standing {
    if now >= until {
        Standing::Expired
    } else if idle_since.is_some_and(|at| now.since(at) >= UNUSED) {
        Standing::Unused
    } else if now.plus(WARNED) >= until {
        Standing::Expiring
    } else {
        Standing::Active
    }
}

/// When a standing changes next by itself.
#[must_use]
pub fn changes_at(until: Time, idle_since: Option<Time>, now: Time) -> Option<Time> {
    [
        Some(until),
        Some(until.minus(WARNED)),
        idle_since.map(|at| at.plus(UNUSED)),
    ]
    .into_iter()
    .flatten()
    .filter(|at| *at > now)
    .min()
}

#[cfg(test)]
#[path = "waiver_tests.rs"]
mod tests;
