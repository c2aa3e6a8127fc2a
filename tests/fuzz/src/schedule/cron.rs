//! Crons: what starts fits the fields, and nothing before it does.
//!
//! Input after the kind: zone, instant, then either `t` and the text of a cron, or any other byte and choices for five
//! fields. Only the second way has an oracle; the first asks that the answer is the same from wherever it is asked.

use std::collections::BTreeSet;

use chrono::{Datelike, NaiveDateTime, Timelike};
use chrono_tz::Tz;
use patrol_api::policy::Schedule as Spec;
use patrol_api::time::Time;
use patrol_core::schedule::Schedule;

use super::{instant, local, minute_after, zone};
use crate::feed::Feed;

/// How far the oracle watches.
const WATCHED: i64 = 3 * 86_400;
/// Longer than any clock is ever put forward or back by, but for days left out.
const CHANGE: i64 = 4 * 3600;

pub(super) fn run(mut feed: Feed<'_>) {
    let zone = zone(&mut feed);
    let at = instant(&mut feed, zone);
    if feed.byte() == b't' {
        let text = String::from_utf8_lossy(feed.rest()).into_owned();
        if let Some(schedule) = compile(&text, zone, at) {
            consistent(&schedule, at, &text);
        }
        return;
    }
    let fields = Fields::choose(&mut feed);
    let text = fields.text();
    let Some(schedule) = compile(&text, zone, at) else {
        // It never fires: the oracle has to see nothing, either.
        assert_eq!(
            fields.watched(at.unix(), zone, at.unix() + WATCHED),
            None,
            "{text}"
        );
        return;
    };
    consistent(&schedule, at, &text);
    let next = schedule.next_after(at).unwrap();
    let why = format!("{text:?} in {zone} after {at} starts {next}");
    let until = next.unix().min(at.unix() + WATCHED);
    let seen = fields.watched(at.unix(), zone, until);
    assert!(
        seen.is_none_or(|seen| seen >= next.unix()),
        "{seen:?} is missed: {why}"
    );
    if !fields.fit(local(next.unix(), zone)) {
        // A start that the clock leaves out comes right after.
        assert!(fields.left_out(next.unix(), zone), "it fits nothing: {why}");
    }
}

fn compile(text: &str, zone: Tz, now: Time) -> Option<Schedule> {
    let spec = Spec {
        cron: Some(text.to_owned()),
        time_zone: Some(zone.name().to_owned()),
        every: None,
    };
    match Schedule::compile(&spec, now) {
        Ok(schedule) => Some(schedule),
        Err((field, why)) => {
            assert_eq!(field, "cron", "{why}");
            assert!(!why.is_empty());
            None
        }
    }
}

/// The next start is later, and whoever asks on the way to it is told the same.
fn consistent(schedule: &Schedule, at: Time, text: &str) {
    let Some(next) = schedule.next_after(at) else {
        return;
    };
    assert!(next > at, "{text:?}: {next} is not after {at}");
    let way = next.unix() - at.unix();
    for asked in [at.unix() + way / 2, next.unix() - 1] {
        let asked = Time::from_unix(asked);
        assert_eq!(
            schedule.next_after(asked),
            Some(next),
            "{text:?} after {asked}, and {at}"
        );
    }
    let period = schedule.period_at(at);
    assert!(period.as_secs() > 0, "{text:?}: no time between starts");
    assert!(
        schedule.jitter("production", at).as_secs() <= 60,
        "{text:?}"
    );
}

/// Five fields; `None` is a star.
struct Fields {
    minute: Option<BTreeSet<u32>>,
    hour: Option<BTreeSet<u32>>,
    day: Option<BTreeSet<u32>>,
    month: Option<BTreeSet<u32>>,
    weekday: Option<BTreeSet<u32>>,
}

impl Fields {
    fn choose(feed: &mut Feed<'_>) -> Self {
        Self {
            minute: field(feed, 0, 59),
            hour: field(feed, 0, 23),
            day: field(feed, 1, 31),
            month: field(feed, 1, 12),
            weekday: field(feed, 0, 6),
        }
    }

    fn text(&self) -> String {
        let all = [
            &self.minute,
            &self.hour,
            &self.day,
            &self.month,
            &self.weekday,
        ];
        all.map(|field| written(field.as_ref())).join(" ")
    }

    /// By crontab(5): of the two fields about days one is enough when both say something.
    fn fit(&self, local: NaiveDateTime) -> bool {
        let has = |field: &Option<BTreeSet<u32>>, value: u32| {
            field.as_ref().is_none_or(|values| values.contains(&value))
        };
        let day = has(&self.day, local.day());
        let weekday = has(&self.weekday, local.weekday().num_days_from_sunday());
        let today = match (&self.day, &self.weekday) {
            (Some(_), Some(_)) => day || weekday,
            _ => day && weekday,
        };
        has(&self.minute, local.minute())
            && has(&self.hour, local.hour())
            && today
            && has(&self.month, local.month())
    }

    /// The first minute after `at` and up to `until` that fits and comes only once.
    fn watched(&self, at: i64, zone: Tz, until: i64) -> Option<i64> {
        let mut now = minute_after(at);
        while now <= until {
            let shown = local(now, zone);
            if self.fit(shown) && !is_twofold(now, zone) {
                return Some(now);
            }
            now += 60;
        }
        None
    }

    /// Whether a minute that fits is missing right before `at`.
    fn left_out(&self, at: i64, zone: Tz) -> bool {
        let (before, after) = (local(at - 60, zone), local(at, zone));
        let mut missing = before + chrono::TimeDelta::minutes(1);
        while missing < after {
            if self.fit(missing) {
                return true;
            }
            missing += chrono::TimeDelta::minutes(1);
        }
        false
    }
}

/// Whether clocks show the same time once more close to an instant.
fn is_twofold(at: i64, zone: Tz) -> bool {
    let shown = local(at, zone);
    let shift = |at: i64| local(at, zone).and_utc().timestamp() - at;
    [-CHANGE, CHANGE].into_iter().any(|away| {
        let other = at + shift(at) - shift(at + away);
        other != at && local(other, zone) == shown
    })
}

/// A star, one value, two, or a run of them.
fn field(feed: &mut Feed<'_>, least: u32, most: u32) -> Option<BTreeSet<u32>> {
    let kind = feed.upto(7);
    let width = most - least + 1;
    let mut value = || least + u32::from(feed.byte()) % width;
    match kind {
        0..=2 => None,
        3 | 4 => Some(BTreeSet::from([value()])),
        5 => Some(BTreeSet::from([value(), value()])),
        _ => {
            let (one, other) = (value(), value());
            Some((one.min(other)..=one.max(other)).collect())
        }
    }
}

/// As a list or, where it is one, as a range.
fn written(field: Option<&BTreeSet<u32>>) -> String {
    let Some(values) = field else {
        return "*".to_owned();
    };
    let (first, last) = (values.first().unwrap(), values.last().unwrap());
    if values.len() > 2 {
        return format!("{first}-{last}");
    }
    let values: Vec<String> = values.iter().map(ToString::to_string).collect();
    values.join(",")
}
