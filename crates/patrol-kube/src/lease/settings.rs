//! The times of an election, and its counters.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Longest pause after a takeover: for so long nobody is told anything.
const TAKEOVER_WAIT_MAX: Duration = Duration::from_secs(300);

/// Who stands for election, where, and its times.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// The operator's namespace.
    pub namespace: String,
    /// Unique for each replica: the pod's name.
    pub identity: String,
    /// How long a lease lasts without renewal.
    pub duration: Duration,
    /// How long a leader tries to renew before it gives up; shorter than `duration`.
    pub renew_deadline: Duration,
    /// Pause between tries.
    pub retry_period: Duration,
    /// How long a new leader holds still after a takeover that was no hand-over.
    pub takeover_wait: Duration,
}

impl LeaseSettings {
    /// The default times.
    #[must_use]
    pub fn new(namespace: &str, identity: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
            takeover_wait: Duration::from_secs(10),
        }
    }

    /// Whether the times fit together.
    ///
    /// # Errors
    /// A sentence that names the flags.
    pub fn check(&self) -> Result<(), String> {
        if self.duration < Duration::from_secs(1) {
            return Err("--lease-duration: is too short: give it at least 1s".to_owned());
        }
        if self.renew_deadline >= self.duration {
            return Err(
                "--renew-deadline: is not shorter than --lease-duration: make it shorter"
                    .to_owned(),
            );
        }
        if self.retry_period.is_zero() || self.retry_period >= self.renew_deadline {
            return Err(
                "--retry-period: is not between 0s and --renew-deadline: make it shorter"
                    .to_owned(),
            );
        }
        // Zero is allowed: a holder's calls end before its lease does, the wait is for
        // clocks that run apart. Nobody writes or sends while it lasts.
        if self.takeover_wait > TAKEOVER_WAIT_MAX {
            return Err("--takeover-wait: is longer than 5m: make it shorter".to_owned());
        }
        Ok(())
    }
}

/// Counters of the election.
#[derive(Debug, Default)]
pub struct LeaseStats {
    pub(super) renewals: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) gained: AtomicU64,
    pub(super) lost: AtomicU64,
}

impl LeaseStats {
    /// Successful writes of the lease.
    #[must_use]
    pub fn renewals(&self) -> u64 {
        self.renewals.load(Ordering::Relaxed)
    }

    /// Reads and writes of the lease that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Times leadership was gained.
    #[must_use]
    pub fn gained(&self) -> u64 {
        self.gained.load(Ordering::Relaxed)
    }

    /// Times leadership was lost otherwise than by shutting down.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_do_not_fit_name_the_flag() {
        let check = |duration: u64, deadline: u64, retry: u64| {
            LeaseSettings {
                duration: Duration::from_millis(duration),
                renew_deadline: Duration::from_millis(deadline),
                retry_period: Duration::from_millis(retry),
                ..LeaseSettings::new("ns", "a")
            }
            .check()
        };
        assert_eq!(LeaseSettings::new("ns", "a").check(), Ok(()));
        for (times, flag) in [
            ((500, 400, 100), "--lease-duration"),
            ((5_000, 5_000, 100), "--renew-deadline"),
            ((5_000, 4_000, 4_000), "--retry-period"),
            ((5_000, 4_000, 0), "--retry-period"),
        ] {
            let error = check(times.0, times.1, times.2).unwrap_err();
            assert!(error.starts_with(flag), "{error}");
        }
        let waiting = |takeover_wait: Duration| {
            LeaseSettings {
                takeover_wait,
                ..LeaseSettings::new("ns", "a")
            }
            .check()
        };
        assert_eq!(waiting(Duration::ZERO), Ok(()));
        let error = waiting(Duration::from_secs(3_600)).unwrap_err();
        assert!(error.starts_with("--takeover-wait"), "{error}");
    }
}
