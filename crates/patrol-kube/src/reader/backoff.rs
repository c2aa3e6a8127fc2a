//! How long to wait before the next try: exponential, capped, with jitter that comes from
//! hashing instead of a source of randomness.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::time::Duration;

/// The pause before try number `failures` + 1: between half and the whole of `base`
/// doubled for each failure after the first, at most `max`.
pub(crate) fn pause(base: Duration, max: Duration, failures: u32) -> Duration {
    spread(base, max, failures, seed())
}

fn spread(base: Duration, max: Duration, failures: u32, seed: u64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = base.saturating_mul(1 << doublings).min(max);
    let half = whole / 2;
    let millis = u64::try_from(half.as_millis()).unwrap_or(u64::MAX);
    half + Duration::from_millis(seed % millis.saturating_add(1))
}

/// A number nobody can foresee: the process's own hash keys over the time.
fn seed() -> u64 {
    static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEYS.hash_one(crate::boot_clock::boot())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_from_half_the_base_to_the_cap_and_never_beyond() {
        let (base, max) = (Duration::from_millis(1_000), Duration::from_secs(30));
        for failures in 0..200 {
            for seed in [0, 1, 499, 500, u64::MAX] {
                let pause = spread(base, max, failures, seed);
                assert!(pause >= base / 2 && pause <= max, "{failures}: {pause:?}");
            }
        }
        assert!(spread(base, max, 1, u64::MAX) <= base);
        assert!(spread(base, max, 200, 0) >= max / 2);
    }
}
