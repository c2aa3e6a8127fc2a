//! The clocks of the edge: boot time for waiting and leadership, wall time for records.
//!
//! Boot time counts suspension: a machine that slept for an hour has lost its lease.
//! Never used to decide anything by itself; the times are handed on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use patrol_api::time::Time;
use patrol_core::clock::{Mono, Now};
use rustix::time::{ClockId, clock_gettime};

#[cfg(any(target_os = "linux", target_os = "android"))]
const BOOT: ClockId = ClockId::Boottime;
/// Elsewhere the monotonic clock is the closest there is (on macOS it counts sleep).
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const BOOT: ClockId = ClockId::Monotonic;

/// Time since boot, suspension included.
#[must_use]
pub fn boot() -> Duration {
    let time = clock_gettime(BOOT);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanos)
}

/// Milliseconds since boot, suspension included.
#[must_use]
pub fn mono() -> Mono {
    Mono(u64::try_from(boot().as_millis()).unwrap_or(u64::MAX))
}

/// The wall clock, in whole seconds.
#[must_use]
pub fn wall() -> Time {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time::from_unix(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Both clocks, for a step of the engine.
#[must_use]
pub fn now() -> Now {
    Now {
        wall: wall(),
        mono: mono(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_time_never_goes_back_and_wall_time_is_of_this_age() {
        let (a, b) = (mono(), mono());
        assert!(b >= a && a > Mono(0));
        assert!(wall() > Time::from_unix(1_700_000_000));
    }
}
