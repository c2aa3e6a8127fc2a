//! Replies of receivers, through all kinds: who is believed to have accepted, and that no byte of a reply gets out.
//!
//! Input: the status, a line break, the value of `Retry-After`, a line break, the body.

use std::time::Duration;

use chrono::DateTime;
use patrol_api::receiver::EndpointKind;
use patrol_notify::classify::{Class, Verdict, by_status};
use patrol_notify::kinds;
use reqwest::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use serde_json::Value;

use crate::feed::line;

/// Says nothing to any provider.
const MARK: &str = "q7S3CRETq7";
/// 2027-01-15T08:00:00Z.
const NOW: i64 = 1_800_000_000;
/// The longest sentence of ours; what is longer was not written by us.
const SENTENCE: usize = 300;

pub(crate) fn run(data: &[u8]) {
    let (status, rest) = line(data);
    let (retry_after, body) = line(rest);
    let status = std::str::from_utf8(status).ok();
    let status: u16 = status.and_then(|s| s.parse().ok()).unwrap_or(200);
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(retry_after) {
        headers.insert(RETRY_AFTER, value);
    }
    let now = DateTime::from_timestamp(NOW, 0).unwrap();
    let plain = by_status(status, &headers, now);
    for kind in EndpointKind::ALL.iter().copied() {
        let classify = |body: &[u8]| kinds::classify(kind, status, &headers, body, now);
        let verdict = classify(body);
        assert_eq!(verdict, classify(body), "{kind:?}: not the same twice");
        of_our_own(kind, verdict);
        consistent(kind, status, plain, verdict);
        let accepted = (200..=299).contains(&status) && says_yes(kind, status, body);
        assert_eq!(
            verdict.class == Class::Accepted,
            accepted,
            "{kind:?}: {status}: {verdict:?}"
        );
        // What nobody asked for changes nothing, and does not show.
        if let Some(marked) = marked(body) {
            let with = classify(&marked);
            assert_eq!(with, verdict, "{kind:?}: an unknown field matters");
            of_our_own(kind, with);
        }
    }
}

/// A sentence in our words.
fn of_our_own(kind: EndpointKind, verdict: Verdict) {
    let said = verdict.detail;
    let clean = said.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    assert!(
        !said.is_empty() && said.len() <= SENTENCE && clean && !said.contains(MARK),
        "{kind:?}: {said:?}"
    );
}

/// The same object with one field more at its front, nothing else being touched; nothing when it is no object.
fn marked(body: &[u8]) -> Option<Vec<u8>> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(body) else {
        return None;
    };
    let open = body.iter().position(|byte| *byte == b'{')?;
    let (before, after) = body.split_at(open + 1);
    let comma = if fields.is_empty() { "" } else { "," };
    let field = format!("\"{MARK}\":\"{MARK}\"{comma}");
    Some([before, field.as_bytes(), after].concat())
}

/// What the status allows whatever the body says.
fn consistent(kind: EndpointKind, status: u16, plain: Verdict, verdict: Verdict) {
    let why = format!("{kind:?}: {status}: {verdict:?}");
    if let Class::Throttled { retry_after } = verdict.class {
        let hour = Duration::from_secs(1)..=Duration::from_secs(3600);
        assert!(retry_after.is_none_or(|wait| hour.contains(&wait)), "{why}");
    }
    assert_ne!(verdict.class, Class::Blocked, "{why}");
    let generic = matches!(kind, EndpointKind::Webhook | EndpointKind::Alertmanager);
    match status {
        _ if generic => assert_eq!(verdict, plain, "{why}"),
        200..=299 => {}
        // Nobody's body says more than these.
        300..=399 => assert_eq!(verdict.class, Class::Config, "{why}"),
        429 => assert!(matches!(verdict.class, Class::Throttled { .. }), "{why}"),
        400..=499 => assert_ne!(verdict.class, Class::Accepted, "{why}"),
        503 => assert!(
            matches!(
                verdict.class,
                Class::Transient
                    | Class::Throttled {
                        retry_after: Some(_)
                    }
            ),
            "{why}"
        ),
        _ => assert_eq!(verdict.class, Class::Transient, "{why}"),
    }
}

/// Whether a body of a 2xx says that the message was taken, by the words of the specification.
fn says_yes(kind: EndpointKind, status: u16, body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let field = |name: &str| json.as_ref().and_then(|json| json.get(name));
    let zero = |name: &str| field(name).is_some_and(|code| code.as_i64() == Some(0));
    match kind {
        EndpointKind::Webhook | EndpointKind::Alertmanager => true,
        EndpointKind::Pagerduty => status == 202,
        EndpointKind::Slack => match field("ok") {
            Some(Value::Bool(ok)) => *ok,
            _ => text == "ok",
        },
        EndpointKind::Dingtalk | EndpointKind::Wecom => zero("errcode"),
        EndpointKind::Feishu => {
            let failed = |name: &str| {
                field(name).is_some_and(|code| code.as_i64().is_some_and(|code| code != 0))
            };
            (zero("code") || zero("StatusCode")) && !failed("code") && !failed("StatusCode")
        }
        EndpointKind::Teams => {
            let object = json.as_ref().is_some_and(Value::is_object);
            let taken = text.is_empty() || text == "1" || object;
            taken && field("error").is_none() && !relays_a_status(text)
        }
    }
}

/// `HTTP error 413` in the 200 of a connector.
fn relays_a_status(text: &str) -> bool {
    let text = text.to_lowercase();
    let after = text.split("http error ").nth(1);
    after.is_some_and(|after| after.starts_with(|c: char| c.is_ascii_digit()))
}
