//! Single tickets whose message a receiver refused for its content. The next try leaves out all that people wrote; when that
//! is refused as well, the ticket is left alone for an hour, and the others flow meanwhile (alerting.md 2.9).

use std::collections::BTreeMap;

use patrol_api::time::Span;

use crate::clock::{Mono, Now};

/// For so long a refusal counts: after it, everything is tried anew.
const PARK: Span = Span::hours(1);

/// Refused tellings by event id.
#[derive(Debug, Default)]
pub(in crate::engine) struct Refused(BTreeMap<String, Refusal>);

#[derive(Debug)]
struct Refusal {
    until: Mono,
    /// Even with no more than what programs need.
    in_few_words: bool,
}

impl Refused {
    /// A message that told this and nothing else was refused.
    pub fn add(&mut self, event_id: &str, in_few_words: bool, now: Mono) {
        let until = now.plus(PARK);
        let refusal = Refusal {
            until,
            in_few_words,
        };
        self.0.insert(event_id.to_owned(), refusal);
    }

    /// Whether it is not tried at all now.
    pub fn is_parked(&self, event_id: &str, now: Now) -> bool {
        self.get(event_id, now).is_some_and(|r| r.in_few_words)
    }

    /// Whether the next try is to leave out what people wrote.
    pub fn wants_few_words(&self, event_id: &str, now: Now) -> bool {
        self.get(event_id, now).is_some_and(|r| !r.in_few_words)
    }

    /// How many are not tried now.
    pub fn parked(&self, now: Now) -> usize {
        let parked = |r: &&Refusal| r.in_few_words && now.mono < r.until;
        self.0.values().filter(parked).count()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    pub fn forget_old(&mut self, now: Mono) {
        self.0.retain(|_, refusal| now < refusal.until);
    }

    fn get(&self, event_id: &str, now: Now) -> Option<&Refusal> {
        self.0.get(event_id).filter(|r| now.mono < r.until)
    }
}
