//! How far our wall clock is from the API server's. Signatures of webhooks and of chat robots hold the time, and whoever
//! checks them allows minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::DateTime;
use http::{HeaderMap, header};
use patrol_api::time::Time;

/// Nothing was learned yet.
const UNKNOWN: i64 = i64::MIN;

/// The difference as the last reply showed it. Cloning is cheap; clones share it.
#[derive(Clone, Debug)]
pub struct Skew(Arc<AtomicI64>);

impl Default for Skew {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(UNKNOWN)))
    }
}

impl Skew {
    /// Seconds that our clock is ahead of the API server's, negative when it is behind. The server's word has whole
    /// seconds and is as old as the reply, so a second or two mean nothing.
    #[must_use]
    pub fn seconds(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|seconds| *seconds != UNKNOWN)
    }

    /// Takes in the head of a reply. A reply without a time, or with none that can be read, changes nothing.
    pub(crate) fn learn(&self, headers: &HeaderMap, now: Time) {
        let server = headers
            .get(header::DATE)
            .and_then(|value| value.to_str().ok())
            .and_then(|text| DateTime::parse_from_rfc2822(text).ok());
        if let Some(server) = server {
            let ahead = now.unix().saturating_sub(server.timestamp());
            self.0.store(ahead, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(date: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::DATE, date.parse().unwrap())])
    }

    #[test]
    fn the_servers_date_is_compared_and_garbage_changes_nothing() {
        let skew = Skew::default();
        assert_eq!(skew.seconds(), None);
        let now = Time::from_unix(1_700_000_000);
        skew.learn(&HeaderMap::new(), now);
        skew.learn(&headers("yesterday"), now);
        assert_eq!(skew.seconds(), None);
        // 1_700_000_000 is this instant.
        skew.learn(&headers("Tue, 14 Nov 2023 22:13:20 GMT"), now);
        assert_eq!(skew.seconds(), Some(0));
        skew.learn(&headers("Tue, 14 Nov 2023 22:11:10 GMT"), now);
        assert_eq!(skew.seconds(), Some(130));
        skew.learn(&headers("Tue, 14 Nov 2023 22:15:20 GMT"), now);
        assert_eq!(skew.seconds(), Some(-120));
        skew.learn(&headers(""), now);
        assert_eq!(skew.seconds(), Some(-120));
    }
}
