//! Random numbers that a seed repeats: the same script for the same seed. Not for secrets.

use crate::{Context, Result};

/// xorshift64*.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// A sequence of its own for each seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        // Zero would stay zero for ever, and neighbouring seeds begin alike.
        let mut random = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33
    }

    /// A number below `bound`; 0 if there is none.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these; `None` if there is none.
    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        let bound = u64::try_from(all.len()).unwrap_or(u64::MAX);
        let at = usize::try_from(self.below(bound)).unwrap_or(0);
        all.get(at)
    }
}

/// The number in an environment variable, such as `KUBE_PATROL_SEED`.
///
/// # Errors
/// It is set to something else.
pub fn from_environment(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().context(format!("{name}={text}")),
        Err(_) => Ok(default),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_sequence_and_no_other() {
        let first = |seed| {
            let mut random = Random::new(seed);
            (0..8).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(first(1), first(1));
        let all: std::collections::BTreeSet<_> = (0..100).map(first).collect();
        assert_eq!(all.len(), 100);
        assert_eq!(Random::new(0).below(0), 0);
        assert_eq!(Random::new(0).pick::<u8>(&[]), None);
    }
}
