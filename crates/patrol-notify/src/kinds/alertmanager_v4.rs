//! alertmanager v4.

use patrol_core::notice::Notice;

use super::Style;
use crate::render::{Limits, Part, patrol_v1};

pub(super) fn render(notice: &Notice, limits: &Limits, _style: Style) -> Vec<Part> {
    patrol_v1(notice, limits)
}
