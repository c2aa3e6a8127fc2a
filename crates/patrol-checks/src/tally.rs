//! The roll-up of what is seen in the pods of a root to one verdict, and the words
//! it is told in. Never looks at a pod itself.

use patrol_api::time::Time;
use patrol_core::check::{Affected, Exempt, Judgement, Verdict, View};
use patrol_core::inventory::RootKey;
use patrol_core::kind::Kind;
use patrol_core::sym::Sym;

use crate::pod_sets::Case;
use crate::words::pod_path;

/// What was seen in one pod.
pub(crate) enum Seen {
    /// Right; with a word and a half-sentence where more is to be said.
    Pass(Option<(&'static str, String)>),
    /// Wrong: why, and where in the pod spec.
    Fail(Vec<Sym>, Option<Sym>),
    /// Cannot be said, perhaps until a time.
    Unknown(&'static str, Option<Time>),
    /// Not this check's business.
    Skip,
}

/// The roll-up over the pods of a root: one verdict, with counts.
#[derive(Default)]
pub(crate) struct Tally {
    /// Affected pods out of those that were judged.
    pub affected: Affected,
    /// Reasons of those that fail.
    pub reasons: Vec<Sym>,
    /// Pointers into the subject.
    pub paths: Vec<String>,
    /// What is to be said of those that pass.
    pub notes: Vec<(&'static str, String)>,
    unknown: Option<&'static str>,
    recheck: Option<Time>,
    template: bool,
}

impl Tally {
    /// Adds a pod.
    pub fn add(&mut self, root: &RootKey, case: &Case<'_>, seen: Seen) {
        if matches!(seen, Seen::Skip) {
            return;
        }
        self.template |= case.pod.is_none();
        self.affected
            .count(case.name, matches!(seen, Seen::Fail(..)));
        match seen {
            Seen::Pass(Some(note)) if !self.notes.contains(&note) => self.notes.push(note),
            Seen::Pass(_) | Seen::Skip => {}
            Seen::Fail(reasons, path) => {
                for reason in reasons {
                    if !self.reasons.contains(&reason) {
                        self.reasons.push(reason);
                    }
                }
                // A container of a live pod stands elsewhere in its workload.
                let own = case.pod.is_none() || root.kind == Kind::Pod;
                if let Some(path) = path.filter(|_| own) {
                    self.path(format!("{}/spec{path}", pod_path(root.kind)));
                }
            }
            Seen::Unknown(reason, until) => {
                self.unknown.get_or_insert(reason);
                self.recheck = match (self.recheck, until) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
        }
    }

    /// Adds a pointer into the subject.
    pub fn path(&mut self, path: String) {
        if !self.paths.contains(&path) {
            self.paths.push(path);
        }
    }

    /// One verdict: a certain failure wins over what is not known. `None`: no pod counted.
    pub fn verdict(&self) -> Option<Verdict> {
        match (self.affected.total, self.affected.count, self.unknown) {
            (0, ..) => None,
            (_, 1.., _) => Some(Verdict::Fail),
            (.., Some(reason)) => Some(Verdict::Unknown(Sym::new(reason))),
            _ => Some(Verdict::Pass),
        }
    }

    /// `3 of 10 pods lack`, `the pod lacks`.
    pub fn who(&self, root: &RootKey, one: &str, many: &str) -> String {
        let Affected { count, total, .. } = self.affected;
        match (count, total) {
            _ if self.template => format!("its pod template {one}"),
            _ if root.kind == Kind::Pod => format!("the pod {one}"),
            (1, 1) => format!("its only pod {one}"),
            (1, _) => format!("1 of {total} pods {one}"),
            _ if count == total => format!("all {total} pods {many}"),
            _ => format!("{count} of {total} pods {many}"),
        }
    }

    /// The judgement of the root. `fail` and `pass` write the sentences.
    pub fn judgement(
        self,
        view: &View<'_>,
        root: &RootKey,
        fail: impl FnOnce(&Self) -> String,
        pass: impl FnOnce(&Self) -> String,
    ) -> Option<Judgement> {
        let verdict = self.verdict()?;
        let subject = view.subject_of(root);
        let mut judgement = Judgement::new(subject, verdict.clone()).recheck(self.recheck);
        judgement.message = match &verdict {
            Verdict::Fail => fail(&self),
            Verdict::Unknown(reason) => unknown_sentence(reason).to_owned(),
            _ if view.words => pass(&self),
            _ => String::new(),
        };
        match &verdict {
            Verdict::Fail => {
                judgement.reasons = self.reasons;
                judgement.paths = self.paths;
                if view.inventory.owner_unreadable(root) {
                    judgement = judgement.reason("owner-unreadable");
                }
            }
            Verdict::Unknown(reason) => judgement = judgement.reason(reason),
            _ => {
                for (word, _) in &self.notes {
                    judgement = judgement.reason(word);
                }
            }
        }
        judgement.affected = self.affected;
        Some(judgement)
    }
}

/// A root that the rule is not about.
pub(crate) fn exempt(view: &View<'_>, root: &RootKey, why: Exempt, message: &str) -> Judgement {
    let message = match (message, why) {
        ("", Exempt::NoLivePods) => "no pod of it is running",
        ("", Exempt::Leaving) => "its namespace is being deleted",
        ("", Exempt::NotSelected) => "no pod of it is selected",
        (text, _) => text,
    };
    let message = if view.words { message } else { "" };
    Judgement::new(view.subject_of(root), Verdict::NotApplicable(why)).message(message)
}

fn unknown_sentence(reason: &str) -> &'static str {
    match reason {
        "grace" => "too young to be judged: the grace has not ended",
        "injected-at-admission" => {
            "an injector would add the sidecar at admission, which a manifest does not show"
        }
        "unscheduled" => "not scheduled to a node yet",
        "node-not-ready" => "the node does not answer, so what is known of its pods may be stale",
        "node-gone" => "the pod's node is not there any more",
        "status-missing" => "the node has not reported on the sidecar",
        "readiness-unreported" => {
            "the platform does not report the readiness of a container marked __IS_SIDECAR__"
        }
        "injector-unseen" => "the objects that configure its injector cannot be read",
        "substitute-unseen" => "a node agent may stand in, which a manifest does not show",
        _ => "cannot be said",
    }
}
