//! `injector-unhealthy`.
//! What: the webhook that a required sidecar's injector consists of cannot inject now.
//! Why: with `failurePolicy: Ignore` every new pod silently goes without its sidecar.
//! Layer L3. Party: the customer, who runs the injector.
//! Remedy: repair the injector, then restart what was created meanwhile.

use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Block, Check, CheckMeta, Judgement, Origin, PartyBy, Unit, UnitKind, Verdict, View,
    cluster_subject,
};
use patrol_core::facts::{CaBundle, Uid, Webhook, WebhookConfiguration, WebhookTarget};
use patrol_core::kind::Kind;
use patrol_core::rule::{Rule, RuleSpec};

use crate::injector::{covers_pods, selects_namespace};
use crate::words::name_of;

/// The check.
pub struct InjectorUnhealthy;

static META: CheckMeta = CheckMeta {
    id: "injector-unhealthy",
    title: "Injector cannot inject now",
    what: "The MutatingWebhookConfiguration that a sidecar requirement names in `injector.webhook`: it is not there \
           (`webhook-missing`), is not asked about new pods (`covers-no-pods`), its Service is missing \
           (`service-missing`) or has no ready endpoint (`no-ready-endpoint`) - with `failurePolicy: Ignore` a \
           `silent-gap`, else an `outage` -, its CA bundle is empty, expired or unreadable (`ca-bundle-empty`, \
           `ca-bundle-expired`, `ca-bundle-unreadable`), or it selects no namespace (`no-namespace-selected`). Files \
           carry neither endpoints nor the bundles that are filled in at run time: there those are not judged.",
    why: "With `failurePolicy: Ignore` every new pod silently goes without its sidecar; with `Fail` no new pod starts.",
    remediation: "Repair the injector, then restart the workloads whose pods were created meanwhile.",
    layer: Layer::L3,
    party: PartyBy::CUSTOMER,
    severity: Severity::High,
    reads: &[
        Kind::MutatingWebhookConfiguration,
        Kind::Service,
        Kind::EndpointSlice,
        Kind::Namespace,
    ],
    units: &[UnitKind::Cluster],
    block: Some(Block::Sidecar),
    parameters: &[],
    references: &[],
};

impl Check for InjectorUnhealthy {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        let (Unit::Cluster, RuleSpec::Sidecar(sidecar)) = (unit, &rule.spec) else {
            return;
        };
        let Some(name) = sidecar.injector.as_ref().and_then(|i| i.webhook.as_deref()) else {
            return;
        };
        let required = name_of(rule);
        let found = view
            .inventory
            .webhooks(Kind::MutatingWebhookConfiguration)
            .find(|(n, _)| *n == name);
        let Some((_, config)) = found else {
            let subject = cluster_subject(Kind::MutatingWebhookConfiguration, name, &Uid::Absent);
            // Manifests rarely carry the injector: its absence there says nothing.
            let judgement = match view.origin {
                Origin::Files => Judgement::new(subject, Verdict::Unknown("injector-unseen".into()))
                    .message(format!("the injector of {required} is not among the files"))
                    .reason("injector-unseen"),
                Origin::Cluster => Judgement::new(subject, Verdict::Fail)
                    .message(format!(
                        "the webhook configuration {name}, which injects the sidecar {required}, is missing"
                    ))
                    .reason("webhook-missing"),
            };
            return out.push(judgement);
        };
        out.push(judge_configuration(view, name, config, required));
    }
}

fn judge_configuration(
    view: &View<'_>,
    name: &str,
    config: &WebhookConfiguration,
    required: &str,
) -> Judgement {
    let subject = cluster_subject(Kind::MutatingWebhookConfiguration, name, &config.meta.uid);
    let mut judgement = Judgement::new(subject, Verdict::Pass);
    let mut faults: Vec<Fault> = vec![];
    let mut covering = 0_u32;
    for (i, webhook) in config.webhooks.iter().enumerate() {
        if !covers_pods(webhook) {
            continue;
        }
        covering = covering.saturating_add(1);
        if let CaBundle::ValidUntil(until) = webhook.ca_bundle
            && until > view.now
        {
            judgement = judgement.recheck(Some(until));
        }
        let found = [bundle_fault(view, webhook), endpoint_fault(view, webhook)];
        let at = faults.len();
        faults.extend(found.into_iter().flatten());
        let fresh = faults.get(at..).unwrap_or_default();
        judgement.affected.count(&webhook.name, !fresh.is_empty());
        for fault in fresh {
            judgement.paths.push(format!("/webhooks/{i}{}", fault.path));
        }
    }
    if covering == 0 {
        faults.push(Fault::new(
            "covers-no-pods",
            "it is not asked about new pods",
            "/webhooks",
        ));
        judgement.paths.push("/webhooks".to_owned());
    } else if selects_nothing(view, config) {
        faults.push(Fault::new(
            "no-namespace-selected",
            "it selects no namespace",
            "",
        ));
    }
    let Some(first) = faults.first() else {
        return judgement.message(format!("the injector of the sidecar {required} can inject"));
    };
    judgement.verdict = Verdict::Fail;
    judgement.message = format!(
        "the injector of the sidecar {required} cannot inject: {}",
        first.sentence
    );
    for fault in &faults {
        judgement = judgement.reason(fault.reason);
        if let Some(effect) = fault.effect {
            judgement = judgement.reason(effect);
        }
    }
    judgement
}

/// One thing that is wrong.
struct Fault {
    reason: &'static str,
    sentence: &'static str,
    path: &'static str,
    effect: Option<&'static str>,
}

impl Fault {
    const fn new(reason: &'static str, sentence: &'static str, path: &'static str) -> Self {
        Self {
            reason,
            sentence,
            path,
            effect: None,
        }
    }
}

fn bundle_fault(view: &View<'_>, webhook: &Webhook) -> Option<Fault> {
    const PATH: &str = "/clientConfig/caBundle";
    let in_cluster = view.origin == Origin::Cluster;
    let mut fault = match webhook.ca_bundle {
        // A URL may be trusted by the system's roots, a Service's name never is.
        CaBundle::Empty if in_cluster && webhook.target != WebhookTarget::Url => {
            Fault::new("ca-bundle-empty", "its CA bundle is empty", PATH)
        }
        CaBundle::Unreadable => Fault::new(
            "ca-bundle-unreadable",
            "its CA bundle holds no readable certificate",
            PATH,
        ),
        CaBundle::ValidUntil(until) if until <= view.now => {
            Fault::new("ca-bundle-expired", "its CA bundle has expired", PATH)
        }
        CaBundle::Empty | CaBundle::ValidUntil(_) => return None,
    };
    fault.effect = Some(effect(webhook));
    Some(fault)
}

fn endpoint_fault(view: &View<'_>, webhook: &Webhook) -> Option<Fault> {
    let WebhookTarget::Service { namespace, name } = &webhook.target else {
        return None;
    };
    if view.origin == Origin::Files {
        return None;
    }
    const PATH: &str = "/clientConfig/service";
    let ready = view.inventory.ready_endpoints(namespace, name).unwrap_or(0);
    let (reason, sentence) = if view.inventory.service(namespace, name).is_none() {
        ("service-missing", "its Service is missing")
    } else if ready == 0 && webhook.ignores_failure {
        (
            "no-ready-endpoint",
            "its Service has no ready endpoint, so new pods silently go without the sidecar",
        )
    } else if ready == 0 {
        (
            "no-ready-endpoint",
            "its Service has no ready endpoint, so new pods are refused",
        )
    } else {
        return None;
    };
    let mut fault = Fault::new(reason, sentence, PATH);
    fault.effect = Some(effect(webhook));
    Some(fault)
}

fn effect(webhook: &Webhook) -> &'static str {
    if webhook.ignores_failure {
        "silent-gap"
    } else {
        "outage"
    }
}

/// None of the namespaces that are here is selected by any webhook that covers pods.
fn selects_nothing(view: &View<'_>, config: &WebhookConfiguration) -> bool {
    let mut live = view
        .inventory
        .namespaces()
        .filter(|(_, ns)| !ns.terminating)
        .peekable();
    live.peek().is_some()
        && !live.any(|(name, ns)| {
            config
                .webhooks
                .iter()
                .any(|w| covers_pods(w) && selects_namespace(w, name, Some(ns)))
        })
}
