//! Whether a pod's sidecar was injected by a revision that is not the injector's current
//! one. Only marks that injectors write are compared; where the current revision cannot be
//! told, nothing is said.

use patrol_api::time::{Span, Time};
use patrol_core::check::{Glance, Reach, View};
use patrol_core::facts::{Container, injected_hash};
use patrol_core::inventory::{Pod, RootKey};
use patrol_core::kind::Kind;
use patrol_core::pattern::ImageRef;
use patrol_core::sym::Sym;

use crate::pod_sets::Case;

/// How long a pod may outlive a change of its injector.
const LIFETIME: Span = Span::days(7);

/// What a pod's marks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revision {
    /// No mark of an injector that we could compare.
    Unmarked,
    /// The injector's current one.
    Current,
    /// Another one, in a pod that is still young enough until the time given.
    YoungOther(Time),
    /// Another one.
    Other,
    /// It carries the mark of an injector that cannot be seen.
    Unseen,
}

/// Compares the marks of a pod with what its injector would write today.
pub(crate) fn is_of_another_revision(
    view: &View<'_>,
    root: &RootKey,
    case: &Case<'_>,
    container: &Container,
) -> Revision {
    let Some(pod) = case.pod else {
        return Revision::Unmarked;
    };
    let pairs = [
        istio(view, root, pod),
        linkerd(view, pod, container),
        kruise(view, pod, container),
    ];
    let mut result = Revision::Unmarked;
    if is_mark_of_the_unseen(view, pod) {
        result = Revision::Unseen;
    }
    for (has, now) in pairs.into_iter().flatten() {
        if has == now {
            if result == Revision::Unmarked {
                result = Revision::Current;
            }
            continue;
        }
        if result == Revision::Unseen {
            return result;
        }
        return match pod.created.map(|at| at.plus(LIFETIME)) {
            Some(due) if due > view.now => Revision::YoungOther(due),
            _ => Revision::Other,
        };
    }
    result
}

fn is_mark_of_the_unseen(view: &View<'_>, pod: &Pod) -> bool {
    [
        (ISTIO, Kind::MutatingWebhookConfiguration),
        ("kruise.io/sidecarset-hash", Kind::SidecarSet),
    ]
    .into_iter()
    .any(|(mark, kind)| {
        pod.shape.annotations.get(mark).is_some()
            && view.inventory.sight(kind).blindness().is_some()
    })
}

/// The mark of Istio's injector.
const ISTIO: &str = "sidecar.istio.io/status";

/// The revision label that Istio writes, against the one the namespace asks for. A name
/// that no injector carries may be gone or a tag we cannot resolve: nothing is said.
fn istio<'a>(view: &View<'a>, root: &RootKey, pod: &'a Pod) -> Option<(&'a str, &'a str)> {
    const REVISION: &str = "istio.io/rev";
    const TAG: &str = "istio.io/tag";
    pod.shape.annotations.get(ISTIO)?;
    let template = view.inventory.template_of(root);
    // A workload may choose its revision itself.
    if template.is_some_and(|t| t.labels.get(REVISION).is_some()) {
        return None;
    }
    let has = pod.shape.labels.get(REVISION)?;
    let namespace = view.inventory.namespace(&pod.key.namespace)?;
    let asked = namespace.meta.labels.get(REVISION)?;
    let mut injectors = view
        .inventory
        .webhooks(Kind::MutatingWebhookConfiguration)
        .map(|(_, config)| &config.meta.labels);
    injectors
        .find(|labels| labels.has(TAG, asked) || labels.has(REVISION, asked))
        .and_then(|labels| labels.get(REVISION))
        .map(|now| (has.as_str(), now.as_str()))
}

/// The proxy version that Linkerd writes, against the image of the injector's own pods,
/// else against the youngest pod of the namespace.
fn linkerd<'a>(view: &View<'a>, pod: &'a Pod, container: &Container) -> Option<(&'a str, &'a str)> {
    const VERSION: &str = "linkerd.io/proxy-version";
    if container.name.as_str() != "linkerd-proxy" {
        return None;
    }
    let has = pod.shape.annotations.get(VERSION)?;
    let plane = pod.shape.labels.get("linkerd.io/control-plane-ns")?;
    let inventory = view.inventory;
    let injector = inventory
        .pods_in(plane)
        .filter_map(|p| Some((p.created, linkerd_release(p)?)))
        .max_by_key(|(created, _)| *created)
        .map(|(_, tag)| tag);
    let youngest = || {
        inventory
            .pods_in(&pod.key.namespace)
            .filter(|p| p.is_live())
            .filter_map(|p| Some((p.created, p.shape.annotations.get(VERSION)?.as_str())))
            .max_by_key(|(created, _)| *created)
            .map(|(_, version)| version)
    };
    Some((has.as_str(), injector.or_else(youngest)?))
}

/// The release of Linkerd's injector, of which this is a live pod.
fn linkerd_release(pod: &Pod) -> Option<&str> {
    const COMPONENT: &str = "linkerd.io/control-plane-component";
    let injects = pod.is_live() && pod.shape.labels.has(COMPONENT, "proxy-injector");
    let own = |c: &&Container| c.name.as_str() == "proxy-injector";
    let container = pod.shape.containers.iter().find(own).filter(|_| injects)?;
    ImageRef::parse(&container.image).tag
}

/// What injected pods anywhere see in a pod of their injector. (That the youngest pod of a
/// namespace stands for an injector which is out of sight is left to the next patrol: such
/// a revision counts only after days.)
pub(crate) fn glance(pod: &Pod) -> Option<Glance> {
    linkerd_release(pod).map(|release| Glance {
        reach: Reach::Roots,
        state: Sym::new(release),
    })
}

/// The hash that OpenKruise writes, against that of the SidecarSet with this container.
fn kruise<'a>(view: &View<'a>, pod: &'a Pod, container: &Container) -> Option<(&'a str, &'a str)> {
    view.inventory.sidecar_sets().find_map(|(name, set)| {
        let adds = |name: &Sym| set.containers.iter().any(|c| c.name == *name);
        let has = injected_hash(&pod.shape.annotations, name)?;
        let now = Some(set.hash()).filter(|hash| !hash.is_empty() && adds(&container.name))?;
        Some((has, now))
    })
}
