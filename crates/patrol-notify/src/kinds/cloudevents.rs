//! cloudevents.

use patrol_core::notice::Notice;

use crate::render::{Limits, Part, patrol_v1};

pub(super) fn render(notice: &Notice, limits: &Limits) -> Vec<Part> {
    patrol_v1(notice, limits)
}
