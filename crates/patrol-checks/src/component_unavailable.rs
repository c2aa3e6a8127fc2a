//! `component-unavailable`.
//! What: a required component is installed and down, and no alternative of it works.
//! Why: installed is not protecting.
//! Layer L7. Party: the customer; the platform where it owns every node.
//! Remedy: restore it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use patrol_api::ticket::Subject;
use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Block, Check, CheckMeta, Exempt, Judgement, PartyBy, Unit, UnitKind, Verdict, View,
};
use patrol_core::kind::Kind;
use patrol_core::rule::{Rule, RuleSpec};
use patrol_core::sym::Sym;

use crate::component::{Candidate, Found, State, find, kinds};
use crate::words::name_of;

/// The check.
pub struct ComponentUnavailable;

static META: CheckMeta = CheckMeta {
    id: "component-unavailable",
    title: "Required component down",
    what: "The object that is the component exists and does not work: a workload with fewer available pods than \
           `minAvailable` (`scaled-to-zero`, `not-available`), a webhook whose Service is missing or has no ready \
           endpoint, an APIService whose condition Available is not True. One working alternative is enough. Graces: \
           `graces.podStart` after the object was made, `graces.agentRestart` after a pod of it was made or changed \
           its readiness. Unknown while its controller has not caught up with its spec. In files, objects without a \
           status are not judged.",
    why: "A component that is down protects nothing; a webhook that is down lets everything pass or stops everything.",
    remediation: "Restore the component: read the events and logs of its pods.",
    layer: Layer::L7,
    party: PartyBy::PLATFORM_IF_SERVERLESS,
    severity: Severity::High,
    reads: &[
        Kind::Pod,
        Kind::Deployment,
        Kind::ReplicaSet,
        Kind::StatefulSet,
        Kind::DaemonSet,
        Kind::Service,
        Kind::EndpointSlice,
        Kind::MutatingWebhookConfiguration,
        Kind::ValidatingWebhookConfiguration,
        Kind::CustomResourceDefinition,
        Kind::ApiService,
    ],
    units: &[UnitKind::Cluster],
    block: Some(Block::Component),
    parameters: &[],
    references: &[],
};

impl Check for ComponentUnavailable {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn reads(&self, rule: &Rule) -> Cow<'static, [Kind]> {
        let RuleSpec::Component(component) = &rule.spec else {
            return Cow::Borrowed(&[]);
        };
        let mut reads: BTreeSet<Kind> = BTreeSet::new();
        for kind in kinds(component) {
            reads.insert(kind);
            reads.extend(match kind {
                Kind::Deployment => &[Kind::ReplicaSet, Kind::Pod][..],
                Kind::StatefulSet | Kind::DaemonSet => &[Kind::Pod],
                Kind::MutatingWebhookConfiguration | Kind::ValidatingWebhookConfiguration => {
                    &[Kind::Service, Kind::EndpointSlice]
                }
                _ => &[],
            });
        }
        reads.into_iter().collect()
    }

    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        let (Unit::Cluster, RuleSpec::Component(component)) = (unit, &rule.spec) else {
            return;
        };
        let required = name_of(rule);
        // Two alternatives may name one object, which is one subject.
        let mut states: BTreeMap<Subject, State> = BTreeMap::new();
        for alternative in &component.any_of {
            let Found::Here(candidates) = find(view, rule, alternative) else {
                continue;
            };
            for Candidate { subject, state } in candidates {
                let known = states.entry(subject).or_insert_with(|| state.clone());
                if weight(&state) > weight(known) {
                    *known = state;
                }
            }
        }
        let works = states.values().any(|s| *s == State::Up);
        for (subject, state) in states {
            out.push(judgement(required, subject, state, works));
        }
    }
}

/// Which of two words about one object counts: that it works, else that it does not.
fn weight(state: &State) -> u8 {
    match state {
        State::NotJudged => 0,
        State::Unclear(..) => 1,
        State::Down(..) => 2,
        State::Up => 3,
    }
}

fn judgement(required: &str, subject: Subject, state: State, works: bool) -> Judgement {
    let judged = |verdict| Judgement::new(subject, verdict);
    match state {
        State::Up => judged(Verdict::Pass).message(format!("the component {required} works")),
        _ if works => judged(Verdict::Pass).message(format!(
            "another alternative of the component {required} works"
        )),
        State::NotJudged => judged(Verdict::NotApplicable(Exempt::NotSelected))
            .message("a manifest carries no status: availability is not judged"),
        State::Unclear(why, until) => judged(Verdict::Unknown(Sym::new(why)))
            .reason(why)
            .recheck(until),
        State::Down(reason, words) => judged(Verdict::Fail).reason(&reason).message(format!(
            "the component {required} is installed and does not work: {words}"
        )),
    }
}
