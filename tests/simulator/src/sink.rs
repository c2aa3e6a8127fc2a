//! Receivers of several temperaments, by address. Each answer is the receiver's own; what
//! the sender learns of it may be less.

use patrol_api::time::Span;
use patrol_core::event::DeliveryClass;

use crate::rng::Rng;

/// How a receiver behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Takes everything.
    Well,
    /// Refuses with 5xx at random.
    Flaky,
    /// Asks to slow down.
    Throttling,
    /// Never answers.
    Hanging,
    /// Connection refused.
    Down,
    /// Takes it, but the reply is lost.
    Mumbling,
    /// Cannot take tickets whose name has this property.
    Picky,
    /// Its token is wrong.
    Misconfigured,
    /// Its secret is not there.
    SecretMissing,
}

impl Mood {
    /// All of them.
    pub const ALL: [Mood; 9] = [
        Mood::Well,
        Mood::Flaky,
        Mood::Throttling,
        Mood::Hanging,
        Mood::Down,
        Mood::Mumbling,
        Mood::Picky,
        Mood::Misconfigured,
        Mood::SecretMissing,
    ];
}

/// What became of one part.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Whether the receiver took it.
    pub taken: bool,
    /// What the sender is told.
    pub class: DeliveryClass,
    /// How long it took.
    pub after: u64,
}

/// Answers one part that tells these tickets.
pub fn answer(mood: Mood, tickets: &[&str], rng: &mut Rng) -> Answer {
    let quick = rng.between(5, 300);
    let refused = |class, after| Answer {
        taken: false,
        class,
        after,
    };
    let taken = Answer {
        taken: true,
        class: DeliveryClass::Accepted,
        after: quick,
    };
    match mood {
        Mood::Well => taken,
        Mood::Flaky if rng.chance(500) => refused(DeliveryClass::Transient, quick),
        Mood::Flaky => taken,
        Mood::Throttling => {
            let wait = rng.chance(500).then(|| Span::seconds(rng.between(1, 60)));
            refused(DeliveryClass::Throttled(wait), quick)
        }
        Mood::Hanging => refused(DeliveryClass::Transient, 15_000),
        Mood::Down => refused(DeliveryClass::Transient, quick),
        Mood::Mumbling => Answer {
            class: DeliveryClass::Transient,
            ..taken
        },
        Mood::Picky
            if tickets
                .iter()
                .any(|t| t.ends_with(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'])) =>
        {
            refused(DeliveryClass::Payload, quick)
        }
        Mood::Picky => taken,
        Mood::Misconfigured => refused(DeliveryClass::Config("unauthorized"), quick),
        Mood::SecretMissing => refused(DeliveryClass::SecretMissing, 5),
    }
}
