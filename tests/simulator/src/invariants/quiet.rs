//! I10: an unchanged world costs no writes but one status of each policy a patrol, and the
//! records of what is told meanwhile.

use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;

use crate::book::Wrote;
use crate::invariants::{settle_time, undelivered};
use crate::sim::Sim;
use crate::world::text;

/// The time since everything was settled must have been quiet.
pub fn at_rest(sim: &mut Sim) {
    let from = sim.scenario.calm_at + settle_time(&sim.scenario) + 1;
    let window = sim.now.saturating_sub(from);
    let told = sim
        .book
        .taken
        .iter()
        .filter(|t| t.at + 60_000 >= from)
        .count();
    let mut ledger = 0;
    let mut receivers = 0;
    let mut policies = std::collections::BTreeMap::new();
    let mut loud = vec![];
    let mut delivery = 0;
    // An alert that nobody takes, or nobody is there to take, is noticed after a while.
    let undelivered = sim.scenario.moody || undelivered::is_somebody_missing(sim);
    for write in sim.book.writes.iter().filter(|w| w.at >= from) {
        match write.what {
            Wrote::Ledger => ledger += 1,
            Wrote::Receiver => receivers += 1,
            Wrote::Policy => *policies.entry(write.key.clone()).or_insert(0u64) += 1,
            // A resolved ticket's time is over.
            Wrote::Delete => {}
            // Whoever was unwell is asked again within ten minutes, and only then it ends.
            _ if undelivered && is_about_delivery(sim, &write.key) => delivery += 1,
            // Which is told to a policy's own webhook, whose address is kept for that.
            Wrote::Finalizer if undelivered => delivery += 1,
            Wrote::Create | Wrote::Status | Wrote::Labels | Wrote::Finalizer | Wrote::Waiver => {
                loud.push(format!("{:?} of {} at {}", write.what, write.key, write.at));
            }
        }
    }
    // Findings whose grace ends in the window, and tickets whose retention does.
    let fresh = sim
        .failing_since
        .values()
        .any(|since| *since + 120_000 >= from)
        // So do the ends of what people laid over tickets; nobody knows when after a jump.
        || sim.book.overlay_ends.iter().any(|end| {
            (*end + 120_000 >= from && *end <= sim.now) || !sim.book.jumps.is_empty()
        });
    if !fresh && let Some(first) = loud.first() {
        sim.break_promise(
            "I10",
            format!("{} writes at rest, the first: {first}", loud.len()),
        );
    }
    // One record a telling, and one for a due time that passed.
    let tickets = sim.world.all(Kind::Ticket).count();
    if ledger > told + tickets {
        sim.break_promise(
            "I10",
            format!("{ledger} ledger writes at rest for {told} tellings"),
        );
    }
    if receivers > 2 * told + 4 {
        sim.break_promise(
            "I10",
            format!("{receivers} receiver statuses at rest for {told} tellings"),
        );
    }
    for policy in sim.world.policies() {
        let name = policy.metadata.name.clone().unwrap_or_default();
        let period = policy
            .spec
            .schedule
            .every
            .unwrap_or_default()
            .as_millis()
            .max(1);
        let key = ObjectKey::new("", &name);
        let wrote = policies.get(&key).copied().unwrap_or(0);
        // Counts and conditions of alerting change with what is told.
        if !fresh && wrote > window / period + 2 + delivery {
            sim.break_promise(
                "I10",
                format!("policy {name}: {wrote} statuses in {} s", window / 1000),
            );
        }
    }
}

/// Whether a ticket is about alerts that are undelivered.
fn is_about_delivery(sim: &Sim, key: &ObjectKey) -> bool {
    let ticket = sim.world.get(Kind::Ticket, key);
    ticket.is_some_and(|t| text(t, "/spec/finding/check") == undelivered::CHECK)
}
