//! What a receiver takes now: messages by its rate, tickets by what went through before.

use patrol_api::receiver::{EndpointKind, Rate};
use patrol_api::time::Span;

use super::manner::Manner;
use crate::clock::Mono;
use crate::effect::Room;

/// Tickets in one delivery at most; the renderer cuts it into parts.
const BATCH: usize = 1000;
/// Tickets in one digest at most: some ten megabytes while it is put together.
const DIGEST: usize = 10_000;
/// Whoever refused messages for their number gets half as many for so long after its pause.
const SLOW: Span = Span::minutes(10);
/// A message in tokens: milliseconds of a minute, so that a millisecond gains `perMinute`.
const MESSAGE: i64 = 60_000;

/// A bucket of messages, and how many tickets go into one.
#[derive(Debug)]
pub(in crate::engine) struct Allowance {
    manner: Manner,
    /// Messages that may go now, in `MESSAGE` parts: finer than a millisecond's gain at the
    /// lowest rate, so that nothing is lost to rounding. Below zero: a delivery that cannot be
    /// cut went in more messages than there was room for, and the next one waits until that is made up for.
    tokens: i64,
    refilled: Mono,
    /// Until when it gets half as many messages, because it refused some for their number.
    slow_until: Option<Mono>,
    /// Tickets in one delivery: fewer while one is sought that it refuses.
    batch: usize,
    /// Tickets in one message, as the last delivery went that was more than one.
    per_message: Option<usize>,
    /// Messages that it took since one failed.
    steady: usize,
}

impl Allowance {
    pub(super) fn of(kind: EndpointKind) -> Self {
        let manner = Manner::of(kind, None);
        Self {
            tokens: i64::from(manner.burst) * MESSAGE,
            manner,
            refilled: Mono::default(),
            slow_until: None,
            batch: BATCH,
            per_message: None,
            steady: usize::MAX,
        }
    }

    pub(super) fn set_rate(&mut self, kind: EndpointKind, rate: Option<Rate>) {
        self.manner = Manner::of(kind, rate);
    }

    /// The receiver is another now: what it refused no longer counts.
    pub(super) const fn renew(&mut self) {
        self.slow_until = None;
        self.batch = BATCH;
        self.per_message = None;
        self.steady = usize::MAX;
    }

    /// A message was taken.
    pub(super) const fn held_steady(&mut self) {
        self.steady = self.steady.saturating_add(1);
    }

    /// A message failed: whatever goes in many messages stops at the next one that does, and an answer that never comes is waited
    /// for. So a delivery is short, and others go meanwhile, until some were taken again.
    pub(super) const fn was_shaken(&mut self) {
        self.steady = 0;
    }

    /// Messages a minute it takes.
    pub fn per_minute(&self) -> u64 {
        self.manner.per_minute()
    }

    /// Deliveries whose answers are awaited together while it is well.
    pub(super) const fn in_flight(&self) -> usize {
        self.manner.in_flight
    }

    /// Tickets in one delivery that is no digest, whatever the number of its messages.
    pub const fn batch(&self) -> usize {
        self.batch
    }

    /// Tickets in one delivery: no more than go in as many messages as one delivery may go in. In a digest all that memory
    /// allows, and that goes in about a minute, unless it refused content before; less while it fails now and then.
    pub fn most_tickets(&self, digest: bool) -> usize {
        if digest && self.batch == BATCH {
            let minute = usize::try_from(self.per_minute()).unwrap_or(usize::MAX);
            let trusted = self.steady.saturating_mul(2);
            let messages = minute.min(trusted).max(self.at_once());
            let room = self.each().filter(|_| !self.manner.sums_up);
            let room = room.map(|tickets| tickets.saturating_mul(messages));
            return room.map_or(DIGEST, |room| DIGEST.min(room));
        }
        let room = self
            .each()
            .map(|tickets| tickets.saturating_mul(self.at_once()));
        room.map_or(self.batch, |room| self.batch.min(room)).max(1)
    }

    /// Tickets in one message, as far as is known; `None`: all there are.
    fn each(&self) -> Option<usize> {
        self.per_message.or(self.manner.items)
    }

    /// Messages in one delivery: so that as many fly together as may, each with its part of what goes at once.
    fn at_once(&self) -> usize {
        let burst = usize::try_from(self.manner.burst).unwrap_or(1);
        burst.div_ceil(self.manner.in_flight.max(1)).max(1)
    }

    /// Whether so many tickets are as many as one delivery takes, and none of them is sought that it refuses.
    pub fn is_backlog(&self, tickets: usize, digest: bool) -> bool {
        self.batch == BATCH && tickets >= self.most_tickets(digest)
    }

    /// Whether a message may go now, and if not, how long until one may.
    pub(super) fn has_room(&mut self, now: Mono) -> Result<(), Span> {
        self.refill(now);
        if self.tokens >= MESSAGE {
            return Ok(());
        }
        let wait = self.tokens.abs_diff(MESSAGE) / self.manner_at(now).per_minute();
        Err(Span::millis(wait + 1))
    }

    fn refill(&mut self, now: Mono) {
        let elapsed = now.since(self.refilled);
        self.refilled = now;
        let manner = self.manner_at(now);
        let gained = elapsed.saturating_mul(manner.per_minute());
        let gained = i64::try_from(gained).unwrap_or(i64::MAX);
        self.tokens = self
            .tokens
            .saturating_add(gained)
            .min(i64::from(manner.burst) * MESSAGE);
    }

    /// What it takes now.
    fn manner_at(&self, now: Mono) -> Manner {
        match self.slow_until {
            Some(until) if now < until => self.manner.halved(),
            _ => self.manner,
        }
    }

    /// In how many messages so many tickets go, as far as is known.
    pub fn messages(&self, tickets: usize) -> usize {
        self.each().map_or(1, |each| tickets.div_ceil(each)).max(1)
    }

    /// A delivery of so many tickets begins: how many messages it may be, and how many it is charged with. What tells an incident is not
    /// cut; nor is a digest, but it goes no faster than the rate allows. A probe is one message: its answer is not to wait for that of
    /// another.
    pub(super) fn begin(&mut self, tickets: usize, digest: bool, probe: bool) -> (Room, usize) {
        let free = usize::try_from(self.tokens / MESSAGE).unwrap_or(0).max(1);
        let wanted = self.messages(tickets);
        let (room, messages) = match self.manner.items {
            None => (Room::ANY, wanted),
            Some(_) if probe => (Room { now: 1, then: None }, 1),
            Some(_) if digest => {
                let every = Span::millis(60_000 / self.manner.per_minute());
                let room = Room {
                    now: free,
                    then: Some(every),
                };
                // One for people says it all in a message or two.
                (room, if self.manner.sums_up { 1 } else { wanted })
            }
            Some(_) => {
                let now = wanted.min(self.at_once()).min(free);
                (Room { now, then: None }, now)
            }
        };
        self.pay(messages);
        (room, messages)
    }

    /// A delivery that was charged with `paid` messages went in so many. Even one that went nowhere was one.
    pub fn went_in(&mut self, messages: usize, paid: usize) {
        match messages.max(1).checked_sub(paid) {
            Some(more) => self.pay(more),
            None => self.tokens = self.tokens.saturating_add(price(paid - messages.max(1))),
        }
    }

    /// So many tickets went in so many messages, and a message took no more; or, where nothing was left over, at least as many.
    /// A digest for people says nothing of that.
    pub fn learn_size(&mut self, messages: usize, tickets: usize, whole: bool, digest: bool) {
        if messages == 0 || tickets == 0 || digest && self.manner.sums_up {
            return;
        }
        let each = (tickets / messages).max(1);
        if !(whole && messages == 1) || self.each().is_some_and(|known| each > known) {
            self.per_message = Some(each);
        }
    }

    fn pay(&mut self, messages: usize) {
        self.tokens = self.tokens.saturating_sub(price(messages));
    }

    /// A message that used up the batch was accepted: the limit it was cut for may be gone,
    /// or have been one ticket's fault.
    pub fn batch_accepted(&mut self, tickets: usize) {
        if tickets >= self.most_tickets(false) {
            self.batch = (self.batch + self.batch / 4 + 1).min(BATCH);
        }
    }

    /// Messages of so many tickets were refused for what they say: halve the next ones.
    pub fn batch_refused(&mut self, tickets: usize) {
        self.batch = (tickets / 2).max(1);
    }

    /// It refused messages for their number and asks for this pause, if it says so: how long to pause.
    pub(super) fn too_many(&mut self, asked: Option<Span>, now: Mono) -> Span {
        let again = self.slow_until.is_some_and(|until| now < until);
        let pause = asked.unwrap_or(self.manner.pause(again));
        let pause = pause.max(Span::seconds(1)).min(Span::hours(1));
        self.slow_until = Some(now.plus(pause).plus(SLOW));
        pause
    }
}

fn price(messages: usize) -> i64 {
    i64::try_from(messages)
        .unwrap_or(i64::MAX)
        .saturating_mul(MESSAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever refused a content once takes whole digests again after some messages that went through.
    #[test]
    fn a_refusal_is_forgotten_in_time() {
        let mut slack = Allowance::of(EndpointKind::Slack);
        slack.batch_refused(40);
        assert!(slack.most_tickets(true) < 100);
        for _ in 0..60 {
            let tickets = slack.most_tickets(false);
            slack.batch_accepted(tickets);
        }
        assert_eq!(slack.most_tickets(true), DIGEST);
    }

    /// What fails now and then holds up no more than a short delivery, and is trusted again when it does no longer.
    #[test]
    fn a_shaky_receiver_gets_a_digest_in_short_deliveries() {
        let mut webhook = Allowance::of(EndpointKind::Webhook);
        webhook.was_shaken();
        assert_eq!(webhook.most_tickets(true), 5 * 40);
        for _ in 0..10 {
            webhook.held_steady();
        }
        assert_eq!(webhook.most_tickets(true), 20 * 40);
        for _ in 0..200 {
            webhook.held_steady();
        }
        assert_eq!(webhook.most_tickets(true), DIGEST);
    }

    /// A digest that lists everything is no longer than what goes in about a minute.
    #[test]
    fn a_slow_receiver_gets_a_digest_in_pieces() {
        let mut webhook = Allowance::of(EndpointKind::Webhook);
        assert_eq!(webhook.most_tickets(true), DIGEST);
        webhook.set_rate(EndpointKind::Webhook, Some(Rate { per_minute: 1 }));
        assert_eq!(webhook.most_tickets(true), 200);
        webhook.learn_size(3, 30, false, true);
        assert_eq!(webhook.most_tickets(true), 50);
    }
}
