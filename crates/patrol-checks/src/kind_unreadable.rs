//! `kind-unreadable`.
//! What: a kind that an enabled check needs and that cannot be seen, in whole or in part.
//! Why: "I could not look" is itself a gap.
//! Layer L6. Party: the customer, whose installer grants the rights.
//! Remedy: grant the right, or repair the API.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::ticket::Subject;
use patrol_api::time::{Span, Time};
use patrol_api::words::{Layer, Severity};
use patrol_core::check::{
    Affected, Check, CheckMeta, Exempt, Judgement, Origin, PartyBy, Unit, UnitKind, Verdict, View,
};
use patrol_core::inventory::{Blindness, Sight};
use patrol_core::kind::Kind;
use patrol_core::rule::Rule;
use patrol_core::sym::Sym;

use crate::CATALOGUE;
use crate::words::number;

/// The check.
pub struct KindUnreadable;

/// A first list that takes longer is no start-up any more.
const START_UP: Span = Span::minutes(10);

/// A watch that fails for less long is no blind spot that anybody could mend; a patrol that
/// comes more often waits for no longer than its own period.
const OUTAGE: Span = Span::minutes(2);

static META: CheckMeta = CheckMeta {
    id: "kind-unreadable",
    title: "Patrol cannot see a kind it needs",
    what: "Each kind that a check of an enabled policy reads: refused by the API server (`access-denied`; at once when \
           an access review confirms it), its watch or API group failing for longer than 2 minutes, or than one \
           period of a policy that patrols more often (`watch-failing`), its first list not complete 10 minutes after the start \
           (`unsynced`), or with objects that cannot be decoded (`undecodable`). Files that cannot be read are told of once, as \
           `inputs`, whatever they may hold. One ticket for each resource, with \
           the checks that are not judged for it. A kind that is not installed is seen: there are none of it. Always \
           on, once there is a policy.",
    why: "Unknown is not absent: what cannot be looked at is neither right nor wrong, and nobody must take silence for \
          health.",
    remediation: "Grant the operator's ClusterRole list and watch on the resource, as deploy/ does.",
    layer: Layer::L6,
    party: PartyBy::CUSTOMER,
    severity: Severity::High,
    // None, so that it can speak about blindness.
    reads: &[],
    units: &[UnitKind::Cluster],
    block: None,
    parameters: &[],
    references: &[],
};

/// How to mend what is no matter of rights.
pub(crate) const REPAIR_API: &str =
    "Repair the API that serves the resource; the operator goes on trying.";
/// See [`REPAIR_API`].
pub(crate) const LOOK_FOR_ERRORS: &str =
    "Look for errors and throttling of list requests in the operator's log and in the API server.";
/// See [`REPAIR_API`].
pub(crate) const CORRECT_FILES: &str =
    "Correct the files that are named, or take them out of the input.";
/// See [`REPAIR_API`]; with the kind in its place.
pub(crate) const CORRECT_OBJECTS: &str = "Correct the {} objects named here so that every field has the type its API says; the operator's log tells the \
     field.";

impl Check for KindUnreadable {
    fn meta(&self) -> &'static CheckMeta {
        &META
    }

    fn judge(&self, view: &View<'_>, _: &Rule, unit: &Unit, out: &mut Vec<Judgement>) {
        if *unit != Unit::Cluster {
            return;
        }
        let needed = needed(view);
        let inputs = unreadable_inputs(view, needed.keys().copied());
        if view.origin == Origin::Files {
            out.push(judge_inputs(&inputs));
        }
        for (kind, checks) in needed {
            let checks: Vec<&str> = checks.into_iter().collect();
            out.push(judge_kind(view, kind, &checks, &inputs));
        }
    }
}

/// The kinds that enabled checks read, with the ids of those checks.
fn needed(view: &View<'_>) -> BTreeMap<Kind, BTreeSet<&'static str>> {
    let mut needed: BTreeMap<Kind, BTreeSet<&'static str>> = BTreeMap::new();
    let rules = view.rulebook.enabled().flat_map(|policy| &policy.rules);
    for rule in rules.chain(&view.rulebook.always_on) {
        let Some(check) = CATALOGUE.find(rule.check) else {
            continue;
        };
        for kind in check.reads(rule).iter() {
            needed.entry(*kind).or_default().insert(rule.check);
        }
    }
    needed
}

fn judge_kind(view: &View<'_>, kind: Kind, checks: &[&str], inputs: &BTreeSet<&str>) -> Judgement {
    let info = kind.info();
    let resource = if info.group.is_empty() {
        info.resource.to_owned()
    } else {
        format!("{}.{}", info.resource, info.group)
    };
    let subject = Subject {
        group: info.group.to_owned(),
        kind: "Resource".to_owned(),
        namespace: None,
        name: info.resource.to_owned(),
        uid: None,
    };
    let judged = |verdict| Judgement::new(subject, verdict);
    let disabled = format!("not judged without it: {}", checks.join(", "));
    let sight = view.inventory.sight(kind);
    match sight.blindness() {
        Some(Blindness::Failing(_) | Blindness::Denied(_))
            if !sight.is_refused() && outage_ends(view, sight).is_some() =>
        {
            judged(Verdict::Unknown(Sym::new("grace")))
                .reason("grace")
                .message(format!("{resource} cannot be read at the moment"))
                .recheck(outage_ends(view, sight))
        }
        Some(Blindness::Denied(verb)) => {
            judged(Verdict::Fail)
                .reason("access-denied")
                .message(format!(
                    "the API server refuses {verb} on {resource}; {disabled}"
                ))
        }
        Some(Blindness::Failing(why)) => {
            let mut judgement = judged(Verdict::Fail)
                .reason("watch-failing")
                .message(format!("{resource} cannot be read: {why}; {disabled}"));
            judgement.remediation = REPAIR_API.to_owned();
            judgement
        }
        Some(Blindness::Unsynced) => match start_up_ends(view) {
            Some(due) if due <= view.now => {
                let mut judgement = judged(Verdict::Fail).reason("unsynced").message(format!(
                    "the first list of {resource} is not complete after {START_UP}; {disabled}"
                ));
                judgement.remediation = LOOK_FOR_ERRORS.to_owned();
                judgement
            }
            due => judged(Verdict::Unknown(Sym::new("unsynced")))
                .reason("unsynced")
                .message(format!("the first list of {resource} is not complete yet"))
                .recheck(due),
        },
        None if is_told_with_inputs(sight, inputs) => {
            judged(Verdict::NotApplicable(Exempt::Folded)).message(format!(
                "{resource} may be hidden in an input that cannot be read"
            ))
        }
        None if sight.blind_count() > 0 => undecodable(judged, kind, sight, &resource),
        None if sight.is_absent() => {
            judged(Verdict::Pass).message(format!("{resource} is not installed: there are none"))
        }
        None => judged(Verdict::Pass).message(format!("{resource} is readable")),
    }
}

/// The end of the grace of a watch that fails, if it is not over. A loss that lies ahead was
/// noted by a clock that was set back since: there is nothing to measure by.
fn outage_ends(view: &View<'_>, sight: &Sight) -> Option<Time> {
    let since = sight.lost_at().filter(|at| *at <= view.now)?;
    let shortest = view.rulebook.enabled();
    let shortest = shortest
        .map(|policy| policy.schedule.period_at(since))
        .min();
    let grace = shortest.map_or(OUTAGE, |period| period.min(OUTAGE));
    Some(since.plus(grace)).filter(|due| *due > view.now)
}

/// Inputs that cannot be read and may hold objects of these kinds. In a cluster there is no
/// such thing: whatever has no name there is an object.
fn unreadable_inputs<'a>(view: &View<'a>, kinds: impl Iterator<Item = Kind>) -> BTreeSet<&'a str> {
    let inventory = view.inventory;
    kinds
        .filter(|_| view.origin == Origin::Files)
        .flat_map(|kind| inventory.sight(kind).nameless())
        .map(String::as_str)
        .collect()
}

/// One blind spot, whatever it may hide: each input with its reason.
fn judge_inputs(inputs: &BTreeSet<&str>) -> Judgement {
    let subject = Subject {
        group: String::new(),
        kind: "Resource".to_owned(),
        namespace: None,
        name: "inputs".to_owned(),
        uid: None,
    };
    if inputs.is_empty() {
        return Judgement::new(subject, Verdict::Pass).message("every input is readable");
    }
    let count = u32::try_from(inputs.len()).unwrap_or(u32::MAX);
    let mut judgement = Judgement::new(subject, Verdict::Fail).reason("undecodable");
    judgement.message = format!(
        "{} be read, so nothing counts as gone and what may be hidden there is Unknown: {}",
        number(count.into(), "input cannot", "inputs cannot"),
        inputs.first().copied().unwrap_or_default()
    );
    judgement.affected = Affected {
        count,
        total: count,
        sample: inputs
            .iter()
            .map(|input| (*input).to_owned())
            .take(Affected::SAMPLE)
            .collect(),
    };
    judgement.remediation = CORRECT_FILES.to_owned();
    judgement
}

/// Whether all that cannot be read of a kind may be hidden in inputs, which are told of by
/// themselves.
fn is_told_with_inputs(sight: &Sight, inputs: &BTreeSet<&str>) -> bool {
    let by_input = |reason: &str| inputs.iter().any(|input| reason.ends_with(input));
    sight.blind_count() > 0
        && !inputs.is_empty()
        && sight.blind_objects().all(|(_, reason)| by_input(reason))
}

fn start_up_ends(view: &View<'_>) -> Option<Time> {
    view.own.started.map(|at| at.plus(START_UP))
}

fn undecodable(
    judged: impl FnOnce(Verdict) -> Judgement,
    kind: Kind,
    sight: &Sight,
    resource: &str,
) -> Judgement {
    let count = sight.blind_count();
    let (objects, they_are) = match count {
        1 => ("object", "it is"),
        _ => ("objects", "they are"),
    };
    let mut judgement = judged(Verdict::Fail).reason("undecodable").message(format!(
        "{count} {objects} of {resource} cannot be decoded: what {they_are} part of counts as Unknown"
    ));
    judgement.affected = Affected {
        count: u32::try_from(count).unwrap_or(u32::MAX),
        total: u32::try_from(count).unwrap_or(u32::MAX),
        sample: sight
            .blind_objects()
            .map(|(key, _)| key.to_string())
            .take(Affected::SAMPLE)
            .collect(),
    };
    judgement.remediation = CORRECT_OBJECTS.replace("{}", &kind.to_string());
    judgement
}
