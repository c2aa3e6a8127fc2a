//! What users and misfortune do during a run: processes die, stop and start, the lease
//! moves, watches break, clocks jump.

use patrol_core::event::Event;
use patrol_core::facts::ObjectKey;
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;
use serde_json::json;

use crate::invariants;
use crate::scenario::{Action, Faults, Mishap};
use crate::sim::{Occur, Sim};
use crate::stream::Weather;
use crate::users;

/// A lease that nobody renews ends after this time.
const LEASE: u64 = 15_000;
/// A new leader waits this long, unless the old one let go.
const TAKEOVER: u64 = 10_000;

impl Sim {
    /// A user acts.
    pub fn user(&mut self, action: &Action) {
        let now = self.now;
        self.trace.say(now, || format!("user: {action:?}"));
        match action {
            Action::DeleteTicket(which) => {
                if let Some(key) = self.some_ticket(*which) {
                    invariants::on_user_delete(self, &key);
                    self.world.delete(Kind::Ticket, &key);
                }
            }
            Action::Forge(which, how) => {
                if let Some(key) = self.some_ticket(*which) {
                    self.forge(&key, *how);
                }
            }
            Action::FinishNamespace(ns) => {
                for key in self.world.keys_in(Kind::Ticket, ns) {
                    invariants::on_user_delete(self, &key);
                }
                for key in self.world.keys_in(Kind::TicketWaiver, ns) {
                    self.revoke(&key);
                }
            }
            Action::Wish(wish) => {
                if let Some(key) = self.some_ticket(wish.which) {
                    self.wish(&key, wish);
                }
            }
            Action::Waive(grant) => self.grant(grant),
            Action::Revoke(ns, name) => self.revoke(&ObjectKey::new(ns, name)),
            Action::Policy(name, _) | Action::DeletePolicy(name) => {
                self.book.edited.insert(name.clone(), now);
                self.book.rerouted.push(now);
            }
            Action::Receiver(..) | Action::DeleteReceiver(_) => self.book.rerouted.push(now),
            Action::Deny(kind, on) => {
                let wall = self.wall();
                self.truth.see(*kind, *on);
                let _ = wall;
            }
            _ => {}
        }
        let later = users::act(&mut self.world, action);
        for (after, action) in later {
            self.plan(after, Occur::User(action));
        }
    }

    fn some_ticket(&self, which: u64) -> Option<ObjectKey> {
        let keys: Vec<&ObjectKey> = self.world.all(Kind::Ticket).map(|(k, _)| k).collect();
        let n = u64::try_from(keys.len()).ok()?.max(1);
        let at = usize::try_from(which % n).ok()?;
        keys.get(at).map(|key| (*key).clone())
    }

    fn forge(&mut self, key: &ObjectKey, how: u64) {
        let now = self.now;
        if let Some(high) = self.book.high.get_mut(key) {
            high.forged.get_or_insert(now);
        }
        self.book.meddled.entry(key.clone()).or_default().push(now);
        self.book.count("statuses forged");
        let wall = self.wall().to_string();
        self.world.edit(Kind::Ticket, key, |v| {
            let Some(object) = v.as_object_mut() else {
                return;
            };
            let status = object.entry("status").or_insert_with(|| json!({}));
            let Some(status) = status.as_object_mut() else {
                return;
            };
            match how {
                0 => {
                    status.insert("phase".into(), json!("Resolved"));
                }
                1 => {
                    status.remove("alerts");
                    status.insert("alertSeq".into(), json!(1));
                }
                2 => {
                    status.insert("phase".into(), json!("Resolved"));
                    status.insert(
                        "episode".into(),
                        json!({"n": 1, "resolvedAt": wall, "resolution": "Fixed"}),
                    );
                    status.remove("history");
                }
                3 => {
                    status.insert("recurrences".into(), json!(0));
                    status.remove("firstOpenedAt");
                }
                _ => {
                    object.remove("status");
                }
            }
        });
    }

    /// Something goes wrong.
    pub fn mishap(&mut self, mishap: Mishap) {
        let now = self.now;
        self.trace.say(now, || format!("mishap: {mishap:?}"));
        match mishap {
            Mishap::Crash(pid, down) => self.crash(pid, down),
            Mishap::Pause(pid, long) => self.pause(pid, long),
            Mishap::LeaseOutage(long) => {
                if let Some(pid) = self.holder.take() {
                    self.lead(pid, false, 100);
                    self.plan(long, Occur::Elect(pid));
                }
            }
            Mishap::HandOver => {
                let Some(old) = self.holder else { return };
                let next = (old + 1) % self.processes.len();
                if next != old
                    && self
                        .processes
                        .get(next)
                        .is_some_and(|p| p.is_alive() && !p.paused)
                {
                    self.holder = None;
                    self.lead(old, false, 1);
                    self.plan(500, Occur::Elect(next));
                }
            }
            Mishap::Disconnect(pid, kind, long, list) => self.disconnect(pid, kind, long, list),
            Mishap::Mute(pid, kind, long) => {
                if let Some(stream) = self
                    .processes
                    .get_mut(pid)
                    .and_then(|p| p.streams.get_mut(&kind))
                {
                    stream.mute_until = now + long;
                }
            }
            Mishap::Missing(kind, long) => {
                self.world.missing.insert(kind);
                if kind == Kind::Ticket {
                    self.book.tickets_missing.push((now, now + long));
                }
                self.plan(long, Occur::Installed(kind));
                for pid in 0..self.processes.len() {
                    self.disconnect(pid, kind, 200, true);
                }
            }
            Mishap::Jump(seconds) => {
                self.offset += seconds;
                self.world.set_wall(self.wall());
                self.book.jumps.push(now);
                self.truth.doubt();
            }
            Mishap::Mood(endpoint, mood) => {
                self.moods.insert(endpoint, mood);
            }
            Mishap::RefuseCreates(on) => self.refuse_creates = on,
        }
    }

    fn crash(&mut self, pid: usize, down: u64) {
        let Some(process) = self.processes.get_mut(pid) else {
            return;
        };
        if !process.is_alive() {
            return;
        }
        process.kill();
        self.book.count("crashes");
        let now = self.now;
        self.book.upsets.push(now);
        if self.holder == Some(pid) {
            self.holder = None;
            // The same identity gets its lease back; another replica waits for its end.
            let others = self.processes.len() > 1;
            let next = (pid + 1) % self.processes.len();
            if others && self.rng.chance(700) {
                self.plan(LEASE + TAKEOVER, Occur::Elect(next));
            } else {
                self.plan(down + 1_000, Occur::Elect(pid));
            }
        }
        self.plan(down, Occur::Start(pid));
    }

    fn pause(&mut self, pid: usize, long: u64) {
        let Some(process) = self.processes.get_mut(pid) else {
            return;
        };
        if !process.is_alive() || process.paused {
            return;
        }
        process.paused = true;
        let life = process.life;
        self.plan(long, Occur::Resume(pid, life));
        if self.holder == Some(pid) && long > LEASE {
            let next = (pid + 1) % self.processes.len();
            // The lease ends while the holder is stopped: from then on it is refused.
            self.plan(LEASE + TAKEOVER, Occur::Elect(next));
        }
    }

    /// A stopped process goes on.
    pub fn resume(&mut self, pid: usize, life: u32) {
        let Some(process) = self.processes.get_mut(pid) else {
            return;
        };
        if process.life != life || !process.paused {
            return;
        }
        process.paused = false;
        let backlog = std::mem::take(&mut process.backlog);
        for event in backlog {
            match event {
                Event::Tick => {}
                event => self.deliver(pid, life, event),
            }
        }
        let now = self.now;
        if let Some(process) = self.processes.get_mut(pid) {
            process.tick_at = Some(now + 1);
        }
        self.plan(1, Occur::Tick { pid, life });
        if self.holder != Some(pid) && self.processes.get(pid).is_some_and(|p| p.term.is_some()) {
            // It still believes that it leads, for a moment.
            let after = self.rng.between(5, 2_000);
            self.lead(pid, false, after);
        }
    }

    fn lead(&mut self, pid: usize, leading: bool, after: u64) {
        let now = self.now;
        self.book.upsets.push(now);
        self.book.count("changes of leader");
        let Some(process) = self.processes.get(pid) else {
            return;
        };
        let life = process.life;
        let term = self.term;
        let lead = Occur::Lead {
            pid,
            life,
            leading,
            term,
        };
        self.plan(after, lead);
    }

    /// The lease is free and given to a process that can take it.
    pub fn elect(&mut self, pid: usize) {
        let fit = |sim: &Self, pid: usize| {
            sim.processes
                .get(pid)
                .is_some_and(|p| p.is_alive() && !p.paused)
        };
        if self.holder == Some(pid) && fit(self, pid) {
            return;
        }
        if let Some(holder) = self.holder
            && self
                .processes
                .get(holder)
                .is_some_and(|p| p.is_alive() && !p.paused)
        {
            return; // someone else was quicker
        }
        let count = self.processes.len();
        let next = (pid + 1) % count;
        let chosen = if fit(self, pid) {
            pid
        } else if fit(self, next) {
            next
        } else {
            self.plan(2_000, Occur::Elect(pid));
            return;
        };
        self.term.0 += 1;
        // Whoever leads in its own eyes without the lease hears of it before long, or of its next term alone.
        for other in (0..count).filter(|other| *other != chosen) {
            let believes = self
                .processes
                .get(other)
                .is_some_and(|p| p.term.is_some() && !p.paused);
            if believes {
                self.lead(other, false, 1);
            }
        }
        self.holder = Some(chosen);
        let now = self.now;
        self.trace.say(now, || format!("lease: p{chosen}"));
        self.lead(chosen, true, 5);
    }

    /// A process starts with nothing in memory.
    pub fn start(&mut self, pid: usize) {
        let Some(process) = self.processes.get_mut(pid) else {
            return;
        };
        if process.is_alive() {
            return;
        }
        process.start();
        let life = process.life;
        for kind in Kind::ALL {
            let after = self.rng.between(5, 2_000);
            self.plan(
                after,
                Occur::Connect {
                    pid,
                    life,
                    kind,
                    list: true,
                },
            );
        }
        self.plan(5_000, Occur::Bookmarks { pid, life });
        let after = self.rng.between(1, 50);
        if let Some(process) = self.processes.get_mut(pid) {
            process.tick_at = Some(self.now + after);
        }
        self.plan(after, Occur::Tick { pid, life });
    }

    fn disconnect(&mut self, pid: usize, kind: Kind, long: u64, list: bool) {
        let Some(process) = self.processes.get_mut(pid) else {
            return;
        };
        let life = process.life;
        if process.engine.is_none() {
            return;
        }
        let Some(stream) = process.streams.get_mut(&kind) else {
            return;
        };
        stream.disconnect();
        let mut list = list;
        if long > 20_000 {
            let after = self.rng.between(5_000, 20_000);
            let event = Box::new(Event::Lost(kind, Blindness::Failing("Unreachable".into())));
            self.plan(after, Occur::Answer { pid, life, event });
            list = true; // sight comes back with a complete list only
        }
        self.plan(
            long,
            Occur::Connect {
                pid,
                life,
                kind,
                list,
            },
        );
    }

    /// Faults end. What users did stays.
    pub fn calm(&mut self) {
        let now = self.now;
        self.trace.say(now, || "calm: faults end".to_owned());
        self.faults = Faults::default();
        self.weather = Weather::default();
        self.refuse_creates = false;
        self.moods.clear();
        let blind = self.scenario.blind_for_good;
        for kind in std::mem::take(&mut self.world.denied) {
            if Some(kind) == blind {
                self.world.denied.insert(kind);
            } else {
                self.truth.see(kind, false);
            }
        }
        self.world.missing.clear();
        users::act(&mut self.world, &Action::Garble(false));
        for pid in 0..self.processes.len() {
            let Some(process) = self.processes.get_mut(pid) else {
                continue;
            };
            for stream in process.streams.values_mut() {
                stream.mute_until = 0;
            }
            let (life, alive) = (process.life, process.is_alive());
            if alive {
                self.resume(pid, life);
            } else {
                self.plan(1_000, Occur::Start(pid));
            }
        }
        self.plan(3_000, Occur::Elect(self.holder.unwrap_or(0)));
    }
}
