//! alertmanager.

use patrol_api::receiver::AlertmanagerSpec;
use patrol_core::notice::Notice;
use serde_json::json;

use super::Style;

use crate::render::{Limits, Part, single};

pub(super) fn render(
    notice: &Notice,
    _limits: &Limits,
    _style: Style,
    _spec: &AlertmanagerSpec,
) -> Vec<Part> {
    let text = format!("{} {}", notice.reason, notice.group.key);
    single(notice, &json!([{"labels": {"alertname": text}}]))
}
