//! Golden files, one per kind and language: `PATROL_GOLDEN=write cargo test -p patrol-notify --test machines golden`
//! writes them anew. They are read by people before they are committed.

use std::fmt::Write as _;
use std::path::PathBuf;

use patrol_api::receiver::{Endpoint, Locale};
use patrol_api::words::Severity;
use patrol_core::notice::{Notice, NoticeKind};
use patrol_notify::kinds::{self, Style};

use crate::samples::*;

fn cases() -> Vec<(&'static str, bool, Notice)> {
    let mut raised = ticket(1);
    raised.severity = Severity::Critical;
    raised.alarm.former = vec![Severity::Low];
    vec![
        ("one ticket opened", false, notice(vec![ticket(1)])),
        ("minimal", true, notice(vec![ticket(1)])),
        (
            "open, overdue and closed",
            false,
            notice(vec![breached(2), ticket(1), closed(3)]),
        ),
        ("the last one closed", false, notice(vec![closed(1)])),
        ("severity raised", false, notice(vec![raised])),
        ("a group whose tickets are gone", false, notice(vec![])),
        ("heartbeat", false, bare(NoticeKind::Heartbeat)),
        ("test", false, bare(NoticeKind::Test)),
    ]
}

fn written(kind: &str, endpoint: &Endpoint, locale: Locale) -> String {
    let mut out = String::new();
    for (name, minimal, notice) in cases() {
        let notice = spoken(kind, notice, locale);
        let parts = kinds::render(endpoint, &notice, Style { locale, minimal });
        let count = parts.len();
        for (index, part) in parts.iter().enumerate() {
            let body = serde_json::to_string_pretty(&body(part)).unwrap();
            let (place, tells) = (index + 1, &part.event_ids);
            writeln!(
                out,
                "=== {name}, {place} of {count}, tells {tells:?}\n{body}"
            )
            .unwrap();
        }
    }
    out
}

#[test]
fn golden() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"));
    let write = std::env::var("PATROL_GOLDEN").is_ok_and(|v| v == "write");
    let mut differ = vec![];
    for (name, endpoint) in endpoints() {
        for (locale, tag) in [(Locale::En, "en"), (Locale::ZhCn, "zh-CN")] {
            let file = folder.join(format!("{name}.{tag}.txt"));
            let text = written(name, &endpoint, locale);
            if write {
                std::fs::write(&file, &text).unwrap();
            }
            if std::fs::read_to_string(&file).unwrap_or_default() != text {
                differ.push(file);
            }
        }
    }
    assert!(differ.is_empty(), "not as in {differ:?}");
}
