//! Judging what was read: the manifests, with the place of each subject, or a cluster.

use std::collections::BTreeMap;

use patrol_core::check::{Origin, OwnState};
use patrol_core::facts::ObjectKey;
use patrol_core::inspect::{InspectionResult, Inspector, inspect};
use patrol_core::inventory::Inventory;
use patrol_core::kind::Kind;
use patrol_core::rule::Rulebook;

use crate::cli::{objects, source};
use crate::manifests::{Coverage, Decoded, Object, Source};

/// A judgement with the place of its subject.
pub struct Row {
    /// What was judged.
    pub result: InspectionResult,
    /// Where the subject is written; `None` for what is in no file.
    pub source: Option<Source>,
}

/// Objects by identity, in the order of their paths.
type Places<'a> = BTreeMap<(Kind, ObjectKey), Vec<&'a Object>>;

/// Of files, the account itself says what could not be read, and by name.
const SAID_BY_COVERAGE: &str = "kind-unreadable";

/// Judges manifests. One identity in several files is judged once per file, in an inventory
/// where it takes the place of the others.
pub fn files(objects: &[Object], coverage: &Coverage, book: &Rulebook) -> Vec<Row> {
    let mut places: Places<'_> = BTreeMap::new();
    for object in objects {
        if let (Some((kind, key)), Decoded::Fact(_)) = (object.identity(), &object.decoded) {
            places.entry((kind, key.clone())).or_default().push(object);
        }
    }
    let mut rows = round(&places, 0, coverage, book);
    let most = places.values().map(Vec::len).max().unwrap_or_default();
    for number in 1..most {
        // Only what is written more than once differs from the first round.
        let again = round(&places, number, coverage, book);
        rows.extend(again.into_iter().filter(|row| {
            let places = subject(&row.result).and_then(|id| places.get(&id));
            places.is_some_and(|all| all.len() > number)
        }));
    }
    rows.retain(|row| row.result.check.id != SAID_BY_COVERAGE);
    rows
}

fn round(places: &Places<'_>, number: usize, coverage: &Coverage, book: &Rulebook) -> Vec<Row> {
    let pick = |all: &Vec<&'_ Object>| -> Option<usize> {
        all.len().checked_sub(1).map(|last| number.min(last))
    };
    let picked = places
        .values()
        .filter_map(|all| all.get(pick(all)?).copied());
    let inventory = objects::inventory(picked, coverage);
    judge(&inventory, Origin::Files, book)
        .into_iter()
        .map(|result| {
            let source = subject(&result)
                .and_then(|id| places.get(&id))
                .and_then(|all| all.get(pick(all)?))
                .map(|object| object.source.clone());
            Row { result, source }
        })
        .collect()
}

fn subject(result: &InspectionResult) -> Option<(Kind, ObjectKey)> {
    let subject = &result.judgement.subject;
    let kind = Kind::find(&subject.group, &subject.kind)?;
    let namespace = subject.namespace.as_deref().unwrap_or("");
    Some((kind, ObjectKey::new(namespace, &subject.name)))
}

/// Judges a cluster as one look saw it.
pub fn cluster(seen: &source::Seen, book: &Rulebook) -> Vec<Row> {
    judge(&seen.inventory, Origin::Cluster, book)
        .into_iter()
        .map(|result| Row {
            result,
            source: None,
        })
        .collect()
}

fn judge(inventory: &Inventory, origin: Origin, book: &Rulebook) -> Vec<InspectionResult> {
    let own = OwnState::default();
    let catalogue = patrol_checks::CATALOGUE;
    let inspector = Inspector {
        catalogue: &catalogue,
        inventory,
        rulebook: book,
        origin,
        own: &own,
        now: patrol_kube::boot_clock::wall(),
    };
    let rules = book
        .policies
        .values()
        .flat_map(|p| &p.rules)
        .chain(&book.always_on);
    inspect(&inspector, rules).results
}
