//! The pace of writes: a token bucket whose rate halves when the server asks for it or
//! slows down, and recovers step by step (alerting.md AD-21).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Writes a second at most, and at least.
const FASTEST: u64 = 100;
const SLOWEST: u64 = 5;
/// Writes that may go at once.
const BURST: u64 = 200;
/// A write that takes longer tells of a server under load.
const SLOW: Duration = Duration::from_secs(1);

pub(super) struct Pace(Mutex<Bucket>);

struct Bucket {
    /// Thousandths of writes that may go now.
    tokens: u64,
    rate: u64,
    filled: Instant,
}

impl Pace {
    pub fn new() -> Self {
        Self(Mutex::new(Bucket {
            tokens: BURST * 1000,
            rate: FASTEST,
            filled: Instant::now(),
        }))
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
            bucket.tokens = bucket.tokens.saturating_add(gained).min(BURST * 1000);
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
            bucket.rate = (bucket.rate / 2).max(SLOWEST);
            bucket.tokens = bucket.tokens.min(1000);
        } else {
            bucket.rate = (bucket.rate + 1).min(FASTEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let pace = Pace::new();
        let began = Instant::now();
        for _ in 0..BURST {
            pace.wait().await;
        }
        assert!(began.elapsed() < Duration::from_millis(50));
        for _ in 0..FASTEST {
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
        let pace = Pace::new();
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
