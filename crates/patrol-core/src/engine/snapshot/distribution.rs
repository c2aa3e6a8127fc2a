//! How often which duration was met: what a histogram shows.

/// How often which duration was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Distribution {
    bounds: &'static [u64],
    counts: Vec<u64>,
    sum: u64,
    count: u64,
}

impl Distribution {
    /// Upper bounds in seconds for what takes moments to hours.
    pub const MOMENTS: &'static [u64] = &[1, 5, 30, 60, 300, 900, 3_600, 21_600];
    /// Upper bounds in seconds for what takes people minutes to a quarter of a year: 5m, 15m,
    /// 1h, 6h, 1d, 3d, 7d, 14d, 30d, 90d.
    pub const LIVES: &'static [u64] = &[
        300, 900, 3_600, 21_600, 86_400, 259_200, 604_800, 1_209_600, 2_592_000, 7_776_000,
    ];

    /// An empty one with these upper bounds, in seconds and rising.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len()],
            sum: 0,
            count: 0,
        }
    }

    /// One more.
    pub fn add(&mut self, seconds: u64) {
        let places = self.counts.iter_mut().zip(self.bounds);
        if let Some((place, _)) = places.into_iter().find(|(_, bound)| seconds <= **bound) {
            *place += 1;
        }
        self.sum = self.sum.saturating_add(seconds);
        self.count = self.count.saturating_add(1);
    }

    /// How many took at most so many seconds, by bound.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut below = 0;
        self.bounds.iter().zip(&self.counts).map(move |(bound, n)| {
            below += n;
            (*bound, below)
        })
    }

    /// Seconds of all of them.
    #[must_use]
    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// All of them, those above the last bound too.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }
}
