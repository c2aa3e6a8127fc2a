//! Times and sizes of the reader. The defaults are for production; tests shorten them.

use std::time::Duration;

use crate::client::PAGE_DEADLINE;

/// Times and sizes of the reader.
#[derive(Clone, Debug)]
pub struct ReaderSettings {
    /// How long the server shall keep a watch open; a bookmark comes shortly before its end.
    pub watch_timeout: Duration,
    /// How much longer than that a watch may stay open before it counts as dead.
    pub watch_slack: Duration,
    /// Deadline of the head of a watch's reply.
    pub watch_start: Duration,
    /// A watch that ends sooner than this without an event counts as very short.
    pub short_watch: Duration,
    /// The longest line of a watch, in bytes.
    pub frame_max: usize,
    /// Objects in a page of a list.
    pub page_limit: u32,
    /// Deadline of a page.
    pub page_deadline: Duration,
    /// The largest page, in bytes; larger ones are asked for again with fewer objects.
    pub page_max: usize,
    /// Lists that run at the same time.
    pub lists: usize,
    /// First pause after a failure.
    pub backoff: Duration,
    /// Longest pause after failures.
    pub backoff_max: Duration,
    /// Longest pause while access is denied.
    pub denied_max: Duration,
    /// How often a kind that is not installed is looked for.
    pub absent_every: Duration,
    /// How long a kind may be throttled before it counts as lost.
    pub throttled_max: Duration,
    /// How often what was seen is compared with a list of metadata; `None`: never.
    pub verify_every: Option<Duration>,
}

impl Default for ReaderSettings {
    fn default() -> Self {
        Self {
            watch_timeout: Duration::from_secs(45),
            watch_slack: Duration::from_secs(5),
            watch_start: Duration::from_secs(15),
            short_watch: Duration::from_secs(1),
            frame_max: 8 << 20,
            page_limit: 500,
            page_deadline: PAGE_DEADLINE,
            page_max: 64 << 20,
            lists: 4,
            backoff: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
            denied_max: Duration::from_secs(60),
            absent_every: Duration::from_secs(45),
            throttled_max: Duration::from_secs(15),
            verify_every: Some(Duration::from_secs(3600)),
        }
    }
}
