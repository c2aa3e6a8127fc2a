//! Signs of life: sent in regular intervals, and only while everything works. Silence at the other end means that
//! somebody must look.

use patrol_api::time::{Span, Time};

use super::super::Patrol;
use super::Flight;
use crate::clock::Now;
use crate::kind::Kind;
use crate::notice::{Notice, NoticeKind};

impl Patrol {
    /// Sends the signs of life that are due.
    pub(in crate::engine) fn beat(&mut self, now: Now) {
        let due: Vec<(String, Span)> = self
            .receivers
            .iter()
            .filter_map(|(name, state)| {
                let heartbeat = state.object.as_ref()?.spec.heartbeat?;
                Some((name.clone(), heartbeat.interval))
            })
            .collect();
        if due.is_empty() || !self.is_healthy(now.wall) {
            return;
        }
        for (name, interval) in due {
            self.beat_at(&name, interval, now);
        }
    }

    fn beat_at(&mut self, name: &str, interval: Span, now: Now) {
        let cluster = self.cluster();
        let Some(state) = self.receivers.get_mut(name) else {
            return;
        };
        let next = state.beaten.map(|at| at.plus(interval));
        if let Some(next) = next.filter(|next| now.mono < *next) {
            let wait = Span::millis(next.since(now.mono)).plus(Span::seconds(1));
            self.wake_at(now.wall.plus(wait));
            return;
        }
        if state.availability(now).is_err() {
            return; // looked at again with the next tick
        }
        state.beaten = Some(now.mono);
        let notice = Notice {
            next_within: Some(interval),
            ..Notice::of_no_ticket(NoticeKind::Heartbeat, name, cluster, now.wall)
        };
        let group = (name.to_owned(), String::new(), vec![]);
        self.launch(name, notice, Flight::of_no_ticket(group, None, now));
        self.wake_at(now.wall.plus(interval));
    }

    /// Whether this process does what it promises: it sees its own objects, the last patrol of every policy is younger
    /// than three periods, and nothing that was due was found forgotten.
    fn is_healthy(&self, now: Time) -> bool {
        let patrolled = self.policies.values().all(|state| {
            // Overdue after two periods; that a new one is on its way is no proof.
            state.is_suspended()
                || state.overdue_at.is_none_or(|(since, at)| {
                    let period = Span::millis(at.since(since).as_millis() / 2);
                    now < at.plus(period)
                })
        });
        patrolled
            && self.can_act()
            && self
                .inventory
                .sight(Kind::AlertReceiver)
                .blindness()
                .is_none()
            && self.auditor.is_clean()
    }
}
