//! Whether a receiver answers, and when it may be tried again.

use patrol_api::time::{Span, Time};

use crate::clock::{Mono, Now};
use crate::event::DeliveryClass;
use crate::fingerprint;

/// Failures in a row after which the circuit counts as open: people are told so. What is
/// sent is held down to one probe before that.
const CIRCUIT: u32 = 5;
/// So many failures in a row are no outage; after one more, each message is a probe.
const FEW: u32 = 2;
/// Between two tries lies at most so much time, unless the receiver asks for more.
pub(in crate::engine) const LONGEST_WAIT: Span = Span::minutes(10);
/// What fails by itself mends by itself: the wait is at most one in so many parts of the outage so far, so that nobody waits for news
/// much longer than that (docs/adr/0006).
const OF_OUTAGE: u64 = 2;

/// Its answers so far.
#[derive(Debug, Default)]
pub(in crate::engine) struct Health {
    /// Failures in a row.
    pub failures: u32,
    /// The same, from when somebody was there again: by it grows the wait.
    tries: u32,
    /// Parts refused for their content since one was accepted.
    refusals: u32,
    pub not_before: Option<Mono>,
    /// The same, by the clock of people.
    pub not_before_wall: Option<Time>,
    /// When the circuit opened.
    pub opened: Option<Time>,
    /// The last outcome, when it was no success.
    pub trouble: Option<DeliveryClass>,
    pub last_success: Option<Time>,
    /// Since when it is not ready.
    pub(super) failing_since: Option<Time>,
    /// Since when this process knows that.
    pub(super) known_since: Option<Mono>,
    /// When the first of its failures in a row came.
    first_failure: Option<Mono>,
    /// Whether one of them came after some that found nobody.
    answered_again: bool,
    /// The last time it was not ready: from, until.
    away: Option<(Time, Time)>,
    /// Pauses it asked for, in seconds.
    pub throttled: u64,
}

impl Health {
    /// Whether it failed so often in a row that what is sent is a probe.
    pub const fn is_outage(&self) -> bool {
        self.failures > FEW
    }

    /// Whether its failures in a row opened the circuit.
    pub const fn is_circuit_open(&self) -> bool {
        self.failures >= CIRCUIT
    }

    /// Whether the process that led before said that it is not ready, and nothing was sent since: that stays so until it
    /// accepts something, or the next process would not know who stands in for it.
    pub const fn is_yet_to_be_asked(&self) -> bool {
        self.failing_since.is_some() && self.trouble.is_none()
    }

    /// Whether a single run need not wait for it: what is wrong takes a person, or it was
    /// tried often enough, or it asked for a pause of more than a minute.
    pub fn is_given_up(&self, now: Now) -> bool {
        let pause = self
            .not_before
            .map_or(Span::ZERO, |at| Span::millis(at.since(now.mono)));
        match self.trouble {
            None => false,
            Some(
                DeliveryClass::Config(_) | DeliveryClass::Blocked | DeliveryClass::SecretMissing,
            ) => true,
            Some(_) => self.failures >= crate::engine::once::TRIES || pause > Span::minutes(1),
        }
    }

    /// Takes in the class of an answer, a pause in it as it is to be kept. `uid` parts the receiver from others that fail alike.
    pub(super) fn learn(&mut self, class: DeliveryClass, uid: &str, at: Time, now: Mono) {
        let most = LONGEST_WAIT.as_secs();
        match class {
            DeliveryClass::Accepted => {
                let away = self.failing_since.map(|since| (since, at));
                *self = Self {
                    last_success: self.last_success.max(Some(at)),
                    away: away.or(self.away),
                    throttled: self.throttled,
                    ..Self::default()
                };
            }
            DeliveryClass::Throttled(pause) => {
                let pause = pause.unwrap_or_default();
                self.is_not_ready(class, at, now);
                self.throttled = self.throttled.saturating_add(pause.as_secs());
                self.wait(pause, at, now);
            }
            DeliveryClass::Transient | DeliveryClass::Unreached(_) => {
                if class == DeliveryClass::Transient {
                    self.answers(now);
                }
                let outage = now.since(self.first_failure.unwrap_or(now)) / 1000;
                let most = (outage / OF_OUTAGE).clamp(4, most);
                self.fail(class, (2, most), uid, at, now);
            }
            // The one who can mend it is a person: ask again soon, then ever more rarely.
            DeliveryClass::Config(_) | DeliveryClass::Blocked => {
                if class != DeliveryClass::Blocked {
                    self.answers(now);
                }
                self.fail(class, (30, most), uid, at, now);
            }
            DeliveryClass::SecretMissing => self.fail(class, (5, 60), uid, at, now),
            DeliveryClass::Payload => {
                self.is_not_ready(class, at, now);
                self.refusals = self.refusals.saturating_add(1);
                // One ticket at fault is found within a dozen tries; a receiver that takes
                // nothing at all is set up wrongly and is asked ever more rarely.
                if self.refusals > 16 {
                    self.fail(class, (2, most), uid, at, now);
                }
            }
            // That says nothing about the receiver.
            DeliveryClass::NotLeader => self.not_before = Some(now.plus(Span::seconds(1))),
        }
    }

    /// Somebody is there, perhaps again. That he fails in another way now says nothing of how long that will last. Once: what is
    /// there at one time and not at another is out of order all the while.
    fn answers(&mut self, now: Mono) {
        let was_away = matches!(self.trouble, Some(DeliveryClass::Unreached(_)));
        if was_away && !std::mem::replace(&mut self.answered_again, true) {
            self.first_failure = Some(now);
            self.tries = 0;
        }
    }

    fn fail(
        &mut self,
        class: DeliveryClass,
        (base, most): (u64, u64),
        uid: &str,
        at: Time,
        now: Mono,
    ) {
        self.is_not_ready(class, at, now);
        self.first_failure = self.first_failure.or(Some(now));
        self.failures = self.failures.saturating_add(1);
        self.tries = self.tries.saturating_add(1);
        if self.is_circuit_open() {
            self.opened = self.opened.or(Some(at));
        }
        let ceiling = (base.saturating_mul(1 << self.tries.min(16).saturating_sub(1))).min(most);
        // Full jitter, from a hash: many receivers of one fate part ways.
        let seed = fingerprint::hash64(&[
            uid.as_bytes(),
            &self.failures.to_be_bytes(),
            &now.0.to_be_bytes(),
        ]);
        let wait = Span::millis(500 + seed % (ceiling.saturating_mul(1000)).max(1));
        self.wait(wait, at, now);
    }

    /// From when until when it was not ready the last time, or is now.
    pub fn away(&self) -> Option<(Time, Option<Time>)> {
        let now = self.failing_since.map(|since| (since, None));
        now.or(self.away.map(|(since, until)| (since, Some(until))))
    }

    pub(super) fn is_not_ready(&mut self, class: DeliveryClass, at: Time, now: Mono) {
        self.trouble = Some(class);
        self.failing_since = self.failing_since.or(Some(at));
        self.known_since = self.known_since.or(Some(now));
    }

    /// Whether it is not ready for so long. `begun`: it was before, and a clock that was set back does not change that.
    pub(super) fn is_down_for(&self, span: Span, begun: bool, now: Now) -> bool {
        let (Some(since), Some(known)) = (self.failing_since, self.known_since) else {
            return false;
        };
        begun || since.plus(span) <= now.wall || known.plus(span) <= now.mono
    }

    /// When it will have been not ready for so long, if it stays so.
    pub(super) fn down_at(&self, span: Span, now: Now) -> Option<Time> {
        let left = Span::millis(self.known_since?.plus(span).since(now.mono));
        Some(self.failing_since?.plus(span).min(now.wall.plus(left)))
    }

    fn wait(&mut self, wait: Span, at: Time, now: Mono) {
        self.not_before = Some(now.plus(wait));
        self.not_before_wall = Some(at.plus(wait));
    }

    /// What another process noted of its waits is of another clock.
    pub(super) const fn forget_waits(&mut self) {
        self.not_before = None;
        self.not_before_wall = None;
    }

    /// What kept it from being tried is over.
    pub(super) fn begin_anew(&mut self) {
        self.renew();
        self.trouble = None;
        self.failing_since = None;
        self.known_since = None;
    }

    /// The receiver is another now, or its address is: it is tried as if it had never failed.
    pub(super) fn renew(&mut self) {
        self.failures = 0;
        self.tries = 0;
        self.first_failure = None;
        self.answered_again = false;
        self.refusals = 0;
        self.forget_waits();
        self.opened = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A part of it answers and a part does not: that is one outage, asked about ever more rarely.
    #[test]
    fn what_answers_at_times_is_no_end_of_an_outage() {
        let mut health = Health::default();
        let mut longest = 0;
        for n in 0..120_u64 {
            let class = match n % 2 {
                0 => DeliveryClass::Unreached("connection refused"),
                _ => DeliveryClass::Transient,
            };
            let wall = Time::from_unix(0).plus(Span::seconds(n * 20));
            health.learn(class, "u", wall, Mono(n * 20_000));
            longest = longest.max(health.not_before.unwrap().since(Mono(n * 20_000)));
        }
        assert!(longest > 300_000, "{longest}");
    }

    /// After an outage of ten minutes it answers again, at first with an error: that is asked about within seconds, or as soon as
    /// any that takes a person, and the same error for ten minutes is not.
    #[test]
    fn whoever_answers_after_an_outage_is_tried_again_soon() {
        let away = DeliveryClass::Unreached("connection refused");
        let (error, refusal) = (DeliveryClass::Transient, DeliveryClass::Config("refused"));
        for (before, then, most, soon) in [
            (away, error, 4_500, true),
            (error, error, 4_500, false),
            (away, refusal, 30_500, true),
            (refusal, refusal, 30_500, false),
        ] {
            let longest = (0..40).map(|uid| {
                let mut health = Health::default();
                let uid = uid.to_string();
                let mut fails = |class, at: u64| {
                    let wall = Time::from_unix(0).plus(Span::seconds(at));
                    health.learn(class, &uid, wall, Mono(at * 1_000));
                };
                (0..30).for_each(|n| fails(before, n * 20));
                fails(then, 600);
                health.not_before.unwrap().since(Mono(600_000))
            });
            assert_eq!(longest.max().unwrap() <= most, soon, "{before:?}");
        }
    }
}
