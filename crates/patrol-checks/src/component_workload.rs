//! The workloads that a required component can be: which fit, and whether enough of their
//! pods are available. Decides no verdict.

use patrol_api::time::Time;
use patrol_core::check::{Origin, View, root_subject};
use patrol_core::facts::{ObjectKey, Role, Workload};
use patrol_core::inventory::RootKey;
use patrol_core::kind::Kind;
use patrol_core::pattern::ImageRef;
use patrol_core::rule::{Rule, Version, WorkloadTarget};

use crate::component::{Candidate, Found, State};
use crate::hidden::may_be_hidden;
use crate::words::number;

/// Looks a workload up.
pub(crate) fn workloads(view: &View<'_>, rule: &Rule, target: &WorkloadTarget) -> Found {
    let inventory = view.inventory;
    let is_named = |key: &ObjectKey| {
        key.namespace == target.namespace && target.name.as_ref().is_none_or(|n| **n == *key.name)
    };
    let what = match &target.name {
        Some(name) => format!("{} {}/{name}", target.kind, target.namespace),
        None => format!("selected {} in {}", target.kind, target.namespace),
    };
    let (mut foreign, mut old, mut unread) = (false, false, false);
    let mut here = vec![];
    for (key, workload) in inventory.workloads(target.kind) {
        let selected = target
            .selector
            .as_ref()
            .is_none_or(|s| s.matches(&workload.meta.labels));
        if !is_named(key) || !selected {
            continue;
        }
        match fitness(target, workload) {
            Fitness::Foreign => foreign = true,
            Fitness::TooOld => old = true,
            Fitness::Unreadable => unread = true,
            Fitness::Fits => here.push(Candidate {
                subject: root_subject(
                    inventory,
                    &RootKey {
                        kind: target.kind,
                        key: key.clone(),
                    },
                ),
                state: availability(view, rule, target, key, workload),
            }),
        }
    }
    if !here.is_empty() {
        return Found::Here(here);
    }
    if may_be_hidden(inventory, target.kind, is_named) {
        return Found::Unclear("undecodable");
    }
    let least = target.min_version.as_ref().map_or("", |(_, text)| text);
    match (unread, old, foreign) {
        (true, ..) => Found::Unclear("version-unreadable"),
        (_, true, _) => Found::Missing(
            "below-minimum-version",
            format!("{what} is older than {least}"),
        ),
        (.., true) => Found::Missing("impostor", format!("{what} runs another image")),
        _ => Found::Missing("not-installed", format!("no {what}")),
    }
}

enum Fitness {
    Fits,
    Foreign,
    TooOld,
    Unreadable,
}

/// Whether the template runs the right image, new enough.
fn fitness(target: &WorkloadTarget, workload: &Workload) -> Fitness {
    let template = workload.template.as_ref();
    let images: Vec<&str> = template
        .iter()
        .flat_map(|t| t.shape.containers.iter())
        .filter(|c| !matches!(c.role, Role::Ephemeral | Role::Init))
        .map(|c| c.image.as_str())
        .filter(|image| target.images.matches(image))
        .collect();
    if images.is_empty() && target.images.is_given() {
        return Fitness::Foreign;
    }
    let Some((least, _)) = &target.min_version else {
        return Fitness::Fits;
    };
    let version = |image: &&str| ImageRef::parse(image).tag.and_then(Version::parse);
    // The first container is the component itself, unless images say which one is.
    match images.first().and_then(version) {
        Some(version) if version < *least => Fitness::TooOld,
        Some(_) => Fitness::Fits,
        None => Fitness::Unreadable,
    }
}

fn availability(
    view: &View<'_>,
    rule: &Rule,
    target: &WorkloadTarget,
    key: &ObjectKey,
    workload: &Workload,
) -> State {
    if view.origin == Origin::Files && !workload.has_status {
        return State::NotJudged;
    }
    if i64::from(workload.available) >= target.min_available && workload.current {
        return State::Up;
    }
    if let Some(due) = settling(view, rule, target.kind, key, workload) {
        return State::Unclear("grace", Some(due));
    }
    if workload.has_status && !workload.current {
        // The status speaks of an older generation: the controller has not caught up.
        return State::Unclear("rollout", None);
    }
    let reason = if workload.replicas == 0 {
        "scaled-to-zero"
    } else {
        "not-available"
    };
    State::Down(
        reason.to_owned(),
        format!(
            "{} available, and it must have {}",
            number(workload.available.into(), "pod of it is", "pods of it are"),
            target.min_available
        ),
    )
}

/// Until when a young workload, or pods that changed lately, explain that too few are
/// available. A workload's status carries no time of its own that every kind has.
fn settling(
    view: &View<'_>,
    rule: &Rule,
    kind: Kind,
    key: &ObjectKey,
    workload: &Workload,
) -> Option<Time> {
    let root = RootKey {
        kind,
        key: key.clone(),
    };
    let young = workload
        .meta
        .created
        .map(|at| at.plus(rule.graces.pod_start));
    let pods = view.inventory.pods_of(&root);
    let restarted = pods
        .iter()
        .filter(|pod| pod.is_live())
        .filter_map(|pod| pod.created.max(pod.ready_changed))
        .max()
        .map(|at| at.plus(rule.graces.agent_restart));
    young.max(restarted).filter(|due| *due > view.now)
}
