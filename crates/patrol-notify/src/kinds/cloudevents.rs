//! CloudEvents 1.0 in structured mode: one event a part, its `data` being `data` of `patrol/v1`.
//!
//! What `patrol/v1` says around its `data` (type and time) are attributes of the event, so that routers can sort without
//! opening it. `source` and `id` together name an event: a repeat carries the same ones. At most 64 KiB, the size that
//! every intermediary has to forward. Source: cloudevents/spec 1.0.2, `spec.md` and `http-protocol-binding.md`.

use patrol_core::notice::{Notice, NoticeKind};
use serde_json::{Map, Value};

use crate::render::{Limits, Part, Place, data, in_parts, item, text, time};
use crate::text::clean;

pub(super) fn render(notice: &Notice, limits: &Limits) -> Vec<Part> {
    in_parts(
        notice,
        limits.max_bytes,
        limits.max_items,
        |ticket| item(ticket, limits.minimal),
        |place, tickets| event(notice, place, tickets),
    )
}

fn event(notice: &Notice, place: &Place, tickets: Vec<Value>) -> Value {
    let mut fields = Map::new();
    let mut set = |key: &str, value: Value| {
        fields.insert(key.to_owned(), value);
    };
    set("specversion", "1.0".into());
    set("id", text(&place.id));
    set("source", source(notice).into());
    set("type", kind(notice.kind).into());
    // An empty subject is no subject.
    let key = clean(&notice.group.key);
    if !key.is_empty() {
        set("subject", key.into());
    }
    set("time", time(notice.at));
    set("datacontenttype", "application/json".into());
    set("data", data(notice, place, tickets));
    Value::Object(fields)
}

const fn kind(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Alert => "io.kubepatrol.alert.v1",
        NoticeKind::Digest => "io.kubepatrol.digest.v1",
        NoticeKind::Heartbeat => "io.kubepatrol.heartbeat.v1",
        NoticeKind::Test => "io.kubepatrol.test.v1",
    }
}

/// The policy of a cluster; a sign of life or a probe belongs to none.
fn source(notice: &Notice) -> String {
    let cluster = segment(&notice.cluster.id);
    match notice.policy.as_str() {
        "" => format!("/clusters/{cluster}/kube-patrol"),
        policy => format!(
            "/clusters/{cluster}/kube-patrol/policies/{}",
            segment(policy)
        ),
    }
}

/// A text as a segment of a path.
fn segment(text: &str) -> String {
    let mut out = String::new();
    for byte in clean(text).bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
