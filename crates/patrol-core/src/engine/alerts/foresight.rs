//! What comes next for a ticket, for whoever asks and does not lead: by the same routes, windows and holds as when it is
//! sent. For an engine of its own that was fed with what is known: sends nothing, writes nothing.

use patrol_api::time::{Span, Time};
use patrol_api::words::{AlertReason, Phase};

use super::super::Patrol;
use super::owed;
use crate::clock::Now;
use crate::facts::ObjectKey;
use crate::ticket::alive;
use crate::ticket::ledger::{self, Telling};
use crate::ticket::life;
use crate::ticket::overlay::Waived;

/// What comes next for a ticket by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foresight {
    /// What each receiver is told next.
    pub owed: Vec<Owed>,
    /// The waiver that mutes it.
    pub muted: Option<Waived>,
    /// Until when a node that is down explains it.
    pub explained_until: Option<Time>,
    /// When nobody will have been told anything for too long.
    pub overdue_at: Option<Time>,
    /// How long its subject must be seen without the gap.
    pub clear_after: Span,
    /// How long it is kept once it has ended.
    pub retention: Span,
}

/// What a receiver is told next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Name of the receiver.
    pub receiver: String,
    /// What, and when at the earliest.
    pub telling: Telling,
    /// No news: the receiver takes silence for an end.
    pub is_sign_of_life: bool,
    /// The ticket that says the same of the whole namespace, while that is why it waits.
    pub said_by: Option<ObjectKey>,
}

impl Patrol {
    /// What comes next for a ticket, as things are known now.
    pub fn foresee(&mut self, key: &ObjectKey, now: Now) -> Foresight {
        self.settle_standbys(now);
        self.suppose_standbys_written();
        let Some((ticket, status)) = self.tickets.view(key) else {
            return Foresight::default();
        };
        let policy = &ticket.spec.finding.policy;
        let rules = self.life_rules(policy);
        let ends = matches!(status.phase, Phase::Resolved | Phase::Waived);
        let said = self.said_of_namespace(ticket, status, now);
        let general = self.key_for_namespace(&ticket.spec.finding);
        let routes = self.routes(ticket, status, now).into_iter();
        let all = routes.filter_map(|route| {
            // What was heard since it was last written down is known to whoever leads alone.
            let heard = alive::Heard {
                at: ledger::told(status, &route.uid).map(|record| record.at),
                withdrawn: None,
            };
            let telling = owed(ticket, status, &route, heard, now.wall)?;
            // That an alarm was taken back is written nowhere: it may be long ago.
            if telling.reason == AlertReason::Withdrawn {
                return None;
            }
            let until = said.until(&route.receiver).filter(|at| *at > now.wall);
            let waits = until.is_some_and(|at| telling.due >= at);
            Some(Owed {
                is_sign_of_life: route.forgets && alive::is_sign_of_life(&telling),
                said_by: general.clone().filter(|_| waits),
                receiver: route.receiver,
                telling,
            })
        });
        let mute = self.mute_over(ticket, status, now.wall);
        Foresight {
            owed: all.collect(),
            muted: mute.map(|waiver| waiver.waived().clone()),
            explained_until: self
                .explained_until(ticket, now)
                .filter(|at| *at > now.wall),
            overdue_at: life::overdue_at(status, &rules, now.wall).filter(|_| !ends),
            clear_after: life::clear_after(status, rules.clear_after, now.wall),
            retention: self.retention(policy),
        }
    }
}
