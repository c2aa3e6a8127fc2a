//! Who may hold the lease, by the rules of client-go: a pure state machine.
//!
//! A foreign lease has expired only when we ourselves saw no change of it for its whole
//! duration on our own clock: times written by others are never compared with ours.

use std::time::Duration;

use super::record::{Holder, Record};

/// What to do about the lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// It is not there: make it, held by us.
    Create { clean: bool },
    /// Nobody certainly holds it: take it. `clean`: the last holder is known to be done
    /// (or there was none), so that there is nothing to wait for.
    Take { clean: bool },
    /// We hold it: renew it.
    Renew,
    /// Someone else holds it.
    Wait,
}

/// What one process knows about the election.
#[derive(Debug)]
pub(super) struct Election {
    pub(super) identity: String,
    pub(super) process: String,
    duration: Duration,
    takeover_wait: Duration,
    watched: Option<Watched>,
    /// Whether this process has looked at the lease before.
    looked: bool,
    term: Option<Term>,
}

#[derive(Debug)]
struct Watched {
    version: String,
    since: Duration,
}

/// A time of holding the lease.
#[derive(Clone, Copy, Debug)]
struct Term {
    /// Boot time from which we act as leader.
    leads_from: Duration,
    /// Boot time at which the last successful renewal began.
    renewed_at: Duration,
}

impl Election {
    pub(super) fn new(
        identity: String,
        process: String,
        duration: Duration,
        takeover_wait: Duration,
    ) -> Self {
        Self {
            identity,
            process,
            duration,
            takeover_wait,
            watched: None,
            looked: false,
            term: None,
        }
    }

    /// What to do, seeing this lease at boot time `now`.
    pub(super) fn judge(&mut self, lease: Option<&Record>, now: Duration) -> Move {
        let first_look = !std::mem::replace(&mut self.looked, true);
        let Some(lease) = lease else {
            self.watched = None;
            // Deleted by hand under a leader who may not have noticed yet, unless it was
            // missing from the start.
            return Move::Create { clean: first_look };
        };
        let Holder { identity, process } = lease.holder();
        if identity.is_empty() {
            return Move::Take { clean: true };
        }
        let ours = identity == self.identity;
        if ours && process == self.process {
            return Move::Renew;
        }
        // A pod's name is unique, so this is the process before our restart. Found later
        // it is a twin that took the lease from us.
        if ours && first_look {
            return Move::Take { clean: true };
        }
        match &self.watched {
            Some(watched) if watched.version == lease.version() => {
                // The holder may run with other flags than we.
                let granted = self.duration.max(Duration::from_secs(lease.seconds()));
                if now.saturating_sub(watched.since) > granted {
                    Move::Take { clean: false }
                } else {
                    Move::Wait
                }
            }
            _ => {
                self.watched = Some(Watched {
                    version: lease.version().to_owned(),
                    since: now,
                });
                Move::Wait
            }
        }
    }

    /// The lease was written for us by a call that began at boot time `began`.
    pub(super) fn holds(&mut self, by: Move, began: Duration) {
        let leads_from = match (by, self.term) {
            (_, Some(term)) => term.leads_from,
            (Move::Create { clean: true } | Move::Take { clean: true }, None) => began,
            // A renewal without a term is a write of ours whose reply was lost: what came
            // before it is unknown, so it counts as a takeover.
            _ => began + self.takeover_wait,
        };
        self.watched = None;
        self.term = Some(Term {
            leads_from,
            renewed_at: began,
        });
    }

    /// The lease is no longer ours.
    pub(super) fn loses(&mut self) {
        self.term = None;
    }

    /// Whether we hold the lease, acting or waiting.
    pub(super) fn is_holder(&self) -> bool {
        self.term.is_some()
    }

    /// Boot time of the last successful renewal.
    pub(super) fn renewed_at(&self) -> Option<Duration> {
        self.term.map(|term| term.renewed_at)
    }

    /// Boot time until which we certainly lead, when we do at `now`.
    pub(super) fn leads_until(&self, now: Duration) -> Option<Duration> {
        let term = self.term?;
        let until = term.renewed_at + self.duration;
        (term.leads_from <= now && now < until).then_some(until)
    }

    /// How long to wait until we act as leader, holding the lease but not acting yet.
    pub(super) fn waits(&self, now: Duration) -> Option<Duration> {
        let wait = self.term?.leads_from.checked_sub(now)?;
        (!wait.is_zero()).then_some(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Claim, new};
    use super::*;
    use chrono::DateTime;

    const SECOND: Duration = Duration::from_secs(1);

    fn lease(identity: &str, process: &str, version: &str) -> Record {
        let claim = Claim {
            identity,
            process,
            seconds: 15,
            now: DateTime::from_timestamp(0, 0).unwrap(),
        };
        let mut object = new("ns", "kube-patrol", &claim);
        object["metadata"]["resourceVersion"] = version.into();
        if identity.is_empty() {
            object["spec"]
                .as_object_mut()
                .unwrap()
                .remove("holderIdentity");
        }
        Record::parse(object.to_string().as_bytes()).unwrap()
    }

    fn election() -> Election {
        Election::new("me".into(), "1".into(), 15 * SECOND, 10 * SECOND)
    }

    #[test]
    fn a_foreign_lease_expires_by_our_own_watching_alone() {
        let mut me = election();
        // Its renewTime is the epoch: an old date on it means nothing.
        assert_eq!(
            me.judge(Some(&lease("a", "9", "1")), 100 * SECOND),
            Move::Wait
        );
        assert_eq!(
            me.judge(Some(&lease("a", "9", "1")), 115 * SECOND),
            Move::Wait
        );
        assert_eq!(
            me.judge(Some(&lease("a", "9", "2")), 116 * SECOND),
            Move::Wait
        );
        assert_eq!(
            me.judge(Some(&lease("a", "9", "2")), 131 * SECOND),
            Move::Wait
        );
        let expired = 131 * SECOND + Duration::from_millis(1);
        assert_eq!(
            me.judge(Some(&lease("a", "9", "2")), expired),
            Move::Take { clean: false }
        );
    }

    #[test]
    fn after_a_takeover_it_waits_and_keeps_waiting_through_renewals() {
        let mut me = election();
        me.holds(Move::Take { clean: false }, 50 * SECOND);
        assert!(me.is_holder());
        assert_eq!(me.leads_until(50 * SECOND), None);
        assert_eq!(me.waits(52 * SECOND), Some(8 * SECOND));
        me.holds(Move::Renew, 58 * SECOND);
        assert_eq!(me.leads_until(59 * SECOND), None);
        assert_eq!(me.leads_until(60 * SECOND), Some(73 * SECOND));
        assert_eq!(me.waits(60 * SECOND), None);
        assert_eq!(me.leads_until(73 * SECOND), None, "it may have expired");
    }

    #[test]
    fn a_clean_hand_over_a_new_lease_and_a_restart_need_no_wait() {
        for (lease, expected) in [
            (None, Move::Create { clean: true }),
            (Some(lease("", "", "1")), Move::Take { clean: true }),
            (Some(lease("me", "0", "1")), Move::Take { clean: true }),
        ] {
            let mut me = election();
            assert_eq!(me.judge(lease.as_ref(), SECOND), expected);
            me.holds(expected, SECOND);
            assert_eq!(me.leads_until(SECOND), Some(16 * SECOND));
        }
    }

    #[test]
    fn a_twin_that_took_the_lease_is_a_rival() {
        let mut me = election();
        let create = Move::Create { clean: true };
        assert_eq!(me.judge(None, SECOND), create);
        me.holds(create, SECOND);
        assert_eq!(
            me.judge(Some(&lease("me", "1", "1")), 2 * SECOND),
            Move::Renew
        );
        me.loses();
        assert_eq!(
            me.judge(Some(&lease("me", "2", "2")), 3 * SECOND),
            Move::Wait
        );
        assert_eq!(me.leads_until(3 * SECOND), None);
    }

    #[test]
    fn a_write_of_ours_with_a_lost_reply_counts_as_a_takeover() {
        let mut me = election();
        assert_eq!(me.judge(Some(&lease("me", "1", "3")), SECOND), Move::Renew);
        me.holds(Move::Renew, SECOND);
        assert_eq!(me.leads_until(SECOND), None);
        assert_eq!(me.waits(SECOND), Some(10 * SECOND));
    }

    #[test]
    fn a_lease_deleted_by_hand_is_made_again_by_its_holder_and_waited_for_by_a_rival() {
        let mut rival = election();
        assert_eq!(rival.judge(Some(&lease("a", "9", "1")), SECOND), Move::Wait);
        let create = Move::Create { clean: false };
        assert_eq!(rival.judge(None, 2 * SECOND), create);
        rival.holds(create, 2 * SECOND);
        assert_eq!(rival.leads_until(3 * SECOND), None);

        let mut holder = election();
        holder.judge(None, SECOND);
        holder.holds(Move::Create { clean: true }, SECOND);
        assert_eq!(holder.judge(None, 3 * SECOND), create);
        holder.holds(create, 3 * SECOND);
        assert_eq!(holder.leads_until(3 * SECOND), Some(18 * SECOND));
    }

    #[test]
    fn a_holder_with_a_longer_lease_than_ours_is_granted_it() {
        let mut me = Election::new("me".into(), "1".into(), 3 * SECOND, SECOND);
        let theirs = lease("a", "9", "1");
        assert_eq!(me.judge(Some(&theirs), SECOND), Move::Wait);
        assert_eq!(me.judge(Some(&theirs), 16 * SECOND), Move::Wait);
        assert_eq!(
            me.judge(Some(&theirs), 17 * SECOND),
            Move::Take { clean: false }
        );
    }
}
