//! An engine that has judged a world, and what a change does to verdicts and to marks.

use std::collections::{BTreeMap, BTreeSet};

use patrol_api::time::Time;
use patrol_checks::CATALOGUE;
use patrol_core::check::{Judgement, Origin, OwnState, Unit, UnitKind};
use patrol_core::clock::{Mono, Now};
use patrol_core::engine::{Config, Patrol};
use patrol_core::event::Event;
use patrol_core::facts::{ObjectKey, decode_value};
use patrol_core::inspect::Inspector;
use patrol_core::kind::Kind;
use serde_json::Value;

/// The time of judgement.
pub const NOW: i64 = 1_800_000_000;

/// A judgement's place: check, requirement, unit, subject and discriminator.
pub type Place = (String, String, Unit, String, String);

pub struct Bed {
    pub engine: Patrol,
    now: Now,
}

pub fn kind_of(object: &Value) -> Kind {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    Kind::of_manifest(text("apiVersion"), text("kind")).unwrap_or_else(|| panic!("{object}"))
}

pub fn seen(object: &Value) -> Event {
    match decode_value(kind_of(object), object) {
        Ok(observed) => Event::Seen(Box::new(observed)),
        Err(error) => Event::Undecodable(error),
    }
}

pub fn gone(kind: Kind, namespace: &str, name: &str) -> Event {
    Event::Gone(kind, ObjectKey::new(namespace, name))
}

impl Bed {
    /// An engine that has listed these objects and judged them all.
    pub fn new(objects: &[Value], origin: Origin) -> Self {
        let mut config = Config::new(CATALOGUE);
        config.origin = origin;
        let now = Now {
            wall: Time::from_unix(NOW),
            mono: Mono(1_000_000),
        };
        let mut bed = Self {
            engine: Patrol::new(config),
            now,
        };
        for kind in Kind::ALL {
            bed.list(kind, objects);
        }
        bed.settle();
        bed
    }

    pub fn list(&mut self, kind: Kind, objects: &[Value]) {
        self.step(Event::ListStarted(kind));
        for object in objects.iter().filter(|o| kind_of(o) == kind) {
            self.step(seen(object));
        }
        self.step(Event::ListFinished(kind));
    }

    pub fn step(&mut self, event: Event) {
        self.engine.step(event, self.now);
    }

    /// Judges all that is marked.
    pub fn settle(&mut self) {
        for _ in 0..10 {
            self.step(Event::Tick);
            if self.engine.marked().is_empty() {
                return;
            }
        }
        panic!("the marks never end: {:?}", self.engine.marked());
    }

    /// What every rule says of every unit, in the words a ticket would carry.
    pub fn verdicts(&self) -> BTreeMap<Place, String> {
        let own = OwnState::default();
        let inspector = Inspector {
            catalogue: &CATALOGUE,
            inventory: self.engine.inventory(),
            rulebook: self.engine.rulebook(),
            origin: Origin::Cluster,
            own: &own,
            now: self.now.wall,
        };
        let rulebook = self.engine.rulebook();
        let rules = rulebook.enabled().flat_map(|p| &p.rules);
        let rules: Vec<_> = rules.chain(&rulebook.always_on).collect();
        let mut said = BTreeMap::new();
        let kinds = [
            UnitKind::Root,
            UnitKind::Node,
            UnitKind::Namespace,
            UnitKind::Cluster,
        ];
        for unit in inspector.units(&kinds) {
            for rule in &rules {
                for judgement in inspector.judge(rule, &unit).judgements {
                    let place = (
                        rule.check.to_owned(),
                        rule.requirement.as_deref().unwrap_or_default().to_owned(),
                        unit.clone(),
                        subject(&judgement),
                        judgement.discriminator.clone().unwrap_or_default(),
                    );
                    let party = inspector.party(
                        rule,
                        CATALOGUE.find(rule.check).unwrap().meta(),
                        &judgement,
                    );
                    said.insert(place, words(&judgement, party.as_str()));
                }
            }
        }
        said
    }

    /// Takes in a change. Returns the checks whose verdicts it altered; panics when one was
    /// altered in a unit that is not marked.
    pub fn change(&mut self, what: &str, events: Vec<Event>) -> BTreeSet<String> {
        let before = self.verdicts();
        for event in events {
            self.step(event);
        }
        let after = self.verdicts();
        let marked = self.engine.marked();
        let places: BTreeSet<&Place> = before.keys().chain(after.keys()).collect();
        let mut altered = BTreeSet::new();
        for place in places {
            let (was, is) = (before.get(place), after.get(place));
            if was == is {
                continue;
            }
            altered.insert(place.0.clone());
            assert!(
                marked.contains(&place.2),
                "{what}: {place:?} was {was:?} and is {is:?}, and {} is not marked",
                place.2
            );
        }
        altered
    }
}

fn subject(judgement: &Judgement) -> String {
    let s = &judgement.subject;
    format!(
        "{}/{}/{}",
        s.kind,
        s.namespace.as_deref().unwrap_or_default(),
        s.name
    )
}

fn words(judgement: &Judgement, party: &str) -> String {
    let reasons: Vec<&str> = judgement.reasons.iter().map(|r| r.as_str()).collect();
    format!(
        "{:?} {} [{}] {}/{} {party}",
        judgement.verdict,
        judgement.message,
        reasons.join(","),
        judgement.affected.count,
        judgement.affected.total
    )
}
