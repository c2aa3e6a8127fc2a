//! The pods a sidecar requirement is about, and the roll-up of what is seen in each of
//! them to one verdict per root. Never says what a sidecar must look like.

use patrol_api::policy::Graces;
use patrol_api::time::{Span, Time};
use patrol_api::words::Profile;
use patrol_core::check::{Affected, Exempt, Judgement, Origin, Verdict, View, root_subject};
use patrol_core::facts::{ObjectKey, PodPhase, PodShape};
use patrol_core::inventory::{Pod, RootKey};
use patrol_core::kind::Kind;
use patrol_core::rule::{Rule, SidecarRule};
use patrol_core::sym::Sym;

/// What every check over the pods of a root reads.
pub(crate) const READS: &[Kind] = &[
    Kind::Pod,
    Kind::Node,
    Kind::Namespace,
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::Job,
    Kind::CronJob,
    Kind::ReplicationController,
];

/// [`READS`], and the injectors.
pub(crate) const READS_WITH_INJECTORS: &[Kind] = &[
    Kind::Pod,
    Kind::Node,
    Kind::Namespace,
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::Job,
    Kind::CronJob,
    Kind::ReplicationController,
    Kind::MutatingWebhookConfiguration,
];

/// Parameters of every sidecar check.
pub(crate) const PARAMETERS: &[(&str, &str)] = &[
    (
        "excludeOwnerKinds",
        "Kinds of top owners whose pods need no sidecar, such as CronJob. Default none.",
    ),
    (
        "os",
        "Operating systems whose pods need the sidecar: linux, windows. Default linux.",
    ),
];

/// Injection takes longer on virtual nodes, where it waits for the scheduler (rule G9).
const VIRTUAL_INJECTION: Span = Span::minutes(5);

/// A pod, or a template that counts as its pod.
pub(crate) struct Case<'a> {
    /// Name of the pod, or of the workload whose template it is.
    pub name: &'a str,
    /// Its template part.
    pub shape: &'a PodShape,
    /// The pod; `None` for a template.
    pub pod: Option<&'a Pod>,
}

impl<'a> Case<'a> {
    fn live(pod: &'a Pod) -> Self {
        Self {
            name: &pod.key.name,
            shape: &pod.shape,
            pod: Some(pod),
        }
    }

    /// A label of the pod it is.
    pub fn label(&self, key: &str) -> Option<&str> {
        match self.pod {
            Some(pod) => pod.label(key),
            None => self.shape.labels.get(key).map(Sym::as_str),
        }
    }

    /// Whether no API server has admitted it yet: a template, or a pod as written in a file.
    pub fn is_unadmitted(&self, origin: Origin) -> bool {
        self.pod.is_none_or(|pod| {
            origin == Origin::Files
                && !pod.uid.is_present()
                && pod.status.phase == PodPhase::Unknown
                && pod.status.containers.is_empty()
        })
    }
}

/// The pods of a root that need the sidecar (rule G1; checks.md 4.1), or why none does.
pub(crate) fn required<'a>(
    view: &View<'a>,
    rule: &Rule,
    sidecar: &SidecarRule,
    root: &'a RootKey,
) -> Result<Vec<Case<'a>>, Exempt> {
    let inventory = view.inventory;
    if inventory
        .namespace(&root.key.namespace)
        .is_some_and(|ns| ns.terminating)
    {
        return Err(Exempt::Leaving);
    }
    if lists(rule, "excludeOwnerKinds", root.kind.info().kind) {
        return Err(Exempt::NotSelected);
    }
    let pods = view.pods_of(root);
    let none_here = pods.is_empty();
    let mut cases: Vec<Case<'_>> = pods
        .iter()
        .copied()
        .filter(|pod| pod.is_live())
        .map(Case::live)
        .collect();
    if none_here && (view.origin == Origin::Files || sidecar.templates) {
        cases.extend(template(view, root.kind, &root.key));
    }
    if cases.is_empty() {
        return Err(Exempt::NoLivePods);
    }
    cases.retain(|case| needs(rule, sidecar, case));
    if cases.is_empty() {
        return Err(Exempt::NotSelected);
    }
    Ok(cases)
}

/// Everything in a namespace that needs the sidecar.
pub(crate) fn required_in<'a>(
    view: &View<'a>,
    rule: &Rule,
    sidecar: &SidecarRule,
    namespace: &'a str,
) -> Vec<(RootKey, Case<'a>)> {
    let inventory = view.inventory;
    let excluded = |root: &RootKey| lists(rule, "excludeOwnerKinds", root.kind.info().kind);
    let mut found: Vec<(RootKey, Case<'a>)> = inventory
        .pods_in(namespace)
        .filter(|pod| pod.is_live())
        .map(Case::live)
        .filter(|case| needs(rule, sidecar, case))
        .filter_map(|case| case.pod.map(|pod| (inventory.root_for(pod), case)))
        .filter(|(root, _)| !excluded(root))
        .collect();
    if view.origin == Origin::Files || sidecar.templates {
        for kind in Kind::WORKLOADS {
            for (key, _) in inventory.workloads(kind) {
                let root = RootKey {
                    kind,
                    key: key.clone(),
                };
                let is_root = inventory.root_of(kind, key) == root;
                if key.namespace.as_str() != namespace || !is_root || excluded(&root) {
                    continue;
                }
                if inventory.pods_of(&root).is_empty()
                    && let Some(case) = template(view, kind, key)
                    && needs(rule, sidecar, &case)
                {
                    found.push((root, case));
                }
            }
        }
    }
    found
}

/// The template of a workload that would make pods.
fn template<'a>(view: &View<'a>, kind: Kind, key: &'a ObjectKey) -> Option<Case<'a>> {
    let workload = view.inventory.workload(kind, key)?;
    let idle = workload.replicas == 0 || workload.suspended || workload.finished;
    let shape = workload.template.as_ref().filter(|_| !idle)?;
    Some(Case {
        name: &key.name,
        shape: &shape.shape,
        pod: None,
    })
}

fn needs(rule: &Rule, sidecar: &SidecarRule, case: &Case<'_>) -> bool {
    let os = if case.shape.windows {
        "windows"
    } else {
        "linux"
    };
    let wanted = match rule.parameters.get("os") {
        Some(_) => lists(rule, "os", os),
        None => !case.shape.windows,
    };
    wanted && sidecar.pods.matches_with(|key| case.label(key))
}

fn lists(rule: &Rule, parameter: &str, value: &str) -> bool {
    rule.parameters
        .get(parameter)
        .is_some_and(|list| list.iter().any(|v| v.eq_ignore_ascii_case(value)))
}

/// An answer that depends on the shape alone, asked once for pods that share it.
pub(crate) struct ByShape<'a, T> {
    last: Option<(&'a PodShape, T)>,
}

impl<'a, T: Clone> ByShape<'a, T> {
    /// Nothing asked yet.
    pub const fn new() -> Self {
        Self { last: None }
    }

    /// The answer for a shape.
    pub fn get(&mut self, shape: &'a PodShape, ask: impl FnOnce(&'a PodShape) -> T) -> T {
        match &self.last {
            Some((known, answer)) if std::ptr::eq(*known, shape) => answer.clone(),
            _ => {
                let answer = ask(shape);
                self.last = Some((shape, answer.clone()));
                answer
            }
        }
    }
}

/// What the node says of a pod's status.
pub(crate) enum Host {
    /// Bound to no node yet.
    Unscheduled,
    /// Its node does not answer, or is gone: the status is stale.
    Silent(&'static str),
    /// As fresh as the pod itself.
    Fine,
}

/// The state of a pod's node.
pub(crate) fn host(view: &View<'_>, pod: &Pod) -> Host {
    let Some(name) = &pod.node else {
        return Host::Unscheduled;
    };
    match view.inventory.node(name) {
        Some(node) if node.ready == Some(false) => Host::Silent("node-not-ready"),
        None if view.origin == Origin::Cluster => Host::Silent("node-gone"),
        _ => Host::Fine,
    }
}

/// Whether a pod runs, or will run, on a virtual node.
pub(crate) fn is_on_virtual_node(view: &View<'_>, pod: Option<&Pod>) -> bool {
    pod.and_then(|p| p.node.as_ref())
        .and_then(|name| view.inventory.node(name))
        .map_or(view.profile == Profile::ServerlessManaged, |node| {
            node.is_virtual()
        })
}

/// When a missing sidecar begins to count. A pod without a creation time (a file) is older
/// than any grace.
pub(crate) fn injection_due(view: &View<'_>, rule: &Rule, case: &Case<'_>) -> Option<Time> {
    let created = case.pod.and_then(|p| p.created)?;
    let grace = rule.graces.pod_injection;
    let untouched = grace == Graces::default().pod_injection;
    let grace = if untouched && is_on_virtual_node(view, case.pod) {
        VIRTUAL_INJECTION
    } else {
        grace
    };
    Some(created.plus(grace)).filter(|due| *due > view.now)
}

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

/// The roll-up over the pods of a root (rule G6).
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
        let subject = root_subject(view.inventory, root);
        let mut judgement = Judgement::new(subject, verdict.clone()).recheck(self.recheck);
        judgement.message = match &verdict {
            Verdict::Fail => fail(&self),
            Verdict::Unknown(reason) => unknown_sentence(reason).to_owned(),
            _ => pass(&self),
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
    Judgement::new(
        root_subject(view.inventory, root),
        Verdict::NotApplicable(why),
    )
    .message(message)
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
        "injector-unseen" => "webhook configurations cannot be read",
        "substitute-unseen" => "a node agent may stand in, which a manifest does not show",
        _ => "cannot be said",
    }
}

/// JSON pointer of the pod inside a subject of this kind.
pub(crate) const fn pod_path(kind: Kind) -> &'static str {
    match kind {
        Kind::Pod => "",
        Kind::CronJob => "/spec/jobTemplate/spec/template",
        _ => "/spec/template",
    }
}

/// A key as a JSON pointer token (RFC 6901).
pub(crate) fn token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The name people know the requirement by.
pub(crate) fn name_of(rule: &Rule) -> &str {
    rule.requirement.as_deref().unwrap_or("agent")
}

/// `CrashLoopBackOff` as a reason of ours: `crash-loop-back-off`. Text that is no such
/// word never reaches a ticket.
pub(crate) fn kebab(word: &str) -> Sym {
    if word.is_empty() || word.len() > 60 || !word.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Sym::new("unknown-state");
    }
    let mut out = String::new();
    let chars: Vec<char> = word.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        let after_lower = i
            .checked_sub(1)
            .and_then(|j| chars.get(j))
            .is_some_and(|p| !p.is_ascii_uppercase());
        let before_lower = chars.get(i + 1).is_some_and(|n| n.is_ascii_lowercase());
        if i > 0 && c.is_ascii_uppercase() && (after_lower || before_lower) {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    Sym::new(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelet_words_become_reasons() {
        for (word, reason) in [
            ("CrashLoopBackOff", "crash-loop-back-off"),
            ("OOMKilled", "oom-killed"),
            ("ErrImagePull", "err-image-pull"),
            ("Completed", "completed"),
            ("", "unknown-state"),
            ("token=hunter2", "unknown-state"),
        ] {
            assert_eq!(kebab(word), *reason, "{word}");
        }
    }

    #[test]
    fn keys_become_pointer_tokens() {
        assert_eq!(token("istio.io/rev~1"), "istio.io~1rev~01");
    }
}
