//! What a reply means.
//!
//! Pure, one function per receiver kind: status, headers and the first bytes of the body in, a class
//! out. It never keeps or returns a byte of the reply; the one value taken from it is a duration.

mod retry_after;

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// What follows from an attempt. The caller owns back-off, circuit and splitting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The receiver has it: record it.
    Accepted,
    /// Asked to slow down; `retry_after` is already clamped to 1 s .. 1 h.
    Throttled {
        /// How long, when the receiver said so.
        retry_after: Option<Duration>,
    },
    /// May pass by itself: back off and repeat with the same ids.
    Transient,
    /// No connection came about: nothing was sent. May pass by itself.
    Unreached,
    /// This body is not taken: split it, then park it.
    Payload,
    /// Somebody has to change something: the URL, a token, a certificate.
    Config,
    /// The address filter refused: nothing was sent.
    Blocked,
}

/// A class and our own sentence about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What follows.
    pub class: Class,
    /// Why, in fixed words.
    pub detail: &'static str,
}

/// What the status alone says, which for a generic webhook is all: the body is the receiver's own business. `now` is
/// the wall clock, against which an HTTP date is measured.
#[must_use]
pub fn by_status(status: u16, headers: &HeaderMap, now: DateTime<Utc>) -> Verdict {
    let retry_after = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| retry_after::parse(value, now));
    let (class, detail) = match status {
        200..=299 => (Class::Accepted, "accepted"),
        300..=399 => (
            Class::Config,
            "the receiver answered with a redirect, which is never followed: enter the final URL",
        ),
        400 | 422 => (Class::Payload, "the receiver does not accept the content"),
        413 => (Class::Payload, "the body is too large for the receiver"),
        415 => (Class::Payload, "the receiver does not accept JSON"),
        401 | 403 => (
            Class::Config,
            "the receiver refuses our credentials: check the token, the signing secret and the receiver's own list of senders",
        ),
        404 | 410 => (
            Class::Config,
            "the receiver says this URL does not exist: check the URL",
        ),
        408 | 425 => (Class::Transient, "the receiver asks to try again"),
        // States of a resource that pass without anybody's doing.
        409 | 423 | 424 => (
            Class::Transient,
            "the receiver is busy with a conflict or lock",
        ),
        429 => (
            Class::Throttled { retry_after },
            "the receiver asks to slow down",
        ),
        400..=499 => (
            Class::Config,
            "the receiver does not take this kind of request: check the URL",
        ),
        503 if retry_after.is_some() => (
            Class::Throttled { retry_after },
            "the receiver is unavailable and said for how long",
        ),
        500..=599 => (Class::Transient, "the receiver has an error of its own"),
        _ => (Class::Transient, "the receiver's status is not a final one"),
    };
    Verdict { class, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn class(status: u16) -> Class {
        by_status(status, &HeaderMap::new(), now()).class
    }

    #[test]
    fn row79_every_status() {
        for status in 100..=599_u16 {
            let expected = match status {
                200..=299 => Class::Accepted,
                429 => Class::Throttled { retry_after: None },
                400 | 413 | 415 | 422 => Class::Payload,
                408 | 409 | 423 | 424 | 425 => Class::Transient,
                100..=199 | 500..=599 => Class::Transient,
                300..=499 => Class::Config,
                _ => unreachable!(),
            };
            assert_eq!(class(status), expected, "{status}");
        }
        assert_eq!(class(999), Class::Transient);
        assert_eq!(class(0), Class::Transient);
    }

    #[test]
    fn the_rows_of_the_contract() {
        for status in [401, 403, 404, 410, 300, 301, 302, 303, 304, 307, 308] {
            assert_eq!(class(status), Class::Config, "{status}");
        }
        for status in [408, 425, 500, 502, 503, 504, 599] {
            assert_eq!(class(status), Class::Transient, "{status}");
        }
    }

    #[test]
    fn f11_retry_after_counts_for_429_and_503_only() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "600".parse().unwrap());
        let held = Class::Throttled {
            retry_after: Some(Duration::from_secs(600)),
        };
        for status in 100..=599_u16 {
            let with = by_status(status, &headers, now()).class;
            match status {
                429 | 503 => assert_eq!(with, held),
                _ => assert_eq!(with, class(status), "{status}"),
            }
        }
    }

    #[test]
    fn f11_row80_an_unusable_retry_after_is_none() {
        let mut headers = HeaderMap::new();
        for value in [&b"soon"[..], b"\xff\xfe", b"", b"-1"] {
            headers.insert(
                RETRY_AFTER,
                reqwest::header::HeaderValue::from_bytes(value).unwrap(),
            );
            let verdict = by_status(429, &headers, now());
            assert_eq!(verdict.class, Class::Throttled { retry_after: None });
            let verdict = by_status(503, &headers, now());
            assert_eq!(verdict.class, Class::Transient);
        }
    }
}
