//! Windows and crons against a clock that is watched minute by minute.
//!
//! Input: `c` and a cron, or any other byte and windows; see the two modules.

mod cron;
mod windows;

use chrono::{DateTime, NaiveDateTime, Utc};
use chrono_tz::Tz;
use patrol_api::time::Time;

use crate::feed::Feed;

/// Zones whose clocks do something of their own: none, a whole hour, half of one, at midnight, over midnight, backwards
/// in winter, a day left out, rules that ended.
const ZONES: &[Tz] = &[
    Tz::UTC,
    Tz::Asia__Shanghai,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::Australia__Lord_Howe,
    Tz::Asia__Beirut,
    Tz::America__Havana,
    Tz::America__St_Johns,
    Tz::Pacific__Apia,
    Tz::Africa__Casablanca,
    Tz::Europe__Dublin,
    Tz::Antarctica__Troll,
    Tz::America__Nuuk,
    Tz::America__Sao_Paulo,
    Tz::Asia__Kathmandu,
    Tz::Atlantic__Azores,
];
/// From 2000 to 2037: offsets are whole minutes, and every bundled rule holds.
const BEGIN: i64 = 946_684_800;
const LENGTH: i64 = 38 * 365 * 86_400;

pub(crate) fn run(data: &[u8]) {
    match data.split_first() {
        Some((b'c', rest)) => cron::run(Feed::new(rest)),
        Some((_, rest)) => windows::run(Feed::new(rest)),
        None => {}
    }
}

/// Any zone: a small number for one of those above, a large one for the rest of all bundled.
fn zone(feed: &mut Feed<'_>) -> Tz {
    let [high, low] = feed.bytes::<2>();
    match high {
        0..=127 => *feed_zone(low),
        _ => {
            let all = chrono_tz::TZ_VARIANTS;
            all[(usize::from(high - 128) * 256 + usize::from(low)) % all.len()]
        }
    }
}

fn feed_zone(number: u8) -> &'static Tz {
    &ZONES[usize::from(number) % ZONES.len()]
}

/// An instant, often close to a change of the zone's clock.
fn instant(feed: &mut Feed<'_>, zone: Tz) -> Time {
    let near = feed.byte();
    let somewhere = i64::from(u32::from_be_bytes(feed.bytes())) % LENGTH;
    let at = BEGIN + somewhere;
    if near & 1 == 0 {
        return Time::from_unix(at);
    }
    // From a day before to a day after the next change.
    let offset = i64::from(u16::from_be_bytes(feed.bytes())) * 3 - 98_304;
    Time::from_unix(next_change(at, zone) + offset)
}

/// The next instant, by the hour, at which the clock is put forward or back; or the same where it never is.
fn next_change(at: i64, zone: Tz) -> i64 {
    let shift = |at: i64| local(at, zone).and_utc().timestamp() - at;
    let changes = |from: i64, step: i64| shift(from) != shift(from + step);
    let begin = at - at.rem_euclid(3600);
    (0..370)
        .map(|day| begin + day * 86_400)
        .find(|day| changes(*day, 86_400))
        .and_then(|day| {
            (0..24)
                .map(|hour| day + hour * 3600)
                .find(|hour| changes(*hour, 3600))
        })
        .map_or(at, |hour| hour + 3600)
}

/// What the clocks on the walls show.
fn local(at: i64, zone: Tz) -> NaiveDateTime {
    let at: DateTime<Utc> = DateTime::from_timestamp(at, 0).unwrap();
    at.with_timezone(&zone).naive_local()
}

/// The next whole minute.
fn minute_after(at: i64) -> i64 {
    at - at.rem_euclid(60) + 60
}
