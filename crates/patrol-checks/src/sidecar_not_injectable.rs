//! `sidecar-not-injectable`.
//! What: a pod that needs the sidecar, lacks it, and that no injector can cover.
//! Why: switching injection on will never help here; the fix is another one.
//! Layer L3. Party: the customer, whose application it is.
//! Remedy: cover it by a node agent, write the container by hand, or exempt it.

use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Block, Check, CheckMeta, Glance, Judgement, PartyBy, Unit, UnitKind, View,
};
use patrol_core::inventory::Pod;
use patrol_core::rule::{Rule, RuleSpec};
use patrol_core::sym::Sym;

use crate::injector::uninjectable;
use crate::pod_sets::{self, PARAMETERS, READS, required};
use crate::stand_in::{self, StandIn, stand_in};
use crate::tally::{Seen, Tally, exempt};
use crate::words::name_of;

/// The check.
pub struct SidecarNotInjectable;

static META: CheckMeta = CheckMeta {
    id: "sidecar-not-injectable",
    title: "Pod that no injector can cover",
    what: "Live pods that need a sidecar, carry none and that no injector can give one: pods on the host's network \
           (`host-network`), static pods (`mirror-pod`), Windows pods where the requirement lists them (`windows`), \
           pods in a namespace the injector ignores (`ignored-namespace`), and for Linkerd pods without a service \
           account token (`no-token`). A container written by hand passes, and so does a substitute that holds.",
    why: "Switching injection on will never help these pods, so they must not be lost among those it helps.",
    remediation: "Cover the pod by a node agent (and name it as a substitute), write the container into the template \
                  by hand, or exempt the pod.",
    layer: Layer::L3,
    party: PartyBy::CUSTOMER,
    severity: Severity::Low,
    reads: READS,
    units: &[UnitKind::Root],
    block: Some(Block::Sidecar),
    parameters: PARAMETERS,
    references: &[],
};

impl Check for SidecarNotInjectable {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn check_parameter(&self, name: &str, values: &[String]) -> Result<(), String> {
        pod_sets::check_parameter(name, values)
    }

    fn glance(&self, rule: &Rule, pod: &Pod) -> Option<Glance> {
        stand_in::glance(rule, pod)
    }

    fn judge(&self, view: &View<'_>, rule: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        let (Unit::Root(root), RuleSpec::Sidecar(sidecar)) = (unit, &rule.spec) else {
            return;
        };
        let cases = match required(view, rule, sidecar, root) {
            Ok(cases) => cases,
            Err(why) => return out.push(exempt(view, root, why, "")),
        };
        let namespace = &root.key.namespace;
        let mut tally = Tally::default();
        for case in &cases {
            let why = if sidecar.find(case.shape).is_some() {
                None
            } else {
                uninjectable(view, sidecar, namespace, case.shape)
            };
            let seen = match why {
                None => Seen::Pass(None),
                Some(why) => match stand_in(view, sidecar, namespace, case) {
                    StandIn::Yes(word, note) => Seen::Pass(Some((word, note))),
                    StandIn::Unclear(unclear) => Seen::Unknown(unclear, None),
                    StandIn::No => Seen::Fail(vec![Sym::new(why)], field(why).map(Sym::new)),
                },
            };
            tally.add(root, case, seen);
        }
        let name = name_of(rule);
        out.extend(tally.judgement(
            view,
            root,
            |t| {
                let who = t.who(root, "lacks", "lack");
                let cause = explanation(t.reasons.first().map_or("", Sym::as_str));
                format!("{who} the sidecar {name}, and no injector can add it: {cause}")
            },
            |t| match t.notes.first() {
                Some((_, note)) => note.clone(),
                None => format!("nothing keeps an injector from adding the sidecar {name}"),
            },
        ));
    }
}

/// The field at fault, below the pod spec.
fn field(why: &str) -> Option<&'static str> {
    match why {
        "host-network" => Some("/hostNetwork"),
        "no-token" => Some("/automountServiceAccountToken"),
        _ => None,
    }
}

fn explanation(why: &str) -> &'static str {
    match why {
        "host-network" => "injectors skip pods on the host's network",
        "mirror-pod" => "no webhook ever sees a static pod",
        "windows" => "injectors skip Windows pods",
        "ignored-namespace" => "the injector ignores its namespace",
        "no-token" => "the injector needs a service account token, and there is none",
        _ => "no webhook is asked",
    }
}
