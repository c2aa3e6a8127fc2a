//! How much a receiver of a kind takes: below what its provider allows, so that nothing is refused in normal operation.

use patrol_api::receiver::{EndpointKind, Rate};

/// Messages a minute, at once, and under way together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Manner {
    per_minute: u32,
    /// Messages that may go at once before the rate applies.
    pub burst: u32,
    /// Deliveries whose answers are awaited together while the receiver is well.
    pub in_flight: usize,
}

impl Manner {
    /// The manner of a kind, with the rate of the object where it names one.
    pub fn of(kind: EndpointKind, rate: Option<Rate>) -> Self {
        // Providers: Slack one a second, Teams four, DingTalk and WeCom 20 a minute (then DingTalk blocks for minutes),
        // Feishu 100 a minute and five a second, PagerDuty some 120 a minute.
        let (per_minute, burst, in_flight) = match kind {
            EndpointKind::Webhook => (600, 20, 4),
            EndpointKind::Alertmanager => (300, 5, 2),
            EndpointKind::Slack => (48, 1, 1),
            EndpointKind::Teams => (120, 2, 1),
            EndpointKind::Dingtalk | EndpointKind::Wecom => (15, 3, 1),
            EndpointKind::Feishu => (80, 4, 1),
            EndpointKind::Pagerduty => (90, 5, 1),
        };
        Self {
            per_minute: rate.map_or(per_minute, |rate| rate.per_minute),
            burst,
            in_flight,
        }
    }

    /// Messages a minute, at least one.
    pub fn per_minute(self) -> u64 {
        u64::from(self.per_minute.max(1))
    }
}
