//! Receiver kinds: each is a pure pair, how a notice is written and what a reply means.
//!
//! The client knows kinds only through this enum, so a kind that hides errors in a `200` or wants its own
//! body is one more variant here and one more file beside `render` and `classify`.

use chrono::{DateTime, Utc};
use patrol_core::notice::Notice;
use reqwest::header::HeaderMap;

use crate::classify::{self, Verdict};
use crate::render::{self, Limits, Part};

/// What speaks at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// A generic webhook that is sent `patrol/v1`.
    #[default]
    Webhook,
}

impl Kind {
    /// Writes a notice, in as many parts as the limits ask for; at least one.
    pub fn render(self, notice: &Notice, limits: &Limits) -> Vec<Part> {
        match self {
            Kind::Webhook => render::patrol_v1(notice, limits),
        }
    }

    /// What a reply means. `body_prefix` is what was read of the body, possibly nothing.
    pub fn classify(
        self,
        status: u16,
        headers: &HeaderMap,
        body_prefix: &[u8],
        now: DateTime<Utc>,
    ) -> Verdict {
        match self {
            Kind::Webhook => classify::webhook(status, headers, body_prefix, now),
        }
    }

    /// The `content-type` of what is sent.
    pub fn content_type(self) -> &'static str {
        match self {
            Kind::Webhook => "application/json",
        }
    }
}
