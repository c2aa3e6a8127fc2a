//! How far our wall clock is from the API server's. Signatures of webhooks and of chat robots hold the time, and whoever
//! checks them allows minutes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, Utc};
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

    /// Takes in what a reply says of the time; one that says nothing changes nothing.
    pub(crate) fn learn(&self, server: Option<DateTime<Utc>>, now: Time) {
        if let Some(server) = server {
            let ahead = now.unix().saturating_sub(server.timestamp());
            self.0.store(ahead, Ordering::Relaxed);
        }
    }
}

/// From this difference on signatures are at risk: whoever checks them allows as little as five minutes.
const MATTERS: u64 = 120;
/// Changes within this are no news.
const STEADY: u64 = 60;

/// Tells the difference where it matters, and when that ends.
#[derive(Debug, Default)]
pub struct Watch {
    said: i64,
}

impl Watch {
    /// What is news of a difference: seconds, or 0 when it matters no more.
    pub fn news(&mut self, seconds: Option<i64>) -> Option<i64> {
        let seconds = seconds?;
        let matters = seconds.unsigned_abs() > MATTERS;
        let moved = seconds.abs_diff(self.said) > STEADY;
        let news = match (self.said, matters) {
            (0, false) => return None,
            (_, false) => 0,
            (_, true) if !moved => return None,
            (_, true) => seconds,
        };
        self.said = news;
        Some(news)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_news_when_it_begins_to_matter_when_it_moves_and_when_it_ends() {
        let mut watch = Watch::default();
        let rows = [
            (None, None),
            (Some(-120), None),
            (Some(121), Some(121)),
            (Some(181), None),
            (Some(182), Some(182)),
            (Some(-182), Some(-182)),
            (None, None),
            (Some(-120), Some(0)),
            (Some(100), None),
        ];
        for (seconds, news) in rows {
            assert_eq!(watch.news(seconds), news, "{seconds:?}");
        }
    }

    #[test]
    fn the_servers_time_is_compared_and_its_silence_changes_nothing() {
        let skew = Skew::default();
        let now = Time::from_unix(1_700_000_000);
        skew.learn(None, now);
        assert_eq!(skew.seconds(), None);
        for (server, ahead) in [
            (1_700_000_000, 0),
            (1_699_999_870, 130),
            (1_700_000_120, -120),
        ] {
            skew.learn(DateTime::from_timestamp(server, 0), now);
            assert_eq!(skew.seconds(), Some(ahead));
        }
        skew.learn(None, now);
        assert_eq!(skew.seconds(), Some(-120));
    }
}
