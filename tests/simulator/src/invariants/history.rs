//! I13: history is monotonic. What a ticket once said of its past it says for ever, and
//! what it says that a receiver was told, the receiver was told.

use std::cmp::Ordering;

use patrol_api::ticket::{AlertRecord, Ticket, TicketStatus};
use patrol_api::words::{Phase, ToldState};
use patrol_core::effect::Precondition;
use patrol_core::facts::ObjectKey;
use patrol_core::kind::Kind;

use crate::book::HighWater;
use crate::sim::Sim;
use crate::world::{text, typed};

/// A status is about to be written.
pub fn on_status(sim: &mut Sim, at: &Precondition, status: &TicketStatus) {
    let Some(value) = sim.world.get(Kind::Ticket, &at.key).cloned() else {
        return;
    };
    if text(&value, "/metadata/uid") != at.uid
        || text(&value, "/metadata/resourceVersion") != at.version
    {
        return; // it will be refused
    }
    let stored: Option<TicketStatus> = typed::<Ticket>(&value).and_then(|t| t.status);
    let forgotten = sim.book.high.get(&at.key).is_some_and(|high| {
        let since = high.forged.into_iter().chain(high.deleted).min();
        since.is_some_and(|since| sim.book.may_be_missed(since))
            // A finding whose ticket had ended when it was deleted begins anew, and one that ended while there was no ticket.
            || high.deleted.is_some_and(|deleted| {
                high.status.phase == Phase::Resolved || sim.failing_since.get(&at.key).is_none_or(|since| *since >= deleted)
            })
    });
    let before = sim
        .book
        .high
        .get(&at.key)
        .filter(|_| !forgotten)
        .map(|high| high.status.clone());
    if let Some(before) = before
        && let Some(how) = went_back(&before, status)
    {
        sim.break_promise("I13", format!("{}: {how}", at.key));
    }
    if let Some(how) = inconsistent(status) {
        sim.break_promise("I13", format!("{}: {how}", at.key));
    }
    told_is_true(sim, &at.key, stored.as_ref(), status);
    let high = HighWater {
        status: status.clone(),
        forged: None,
        deleted: None,
    };
    sim.book.high.insert(at.key.clone(), high);
}

fn rank(r: &AlertRecord) -> (u64, u64, bool, u64) {
    (r.episode, r.seq, r.state == ToldState::Closed, r.n)
}

fn went_back(before: &TicketStatus, after: &TicketStatus) -> Option<String> {
    let less = |what: &str, a: u64, b: u64| {
        (a.cmp(&b) == Ordering::Greater).then(|| format!("{what} goes back from {a} to {b}"))
    };
    if before.first_opened_at != after.first_opened_at {
        return Some(format!(
            "firstOpenedAt moves from {:?} to {:?}",
            before.first_opened_at, after.first_opened_at
        ));
    }
    less("recurrences", before.recurrences, after.recurrences)
        .or_else(|| less("alertSeq", before.alert_seq, after.alert_seq))
        .or_else(|| less("episode", before.episode.n, after.episode.n))
        .or_else(|| {
            before.alerts.iter().find_map(|old| {
                match after.alerts.iter().find(|new| new.uid == old.uid) {
                    // A receiver that was made anew takes the place of its namesake: the
                    // list holds one record a name.
                    None if after.alerts.iter().any(|new| new.receiver == old.receiver) => None,
                    None => Some(format!("what {} was told is forgotten", old.receiver)),
                    Some(new) if rank(new) < rank(old) => Some(format!(
                        "what {} was told goes back from {:?} to {:?}",
                        old.receiver,
                        rank(old),
                        rank(new)
                    )),
                    Some(_) => None,
                }
            })
        })
}

fn inconsistent(status: &TicketStatus) -> Option<String> {
    let resolved = status.phase == Phase::Resolved;
    if resolved != status.episode.resolved_at.is_some()
        || resolved != status.episode.resolution.is_some()
    {
        return Some(format!(
            "phase {} with episode {:?}",
            status.phase, status.episode
        ));
    }
    if status.first_opened_at.is_none() || status.episode.opened_at.is_none() {
        return Some("an opened ticket does not say when it opened".to_owned());
    }
    let mut last: Option<Phase> = None;
    for entry in &status.history {
        if let (Some(last), Some(from)) = (last, entry.from)
            && last != from
        {
            return Some(format!("history goes to {last} and on from {from}"));
        }
        last = Some(entry.to);
    }
    last.filter(|last| *last != status.phase)
        .map(|last| format!("phase {} after a history that ends in {last}", status.phase))
}

/// A record in the ledger is a telling that was taken.
fn told_is_true(
    sim: &mut Sim,
    key: &ObjectKey,
    stored: Option<&TicketStatus>,
    status: &TicketStatus,
) {
    // Someone else wrote the status, and no process that knows better is left: a ledger
    // that is ahead of the ticket is cut to it.
    let forged = sim.book.high.get(key).and_then(|high| high.forged);
    let forged = forged.is_some_and(|since| sim.book.may_be_missed(since));
    let is_cut = |of: &AlertRecord, to: &AlertRecord| {
        (&of.uid, of.state, of.n) == (&to.uid, to.state, to.n)
            && of.episode >= to.episode
            && of.seq >= to.seq
    };
    for record in &status.alerts {
        if stored.is_some_and(|s| s.alerts.contains(record)) {
            continue;
        }
        if forged && stored.is_some_and(|s| s.alerts.iter().any(|r| is_cut(r, record))) {
            continue;
        }
        let silent = record.state == ToldState::Closed;
        let was_taken = sim.book.taken.iter().any(|taken| {
            taken.place == *key
                && taken.receiver == record.uid
                && taken.state == record.state
                && taken.rank == (record.episode, record.seq, record.n)
        });
        // A receiver that wants no ends gets none; its record is closed all the same.
        let unwanted = silent && sim.book.unwilling.contains(&record.receiver);
        // When a ticket ends, who may have been told counts as told.
        let ended = matches!(status.phase, Phase::Resolved | Phase::Waived)
            || (record.episode, record.seq) < (status.episode.n, status.alert_seq);
        let perhaps = ended
            && !silent
            && sim
                .book
                .may_be_told(key, &record.uid, record.episode, record.seq);
        let moved = record.at > sim.wall();
        if !was_taken && !unwanted && !perhaps && !moved {
            sim.break_promise(
                "I5",
                format!(
                    "{key} says that {} was told {:?} {:?}, and it never took that",
                    record.receiver,
                    record.state,
                    rank(record)
                ),
            );
            return;
        }
    }
}

/// A ticket was created.
pub fn on_created(sim: &mut Sim, ticket: &Ticket) {
    let _ = ticket;
    sim.book.count("tickets created");
}

/// The product is about to delete a ticket: a resolved one, which owes nobody its end.
pub fn on_delete(sim: &mut Sim, at: &Precondition) {
    let Some(value) = sim.world.get(Kind::Ticket, &at.key).cloned() else {
        return;
    };
    if text(&value, "/metadata/uid") != at.uid
        || text(&value, "/metadata/resourceVersion") != at.version
    {
        return;
    }
    let status = typed::<Ticket>(&value)
        .and_then(|t| t.status)
        .unwrap_or_default();
    if status.phase != Phase::Resolved {
        sim.break_promise("I1", format!("{}: an open ticket is deleted", at.key));
    }
    sim.book.high.remove(&at.key);
}

/// Someone else deletes a ticket.
pub fn on_user_delete(sim: &mut Sim, key: &ObjectKey) {
    let now = sim.now;
    if let Some(high) = sim.book.high.get_mut(key) {
        high.deleted.get_or_insert(now);
    }
    sim.book.meddled.entry(key.clone()).or_default().push(now);
    sim.book.count("tickets deleted by hand");
}
