//! How much a receiver of a kind takes: below what its provider allows, so that nothing is refused in normal operation.

use patrol_api::receiver::{EndpointKind, Rate};
use patrol_api::time::Span;

/// Messages a minute, at once, and under way together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    per_minute: u32,
    /// Messages that may go at once before the rate applies.
    pub burst: u32,
    /// Deliveries whose answers are awaited together while the receiver is well.
    pub in_flight: usize,
    /// Tickets that go into one message, as a first guess. `None`: a message is a whole group, however many there are.
    pub items: Option<usize>,
    /// A digest says it all by number, and by name only what is worst.
    pub sums_up: bool,
    /// Pause after a second refusal for their number that does not say how long.
    second_pause: Span,
}

/// Pause after a refusal for their number that does not say how long.
const PAUSE: Span = Span::seconds(60);

/// Whether people read it, and nobody counts what it says.
const fn is_for_people(kind: EndpointKind) -> bool {
    matches!(
        kind,
        EndpointKind::Slack
            | EndpointKind::Teams
            | EndpointKind::Dingtalk
            | EndpointKind::Wecom
            | EndpointKind::Feishu
    )
}

impl Manner {
    /// The manner of a kind, with the rate of the object where it names one.
    pub fn of(kind: EndpointKind, rate: Option<Rate>) -> Self {
        // Providers: Slack one a second, Teams four, DingTalk and WeCom 20 a minute (then DingTalk blocks for minutes),
        // Feishu 100 a minute and five a second, PagerDuty some 120 a minute.
        let (per_minute, burst, in_flight, items) = match kind {
            EndpointKind::Webhook => (600, 20, 4, Some(40)),
            EndpointKind::Alertmanager => (300, 5, 2, None),
            EndpointKind::Slack => (48, 1, 1, Some(40)),
            EndpointKind::Teams => (120, 2, 1, Some(20)),
            EndpointKind::Dingtalk => (15, 3, 1, Some(20)),
            EndpointKind::Wecom => (15, 3, 1, Some(8)),
            EndpointKind::Feishu => (80, 4, 1, Some(20)),
            EndpointKind::Pagerduty => (90, 5, 1, None),
        };
        let second_pause = match kind {
            // It then refuses everything for some ten minutes, and counts tries as more of the same.
            EndpointKind::Dingtalk => Span::minutes(11),
            _ => PAUSE,
        };
        Self {
            per_minute: rate.map_or(per_minute, |rate| rate.per_minute),
            burst,
            in_flight,
            items,
            sums_up: is_for_people(kind),
            second_pause,
        }
    }

    /// How long to pause when it does not say: `again` when it refused not long ago, too.
    pub const fn pause(self, again: bool) -> Span {
        if again { self.second_pause } else { PAUSE }
    }

    /// Half of what it takes, at least one message.
    pub fn halved(self) -> Self {
        Self {
            per_minute: (self.per_minute / 2).max(1),
            burst: (self.burst / 2).max(1),
            ..self
        }
    }

    /// Messages a minute, at least one.
    pub fn per_minute(self) -> u64 {
        u64::from(self.per_minute.max(1))
    }
}
