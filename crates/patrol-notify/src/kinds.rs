//! Receiver kinds: each is a pure pair, how a notice is written ([`render`]) and what a reply means ([`classify`]).
//!
//! One kind, one file. A kind that signs in its own way says how in [`crate::seal`]. Nothing here does I/O or reads a clock.

mod alertmanager;
mod alertmanager_v4;
mod cloudevents;
mod dingtalk;
mod feishu;
mod pagerduty;
mod prom;
mod slack;
mod summary;
mod teams;
mod wecom;

use chrono::{DateTime, Utc};
use patrol_api::receiver::{Endpoint, EndpointKind, Locale, WebhookFormat};
use patrol_core::notice::Notice;
use reqwest::header::HeaderMap;

use crate::classify::{self, Verdict};
use crate::render::{self, Limits, Part};

/// How a receiver wants its messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Style {
    /// Language of the texts for people.
    pub locale: Locale,
    /// Leave out titles, messages, remedies, assignees and subjects' names and UIDs.
    pub minimal: bool,
}

/// Writes a notice for an endpoint, in as many parts as its limits ask for; at least one.
#[must_use]
pub fn render(endpoint: &Endpoint, notice: &Notice, style: Style) -> Vec<Part> {
    let limits = limits(endpoint, style);
    match endpoint {
        Endpoint::Webhook(webhook) => match webhook.format {
            WebhookFormat::PatrolV1 => render::patrol_v1(notice, &limits),
            WebhookFormat::CloudEventsV1 => cloudevents::render(notice, &limits),
            WebhookFormat::AlertmanagerV4 => alertmanager_v4::render(notice, &limits, style),
        },
        Endpoint::Alertmanager(spec) => alertmanager::render(notice, &limits, style, spec),
        Endpoint::Slack(spec) => slack::render(notice, &limits, style, spec),
        Endpoint::Teams(spec) => teams::render(notice, &limits, style, spec),
        Endpoint::Dingtalk(spec) => dingtalk::render(notice, &limits, style, spec),
        Endpoint::Feishu(spec) => feishu::render(notice, &limits, style, spec),
        Endpoint::Wecom(spec) => wecom::render(notice, &limits, style, spec),
        Endpoint::Pagerduty(_) => pagerduty::render(notice, &limits, style),
    }
}

/// What a reply means. `body_prefix` is what was read of the body, possibly nothing.
#[must_use]
pub fn classify(
    kind: EndpointKind,
    status: u16,
    headers: &HeaderMap,
    body_prefix: &[u8],
    now: DateTime<Utc>,
) -> Verdict {
    let by_status = classify::by_status(status, headers, now);
    match kind {
        EndpointKind::Webhook | EndpointKind::Alertmanager => by_status,
        EndpointKind::Slack => slack::classify(by_status, status, body_prefix),
        EndpointKind::Teams => teams::classify(by_status, status, body_prefix),
        EndpointKind::Dingtalk => dingtalk::classify(by_status, status, body_prefix),
        EndpointKind::Feishu => feishu::classify(by_status, status, body_prefix),
        EndpointKind::Wecom => wecom::classify(by_status, status, body_prefix),
        EndpointKind::Pagerduty => pagerduty::classify(by_status, status, body_prefix),
    }
}

/// The `content-type` of what is sent.
#[must_use]
pub fn content_type(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Webhook(webhook) if webhook.format == WebhookFormat::CloudEventsV1 => {
            "application/cloudevents+json"
        }
        _ => "application/json",
    }
}

/// How much an endpoint takes in one message: what its provider allows, with room to spare.
#[must_use]
pub fn limits(endpoint: &Endpoint, style: Style) -> Limits {
    let (max_bytes, max_items) = match endpoint.kind() {
        EndpointKind::Webhook => (64 * 1024, 200),
        EndpointKind::Alertmanager => (1024 * 1024, 256),
        EndpointKind::Slack => (30_000, 40),
        EndpointKind::Teams => (20_000, 40),
        EndpointKind::Dingtalk => (18_000, 40),
        EndpointKind::Feishu => (18_000, 40),
        EndpointKind::Wecom => (3_900, 20),
        EndpointKind::Pagerduty => (256 * 1024, usize::MAX),
    };
    Limits {
        max_bytes,
        max_items,
        minimal: style.minimal,
    }
}
