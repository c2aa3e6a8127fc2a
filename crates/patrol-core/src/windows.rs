//! Windows: from when on a message may go out. They put off and never discard.
//!
//! Pure. Days begin in the window's own zone, whose rules are bundled. A begin or end that falls into a gap of the clock
//! (spring) is the first instant after the gap; one that happens twice (autumn) is the first of the two.

use std::collections::BTreeSet;

use chrono::{Datelike, Days, LocalResult, NaiveDate, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use patrol_api::policy::{Bypass, Weekday, Window as Spec, WindowMode};
use patrol_api::time::{Span, Time};

/// A set of windows that does not open within this many days would silence for ever.
const HORIZON: u64 = 370;

/// What kind of message asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errand {
    /// It is about a critical ticket.
    pub critical: bool,
    /// It says that a ticket ended.
    pub resolved: bool,
    /// A due time has passed.
    pub breached: bool,
    /// Nobody heard anything for too long.
    pub overdue: bool,
}

/// The compiled windows of a policy. None at all means: at any time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Windows(Vec<Window>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    mode: WindowMode,
    days: Vec<chrono::Weekday>,
    days_of_month: Vec<u32>,
    /// Minutes after midnight.
    from: u32,
    /// Minutes after midnight of the same day, beyond 24:00 when it ends on the next.
    to: u32,
    zone: Tz,
    bypass: Vec<Bypass>,
}

impl Windows {
    /// Compiles what a policy says. `now` is only used to see whether they ever open.
    ///
    /// # Errors
    /// The field below `spec.alerts.windows` and one sentence: what is wrong and what to do.
    pub fn compile(specs: &[Spec], now: Time) -> Result<Self, (String, String)> {
        let windows = specs
            .iter()
            .enumerate()
            .map(|(n, spec)| {
                Window::compile(spec).map_err(|(field, why)| (format!("[{n}].{field}"), why))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let windows = Self(windows);
        match windows.opens_at(now, Errand::default()) {
            Some(_) => Ok(windows),
            None => Err((
                String::new(),
                format!(
                    "the windows do not open within {HORIZON} days, which would silence for ever: let an Active window lie outside every Mute one"
                ),
            )),
        }
    }

    /// Whether messages may go out at any time.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Since when an errand that was due may go out without a break: when it became due, or when they last opened.
    #[must_use]
    pub fn open_since(&self, due: Time, at: Time, errand: Errand) -> Time {
        /// What waits longer is late in any case.
        const BACK: Span = Span::days(2);
        let bound: Vec<&Window> = self.0.iter().filter(|w| !w.lets_pass(errand)).collect();
        let begin = due.max(at.minus(BACK));
        let days = at.since(begin).as_secs() / Span::days(1).as_secs() + 2;
        (0..=days)
            .flat_map(|day| {
                bound
                    .iter()
                    .flat_map(move |window| window.edges(begin, day))
            })
            .filter(|edge| begin < *edge && *edge <= at)
            .filter(|edge| is_open(&bound, *edge) && !is_open(&bound, edge.minus(Span::seconds(1))))
            .fold(due, Time::max)
    }

    /// The first instant from `at` on at which an errand may go out. `None`: never within the horizon.
    #[must_use]
    pub fn opens_at(&self, at: Time, errand: Errand) -> Option<Time> {
        let bound: Vec<&Window> = self.0.iter().filter(|w| !w.lets_pass(errand)).collect();
        if is_open(&bound, at) {
            return Some(at);
        }
        // It only opens where one of them begins or ends. Looked at in order of time: days begin at different instants
        // in different zones, so what a day brings is only complete two days later.
        let mut edges: BTreeSet<Time> = BTreeSet::new();
        for day in 0..=HORIZON {
            edges.extend(
                bound
                    .iter()
                    .flat_map(|window| window.edges(at, day))
                    .filter(|edge| *edge > at),
            );
            let complete = at.plus(Span::days(day)).minus(Span::hours(26));
            while let Some(edge) = edges.first().copied().filter(|edge| *edge < complete) {
                edges.pop_first();
                if is_open(&bound, edge) {
                    return Some(edge);
                }
            }
        }
        None
    }
}

fn is_open(windows: &[&Window], at: Time) -> bool {
    let inside = |mode: WindowMode| windows.iter().any(|w| w.mode == mode && w.contains(at));
    let needs_active = windows.iter().any(|w| w.mode == WindowMode::Active);
    !inside(WindowMode::Mute) && (!needs_active || inside(WindowMode::Active))
}

impl Window {
    fn compile(spec: &Spec) -> Result<Self, (&'static str, String)> {
        let zone = spec.time_zone.parse().map_err(|_| {
            (
                "timeZone",
                format!(
                    "{:?} is no IANA time zone: use a name such as Asia/Shanghai or UTC",
                    spec.time_zone
                ),
            )
        })?;
        let from = minutes(&spec.from).ok_or_else(|| bad_time("from", &spec.from))?;
        let to = minutes(&spec.to).ok_or_else(|| bad_time("to", &spec.to))?;
        if from == to {
            return Err((
                "to",
                "from and to must differ: for a whole day write 00:00 to 24:00".into(),
            ));
        }
        Ok(Self {
            mode: spec.mode,
            days: spec.days.iter().map(|day| weekday(*day)).collect(),
            days_of_month: spec.days_of_month.clone(),
            from,
            to: if to < from { to + DAY } else { to },
            zone,
            bypass: spec.bypass.clone(),
        })
    }

    fn lets_pass(&self, errand: Errand) -> bool {
        self.bypass.iter().any(|word| match word {
            Bypass::Critical => errand.critical,
            Bypass::Resolved => errand.resolved,
            Bypass::SLABreached => errand.breached,
            Bypass::Overdue => errand.overdue,
        })
    }

    fn begins_on(&self, date: NaiveDate) -> bool {
        (self.days.is_empty() || self.days.contains(&date.weekday()))
            && (self.days_of_month.is_empty() || self.days_of_month.contains(&date.day()))
    }

    fn contains(&self, at: Time) -> bool {
        let today = at.chrono().with_timezone(&self.zone).date_naive();
        let yesterday = today.checked_sub_days(Days::new(1));
        // A clock that is put back over midnight shows a day that has ended.
        let tomorrow = today.checked_add_days(Days::new(1));
        [yesterday, Some(today), tomorrow]
            .into_iter()
            .flatten()
            .filter(|date| self.begins_on(*date))
            .any(|date| self.instant(date, self.from) <= at && at < self.instant(date, self.to))
    }

    /// Begin and end on the day that lies `day` days after the one before `at`.
    fn edges(&self, at: Time, day: u64) -> Vec<Time> {
        let today = at.chrono().with_timezone(&self.zone).date_naive();
        let date = today
            .checked_sub_days(Days::new(1))
            .and_then(|date| date.checked_add_days(Days::new(day)));
        match date {
            Some(date) if self.begins_on(date) => {
                vec![self.instant(date, self.from), self.instant(date, self.to)]
            }
            _ => vec![],
        }
    }

    /// Minutes after midnight of a day, as an instant.
    fn instant(&self, date: NaiveDate, minutes: u32) -> Time {
        let days = u64::from(minutes / DAY);
        let date = date.checked_add_days(Days::new(days)).unwrap_or(date);
        let time = NaiveTime::from_num_seconds_from_midnight_opt((minutes % DAY) * 60, 0)
            .unwrap_or(NaiveTime::MIN);
        let mut local = date.and_time(time);
        // No gap of any zone is longer than a day and a bit (a day was left out in Samoa).
        for _ in 0..(2 * DAY) {
            match self.zone.from_local_datetime(&local) {
                LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => {
                    return Time::from_unix(at.timestamp());
                }
                LocalResult::None => local += TimeDelta::minutes(1),
            }
        }
        Time::from_unix(local.and_utc().timestamp())
    }
}

/// Minutes of a day.
const DAY: u32 = 24 * 60;

fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let total = hours.checked_mul(60)?.checked_add(minutes)?;
    (minutes < 60 && total <= DAY).then_some(total)
}

fn bad_time(field: &'static str, text: &str) -> (&'static str, String) {
    (
        field,
        format!("{text:?} is no time of day: use 00:00 to 24:00, such as 09:30"),
    )
}

const fn weekday(day: Weekday) -> chrono::Weekday {
    match day {
        Weekday::Mon => chrono::Weekday::Mon,
        Weekday::Tue => chrono::Weekday::Tue,
        Weekday::Wed => chrono::Weekday::Wed,
        Weekday::Thu => chrono::Weekday::Thu,
        Weekday::Fri => chrono::Weekday::Fri,
        Weekday::Sat => chrono::Weekday::Sat,
        Weekday::Sun => chrono::Weekday::Sun,
    }
}

#[cfg(test)]
#[path = "windows_tests.rs"]
mod tests;
