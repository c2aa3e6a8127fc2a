//! Wall-clock times as our objects carry them: RFC 3339, UTC, whole seconds.
//! Never reads a clock: the caller brings the time.

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub use crate::span::{BadSpan, Span};

/// A point in time, in UTC, with a resolution of one second.
///
/// Written as RFC 3339 with a `Z`; read with any offset and any fraction, which is cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(DateTime<Utc>);

impl Time {
    /// The time `seconds` after 1970-01-01T00:00:00Z; out of range values end at the first or last representable one.
    #[must_use]
    pub fn from_unix(seconds: i64) -> Self {
        let edge = if seconds < 0 {
            DateTime::<Utc>::MIN_UTC
        } else {
            DateTime::<Utc>::MAX_UTC
        };
        Self::from(DateTime::from_timestamp(seconds, 0).unwrap_or(edge))
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn unix(self) -> i64 {
        self.0.timestamp()
    }

    /// This time, `span` later; parts of a second are cut off.
    #[must_use]
    pub fn plus(self, span: Span) -> Self {
        let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Self::from_unix(self.unix().saturating_add(seconds))
    }

    /// This time, `span` earlier; parts of a second are cut off.
    #[must_use]
    pub fn minus(self, span: Span) -> Self {
        let seconds = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        Self::from_unix(self.unix().saturating_sub(seconds))
    }

    /// How long ago `earlier` was, seen from this time; zero when it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Span {
        let seconds = self.unix().saturating_sub(earlier.unix());
        Span::seconds(u64::try_from(seconds).unwrap_or(0))
    }

    /// The same time as chrono's type.
    #[must_use]
    pub fn chrono(self) -> DateTime<Utc> {
        self.0
    }
}

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time.trunc_subsecs(0))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_rfc3339_opts(SecondsFormat::Secs, true))
    }
}

impl std::str::FromStr for Time {
    type Err = chrono::ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        DateTime::parse_from_rfc3339(text).map(|time| Self::from(time.with_timezone(&Utc)))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(|error| {
            de::Error::custom(format_args!("{text:?} is no RFC 3339 time: {error}"))
        })
    }
}

impl JsonSchema for Time {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_any_offset_and_writes_whole_seconds_in_utc() {
        let time: Time = serde_json::from_str("\"2026-03-01T08:00:00.987+08:00\"").unwrap();
        assert_eq!(
            serde_json::to_string(&time).unwrap(),
            "\"2026-03-01T00:00:00Z\""
        );
        assert_eq!(time, Time::from_unix(time.unix()));
        assert!(serde_json::from_str::<Time>("\"yesterday\"").is_err());
    }

    #[test]
    fn arithmetic_saturates() {
        let early = Time::from_unix(1_000);
        let late = early.plus(Span::seconds(90));
        assert_eq!(late.since(early), Span::seconds(90));
        assert_eq!(early.since(late), Span::ZERO);
        assert_eq!(late.minus(Span::seconds(90)), early);
        assert!(Time::from_unix(i64::MAX).plus(Span::seconds(u64::MAX)) >= late);
        assert!(Time::from_unix(i64::MIN) < early);
    }
}
