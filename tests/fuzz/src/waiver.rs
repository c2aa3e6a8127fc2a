//! Waivers: which tickets one stands over and until when, against a reading of the specification, sentence by sentence.
//!
//! Input: choices. Names and patterns are made of few letters, so that they often match and almost match.

mod glob;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use patrol_api::condition;
use patrol_api::ticket::{Finding, Subject};
use patrol_api::time::{Span, Time};
use patrol_api::waiver::{TicketWaiver, TicketWaiverSpec, WaiverSubjects};
use patrol_api::words::{Layer, Severity, Treatment};
use patrol_core::facts::Labels;
use patrol_core::waiver::Waiver;

use crate::feed::Feed;

const OPERATOR: &str = "patrol";
const NAMESPACES: &[&str] = &["patrol", "shop", "shop-a", "sho"];
const KINDS: &[&str] = &["Deployment", "Node", "Pod"];
const CHECKS: &[&str] = &["waiver-overdue", "waiver-a", "sidecar-missing", "sidecar"];
const DAY: i64 = 86_400;
/// 2026-01-01.
const NOW: i64 = 1_767_225_600;

pub(crate) fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let object = waiver(&mut feed);
    let finding = finding(&mut feed);
    let severity = *feed.pick(Severity::ALL);
    let labels = labels(&mut feed);
    let compiled = Waiver::compile(&object, OPERATOR);
    let expected = usable(&object);
    assert_eq!(
        compiled
            .as_ref()
            .map(|waiver| waiver.until)
            .map_err(|why| why.reason),
        expected,
        "{object:?}"
    );
    let waiver = match compiled {
        Ok(waiver) => waiver,
        Err(why) => {
            assert!(why.message.contains(": "), "{}", why.message);
            return;
        }
    };
    for labels in [None, Some(&labels)] {
        let found = waiver.covers(&finding, severity, labels.map(|labels| &labels.0));
        let expected = covers(&object, &finding, severity, labels.map(|labels| &labels.1));
        assert_eq!(found, expected, "{object:?} over {finding:?}, {severity}");
    }
    // A namespaced one never reaches beyond its namespace.
    let own = object.metadata.namespace.as_deref();
    if own != Some(OPERATOR) && finding.subject.namespace.as_deref() != own {
        assert!(!waiver.covers(&finding, severity, Some(&labels.0)));
    }
    let selects = object
        .spec
        .subjects
        .as_ref()
        .is_some_and(|s| s.selector.is_some());
    assert_eq!(waiver.reads_labels(), selects);
    assert_eq!(waiver.waived().until, waiver.until);
}

// ---------------------------------------------------------------- choices

fn waiver(feed: &mut Feed<'_>) -> TicketWaiver {
    let treatment = *feed.pick(Treatment::ALL);
    let checks = (0..=feed.upto(2)).map(|_| check(feed)).collect();
    let subjects = feed.flag().then(|| WaiverSubjects {
        kind: feed.flag().then(|| (*feed.pick(KINDS)).to_owned()),
        names: (0..feed.upto(2)).map(|_| glob::pattern(feed)).collect(),
        selector: feed.flag().then(|| selector(feed)),
    });
    let namespaces = match feed.upto(3) {
        0 | 1 => vec![],
        some => (1..some).map(|_| namespace(feed)).collect(),
    };
    let expires = feed.flag().then(|| Time::from_unix(NOW + days(feed)));
    let max_severity = feed.flag().then(|| *feed.pick(Severity::ALL));
    let spec = TicketWaiverSpec {
        checks,
        subjects,
        namespaces,
        reason: "until the migration".to_owned(),
        owner: "shop team".to_owned(),
        expires_at: expires,
        treatment,
        max_severity,
        ..TicketWaiverSpec::default()
    };
    let mut object = TicketWaiver::new("w", spec);
    object.metadata.namespace = Some((*feed.pick(NAMESPACES)).to_owned());
    // A creation time is missing where no server gave one.
    if feed.upto(15) < 15 {
        object.metadata.creation_timestamp = Some(condition::meta_time(Time::from_unix(NOW)));
    }
    object
}

/// Around the bounds, to the second.
fn days(feed: &mut Feed<'_>) -> i64 {
    let days = *feed.pick(&[365, 30, 90, 7, 0, 364, 366, 31, 29]);
    days * DAY + *feed.pick(&[0, 1, -1])
}

/// An id, or a pattern of ids.
fn check(feed: &mut Feed<'_>) -> String {
    match feed.upto(4) {
        0 => glob::pattern(feed),
        1 => "*".to_owned(),
        2 => "waiver-*".to_owned(),
        _ => (*feed.pick(CHECKS)).to_owned(),
    }
}

fn namespace(feed: &mut Feed<'_>) -> String {
    match feed.upto(3) {
        0 => glob::pattern(feed),
        1 => "shop*".to_owned(),
        _ => (*feed.pick(NAMESPACES)).to_owned(),
    }
}

fn selector(feed: &mut Feed<'_>) -> LabelSelector {
    let pairs: BTreeMap<String, String> = (0..feed.upto(2))
        .map(|_| (glob::name(feed), glob::name(feed)))
        .collect();
    let operators = ["In", "NotIn", "Exists", "DoesNotExist", "in", ""];
    let terms: Vec<LabelSelectorRequirement> = (0..feed.upto(2))
        .map(|_| LabelSelectorRequirement {
            key: glob::name(feed),
            operator: (*feed.pick(&operators)).to_owned(),
            values: feed
                .flag()
                .then(|| (0..feed.upto(2)).map(|_| glob::name(feed)).collect()),
        })
        .collect();
    LabelSelector {
        match_labels: feed.flag().then_some(pairs),
        match_expressions: feed.flag().then_some(terms),
    }
}

fn finding(feed: &mut Feed<'_>) -> Finding {
    let check = match feed.flag() {
        true => glob::name(feed),
        false => (*feed.pick(CHECKS)).to_owned(),
    };
    let namespace = match feed.upto(4) {
        0 => None,
        1 => Some(glob::name(feed)),
        _ => Some((*feed.pick(NAMESPACES)).to_owned()),
    };
    let kind = (*feed.pick(KINDS)).to_owned();
    let name = glob::name(feed);
    Finding {
        policy: "production".to_owned(),
        check,
        requirement: None,
        subject_ref: format!("{kind}/{name}"),
        subject: Subject {
            group: String::new(),
            kind,
            namespace,
            name,
            uid: None,
        },
        layer: Layer::L4,
        cluster: None,
    }
}

fn labels(feed: &mut Feed<'_>) -> (Labels, BTreeMap<String, String>) {
    let pairs: BTreeMap<String, String> = (0..feed.upto(3))
        .map(|_| (glob::name(feed), glob::name(feed)))
        .collect();
    let each: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    (Labels::of(&each), pairs)
}

// ----------------------------------------------------------------- oracle

/// Until when it holds, or the word for why it cannot be used.
fn usable(object: &TicketWaiver) -> Result<Time, &'static str> {
    let spec = &object.spec;
    let created = object
        .metadata
        .creation_timestamp
        .as_ref()
        .ok_or("Unbounded")?;
    let created = condition::from_meta_time(created);
    let (most, usual) = match spec.treatment {
        Treatment::Waive => (365, 90),
        Treatment::Mute => (30, 30),
    };
    let until = spec.expires_at.unwrap_or(created.plus(Span::days(usual)));
    if until.unix() - created.unix() > most * DAY {
        return Err("Unbounded");
    }
    let shared = object.metadata.namespace.as_deref() == Some(OPERATOR);
    let subjects = spec.subjects.clone().unwrap_or_default();
    let patterns = spec
        .checks
        .iter()
        .chain(&subjects.names)
        .chain(&spec.namespaces);
    let fine = patterns
        .into_iter()
        .all(|pattern| glob::is_pattern(pattern))
        && (shared || spec.namespaces.is_empty())
        && subjects.selector.as_ref().is_none_or(is_selector);
    if fine { Ok(until) } else { Err("Invalid") }
}

fn is_selector(selector: &LabelSelector) -> bool {
    let pairs = selector.match_labels.iter().flatten();
    let mut terms = selector.match_expressions.iter().flatten();
    let pairs_fine = pairs
        .into_iter()
        .all(|(key, value)| is_key(key) && glob::is_label(value));
    pairs_fine
        && terms.all(|term| {
            let values = term.values.clone().unwrap_or_default();
            let counted = match term.operator.as_str() {
                "In" | "NotIn" => !values.is_empty(),
                "Exists" | "DoesNotExist" => values.is_empty(),
                _ => false,
            };
            counted && is_key(&term.key) && values.iter().all(|value| glob::is_label(value))
        })
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && glob::is_label(key)
}

fn covers(
    object: &TicketWaiver,
    finding: &Finding,
    severity: Severity,
    labels: Option<&BTreeMap<String, String>>,
) -> bool {
    let spec = &object.spec;
    let subject = &finding.subject;
    let any = |patterns: &[String], name: &str| patterns.iter().any(|p| glob::matches(p, name));
    // Outside its namespace only one of the operator's namespace reaches, and there only where it says.
    let namespace = subject.namespace.as_deref();
    if object.metadata.namespace.as_deref() != Some(OPERATOR) {
        if namespace != object.metadata.namespace.as_deref() {
            return false;
        }
    } else if !spec.namespaces.is_empty() && !namespace.is_some_and(|n| any(&spec.namespaces, n)) {
        return false;
    }
    if !any(&spec.checks, &finding.check) {
        return false;
    }
    // The check about waivers is waived by its full name alone.
    if finding.check == "waiver-overdue" && !spec.checks.iter().any(|c| c == "waiver-overdue") {
        return false;
    }
    if spec.max_severity.is_some_and(|most| severity > most) {
        return false;
    }
    let Some(wanted) = &spec.subjects else {
        return true;
    };
    let kind = wanted
        .kind
        .as_ref()
        .is_none_or(|kind| *kind == subject.kind);
    let name = wanted.names.is_empty() || any(&wanted.names, &subject.name);
    let selected = match (&wanted.selector, labels) {
        (None, _) => true,
        // Whose labels cannot be read is not selected.
        (Some(_), None) => false,
        (Some(selector), Some(labels)) => selects(selector, labels),
    };
    kind && name && selected
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    for (key, value) in selector.match_labels.iter().flatten() {
        if labels.get(key) != Some(value) {
            return false;
        }
    }
    for term in selector.match_expressions.iter().flatten() {
        let has = labels.get(&term.key);
        let listed = has.is_some_and(|has| term.values.iter().flatten().any(|v| v == has));
        let holds = match term.operator.as_str() {
            "In" => listed,
            // As in Kubernetes: who has no such label is not in, either.
            "NotIn" => !listed,
            "Exists" => has.is_some(),
            _ => has.is_none(),
        };
        if !holds {
            return false;
        }
    }
    true
}
