//! The forms of a required component, looked up: which objects could be it, and in what
//! state each is. Shared by the checks about components; decides no verdict.

use patrol_api::policy::FailurePolicy;
use patrol_api::ticket::Subject;
use patrol_api::time::Time;
use patrol_core::check::{Origin, View, cluster_subject};
use patrol_core::facts::{ApiService, Webhook, WebhookConfiguration, WebhookTarget};
use patrol_core::inventory::Instances;
use patrol_core::kind::Kind;
use patrol_core::rule::{Alternative, ComponentRule, Rule};

use crate::component_workload::workloads;
use crate::hidden::may_be_hidden;
use crate::words::{kebab, number};

/// An object that is the component, in one of its forms.
pub(crate) struct Candidate {
    /// It.
    pub subject: Subject,
    /// How it is.
    pub state: State,
}

/// How a candidate is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// At work, as far as its status says.
    Up,
    /// There, and not at work: a reason and the rest of a sentence.
    Down(String, String),
    /// There; whether it works cannot be said yet.
    Unclear(&'static str, Option<Time>),
    /// There, as a manifest, which says nothing about working.
    NotJudged,
}

/// The kinds that the forms of a component are found in.
pub(crate) fn kinds(component: &ComponentRule) -> impl Iterator<Item = Kind> {
    component
        .any_of
        .iter()
        .map(|alternative| match alternative {
            Alternative::Workload(target) => target.kind,
            Alternative::Webhook { kind, .. } => *kind,
            Alternative::Crd { .. } => Kind::CustomResourceDefinition,
            Alternative::ApiService(_) => Kind::ApiService,
        })
}

/// What an alternative came to.
pub(crate) enum Found {
    /// Objects that are it.
    Here(Vec<Candidate>),
    /// None: a reason and a half-sentence.
    Missing(&'static str, String),
    /// Whether there is one cannot be said.
    Unclear(&'static str),
}

/// Looks an alternative up.
pub(crate) fn find(view: &View<'_>, rule: &Rule, alternative: &Alternative) -> Found {
    match alternative {
        Alternative::Workload(target) => workloads(view, rule, target),
        Alternative::Webhook {
            kind,
            name,
            group,
            resource,
            operation,
            failure_policy,
        } => {
            let covers = |w: &Webhook| w.rules.iter().any(|r| r.covers(operation, group, resource));
            let wanted = Wanted {
                covers: &covers,
                what: format!("{operation} of {resource}"),
                failure_policy: *failure_policy,
            };
            let configs = view
                .inventory
                .webhooks(*kind)
                .filter(|(n, _)| name.matches(n));
            let hidden = || may_be_hidden(view.inventory, *kind, |key| name.matches(&key.name));
            webhooks(view, rule, *kind, configs.collect(), &wanted, hidden)
        }
        Alternative::Crd {
            name,
            version,
            min_instances,
        } => crd(view, name, version.as_deref(), *min_instances),
        Alternative::ApiService(name) => match view.inventory.api_service(name) {
            Some(service) => Found::Here(vec![Candidate {
                subject: cluster_subject(Kind::ApiService, name, &service.meta.uid),
                state: api_service(view, rule, service),
            }]),
            None if may_be_hidden(view.inventory, Kind::ApiService, |k| *k.name == **name) => {
                Found::Unclear("undecodable")
            }
            None => Found::Missing("not-installed", format!("no APIService {name}")),
        },
    }
}

// ---------------------------------------------------------------- webhooks

struct Wanted<'a> {
    covers: &'a dyn Fn(&Webhook) -> bool,
    what: String,
    failure_policy: Option<FailurePolicy>,
}

impl Wanted<'_> {
    fn has_policy(&self, webhook: &Webhook) -> bool {
        self.failure_policy
            .is_none_or(|p| (p == FailurePolicy::Ignore) == webhook.ignores_failure)
    }
}

fn webhooks(
    view: &View<'_>,
    rule: &Rule,
    kind: Kind,
    configs: Vec<(&str, &WebhookConfiguration)>,
    wanted: &Wanted<'_>,
    hidden: impl Fn() -> bool,
) -> Found {
    let mut nearest: Option<(&'static str, String)> = None;
    let mut here = vec![];
    for (name, config) in configs {
        let covering = || config.webhooks.iter().filter(|w| (wanted.covers)(w));
        let fit: Vec<&Webhook> = covering().filter(|w| wanted.has_policy(w)).collect();
        if !fit.is_empty() {
            here.push(Candidate {
                subject: cluster_subject(kind, name, &config.meta.uid),
                state: endpoints(view, rule, config, &fit),
            });
        } else if covering().next().is_some() {
            let policy = wanted.failure_policy.unwrap_or_default();
            nearest = Some((
                "failure-policy",
                format!("{kind} {name} has another failurePolicy than {policy:?}"),
            ));
        } else {
            nearest.get_or_insert((
                "not-covering",
                format!("{kind} {name} is not asked about {}", wanted.what),
            ));
        }
    }
    if !here.is_empty() {
        return Found::Here(here);
    }
    if hidden() {
        return Found::Unclear("undecodable");
    }
    match nearest {
        Some((reason, words)) => Found::Missing(reason, words),
        None => Found::Missing("not-installed", format!("no {kind} of that name")),
    }
}

/// One webhook that can be reached is enough: the others may be for older versions.
fn endpoints(
    view: &View<'_>,
    rule: &Rule,
    config: &WebhookConfiguration,
    webhooks: &[&Webhook],
) -> State {
    let inventory = view.inventory;
    let mut down = None;
    for webhook in webhooks {
        let WebhookTarget::Service { namespace, name } = &webhook.target else {
            // A URL is outside what the API shows.
            return State::Up;
        };
        match inventory.ready_endpoints(namespace, name) {
            Some(1..) => return State::Up,
            None if view.origin == Origin::Files => return State::NotJudged,
            _ => {}
        }
        let (reason, words) = if inventory.service(namespace, name).is_none() {
            ("service-missing", "is missing")
        } else {
            ("no-ready-endpoint", "has no ready endpoint")
        };
        down = Some((reason, format!("its Service {namespace}/{name} {words}")));
    }
    let young = config
        .meta
        .created
        .map(|at| at.plus(rule.graces.pod_start))
        .filter(|due| *due > view.now);
    match (young, down) {
        (Some(due), _) => State::Unclear("grace", Some(due)),
        (None, Some((reason, words))) => State::Down(reason.to_owned(), words),
        (None, None) => State::Up,
    }
}

// ---------------------------------------------------------------- CRDs and APIs

fn crd(view: &View<'_>, name: &str, version: Option<&str>, min_instances: u32) -> Found {
    let inventory = view.inventory;
    let missing = |reason, words| Found::Missing(reason, words);
    let Some(crd) = inventory.crd(name) else {
        return if may_be_hidden(inventory, Kind::CustomResourceDefinition, |k| {
            *k.name == *name
        }) {
            Found::Unclear("undecodable")
        } else {
            missing(
                "not-installed",
                format!("no CustomResourceDefinition {name}"),
            )
        };
    };
    let established = match crd.established {
        Some(established) => established,
        // A manifest has no status.
        None => view.origin == Origin::Files,
    };
    if !established {
        return missing(
            "not-established",
            format!("CustomResourceDefinition {name} is not established"),
        );
    }
    if let Some(version) = version
        && !crd.served.iter().any(|v| v.as_str() == version)
    {
        return missing(
            "version-not-served",
            format!("CustomResourceDefinition {name} does not serve {version}"),
        );
    }
    if min_instances > 0 {
        match inventory.instances(name) {
            Some(Instances::AtLeast(count)) if *count >= min_instances => {}
            Some(Instances::AtLeast(count)) => {
                return missing(
                    "too-few-instances",
                    format!(
                        "{} of {name}, and at least {min_instances} must exist",
                        number((*count).into(), "object exists", "objects exist")
                    ),
                );
            }
            Some(Instances::Unknown(_)) | None => return Found::Unclear("instances-unknown"),
        }
    }
    Found::Here(vec![Candidate {
        subject: cluster_subject(Kind::CustomResourceDefinition, name, &crd.meta.uid),
        state: State::Up,
    }])
}

fn api_service(view: &View<'_>, rule: &Rule, service: &ApiService) -> State {
    let young = service
        .meta
        .created
        .map(|at| at.plus(rule.graces.pod_start))
        .filter(|due| *due > view.now);
    match (service.available, young) {
        (Some(true), _) => State::Up,
        (None, _) if view.origin == Origin::Files => State::NotJudged,
        (_, Some(due)) => State::Unclear("grace", Some(due)),
        (Some(false), None) => State::Down(
            kebab(&service.reason).to_string(),
            "its condition Available is not True".to_owned(),
        ),
        (None, None) => State::Down(
            "no-condition".to_owned(),
            "nothing says that it is available".to_owned(),
        ),
    }
}
