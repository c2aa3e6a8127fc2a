//! pagerduty.

use patrol_core::notice::Notice;
use serde_json::json;

use super::Style;
use crate::classify::Verdict;
use crate::render::{Limits, Part, single};

pub(super) fn render(notice: &Notice, _limits: &Limits, _style: Style) -> Vec<Part> {
    single(notice, &json!({"event_action": "trigger"}))
}

pub(super) fn classify(by_status: Verdict, _body: &[u8]) -> Verdict {
    by_status
}
