//! Lengths of time as people write them: `30s`, `15m`, `1h30m`, `7d`.
//! Never a signed or fractional length, and never longer than the schema allows.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A length of time in whole milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(u64);

/// Why a text is no [`Span`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadSpan(String);

impl fmt::Display for BadSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no duration: write whole numbers with the units d, h, m, s, ms from large to small, such as 30s, 15m, 1h30m or 7d",
            self.0
        )
    }
}

impl std::error::Error for BadSpan {}

/// The units from large to small: suffix, milliseconds, most digits. `schema::spans` says the same as a pattern.
const UNITS: [(&str, u64, usize); 5] = [
    ("d", 86_400_000, 5),
    ("h", 3_600_000, 6),
    ("m", 60_000, 8),
    ("s", 1_000, 9),
    ("ms", 1, 3),
];

impl Span {
    /// No time at all, written `0s`.
    pub const ZERO: Self = Self(0);

    /// This many milliseconds.
    #[must_use]
    pub const fn millis(millis: u64) -> Self {
        Self(millis)
    }

    /// This many seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000))
    }

    /// This many minutes.
    #[must_use]
    pub const fn minutes(minutes: u64) -> Self {
        Self(minutes.saturating_mul(60_000))
    }

    /// This many hours.
    #[must_use]
    pub const fn hours(hours: u64) -> Self {
        Self(hours.saturating_mul(3_600_000))
    }

    /// This many days of 24 hours.
    #[must_use]
    pub const fn days(days: u64) -> Self {
        Self(days.saturating_mul(86_400_000))
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// Milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The same length as the standard library's type.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// True for a length of zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// This length `factor` times over, ending at the longest representable one.
    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }

    /// The sum, ending at the longest representable one.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl FromStr for Span {
    type Err = BadSpan;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text)
            .map(Self)
            .ok_or_else(|| BadSpan(text.chars().take(40).collect()))
    }
}

fn parse(text: &str) -> Option<u64> {
    // Milliseconds on their own may be many: `1500ms`.
    if let Some(number) = text.strip_suffix("ms")
        && let Some(millis) = digits(number, 12)
    {
        return Some(millis);
    }
    let mut rest = text;
    let mut total = 0_u64;
    let mut units = UNITS.iter();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, tail) = rest.split_at(end);
        let stop = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(stop);
        // Going on from the last unit keeps the order from large to small, each at most once.
        let (_, millis, most) = units.find(|(name, ..)| *name == unit)?;
        total = total.checked_add(digits(number, *most)?.checked_mul(*millis)?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(total)
}

fn digits(text: &str, most: usize) -> Option<u64> {
    let legal = !text.is_empty() && text.len() <= most && text.bytes().all(|b| b.is_ascii_digit());
    legal.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for Span {
    /// The shortest form: `1h30m`, `7d`, `0s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, millis, _) in UNITS {
            let count = rest / millis;
            rest %= millis;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        crate::schema::span(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [
            ("0s", 0),
            ("30s", 30_000),
            ("15m", 900_000),
            ("90m", 5_400_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("500ms", 500),
            ("1500ms", 1_500),
            ("1s500ms", 1_500),
            ("1d2h3m4s5ms", 93_784_005),
        ] {
            assert_eq!(text.parse(), Ok(Span::millis(millis)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_and_says_how_to_write_it() {
        for text in [
            "", "s", "5", "5x", "-5s", "1.5h", "30s1m", "1m1m", "5 s", " 5s", "1s1500ms",
            "1000000d", "5S", "五s", "1h30",
        ] {
            let error = text.parse::<Span>().unwrap_err();
            assert!(error.to_string().contains("15m"), "{text}: {error}");
        }
    }

    #[test]
    fn the_canonical_form_reads_back() {
        for millis in [0, 1, 999, 1_000, 61_000, 3_600_000, 86_399_999, 604_800_000] {
            let span = Span::millis(millis);
            assert_eq!(span.to_string().parse(), Ok(span));
        }
        assert_eq!(Span::minutes(90).to_string(), "1h30m");
        assert_eq!(Span::days(7).to_string(), "7d");
    }
}
