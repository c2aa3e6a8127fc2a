//! When patrols start: cron in a time zone, or a fixed period; with jitter that depends on
//! the policy's name alone.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use patrol_api::policy::Schedule as Spec;
use patrol_api::time::{Span, Time};

/// A compiled schedule.
#[derive(Clone, Debug)]
pub enum Schedule {
    /// Five-field cron in a zone.
    Cron(Box<Cron>, Tz),
    /// A fixed period.
    Every(Span),
}

/// The least period.
pub const MIN_EVERY: Span = Span::seconds(10);

impl Schedule {
    /// Compiles `spec`. `now` is only used to see whether the cron ever fires.
    ///
    /// # Errors
    /// The field below `spec.schedule` and one sentence: what is wrong and what to do.
    pub fn compile(spec: &Spec, now: Time) -> Result<Self, (&'static str, String)> {
        match (&spec.cron, spec.every) {
            (Some(_), Some(_)) => Err(("", "give exactly one of cron and every".into())),
            (None, None) => Err(("", "give exactly one of cron and every".into())),
            (None, Some(every)) if every < MIN_EVERY => {
                Err(("every", format!("{every} is too short: use at least 10s")))
            }
            (None, Some(every)) => Ok(Self::Every(every)),
            (Some(cron), None) => {
                let zone = match spec.time_zone.as_deref() {
                    None => Tz::UTC,
                    Some(name) => name.parse().map_err(|_| {
                        (
                            "timeZone",
                            format!("{name:?} is no IANA time zone: use a name such as Asia/Shanghai or UTC"),
                        )
                    })?,
                };
                let cron = parse(cron)?;
                let schedule = Self::Cron(Box::new(cron), zone);
                if schedule.next_after(now).is_none() {
                    return Err((
                        "cron",
                        "the schedule never fires: give a day that exists".into(),
                    ));
                }
                Ok(schedule)
            }
        }
    }

    /// The first start after `after`, without jitter. `None`: never.
    #[must_use]
    pub fn next_after(&self, after: Time) -> Option<Time> {
        match self {
            Self::Every(every) => Some(after.plus(*every)),
            Self::Cron(cron, zone) => {
                let local: DateTime<Tz> = after.chrono().with_timezone(zone);
                let next = cron.find_next_occurrence(&local, false).ok()?;
                Some(Time::from_unix(next.with_timezone(&Utc).timestamp()))
            }
        }
    }

    /// The time between two starts around `at`: what "overdue after two periods" and the
    /// jitter are measured by.
    #[must_use]
    pub fn period_at(&self, at: Time) -> Span {
        match self {
            Self::Every(every) => *every,
            Self::Cron(..) => {
                let next = self.next_after(at);
                let after = next.and_then(|n| self.next_after(n));
                match (next, after) {
                    (Some(a), Some(b)) => b.since(a),
                    _ => Span::days(366),
                }
            }
        }
    }

    /// The delay of every start of the policy `name`: up to a tenth of the period, at most
    /// 60 s, so that many policies of one schedule do not start together.
    #[must_use]
    pub fn jitter(&self, name: &str, at: Time) -> Span {
        let most = (self.period_at(at).as_millis() / 10).min(60_000);
        if most == 0 {
            return Span::millis(0);
        }
        let hash = crate::fingerprint::hash64(&[name.as_bytes()]);
        // Whole seconds: durable times have no more.
        Span::seconds((hash % (most + 1)) / 1000)
    }
}

fn parse(text: &str) -> Result<Cron, (&'static str, String)> {
    if text.split_whitespace().count() != 5 {
        return Err((
            "cron",
            "a cron needs five fields: minute, hour, day of month, month and day of week".into(),
        ));
    }
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(text)
        .map_err(|e| ("cron", format!("{text:?} is no cron: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Time {
        serde_json::from_value(serde_json::json!(text)).unwrap()
    }

    fn cron(cron: &str, zone: &str) -> Result<Schedule, (&'static str, String)> {
        let spec = Spec {
            cron: Some(cron.into()),
            time_zone: Some(zone.into()),
            every: None,
        };
        Schedule::compile(&spec, at("2026-01-01T00:00:00Z"))
    }

    #[test]
    fn a_start_in_a_spring_gap_runs_the_same_day() {
        let s = cron("30 2 * * *", "Europe/Berlin").unwrap();
        let next = s.next_after(at("2026-03-28T12:00:00Z")).unwrap();
        // 02:30 does not exist on 29 March 2026 in Berlin: it runs at 03:00 local, 01:00 UTC.
        assert_eq!(next, at("2026-03-29T01:00:00Z"));
    }

    #[test]
    fn a_start_in_an_autumn_fold_runs_once() {
        let s = cron("30 2 * * *", "Europe/Berlin").unwrap();
        let first = s.next_after(at("2026-10-24T12:00:00Z")).unwrap();
        let second = s.next_after(first).unwrap();
        assert!(
            second.since(first) >= Span::hours(24),
            "{first:?} {second:?}"
        );
    }

    #[test]
    fn bad_schedules_name_the_field() {
        for (spec, field) in [
            (cron("* * * *", "UTC"), "cron"),
            (cron("* * * * * *", "UTC"), "cron"),
            (cron("61 * * * *", "UTC"), "cron"),
            (cron("0 0 30 2 *", "UTC"), "cron"),
            (cron("* * * * *", "Mars/Olympus"), "timeZone"),
        ] {
            assert_eq!(spec.unwrap_err().0, field);
        }
        let short = Spec {
            cron: None,
            time_zone: None,
            every: Some(Span::seconds(9)),
        };
        assert_eq!(
            Schedule::compile(&short, at("2026-01-01T00:00:00Z"))
                .unwrap_err()
                .0,
            "every"
        );
    }

    #[test]
    fn jitter_is_stable_and_bounded() {
        let s = Schedule::Every(Span::minutes(15));
        let now = at("2026-01-01T00:00:00Z");
        let spread: std::collections::BTreeSet<_> =
            (0..50).map(|i| s.jitter(&format!("p{i}"), now)).collect();
        assert!(spread.len() > 10);
        assert!(spread.iter().all(|j| *j <= Span::seconds(60)));
        assert_eq!(s.jitter("p", now), s.jitter("p", now));
    }
}
