//! Observations: facts into the inventory, our own objects into their places, and marks on
//! whatever must be judged again.

use crate::check::{Unit, UnitKind};
use crate::clock::Now;
use crate::effect::Effect;
use crate::event::Event;
use crate::facts::{Fact, Observed};
use crate::inventory::{Blindness, RootKey, Touched};
use crate::kind::Kind;

use super::Patrol;
use super::evaluate::Known;
use super::onlookers::Seen;
use crate::ticket::life::Assessment;

impl Patrol {
    pub(super) fn observe(&mut self, event: Event, now: Now) {
        match event {
            Event::Seen(seen) => {
                self.inventory.sight_mut(seen.kind).heard(now.wall);
                self.seen(*seen, now);
            }
            Event::Gone(kind, key) => {
                self.inventory.sight_mut(kind).heard(now.wall);
                self.gone(kind, &key, now);
            }
            Event::Undecodable(error) => {
                let touched = self
                    .inventory
                    .blind_object(error.kind, error.key, error.reason);
                self.touch(touched);
            }
            Event::ListStarted(kind) => {
                self.inventory.relist_started(kind);
                if kind.is_ours() {
                    self.relist_ours_started(kind);
                }
            }
            Event::ListFinished(kind) => self.list_finished(kind, now),
            Event::Heard(kind) => self.inventory.sight_mut(kind).heard(now.wall),
            Event::Lost(kind, why) => self.lost(kind, why, now),
            // Nobody can have taken it away: whoever says so (a proxy that answers 404 to
            // everything) does not see it.
            Event::NotInstalled(kind) if !kind.may_be_absent() => {
                self.lost(kind, Blindness::Failing("NotServed".to_owned()), now);
            }
            Event::NotInstalled(kind) => {
                if self.inventory.sight_mut(kind).not_installed() {
                    let swept = self.inventory.forget_all(kind);
                    self.touch(swept);
                    self.sight_changed(kind);
                    if kind == Kind::AlertReceiver {
                        self.receivers_uninstalled(now);
                    }
                    if kind == Kind::TicketWaiver {
                        self.waivers_uninstalled(now);
                    }
                }
            }
            Event::Counted(crd, count) => {
                let touched = self.inventory.count_instances(&crd, count);
                self.touch(touched);
            }
            Event::CredentialsChanged(receiver) => self.credentials_changed(&receiver, now),
            Event::Skewed(seconds) => {
                self.skew = seconds;
                self.evaluation.status_dirty = true;
            }
            Event::Tick
            | Event::Written(..)
            | Event::Delivered(..)
            | Event::Leading(_)
            | Event::Reviewed(_) => {}
        }
    }

    fn lost(&mut self, kind: Kind, why: Blindness, now: Now) {
        let refused = matches!(why, Blindness::Denied(_));
        let sight = self.inventory.sight_mut(kind);
        sight.note_loss(now.wall);
        if sight.lost(why) {
            self.sight_changed(kind);
            // Whether it is refused for good only a review can say.
            if refused && self.leads() && !kind.is_ours() {
                self.outbox.push(Effect::Review(vec![kind]));
            }
        }
    }

    fn seen(&mut self, seen: Observed, now: Now) {
        match seen.fact {
            Fact::Policy(policy) => {
                self.inventory.sight_mut(Kind::PatrolPolicy).seen(&seen.key);
                self.policy_seen(*policy, now);
            }
            Fact::Receiver(receiver) => {
                self.inventory
                    .sight_mut(Kind::AlertReceiver)
                    .seen(&seen.key);
                self.receiver_seen(*receiver, now);
            }
            Fact::Ticket(ticket) => {
                self.inventory.sight_mut(Kind::Ticket).seen(&seen.key);
                self.ticket_seen(seen.key, *ticket, now);
            }
            Fact::Waiver(waiver) => {
                self.inventory.sight_mut(Kind::TicketWaiver).seen(&seen.key);
                self.waiver_seen(seen.key, *waiver, now);
            }
            _ => {
                let (kind, key) = (seen.kind, seen.key.clone());
                let before = self.seen_by_others(kind, &key);
                let touched = self.inventory.upsert(seen);
                self.touch(touched);
                let after = self.seen_by_others(kind, &key);
                self.tell_others(&before, &after);
            }
        }
    }

    fn gone(&mut self, kind: Kind, key: &crate::facts::ObjectKey, now: Now) {
        match kind {
            Kind::PatrolPolicy => self.policy_gone(&key.name),
            Kind::AlertReceiver => self.receiver_gone(&key.name, now),
            Kind::Ticket => self.ticket_unmentioned(key, now),
            Kind::TicketWaiver => self.waiver_gone(key, now),
            _ => {
                let before = self.seen_by_others(kind, key);
                let touched = self.inventory.delete(kind, key);
                self.touch(touched);
                self.tell_others(&before, &Seen::default());
            }
        }
    }

    fn list_finished(&mut self, kind: Kind, now: Now) {
        let was_blind = self.inventory.sight(kind).blindness().is_some()
            || self.inventory.sight(kind).is_absent();
        let mut before = Seen::default();
        for key in self.inventory.unmentioned(kind) {
            before.add(self.seen_by_others(kind, &key));
        }
        let had_blind_objects = self.inventory.sight_mut(kind).had_blind_objects();
        let swept = self.inventory.relist_finished(kind);
        self.inventory.sight_mut(kind).heard(now.wall);
        for (_, touched) in swept {
            self.touch(touched);
        }
        self.tell_others(&before, &Seen::default());
        if kind.is_ours() {
            self.relist_ours_finished(kind, now);
        }
        if was_blind || had_blind_objects {
            self.sight_changed(kind);
            self.labels_listed();
        }
        self.mark_doubtful(kind);
        // Blind spots that the list no longer mentions are no more.
        self.mark(Unit::Cluster);
    }

    /// What was not there while the list was under way might have been on its way back: only
    /// now can it be called gone.
    fn mark_doubtful(&mut self, kind: Kind) {
        let is_one = |known: &&Known| {
            let subject = &known.finding.subject;
            matches!(known.assessment, Assessment::Unknown(_))
                && Kind::find(&subject.group, &subject.kind) == Some(kind)
        };
        let known = self.evaluation.known.values().filter(is_one);
        let units: Vec<Unit> = known.map(|known| known.unit.clone()).collect();
        self.mark_all(units);
    }

    /// What can be said of every unit whose checks read the kind changes with its sight.
    pub(super) fn sight_changed(&mut self, kind: Kind) {
        self.evaluation
            .all_kinds
            .extend(self.unit_kinds_reading(kind));
        self.evaluation.status_dirty = true;
    }

    fn unit_kinds_reading(&self, kind: Kind) -> Vec<UnitKind> {
        let mut kinds: Vec<UnitKind> = self
            .config
            .catalogue
            .checks
            .iter()
            .map(|check| check.meta())
            .filter(|meta| meta.reads.contains(&kind))
            .flat_map(|meta| meta.units.iter().copied())
            .collect();
        // The checks about sight itself.
        kinds.push(UnitKind::Cluster);
        kinds.sort();
        kinds.dedup();
        kinds
    }

    pub(super) fn touch(&mut self, touched: Vec<Touched>) {
        for touch in touched {
            match touch {
                Touched::Root(root) => self.mark_root(root),
                Touched::Node(name) => {
                    self.mark(Unit::Node(name));
                    // A node agent's absence everywhere is judged over the whole cluster.
                    self.mark(Unit::Cluster);
                }
                Touched::Namespace(name) => self.mark(Unit::Namespace(name)),
                Touched::RootsOf(name) => {
                    let roots: Vec<RootKey> = self.inventory.roots_in(&name).collect();
                    roots.into_iter().for_each(|root| self.mark_root(root));
                }
                Touched::Cluster => self.mark(Unit::Cluster),
                Touched::AllNodes => {
                    self.evaluation.all_kinds.insert(UnitKind::Node);
                }
                Touched::Everything => self.mark_everything(),
            }
        }
    }
}
