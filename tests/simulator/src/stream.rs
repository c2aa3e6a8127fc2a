//! The watch of one kind by one process: what was sent, what arrived, and what is wrong
//! with it. Frames of one kind stay in order; kinds do not wait for each other.

use patrol_core::event::Event;
use patrol_core::facts::{ObjectKey, decode_value};
use patrol_core::inventory::Blindness;
use patrol_core::kind::Kind;

use crate::rng::Rng;
use crate::world::World;

/// A watch.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Whether it is connected.
    pub up: bool,
    /// Raised when the connection breaks: frames under way then are lost.
    pub epoch: u32,
    /// Version up to which changes were put on the wire.
    pub sent: u64,
    /// Version up to which changes arrived.
    pub arrived: u64,
    /// Time of the last frame on the wire.
    pub horizon: u64,
    /// Until when the wire is stuck.
    pub mute_until: u64,
    /// Whether a change was lost by the server's watch cache, healed by the next list.
    pub lost_a_frame: bool,
}

/// What may go wrong with frames, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// A frame is late by up to a minute.
    pub late: u64,
    /// A frame comes twice.
    pub twice: u64,
    /// The server's watch cache loses a frame.
    pub dropped: u64,
    /// A list breaks off and begins again.
    pub broken_list: u64,
}

/// A frame on the wire.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When it arrives.
    pub at: u64,
    /// What it says.
    pub event: Event,
    /// Version that has arrived with it.
    pub version: u64,
}

impl Stream {
    fn slot(&mut self, now: u64, rng: &mut Rng, weather: &Weather) -> u64 {
        let late = if rng.chance(weather.late) {
            rng.between(1_000, 60_000)
        } else {
            rng.between(1, 80)
        };
        self.horizon = self.horizon.max(now + late).max(self.mute_until);
        self.horizon
    }

    /// Everything that changed since the last frame, as frames.
    pub fn pump(
        &mut self,
        kind: Kind,
        world: &World,
        now: u64,
        rng: &mut Rng,
        weather: &Weather,
    ) -> Vec<Frame> {
        let mut frames = vec![];
        if !self.up {
            return frames;
        }
        for change in world.changes_after(kind, self.sent) {
            if rng.chance(weather.dropped) {
                self.lost_a_frame = true;
                continue;
            }
            let event = match &change.value {
                Some(value) => seen(kind, value),
                None => Event::Gone(kind, change.key.clone()),
            };
            let copies = if rng.chance(weather.twice) { 2 } else { 1 };
            for _ in 0..copies {
                frames.push(Frame {
                    at: self.slot(now, rng, weather),
                    event: event.clone(),
                    version: change.version,
                });
            }
        }
        self.sent = world.version();
        frames
    }

    /// A complete list, as frames; the watch goes on from it.
    pub fn list(
        &mut self,
        kind: Kind,
        world: &World,
        now: u64,
        rng: &mut Rng,
        weather: &Weather,
    ) -> Vec<Frame> {
        let mut frames = vec![];
        let before = self.sent;
        if world.missing.contains(&kind) {
            self.up = false;
            let at = self.slot(now, rng, weather);
            frames.push(Frame {
                at,
                event: Event::NotInstalled(kind),
                version: before,
            });
            return frames;
        }
        if world.denied.contains(&kind) {
            self.up = false;
            let at = self.slot(now, rng, weather);
            let event = Event::Lost(kind, Blindness::Denied("list".into()));
            frames.push(Frame {
                at,
                event,
                version: before,
            });
            return frames;
        }
        self.up = true;
        self.lost_a_frame = false;
        let version = world.version();
        let mut say = |stream: &mut Self, rng: &mut Rng, event: Event, version: u64| {
            let at = stream.slot(now, rng, weather);
            frames.push(Frame { at, event, version });
        };
        if rng.chance(weather.broken_list) {
            // Page 2 answered 410: what came before it proves nothing.
            say(self, rng, Event::ListStarted(kind), before);
            let half = world.all(kind).count() / 2;
            for (_, value) in world.all(kind).take(half) {
                say(self, rng, seen(kind, value), before);
            }
        }
        say(self, rng, Event::ListStarted(kind), before);
        for (_, value) in world.all(kind) {
            say(self, rng, seen(kind, value), before);
        }
        say(self, rng, Event::ListFinished(kind), version);
        self.sent = version;
        frames
    }

    /// A bookmark.
    pub fn bookmark(&mut self, kind: Kind, now: u64, rng: &mut Rng, weather: &Weather) -> Frame {
        Frame {
            at: self.slot(now, rng, weather),
            event: Event::Heard(kind),
            version: self.sent,
        }
    }

    /// The connection breaks: what is on the wire is lost, and sent again when resumed.
    pub fn disconnect(&mut self) {
        self.up = false;
        self.epoch += 1;
        self.sent = self.arrived;
        self.horizon = 0;
        self.mute_until = 0;
    }
}

/// What a reader makes of an object.
#[must_use]
pub fn seen(kind: Kind, value: &serde_json::Value) -> Event {
    match decode_value(kind, value) {
        Ok(observed) => Event::Seen(Box::new(observed)),
        Err(error) => Event::Undecodable(error),
    }
}

/// The object a frame is about.
#[must_use]
pub fn subject(event: &Event) -> Option<(Kind, &ObjectKey)> {
    match event {
        Event::Seen(seen) => Some((seen.kind, &seen.key)),
        Event::Gone(kind, key) => Some((*kind, key)),
        _ => None,
    }
}
