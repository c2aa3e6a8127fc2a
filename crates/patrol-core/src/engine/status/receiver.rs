//! The status of an AlertReceiver: classes in our own words, never a word of a reply.

use patrol_api::condition::{self, Said};
use patrol_api::receiver::{AlertReceiverStatus, Circuit, CircuitState, GroupRecord};
use patrol_api::time::{Span, Time};
use patrol_api::words::ToldState;

use super::super::Patrol;
use super::super::receivers::ReceiverState;
use super::advice;
use crate::engine::alerts::groups::MOST;
use crate::event::DeliveryClass;

/// Says that the groups are coarser than the policies want. Only on receivers of which that was ever true.
const COARSENED: &str = "GroupsCoarsened";

/// Whether the status says that its groups are coarser than the policies want.
pub(in crate::engine) fn is_coarse(status: &AlertReceiverStatus) -> bool {
    let said = condition::get(&status.conditions, COARSENED);
    said.is_some_and(|said| said.status == condition::status_word(Some(true)))
}

/// The groups that it holds an alarm for, and those that were over a moment ago.
fn groups(state: &ReceiverState, now: Time) -> Vec<GroupRecord> {
    let (standing, over): (Vec<&GroupRecord>, Vec<&GroupRecord>) = state
        .groups
        .values()
        .filter(|g| g.state == ToldState::Firing || now.since(g.at) < Span::hours(1))
        .partition(|g| g.state == ToldState::Firing);
    let mut groups: Vec<GroupRecord> = standing
        .into_iter()
        .chain(over)
        .take(MOST)
        .cloned()
        .collect();
    groups.sort_by(|a, b| a.key.cmp(&b.key));
    groups
}

/// The status of an AlertReceiver.
pub(in crate::engine) fn receiver_status(
    trouble: Option<DeliveryClass>,
    state: &ReceiverState,
    now: Time,
) -> AlertReceiverStatus {
    let mut status = Patrol::receiver_status_of(state).clone();
    status.last_success_time = state.health.last_success;
    status.last_failover_time = state.failover_at();
    status.groups = groups(state, now);
    status.told = state.told.values().take(MOST).cloned().collect();
    status.pending = u64::try_from(state.pending).unwrap_or(u64::MAX);
    status.oldest_pending_time = state.oldest_pending;
    status.circuit = Some(Circuit {
        state: match (state.health.is_circuit_open(), state.is_idle()) {
            (false, _) => CircuitState::Closed,
            (true, true) => CircuitState::Open,
            (true, false) => CircuitState::HalfOpen,
        },
        since: state.health.opened,
        failures: u64::from(state.health.failures),
        class: trouble.map(|class| class.as_str().to_owned()),
        not_before: state.health.not_before_wall,
    });
    if state.health.is_yet_to_be_asked() {
        return status;
    }
    let tried = state.health.last_success.is_some() || trouble.is_some();
    let blocked = matches!(trouble, Some(DeliveryClass::Blocked));
    let secret = matches!(trouble, Some(DeliveryClass::SecretMissing));
    let fine = |reason, message| match tried {
        true => (Some(true), reason, message),
        false => (None, "NotTried", "nothing was sent to it yet"),
    };
    let rows = [
        (
            "Ready",
            match trouble {
                Some(class) => (Some(false), class.as_str(), advice(class)),
                None => fine("Accepting", "it accepted the last message"),
            },
        ),
        (
            "AddressAllowed",
            match blocked {
                true => (
                    Some(false),
                    "AddressBlocked",
                    advice(DeliveryClass::Blocked),
                ),
                false => fine("Allowed", "the address may be sent to"),
            },
        ),
        (
            "SecretResolved",
            match secret {
                true => (
                    Some(false),
                    "SecretMissing",
                    advice(DeliveryClass::SecretMissing),
                ),
                false => fine("Resolved", "every Secret that it names can be read"),
            },
        ),
    ];
    let coarsened = match state.is_coarse {
        true => (
            Some(true),
            "TooManyGroups",
            "it would hold alarms for more groups than 1,024: the namespace is left out of their keys until there are fewer \
             than 512; group by something of which there is less",
        ),
        false => (
            Some(false),
            "AsWanted",
            "its groups are what the policies group by",
        ),
    };
    let was_coarsened = condition::get(&status.conditions, COARSENED).is_some();
    let coarsened = (state.is_coarse || was_coarsened).then_some((COARSENED, coarsened));
    for (kind, (ok, reason, message)) in rows.into_iter().chain(coarsened) {
        let said = Said {
            kind,
            status: ok,
            reason,
            message,
            generation: state.object.as_ref().and_then(|o| o.metadata.generation),
        };
        condition::set(&mut status.conditions, &said, now);
    }
    status
}
