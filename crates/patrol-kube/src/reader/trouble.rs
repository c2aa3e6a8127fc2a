//! Everything that can keep a kind from being read, and what a reply's status means.

use std::time::Duration;

use http::StatusCode;

use crate::error::CallError;

/// Why a list or watch did not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// 403, for this verb.
    Denied(&'static str),
    /// 404: perhaps the kind is not installed.
    NotFound,
    /// The version or continue token is too old.
    Expired,
    /// 429, perhaps with a pause asked for.
    Throttled(Option<Duration>),
    /// Anything else, by a canned reason, perhaps with a pause asked for.
    Failing(&'static str, Option<Duration>),
    /// Nobody takes events any more: the process ends.
    Closed,
}

/// A watch that was open longer than it was asked to be, without an end.
pub(super) const SILENT: Trouble = Trouble::failing("WatchSilent");

impl Trouble {
    pub(super) const fn failing(reason: &'static str) -> Self {
        Self::Failing(reason, None)
    }

    /// The word for logs.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Denied(_) => "AccessDenied",
            Self::NotFound => "NotFound",
            Self::Expired => "Expired",
            Self::Throttled(_) => "Throttled",
            Self::Failing(reason, _) => reason,
            Self::Closed => "Closed",
        }
    }

    /// What a status other than success means for a list or watch.
    pub(super) fn of_status(
        status: StatusCode,
        retry_after: Option<Duration>,
        verb: &'static str,
    ) -> Self {
        match status.as_u16() {
            401 => Self::Failing("Unauthorized", retry_after),
            403 => Self::Denied(verb),
            404 => Self::NotFound,
            410 => Self::Expired,
            429 => Self::Throttled(retry_after),
            500..=599 => Self::Failing("ServerError", retry_after),
            _ => Self::Failing("UnexpectedStatus", retry_after),
        }
    }

    /// Whether the same call may work a moment later.
    pub(super) const fn is_passing(self) -> bool {
        matches!(self, Self::Throttled(_) | Self::Failing(..))
    }

    /// The pause asked for.
    pub(super) const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Throttled(pause) | Self::Failing(_, pause) => pause,
            _ => None,
        }
    }
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        Self::Failing(error.as_str(), None)
    }
}
