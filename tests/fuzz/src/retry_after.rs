//! `Retry-After`: a count or one of the three dates of RFC 9110, held within a second and an hour.
//!
//! Input: the unix time, a line break, the value.

use std::time::Duration;

use chrono::DateTime;
use patrol_notify::classify::{Class, by_status};
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};

use crate::feed::line;

/// 2000-01-01 to 2068-12-31: here every reading of a year of two digits is the same.
const YEARS: (i64, i64) = (946_684_800, 3_124_137_600);

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

pub(crate) fn run(data: &[u8]) {
    let (now, value) = line(data);
    let now = std::str::from_utf8(now).ok();
    let now: i64 = now.and_then(|now| now.parse().ok()).unwrap_or(YEARS.0);
    let now = YEARS.0
        + now
            .checked_sub(YEARS.0)
            .map_or(0, |s| s.rem_euclid(YEARS.1 - YEARS.0));
    let Ok(header) = HeaderValue::from_bytes(value) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(RETRY_AFTER, header);
    let at = DateTime::from_timestamp(now, 0).unwrap();
    let slow = by_status(429, &headers, at).class;
    let Class::Throttled { retry_after: found } = slow else {
        panic!("429 became {slow:?}");
    };
    let busy = by_status(503, &headers, at).class;
    match found {
        Some(_) => assert_eq!(busy, slow),
        None => assert_eq!(busy, Class::Transient),
    }
    let hour = Duration::from_secs(1)..=Duration::from_secs(3600);
    assert!(found.is_none_or(|wait| hour.contains(&wait)), "{found:?}");
    let shown = String::from_utf8_lossy(value);
    match oracle(value, now) {
        Some(wait) => assert_eq!(found, Some(Duration::from_secs(wait)), "{shown:?} at {now}"),
        None if found.is_some() => assert!(is_like_a_date(value), "{shown:?} is no time"),
        None => {}
    }
}

/// What a value in the letter of the standard says.
fn oracle(value: &[u8], now: i64) -> Option<u64> {
    let value = value.trim_ascii();
    if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
        let digits: Vec<u8> = value.iter().copied().skip_while(|d| *d == b'0').collect();
        // More than four digits are more than an hour.
        let long = digits.len() > 4;
        let seconds = digits
            .iter()
            .take(4)
            .fold(0, |n, d| n * 10 + u64::from(d - b'0'));
        return Some(if long { 3600 } else { seconds.clamp(1, 3600) });
    }
    let wait = date(value)? - now;
    Some(u64::try_from(wait).unwrap_or(0).clamp(1, 3600))
}

/// Names and digits of a date; other spellings of them are not the business of this oracle.
fn date(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let words: Vec<&str> = text.split(' ').collect();
    let (weekday, day, month, year, clock) = match words.as_slice() {
        [weekday, day, month, year, clock, "GMT"] => {
            let weekday = short_day(weekday.strip_suffix(',')?)?;
            (weekday, two(day)?, *month, four(year)?, *clock)
        }
        [weekday, date, clock, "GMT"] => {
            let weekday = weekday.strip_suffix(',')?;
            let weekday = DAYS.iter().position(|name| *name == weekday)?;
            let [day, month, year] = date.split('-').collect::<Vec<_>>().try_into().ok()?;
            let year = two(year).filter(|year| *year <= 68)? + 2000;
            (weekday, two(day)?, month, year, *clock)
        }
        [weekday, month, "", day, clock, year] if day.len() == 1 => (
            short_day(weekday)?,
            digits(day)?,
            *month,
            four(year)?,
            *clock,
        ),
        [weekday, month, day, clock, year] => (
            short_day(weekday)?,
            two(day).filter(|d| *d > 9)?,
            *month,
            four(year)?,
            *clock,
        ),
        _ => return None,
    };
    let month = MONTHS.iter().position(|name| *name == month)?;
    let [hour, minute, second] = clock.split(':').collect::<Vec<_>>().try_into().ok()?;
    let (hour, minute, second) = (two(hour)?, two(minute)?, two(second)?);
    let days = days_since_1970(year, month, day)?;
    // 1970 began on a Thursday.
    let right = usize::try_from((days + 3).rem_euclid(7)).ok()? == weekday;
    (right && hour < 24 && minute < 60 && second < 60)
        .then_some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

fn short_day(word: &str) -> Option<usize> {
    DAYS.iter().position(|name| &name[..3] == word)
}

fn digits(text: &str) -> Option<i64> {
    let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| text.parse().ok())?
}

fn two(text: &str) -> Option<i64> {
    digits(text).filter(|_| text.len() == 2)
}

fn four(text: &str) -> Option<i64> {
    digits(text).filter(|_| text.len() == 4)
}

/// Counted day by day, as nobody would who had to be quick.
fn days_since_1970(year: i64, month: usize, day: i64) -> Option<i64> {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = |year: i64, month: usize| match month {
        1 if leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    };
    if day < 1 || day > length(year, month) {
        return None;
    }
    let year_days = |year: i64| if leap(year) { 366 } else { 365 };
    let before: i64 = if year >= 1970 {
        (1970..year).map(year_days).sum()
    } else {
        -(year..1970).map(year_days).sum::<i64>()
    };
    let months: i64 = (0..month).map(|month| length(year, month)).sum();
    Some(before + months + day - 1)
}

/// Something that a lenient reader may take for a date: it names a month and a time of day.
fn is_like_a_date(value: &[u8]) -> bool {
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    let month = MONTHS
        .iter()
        .any(|name| text.contains(&name.to_ascii_lowercase()));
    month && text.matches(':').count() == 2 && text.contains(|c: char| c.is_ascii_digit())
}
