//! `agent-version-mismatch`.
//! What: an agent whose image version, digest or injected revision is not allowed.
//! Why: an outdated agent misses what its rules were updated for.
//! Layer L3. Party: the customer, who chooses the agent.
//! Remedy: upgrade the agent, and restart what still carries the old one.

use std::borrow::Cow;

use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Check, CheckMeta, Exempt, Glance, Judgement, PartyBy, Unit, UnitKind, Verdict, View,
    cluster_subject,
};
use patrol_core::facts::Container;
use patrol_core::inventory::{Pod, RootKey};
use patrol_core::kind::Kind;
use patrol_core::pattern::ImageRef;
use patrol_core::rule::{NodeAgentRule, Rule, RuleSpec, SidecarRule, Version};
use patrol_core::sym::Sym;

use crate::pod_sets::{self, Case, PARAMETERS, required};
use crate::stale_injection::{self, Revision, is_of_another_revision};
use crate::tally::{Seen, Tally, exempt};
use crate::words::name_of;

/// The check.
pub struct AgentVersionMismatch;

static META: CheckMeta = CheckMeta {
    id: "agent-version-mismatch",
    title: "Agent image, version or injected revision not allowed",
    what: "Sidecars: the image tag read as a version (a leading v and a distribution suffix are cut off) is below \
           `minVersion` (`below-minimum`), or the digest is not among `digests` (`digest-not-allowed`). The digest in \
           the spec counts first, then the one that runs; a running digest that is not listed proves nothing where \
           the spec names none, because it may be one platform's manifest of a listed index: Unknown, \
           `digest-not-comparable`. A tag that is no version is Unknown, `version-unreadable`. Pods older than 7 days \
           whose injected revision (Istio revision, Linkerd proxy version, OpenKruise SidecarSet hash) differs from \
           the injector's current one are `stale-injection`, of low severity. Node agents: `minVersion` against the \
           agent's pods on each node.",
    why: "An outdated agent misses what its newer releases detect, and a foreign digest may be no agent at all.",
    remediation: "Upgrade the agent's image or the injector, then restart the workloads that still carry the old one.",
    layer: Layer::L3,
    party: PartyBy::CUSTOMER,
    severity: Severity::Medium,
    reads: &[
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
        Kind::SidecarSet,
    ],
    units: &[UnitKind::Root, UnitKind::Node],
    // It comes with two kinds of block.
    block: None,
    parameters: PARAMETERS,
    references: &[],
};

/// How to mend what only a new pod mends.
pub(crate) const RESTART: &str =
    "Restart the workload, so that the injector's current sidecar gets into its pods.";

impl Check for AgentVersionMismatch {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn check_parameter(&self, name: &str, values: &[String]) -> Result<(), String> {
        pod_sets::check_parameter(name, values)
    }

    fn reads(&self, rule: &Rule) -> Cow<'static, [Kind]> {
        Cow::Borrowed(match rule.spec {
            RuleSpec::NodeAgent(_) => &[Kind::Node, Kind::Pod],
            _ => META.reads,
        })
    }

    /// Injectors matter to the pods that carry a mark of theirs, and to no others.
    fn needs(&self, rule: &Rule) -> Cow<'static, [Kind]> {
        match rule.spec {
            RuleSpec::NodeAgent(_) => self.reads(rule),
            _ => Cow::Borrowed(pod_sets::READS),
        }
    }

    fn glance(&self, rule: &Rule, pod: &Pod) -> Option<Glance> {
        match rule.spec {
            RuleSpec::Sidecar(_) => stale_injection::glance(pod),
            _ => None,
        }
    }

    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        match (unit, &rule.spec) {
            (Unit::Root(root), RuleSpec::Sidecar(sidecar)) => {
                out.extend(judge_root(view, rule, sidecar, root));
            }
            (Unit::Node(name), RuleSpec::NodeAgent(agent)) => {
                out.extend(judge_node(view, rule, agent, name));
            }
            _ => {}
        }
    }
}

fn judge_root(
    view: &View<'_>,
    rule: &Rule,
    sidecar: &SidecarRule,
    root: &RootKey,
) -> Option<Judgement> {
    let wanted = sidecar.min_version.is_some() || !sidecar.digests.is_empty();
    let cases = match required(view, rule, sidecar, root) {
        Ok(cases) => cases,
        Err(why) => return wanted.then(|| exempt(view, root, why, "")),
    };
    let mut tally = Tally::default();
    let mut marked = false;
    for case in &cases {
        let Some(container) = sidecar.find(case.shape) else {
            continue;
        };
        let revision = is_of_another_revision(view, root, case, container);
        marked |= revision != Revision::Unmarked;
        let seen = match judge_image(sidecar, case, container) {
            Seen::Pass(_) if revision == Revision::Other => Seen::Fail(vec![Sym::new(STALE)], None),
            Seen::Pass(_) => match revision {
                Revision::YoungOther(due) => Seen::Unknown("grace", Some(due)),
                Revision::Unseen => Seen::Unknown("injector-unseen", None),
                _ => Seen::Pass(None),
            },
            other => other,
        };
        tally.add(root, case, seen);
    }
    if !wanted && !marked {
        return None;
    }
    let name = name_of(rule);
    let only_stale = tally.reasons.iter().all(|r| r.as_str() == STALE);
    let judged = tally.judgement(
        view,
        root,
        |t| {
            let who = t.who(root, "carries", "carry");
            format!(
                "{who} the sidecar {name} {}",
                explanation(sidecar, &t.reasons)
            )
        },
        |_| format!("the sidecar {name} is of an allowed version"),
    );
    let mut judged = match judged {
        Some(judged) => judged,
        None => {
            let message = "no pod of it carries the sidecar: see sidecar-missing";
            return Some(exempt(view, root, Exempt::Folded, message));
        }
    };
    if judged.verdict == Verdict::Fail && only_stale {
        judged.severity = Some(Severity::Low);
        judged.remediation = RESTART.to_owned();
    }
    Some(judged)
}

const STALE: &str = "stale-injection";

fn explanation(sidecar: &SidecarRule, reasons: &[Sym]) -> String {
    let min = sidecar.min_version.as_ref().map_or("", |(_, text)| text);
    match reasons.first().map(Sym::as_str) {
        Some("below-minimum") => format!("in a version below {min}"),
        Some("digest-not-allowed") => "with an image digest that is not allowed".to_owned(),
        _ => "as it was injected before the injector changed".to_owned(),
    }
}

/// What the image says. Pass also says: nothing is required.
fn judge_image(sidecar: &SidecarRule, case: &Case<'_>, container: &Container) -> Seen {
    let path = || Some(Sym::new(&format!("{}/image", container.path)));
    let image = ImageRef::parse(&container.image);
    let listed = |digest: &str| sidecar.digests.iter().any(|d| d.as_str() == digest);
    let mut approved = false;
    let mut unsure = false;
    if !sidecar.digests.is_empty() {
        let running = case.pod.and_then(|pod| running_digest(pod, container));
        approved = image.digest.is_some_and(listed) || running.is_some_and(listed);
        if !approved && image.digest.is_some() {
            return Seen::Fail(vec![Sym::new("digest-not-allowed")], path());
        }
        unsure = !approved;
    }
    match (&sidecar.min_version, image.tag.and_then(Version::parse)) {
        (Some((min, _)), Some(version)) if version < *min => {
            Seen::Fail(vec![Sym::new("below-minimum")], path())
        }
        // A digest on the list was approved with whatever version it is.
        (Some(_), None) if !approved => Seen::Unknown("version-unreadable", None),
        _ if unsure => Seen::Unknown("digest-not-comparable", None),
        _ => Seen::Pass(None),
    }
}

/// The digest of `imageID` (`docker-pullable://repo@sha256:...`, `repo@sha256:...`). A bare
/// one is the image's configuration and compares with nothing.
fn running_digest<'a>(pod: &'a Pod, container: &Container) -> Option<&'a str> {
    let status = pod.status.container(&container.name)?;
    status.image_id.split_once('@').map(|(_, digest)| digest)
}

fn judge_node(
    view: &View<'_>,
    rule: &Rule,
    agent: &NodeAgentRule,
    name: &Sym,
) -> Option<Judgement> {
    let (min, text) = agent.min_version.as_ref()?;
    let node = view.inventory.node(name)?;
    let subject = cluster_subject(Kind::Node, name, &node.meta.uid);
    let judge = |verdict| Judgement::new(subject.clone(), verdict);
    if node.is_leaving() {
        return Some(
            judge(Verdict::NotApplicable(Exempt::Leaving)).message("it is on its way out"),
        );
    }
    let needed = !node.is_virtual()
        && agent.nodes.matches(&node.meta.labels)
        && (agent.control_plane || !node.is_control_plane());
    if !needed {
        return Some(
            judge(Verdict::NotApplicable(Exempt::NotSelected)).message("it needs no agent"),
        );
    }
    let mut judgement = judge(Verdict::Pass);
    let mut unreadable = false;
    for pod in view.inventory.pods_on(name) {
        if !pod.is_live() || !agent.is_agent(pod) {
            continue;
        }
        let version = agent
            .container(&pod.shape)
            .and_then(|c| ImageRef::parse(&c.image).tag)
            .and_then(Version::parse);
        unreadable |= version.is_none();
        let below = version.is_some_and(|v| v < *min);
        judgement.affected.count(&pod.key.name, below);
    }
    judgement.affected.sample.sort();
    let agent_name = name_of(rule);
    Some(match judgement.affected.count {
        _ if judgement.affected.total == 0 => judge(Verdict::NotApplicable(Exempt::Folded))
            .message("no agent runs on it: see node-agent-missing"),
        0 if unreadable => {
            judgement.verdict = Verdict::Unknown("version-unreadable".into());
            judgement
                .message(format!(
                    "the image tag of the node agent {agent_name} is no version"
                ))
                .reason("version-unreadable")
        }
        0 => judgement.message(format!(
            "the node agent {agent_name} is of an allowed version"
        )),
        _ => {
            judgement.verdict = Verdict::Fail;
            judgement
                .message(format!(
                    "the node agent {agent_name} runs in a version below {text}"
                ))
                .reason("below-minimum")
        }
    })
}
