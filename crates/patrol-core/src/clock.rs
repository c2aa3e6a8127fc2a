//! Time as an argument. The core never reads a clock: waiting uses `mono`, durable times
//! use `wall`. A wall clock may jump, and a wait must not.

use patrol_api::time::{Span, Time};

/// Milliseconds of a clock that never goes back and counts suspension (CLOCK_BOOTTIME).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Mono(pub u64);

impl Mono {
    /// Later by `span`.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.as_millis()))
    }

    /// Milliseconds since `earlier`, zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// The time of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall clock, whole seconds.
    pub wall: Time,
    /// Boot-time clock.
    pub mono: Mono,
}
