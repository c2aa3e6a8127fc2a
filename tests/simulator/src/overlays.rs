//! What people lay over tickets during a run: pauses, waivers, mutes; and a second opinion on
//! whom a waiver covers and when a window is open, written without looking at the engine.

use patrol_api::policy::{Window, WindowMode};
use patrol_api::ticket::{Finding, Ticket};
use patrol_api::time::{Span, Time};
use patrol_api::waiver::TicketWaiver;
use patrol_api::words::{Severity, Treatment};
use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;
use serde_json::{Value, json};

use crate::book::Wished;
use crate::judge::HOME;
use crate::rng::Rng;
use crate::sim::Sim;
use crate::world::{World, set, text, typed};

/// A pause longer than any run.
const FOR_LONG: u64 = 36_000;

/// A waiver as somebody writes it.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Namespace and name.
    pub place: (String, String),
    /// Whether it only silences.
    pub mutes: bool,
    /// Seconds until it ends.
    pub lasts: u64,
    /// Glob of checks.
    pub checks: &'static str,
    /// Namespaces it reaches, when it is shared.
    pub namespaces: Vec<&'static str>,
    /// The worst severity it covers.
    pub most: Option<&'static str>,
    /// Whether the due time counts anew afterwards.
    pub reset: bool,
    /// Whether nobody can read it.
    pub garbled: bool,
}

/// What somebody asks of one ticket.
#[derive(Clone, Debug)]
pub struct Wish {
    /// Number of the ticket.
    pub which: u64,
    /// `acknowledge` or `snooze`.
    pub field: &'static str,
    /// Seconds until it ends; none takes it back.
    pub lasts: Option<u64>,
}

impl Grant {
    /// A waiver by chance.
    #[must_use]
    pub fn new(rng: &mut Rng) -> Self {
        let home = rng.chance(400);
        let namespace = match home {
            true => HOME,
            false => rng.one_of(&["shop", "bank", "lab"], "shop"),
        };
        Self {
            place: (namespace.to_owned(), format!("waiver-{}", rng.below(2))),
            mutes: rng.chance(300),
            lasts: lasting(rng),
            checks: rng.one_of(&["*", "*", "sidecar-*", "node-*", "sidecar-missing"], "*"),
            namespaces: match home && rng.chance(500) {
                true => vec![rng.one_of(&["shop", "bank"], "shop")],
                false => vec![],
            },
            most: rng
                .chance(300)
                .then(|| rng.one_of(&["Low", "Medium", "High"], "High")),
            reset: rng.chance(300),
            garbled: rng.chance(80),
        }
    }

    /// Its key.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(&self.place.0, &self.place.1)
    }

    /// The object, written at this time.
    #[must_use]
    pub fn object(&self, now: Time) -> Value {
        let checks = match self.garbled {
            true => json!(7),
            false => json!([self.checks]),
        };
        let mut object = json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "TicketWaiver",
            "metadata": {"namespace": self.place.0, "name": self.place.1},
            "spec": {"checks": checks, "reason": "known and accepted for now", "owner": "team",
                "expiresAt": now.plus(Span::seconds(self.lasts)).to_string(),
                "treatment": if self.mutes { "Mute" } else { "Waive" }, "resetSLA": self.reset}});
        if !self.namespaces.is_empty() {
            set(&mut object, "spec", "namespaces", json!(self.namespaces));
        }
        if let Some(most) = self.most {
            set(&mut object, "spec", "maxSeverity", json!(most));
        }
        object
    }
}

impl Wish {
    /// A wish by chance.
    #[must_use]
    pub fn new(rng: &mut Rng) -> Self {
        Self {
            which: rng.bits(),
            field: rng.one_of(&["acknowledge", "snooze"], "snooze"),
            lasts: rng.chance(800).then(|| lasting(rng)),
        }
    }
}

fn lasting(rng: &mut Rng) -> u64 {
    match rng.below(10) {
        0..=5 => rng.between(10, 240),
        6 => rng.between(240, 1_200),
        _ => FOR_LONG,
    }
}

impl Sim {
    /// Somebody writes a wish into a ticket.
    pub fn wish(&mut self, key: &ObjectKey, wish: &Wish) {
        self.book.count("wishes");
        let wall = self.wall();
        self.book
            .overlay_ends
            .push(self.now + wish.lasts.unwrap_or(0) * 1000);
        if let Some(lasts) = wish.lasts
            && let Some(value) = self.world.get(Kind::Ticket, key)
        {
            self.book.wishes.push(Wished {
                at: wall,
                uid: text(value, "/metadata/uid"),
                field: wish.field,
                until: wall.plus(Span::seconds(lasts)),
            });
        }
        let asked = wish.lasts.map(|lasts| {
            json!({"until": wall.plus(Span::seconds(lasts)).to_string(),
                "reason": "somebody is on it", "by": "ann"})
        });
        self.world.edit(Kind::Ticket, key, |value| {
            match asked {
                Some(asked) => set(value, "spec", wish.field, asked),
                None => {
                    if let Some(spec) = value.get_mut("spec").and_then(Value::as_object_mut) {
                        spec.remove(wish.field);
                    }
                }
            };
        });
    }

    /// Somebody writes a waiver.
    pub fn grant(&mut self, grant: &Grant) {
        self.book.count("waivers written");
        if !crate::users::is_active(&self.world, &grant.place.0) {
            return;
        }
        self.book.overlay_ends.push(self.now + grant.lasts * 1000);
        // What nobody can read says nothing new.
        if !grant.garbled || !self.book.waivers.contains_key(&grant.key()) {
            self.book.waiver_edits.insert(grant.key(), self.now);
        }
        let mut object = grant.object(self.wall());
        let before = self.world.get(Kind::TicketWaiver, &grant.key());
        // The status is no user's to write.
        if let Some(status) = before.and_then(|old| old.get("status").cloned())
            && let Some(object) = object.as_object_mut()
        {
            object.insert("status".into(), status);
        }
        if let Some(waiver) = typed(&object) {
            self.book.waivers.insert(grant.key(), waiver);
        }
        self.world.apply(Kind::TicketWaiver, object);
    }

    /// Somebody takes a waiver back.
    pub fn revoke(&mut self, key: &ObjectKey) {
        self.book.waiver_edits.insert(key.clone(), self.now);
        self.book.waivers.remove(key);
        self.world.delete(Kind::TicketWaiver, key);
    }
}

/// The waivers there are that anybody can read.
#[must_use]
pub fn readable(world: &World) -> Vec<(ObjectKey, TicketWaiver)> {
    world
        .all(Kind::TicketWaiver)
        .filter_map(|(key, value)| Some((key.clone(), typed(value)?)))
        .collect()
}

/// The readable waivers of a treatment that stand over a ticket, their ends aside.
#[must_use]
pub fn over(
    world: &World,
    ticket: &Ticket,
    treatment: Treatment,
) -> Vec<(ObjectKey, TicketWaiver)> {
    let severity = ticket.status.as_ref().and_then(|s| s.severity);
    let severity = severity.unwrap_or(Severity::Medium);
    let mut all = readable(world);
    all.retain(|(key, waiver)| {
        waiver.spec.treatment == treatment && covers(key, waiver, &ticket.spec.finding, severity)
    });
    all
}

/// Whether a waiver of the family that scenarios make stands over a finding.
#[must_use]
pub fn covers(
    key: &ObjectKey,
    waiver: &TicketWaiver,
    finding: &Finding,
    severity: Severity,
) -> bool {
    let namespace = finding.subject.namespace.as_deref();
    let reach = if *key.namespace == *HOME {
        let wanted = &waiver.spec.namespaces;
        wanted.is_empty() || namespace.is_some_and(|ns| wanted.iter().any(|w| w == ns))
    } else {
        namespace == Some(&*key.namespace)
    };
    let named = waiver.spec.checks.iter().any(|wanted| {
        let start = wanted.strip_suffix('*');
        start.map_or(finding.check == *wanted, |start| {
            finding.check.starts_with(start)
        })
    });
    let about_itself = finding.check == "waiver-overdue";
    reach && named && !about_itself && waiver.spec.max_severity.is_none_or(|most| severity <= most)
}

/// When a waiver ends.
#[must_use]
pub fn until(waiver: &TicketWaiver) -> Time {
    waiver.spec.expires_at.unwrap_or(Time::from_unix(0))
}

/// Whether windows (of one day, in UTC, as scenarios write them) are open.
#[must_use]
pub fn is_open(windows: &[Window], at: Time) -> bool {
    let minute = at.unix().rem_euclid(86_400) / 60;
    let clock = |text: &str| {
        let (hours, minutes) = text.split_once(':').unwrap_or(("0", "0"));
        hours.parse::<i64>().unwrap_or(0) * 60 + minutes.parse::<i64>().unwrap_or(0)
    };
    let inside = |mode: WindowMode| {
        windows
            .iter()
            .any(|w| w.mode == mode && (clock(&w.from)..clock(&w.to)).contains(&minute))
    };
    let needs_active = windows.iter().any(|w| w.mode == WindowMode::Active);
    !inside(WindowMode::Mute) && (!needs_active || inside(WindowMode::Active))
}

/// A window in which nothing, or alone in which something, is told: some minutes of the hour
/// in which runs begin.
#[must_use]
pub fn window(rng: &mut Rng) -> Value {
    let from = rng.between(2, 14);
    let to = from + rng.between(2, 9);
    match rng.chance(700) {
        true => {
            json!({"mode": "Mute", "from": format!("08:{from:02}"), "to": format!("08:{to:02}")})
        }
        false => json!({"mode": "Active", "from": format!("08:{from:02}"), "to": "24:00"}),
    }
}
