//! Windows: what opens is open, and nothing before it is.
//!
//! The oracle watches the hands of a clock that nobody ever puts back: where the real one is put back, it stands still
//! until that has caught up. A window that begins at a time begins when those hands first show it or more, which is the
//! first instant after a gap and the first of two passes.

use chrono::{Datelike, Days, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use chrono_tz::Tz;
use patrol_api::policy::{Bypass, Weekday, Window, WindowMode};
use patrol_api::time::Time;
use patrol_core::windows::{Errand, Windows};

use super::{instant, local, minute_after, zone};
use crate::feed::Feed;

/// How far the oracle watches.
const WATCHED: i64 = 2 * 86_400;
/// Longer than any clock was put back by since 2000: three hours at Casey station.
const BACK: i64 = 5 * 3600;
/// Times at which a clock may be put forward or back, and others.
const HOURS: &[u32] = &[0, 1, 2, 3, 23, 24, 9, 19];
const DAYS: [Weekday; 7] = [
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Wed,
    Weekday::Thu,
    Weekday::Fri,
    Weekday::Sat,
    Weekday::Sun,
];

pub(super) fn run(mut feed: Feed<'_>) {
    let first = zone(&mut feed);
    let at = instant(&mut feed, first);
    let errand = Errand {
        critical: feed.flag(),
        resolved: feed.flag(),
        breached: feed.flag(),
        overdue: feed.flag(),
    };
    let specs: Vec<Window> = (0..=feed.upto(2))
        .map(|n| window(&mut feed, (n == 0).then_some(first)))
        .collect();
    let ill = specs.iter().any(|spec| spec.from == spec.to);
    let compiled = Windows::compile(&specs, at);
    let windows = match compiled {
        Ok(windows) => windows,
        Err((field, why)) => {
            assert!(why.contains(": "), "{why}");
            if ill {
                assert!(field.ends_with("].to"), "{field}: {why}");
            } else {
                assert_eq!(field, "", "{why}");
                let patient = Errand::default();
                assert_eq!(
                    watched(&specs, at, patient, at.unix() + WATCHED),
                    None,
                    "{specs:?}"
                );
            }
            return;
        }
    };
    assert!(!ill, "{specs:?}");
    let opens = windows.opens_at(at, errand);
    let why = || format!("{errand:?} at {at} opens {opens:?} by {specs:?}");
    let until = at.unix() + WATCHED;
    match opens {
        Some(opens) => {
            assert!(opens >= at, "{}", why());
            let until = until.min(opens.unix());
            let earlier = watched(&specs, at, errand, until).filter(|found| *found != opens);
            assert_eq!(earlier, None, "open before: {}", why());
            let now = watched(&specs, opens, errand, opens.unix());
            assert_eq!(now, Some(opens), "not open: {}", why());
            // Whoever asks on the way is told the same.
            let half = Time::from_unix(at.unix() + (opens.unix() - at.unix()) / 2);
            assert_eq!(windows.opens_at(half, errand), Some(opens), "{}", why());
        }
        None => assert_eq!(watched(&specs, at, errand, until), None, "{}", why()),
    }
}

fn window(feed: &mut Feed<'_>, first: Option<Tz>) -> Window {
    let mode = if feed.flag() {
        WindowMode::Mute
    } else {
        WindowMode::Active
    };
    let days = feed.byte();
    let month = feed.byte();
    let from = time(feed);
    let to = time(feed);
    let zone = match first {
        Some(zone) => zone,
        None => zone(feed),
    };
    let bypass = feed.byte();
    let words = [
        Bypass::Critical,
        Bypass::Resolved,
        Bypass::SLABreached,
        Bypass::Overdue,
    ];
    Window {
        mode,
        // Every day unless the highest bit says otherwise.
        days: chosen(&DAYS, if days > 127 { days } else { 0 }),
        days_of_month: match month {
            0..=31 => vec![],
            _ => vec![u32::from(month % 31) + 1, u32::from(month / 31) + 1],
        },
        from,
        to,
        time_zone: zone.name().to_owned(),
        bypass: chosen(&words, bypass),
    }
}

fn chosen<T: Copy>(from: &[T], bits: u8) -> Vec<T> {
    let each = from.iter().enumerate();
    each.filter(|(n, _)| bits >> n & 1 == 1)
        .map(|(_, item)| *item)
        .collect()
}

fn time(feed: &mut Feed<'_>) -> String {
    let hour = *feed.pick(HOURS);
    let minute = feed.byte() % 60;
    let minute = if hour == 24 { 0 } else { minute };
    format!("{hour:02}:{minute:02}")
}

/// The first instant from `at` to `until` at which it is open; bounds of windows are whole minutes.
fn watched(specs: &[Window], at: Time, errand: Errand, until: i64) -> Option<Time> {
    let bound: Vec<(&Window, Tz)> = specs
        .iter()
        .filter(|spec| !lets_pass(spec, errand))
        .map(|spec| (spec, spec.time_zone.parse().unwrap()))
        .collect();
    let mut hands: Vec<NaiveDateTime> = bound
        .iter()
        .map(|(_, zone)| {
            let past = (0..=BACK / 60).map(|minute| at.unix() - minute * 60);
            past.map(|past| local(past, *zone)).max().unwrap()
        })
        .collect();
    let mut now = at.unix();
    loop {
        for (hand, (_, zone)) in hands.iter_mut().zip(&bound) {
            *hand = (*hand).max(local(now, *zone));
        }
        let inside = |mode: WindowMode| {
            let mut each = bound.iter().zip(&hands);
            each.any(|((spec, _), hand)| spec.mode == mode && contains(spec, *hand))
        };
        let active = bound
            .iter()
            .any(|(spec, _)| spec.mode == WindowMode::Active);
        if !inside(WindowMode::Mute) && (!active || inside(WindowMode::Active)) {
            return Some(Time::from_unix(now));
        }
        now = minute_after(now);
        if now > until {
            return None;
        }
    }
}

fn lets_pass(spec: &Window, errand: Errand) -> bool {
    spec.bypass.contains(&Bypass::Critical) && errand.critical
        || spec.bypass.contains(&Bypass::Resolved) && errand.resolved
        || spec.bypass.contains(&Bypass::SLABreached) && errand.breached
        || spec.bypass.contains(&Bypass::Overdue) && errand.overdue
}

/// Whether the hands are between begin and end, for a begin on any day that may matter.
fn contains(spec: &Window, hand: NaiveDateTime) -> bool {
    let today = hand.date();
    let days = [today, today - Days::new(1), today - Days::new(2)];
    days.into_iter()
        .filter(|day| begins_on(spec, *day))
        .any(|day| {
            let (from, to) = (clock(day, &spec.from), clock(day, &spec.to));
            let to = if to < from {
                to + TimeDelta::days(1)
            } else {
                to
            };
            from <= hand && hand < to
        })
}

fn begins_on(spec: &Window, day: NaiveDate) -> bool {
    let weekday = DAYS[day.weekday().num_days_from_monday() as usize];
    (spec.days.is_empty() || spec.days.contains(&weekday))
        && (spec.days_of_month.is_empty() || spec.days_of_month.contains(&day.day()))
}

/// `24:00` is midnight at the end of the day.
fn clock(day: NaiveDate, time: &str) -> NaiveDateTime {
    let (hour, minute) = time.split_once(':').unwrap();
    let minutes: i64 = hour.parse::<i64>().unwrap() * 60 + minute.parse::<i64>().unwrap();
    day.and_time(NaiveTime::MIN) + TimeDelta::minutes(minutes)
}
