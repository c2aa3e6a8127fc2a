//! The pace of writes: a token bucket whose rate halves when the server asks for it or
//! slows down, and recovers step by step.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Writes a second at most, unless told otherwise.
pub const WRITES_PER_SECOND: u32 = 100;
/// Writes a second at least.
const SLOWEST: u64 = 5;
/// Seconds of writes at the full rate that may go at once.
const BURST: u64 = 2;
/// A write that takes longer tells of a server under load.
const SLOW: Duration = Duration::from_secs(1);

pub(super) struct Pace(Mutex<Bucket>);

struct Bucket {
    /// Thousandths of writes that may go now.
    tokens: u64,
    rate: u64,
    fastest: u64,
    filled: Instant,
}

impl Bucket {
    /// The most that it holds.
    fn full(&self) -> u64 {
        self.fastest.saturating_mul(BURST * 1000)
    }
}

impl Pace {
    /// The pace of a server that nothing is known of yet: so many writes a second.
    pub fn new(fastest: u64) -> Self {
        let mut bucket = Bucket {
            tokens: 0,
            rate: fastest,
            fastest,
            filled: Instant::now(),
        };
        bucket.tokens = bucket.full();
        Self(Mutex::new(bucket))
    }

    /// Waits for a turn.
    pub async fn wait(&self) {
        loop {
            let pause = self.take();
            if pause.is_zero() {
                return;
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn take(&self) -> Duration {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let elapsed = u64::try_from(now.duration_since(bucket.filled).as_millis()).unwrap_or(0);
        let gained = elapsed.saturating_mul(bucket.rate);
        if gained > 0 {
            bucket.filled = now;
            bucket.tokens = bucket.tokens.saturating_add(gained).min(bucket.full());
        }
        if bucket.tokens >= 1000 {
            bucket.tokens -= 1000;
            return Duration::ZERO;
        }
        Duration::from_millis((1000 - bucket.tokens) / bucket.rate.max(1) + 1)
    }

    /// Takes in how a write went.
    pub fn learn(&self, took: Duration, throttled: bool) {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if throttled || took > SLOW {
            bucket.rate = (bucket.rate / 2).max(SLOWEST.min(bucket.fastest));
            bucket.tokens = bucket.tokens.min(1000);
        } else {
            bucket.rate = (bucket.rate + 1).min(bucket.fastest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let pace = Pace::new(u64::from(WRITES_PER_SECOND));
        let began = Instant::now();
        for _ in 0..BURST * u64::from(WRITES_PER_SECOND) {
            pace.wait().await;
        }
        assert!(began.elapsed() < Duration::from_millis(50));
        for _ in 0..WRITES_PER_SECOND {
            pace.wait().await;
        }
        let took = began.elapsed();
        assert!(
            took >= Duration::from_millis(900) && took < Duration::from_secs(3),
            "{took:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_halves_the_rate_down_to_a_floor() {
        let pace = Pace::new(u64::from(WRITES_PER_SECOND));
        for _ in 0..10 {
            pace.learn(Duration::ZERO, true);
        }
        pace.wait().await;
        let began = Instant::now();
        for _ in 0..SLOWEST {
            pace.wait().await;
        }
        assert!(
            began.elapsed() >= Duration::from_millis(800),
            "{:?}",
            began.elapsed()
        );
    }
}
