//! The `Retry-After` header: seconds or an HTTP date.
//!
//! Pure; time comes in. A receiver cannot silence us: whatever it says becomes 1 s to 1 h, and what
//! is no time at all is ignored.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};

/// The shortest and the longest hold a receiver can ask for.
const FLOOR: Duration = Duration::from_secs(1);
/// See [`FLOOR`].
const CEILING: Duration = Duration::from_secs(3600);

/// How long to hold, clamped, or `None` when the value is neither a count nor a date.
pub(super) fn parse(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    if value.is_empty() {
        return None;
    }
    if value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit is just very long.
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).clamp(FLOOR, CEILING));
    }
    let until = date(value)?;
    // A date that has passed means "now": the shortest hold.
    let wait = (until - now).to_std().unwrap_or(FLOOR);
    Some(wait.clamp(FLOOR, CEILING))
}

/// The three forms RFC 9110 section 5.6.7 asks recipients to accept.
fn date(value: &str) -> Option<DateTime<Utc>> {
    const FORMS: [&str; 3] = [
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    ];
    FORMS
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(value, form).ok())
        .map(|naive| naive.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F11: seconds, dates and nonsense, held within a second and an hour.
    #[test]
    fn f11_row80_retry_after_table() {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let now = DateTime::from_timestamp(784_111_777, 0).unwrap();
        for (value, seconds) in [
            ("0", Some(1)),
            ("1", Some(1)),
            ("600", Some(600)),
            (" 600 ", Some(600)),
            ("000600", Some(600)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("86400", Some(3600)),
            ("1000000000000000000", Some(3600)),
            ("18446744073709551616", Some(3600)),
            ("99999999999999999999999999999999999999", Some(3600)),
            ("-1", None),
            ("-600", None),
            ("+5", None),
            ("1e18", None),
            ("1.5", None),
            ("0x10", None),
            ("soon", None),
            ("", None),
            ("10, 20", None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(1)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(1)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(1)),
            ("Sun, 06 Nov 1994 10:49:37 GMT", Some(3600)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(3600)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Mon, 06 Nov 1994 08:50:37 GMT", None), // it was a Sunday
            ("Sun, 32 Nov 1994 08:50:37 GMT", None),
            ("Sun, 06 Nov 1994 08:50:37 PST", None),
            ("1994-11-06T08:50:37Z", None),
            ("06 Nov", None),
        ] {
            assert_eq!(
                parse(value, now),
                seconds.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}
