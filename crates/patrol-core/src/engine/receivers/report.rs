//! Receivers' statuses: written at most every 30 s unless a condition flips, and ever more
//! rarely while that fails.

use patrol_api::receiver::AlertReceiverStatus;
use patrol_api::time::Span;
use patrol_api::words::ToldState;

use super::super::status::receiver_status;
use super::super::{Patrol, STATUSES_IN_FLIGHT, WriteTarget};
use crate::clock::{Mono, Now};
use crate::effect::{Effect, Precondition};
use crate::event::{WriteResult, Written};
use crate::facts::ObjectKey;

/// When the status was last written, and how often in a row that failed.
#[derive(Debug, Default)]
pub(super) struct Back {
    pub at: Option<Mono>,
    pub failures: u32,
    /// What was last written, and how often in a row: an older schema may leave out what is new, again and again.
    said: Option<AlertReceiverStatus>,
    same: u32,
    /// A write was stored since this process leads: whoever led before has had the last word.
    pub stored: bool,
}

impl Patrol {
    /// Writes receivers' statuses, at most every 30 s unless a condition flips.
    pub(in crate::engine) fn settle_receivers(&mut self, now: Now) {
        let names: Vec<String> = self.receivers.keys().cloned().collect();
        for name in names {
            self.settle_receiver(&name, now);
        }
    }

    fn settle_receiver(&mut self, name: &str, now: Now) {
        let target = WriteTarget::ReceiverStatus(name.to_owned());
        let writing = self.is_writing(&target);
        let is_ours = |what: &WriteTarget| matches!(what, WriteTarget::ReceiverStatus(_));
        let full = self.under_way(is_ours) >= STATUSES_IN_FLIGHT;
        let Some(state) = self.receivers.get_mut(name) else {
            return;
        };
        let Some(object) = &state.object else {
            return;
        };
        receiver_status(state.health.trouble, state, now.wall).clone_into(&mut state.status);
        let stored = object.status.as_ref();
        if stored == Some(&state.status) || writing {
            return;
        }
        // Who stands in is told nothing before that is written, and no alarm begins before its group is.
        let what = |s: &AlertReceiverStatus| {
            let standing = s.groups.iter().filter(|g| g.state == ToldState::Firing);
            let standing: Vec<(String, u64, bool)> = standing
                .map(|g| (g.key.clone(), g.incident, g.acknowledged))
                .collect();
            (s.conditions.clone(), s.last_failover_time, standing)
        };
        let flipped = stored.map(what) != Some(what(&state.status));
        let least = match (flipped, state.written.failures) {
            (false, _) => Span::seconds(30),
            (true, failures) => Span::seconds(1 << failures.min(6)),
        };
        // Failures have a wait of their own.
        let taken = state.written.failures == 0;
        let again = taken && state.written.said.as_ref() == Some(&state.status);
        let same = if again { state.written.same + 1 } else { 0 };
        let least = least.max(Span::seconds(1 << same.min(9)));
        let ready_at = state.written.at.map(|at| at.plus(least));
        if let Some(at) = ready_at
            && now.mono < at
        {
            let wait = Span::millis(at.since(now.mono)).plus(Span::seconds(1));
            self.wake_at(now.wall.plus(wait));
            return;
        }
        if full {
            return; // an answer brings the next tick
        }
        state.written.at = Some(now.mono);
        state.written.said = Some(state.status.clone());
        state.written.same = same;
        let at = Precondition {
            key: ObjectKey::new("", name),
            uid: state.target.uid.clone(),
            version: object.metadata.resource_version.clone().unwrap_or_default(),
        };
        let status = Box::new(state.status.clone());
        let id = self.begin_write(target, now);
        self.outbox
            .push(Effect::WriteReceiverStatus { id, at, status });
    }

    pub(in crate::engine) fn receiver_written(
        &mut self,
        name: &str,
        result: WriteResult,
        now: Now,
    ) {
        let Some(state) = self.receivers.get_mut(name) else {
            return;
        };
        match result {
            WriteResult::Done(done) => {
                state.written.failures = 0;
                state.written.stored = true;
                if let Written::Receiver(receiver) = done {
                    self.receiver_seen(*receiver, now);
                }
            }
            // Tried again with the version the watch brings, ever more rarely.
            _ => state.written.failures = state.written.failures.saturating_add(1),
        }
    }
}
