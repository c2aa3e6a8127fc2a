//! wecom.

use patrol_api::receiver::WecomSpec;
use patrol_core::notice::Notice;
use serde_json::json;

use super::Style;
use crate::classify::Verdict;
use crate::render::{Limits, Part, single};

pub(super) fn render(
    notice: &Notice,
    _limits: &Limits,
    _style: Style,
    _spec: &WecomSpec,
) -> Vec<Part> {
    let text = format!("{} {}", notice.reason, notice.group.key);
    single(
        notice,
        &json!({"msgtype": "text", "text": {"content": text}}),
    )
}

pub(super) fn classify(by_status: Verdict, _body: &[u8]) -> Verdict {
    by_status
}
