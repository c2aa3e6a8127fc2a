//! The injectors we know: what switches each of them on and off, what it
//! never covers, and which webhook speaks for it. Only markers of an injector that adds
//! the required sidecar count for a rule. Never judges.

use patrol_core::check::{Origin, View};
use patrol_core::facts::{Labels, Namespace, PodShape, Webhook, namespace_label};
use patrol_core::kind::Kind;
use patrol_core::rule::SidecarRule;
use patrol_core::sym::Sym;

use crate::markers::{Marker, Place, Switch, istio, linkerd, vault};
use crate::pod_sets::Case;

/// An injector we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Injector {
    Istio,
    Linkerd,
    Vault,
    Kruise,
    Datadog,
}

/// What is fixed about an injector.
struct Traits {
    injector: Injector,
    /// Name of the container it adds; empty where objects of the user decide.
    container: &'static str,
    /// An image of that container.
    image: &'static str,
    /// A part of the name of its webhook configuration.
    webhook: &'static str,
    /// It skips pods on the host's network.
    skips_host_network: bool,
    /// Namespaces it never touches.
    ignores: &'static [&'static str],
}

const KNOWN: [Traits; 5] = [
    Traits {
        injector: Injector::Istio,
        container: "istio-proxy",
        image: "docker.io/istio/proxyv2",
        webhook: "istio-sidecar-injector",
        skips_host_network: true,
        // istio/istio pkg/kube/inject, IgnoredNamespaces.
        ignores: &[
            "kube-system",
            "kube-public",
            "kube-node-lease",
            "local-path-storage",
        ],
    },
    Traits {
        injector: Injector::Linkerd,
        container: "linkerd-proxy",
        image: "cr.l5d.io/linkerd/proxy",
        webhook: "linkerd-proxy-injector",
        skips_host_network: true,
        ignores: &[],
    },
    Traits {
        injector: Injector::Vault,
        container: "vault-agent",
        image: "docker.io/hashicorp/vault",
        webhook: "vault-agent-injector",
        skips_host_network: false,
        ignores: &[],
    },
    Traits {
        injector: Injector::Kruise,
        container: "",
        image: "",
        webhook: "kruise-mutating-webhook",
        skips_host_network: false,
        // openkruise/kruise pkg/control/sidecarcontrol, SidecarIgnoredNamespaces.
        ignores: &["kube-system", "kube-public"],
    },
    Traits {
        injector: Injector::Datadog,
        container: "datadog-agent-injected",
        image: "gcr.io/datadoghq/agent",
        webhook: "datadog-webhook",
        skips_host_network: false,
        ignores: &[],
    },
];

/// Injectors, a bit for each of [`KNOWN`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Injectors(u32);

impl Injectors {
    fn of(one: Injector) -> Self {
        Self(1 << one as u32)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn contains(self, one: Injector) -> bool {
        self.0 & Self::of(one).0 != 0
    }

    fn traits(self) -> impl Iterator<Item = &'static Traits> {
        KNOWN.iter().filter(move |k| self.contains(k.injector))
    }
}

/// The injectors that add the sidecar of the rule in hand, as far as we can tell.
pub(crate) fn injectors_of(view: &View<'_>, rule: &SidecarRule) -> Injectors {
    let named = rule.injector.as_ref().and_then(|i| i.webhook.as_deref());
    Injectors(view.of_rule(|| {
        KNOWN
            .iter()
            .filter(|known| {
                named.is_some_and(|webhook| webhook.contains(known.webhook))
                    || adds(rule, known)
                    || (known.injector == Injector::Kruise && has_sidecar_set(view, rule))
            })
            .fold(0, |bits, known| bits | Injectors::of(known.injector).0)
    }))
}

/// Whether the rule is about the container an injector adds. A pattern that would match
/// any container says nothing.
fn adds(rule: &SidecarRule, known: &Traits) -> bool {
    const OTHER: &str = "no-such.example/no-such";
    if known.container.is_empty() {
        return false;
    }
    let by_name = rule
        .container
        .as_ref()
        .is_some_and(|glob| glob.matches(known.container) && !glob.matches(OTHER));
    let by_image =
        rule.images.is_given() && rule.images.matches(known.image) && !rule.images.matches(OTHER);
    by_name || by_image
}

/// A SidecarSet that adds the required container. Kinds that cannot be seen add nothing:
/// this only ever turns a failure into something milder.
fn has_sidecar_set(view: &View<'_>, rule: &SidecarRule) -> bool {
    view.inventory
        .sidecar_sets()
        .any(|(_, set)| rule.find_in(&set.containers).is_some())
}

/// Why no injector can cover a pod, in the words of `sidecar-not-injectable`.
pub(crate) fn uninjectable(
    view: &View<'_>,
    rule: &SidecarRule,
    namespace: &str,
    shape: &PodShape,
) -> Option<&'static str> {
    let injectors = injectors_of(view, rule);
    let all =
        |test: &dyn Fn(&Traits) -> bool| !injectors.is_empty() && injectors.traits().all(test);
    let no_token = shape.no_automount && !shape.token_projected;
    if shape.mirror {
        Some("mirror-pod")
    } else if shape.windows {
        Some("windows")
    } else if shape.host_network && (injectors.is_empty() || all(&|k| k.skips_host_network)) {
        Some("host-network")
    } else if all(&|k| k.ignores.contains(&namespace)) {
        Some("ignored-namespace")
    } else if no_token && injectors == Injectors::of(Injector::Linkerd) {
        Some("no-token")
    } else {
        None
    }
}

/// What the markers on a namespace and a pod say about the sidecar of a rule. The policy's
/// own opt-outs replace those we know.
pub(crate) fn switch(
    view: &View<'_>,
    rule: &SidecarRule,
    namespace: Option<&Namespace>,
    shape: &PodShape,
) -> Switch {
    let custom = rule.injector.as_ref().map_or(&[][..], |i| &i.opt_out);
    let none = Labels::default();
    let ns_labels = namespace.map_or(&none, |n| &n.meta.labels);
    let ns_annotations = namespace.map_or(&none, |n| &n.meta.annotations);
    for opt_out in custom {
        let places = [
            (Place::Pod, "labels", &shape.labels),
            (Place::Pod, "annotations", &shape.annotations),
            (Place::Namespace, "labels", ns_labels),
            (Place::Namespace, "annotations", ns_annotations),
        ];
        for (place, field, pairs) in places {
            if pairs.has(&opt_out.key, &opt_out.value) {
                return Switch::Off(Marker {
                    place,
                    field,
                    key: opt_out.key.clone(),
                });
            }
        }
    }
    let said: Vec<Switch> = injectors_of(view, rule)
        .traits()
        .map(|known| match known.injector {
            Injector::Istio => istio(ns_labels, shape),
            Injector::Linkerd => linkerd(ns_labels, ns_annotations, shape),
            Injector::Vault => vault(shape),
            Injector::Datadog if shape.labels.get(DATADOG).is_some() => Switch::On,
            Injector::Datadog | Injector::Kruise => Switch::Unset,
        })
        .collect();
    let off = |s: &Switch| matches!(s, Switch::Off(_)) && custom.is_empty();
    if said.contains(&Switch::On) {
        Switch::On
    } else {
        said.into_iter().find(off).unwrap_or(Switch::Unset)
    }
}

const DATADOG: &str = "agent.datadoghq.com/sidecar";

/// Whether a pod carries a mark that its sidecar was injected. Never a proof: anyone can
/// write it, and another webhook may have taken the container out again.
pub(crate) fn is_marked_injected(shape: &PodShape) -> bool {
    const MARKS: [&str; 4] = [
        "sidecar.istio.io/status",
        "linkerd.io/proxy-version",
        "vault.hashicorp.com/agent-inject-status",
        "kruise.io/sidecarset-injected-list",
    ];
    MARKS
        .iter()
        .any(|mark| shape.annotations.get(mark).is_some())
}

/// The webhooks that speak for a rule: those of the configuration it names, else those
/// known by name. `None`: there is no such configuration.
pub(crate) fn webhooks_of<'a>(view: &View<'a>, rule: &SidecarRule) -> Option<Vec<&'a Webhook>> {
    let named = rule.injector.as_ref().and_then(|i| i.webhook.as_deref());
    let injectors = injectors_of(view, rule);
    let is_his = |name: &str| match named {
        Some(webhook) => name == webhook,
        None => injectors.traits().any(|k| name.contains(k.webhook)),
    };
    let mut found = false;
    let webhooks = view
        .inventory
        .webhooks(Kind::MutatingWebhookConfiguration)
        .filter(|(name, _)| is_his(name))
        .inspect(|_| found = true)
        .flat_map(|(_, config)| config.webhooks.iter())
        .filter(|webhook| covers_pods(webhook))
        .collect();
    found.then_some(webhooks)
}

/// Whether a webhook sees the creation of pods.
pub(crate) fn covers_pods(webhook: &Webhook) -> bool {
    webhook
        .rules
        .iter()
        .any(|rule| rule.covers("CREATE", "", "pods"))
}

/// Whether a webhook is asked about a namespace, and there about an object with these
/// labels.
pub(crate) fn selects<'a>(
    webhook: &Webhook,
    name: &'a str,
    namespace: Option<&'a Namespace>,
    labels: &Labels,
) -> bool {
    selects_namespace(webhook, name, namespace) && webhook.object_selector.matches(labels)
}

/// Whether a webhook is asked about anything in a namespace.
pub(crate) fn selects_namespace<'a>(
    webhook: &Webhook,
    name: &'a str,
    namespace: Option<&'a Namespace>,
) -> bool {
    webhook
        .namespace_selector
        .matches_with(|key| namespace_label(name, namespace, key))
}

/// Whether something would add the sidecar to an object that no API server has admitted
/// yet. `None`: the injectors cannot be seen.
pub(crate) fn is_added_at_admission(
    view: &View<'_>,
    rule: &SidecarRule,
    namespace: &str,
    case: &Case<'_>,
) -> Option<bool> {
    let fact = view.inventory.namespace(namespace);
    match switch(view, rule, fact, case.shape) {
        Switch::On => return Some(true),
        Switch::Off(_) => return Some(false),
        Switch::Unset => {}
    }
    let set = view.inventory.sidecar_sets().any(|(_, set)| {
        !set.paused
            && set.selects(namespace, fact, |key| {
                case.shape.labels.get(key).map(Sym::as_str)
            })
            && rule.find_in(&set.containers).is_some()
    });
    if set {
        return Some(true);
    }
    let configurations = Kind::MutatingWebhookConfiguration;
    if view.inventory.sight(configurations).blindness().is_some() {
        return None;
    }
    let labels = &case.shape.labels;
    let named = rule.injector.as_ref().is_some_and(|i| i.webhook.is_some());
    Some(if named {
        match webhooks_of(view, rule) {
            Some(webhooks) => webhooks.iter().any(|w| selects(w, namespace, fact, labels)),
            // Files rarely carry the injector itself; the policy says that there is one.
            None => view.origin == Origin::Files,
        }
    } else {
        view.inventory
            .webhooks(configurations)
            .flat_map(|(_, config)| config.webhooks.iter())
            .any(|w| covers_pods(w) && selects(w, namespace, fact, labels))
    })
}
