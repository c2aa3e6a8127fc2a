//! Golden files, one per kind and language: `PATROL_GOLDEN=write cargo test -p patrol-notify --test chats golden` writes
//! them anew. They are read by people before they are committed.

use std::fmt::Write as _;
use std::path::PathBuf;

use patrol_api::receiver::Locale;
use patrol_core::notice::{Notice, NoticeKind};
use patrol_notify::kinds::Style;

use crate::samples::*;

fn cases() -> Vec<(&'static str, bool, Notice)> {
    let alike = notice((1..=3).map(ticket).collect());
    vec![
        ("one ticket opened", false, notice(vec![ticket(1)])),
        ("three alike", false, alike),
        ("one of everything", false, all_sorts()),
        ("one ticket, minimal", true, notice(vec![ticket(1)])),
        ("test", false, bare(NoticeKind::Test)),
        ("heartbeat", false, bare(NoticeKind::Heartbeat)),
        ("digest", false, {
            let mut digest = baseline();
            digest.tickets.drain(1..22);
            digest.counts.firing = 31;
            digest
        }),
    ]
}

fn written(endpoint: &patrol_api::receiver::Endpoint, locale: Locale) -> String {
    let mut out = String::new();
    for (name, minimal, notice) in cases() {
        let notice = spoken(notice, locale);
        let parts = render(endpoint, &notice, Style { locale, minimal });
        let count = parts.len();
        for (index, part) in parts.iter().enumerate() {
            writeln!(
                out,
                "=== {name}, {} of {count}, by number {}",
                index + 1,
                part.by_number
            )
            .unwrap();
            writeln!(
                out,
                "{}",
                serde_json::to_string_pretty(&body(part)).unwrap()
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
    for endpoint in endpoints(mentions()) {
        for (locale, tag) in [(Locale::En, "en"), (Locale::ZhCn, "zh-CN")] {
            let file = folder.join(format!("{}.{tag}.txt", endpoint.kind().as_str()));
            let text = written(&endpoint, locale);
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

/// A person who reads one language finds nothing of the other in it, save the sentence of a finding and what people wrote.
#[test]
fn one_language_at_a_time() {
    for endpoint in endpoints(mentions()) {
        for (_, minimal, notice) in cases() {
            let style = Style {
                locale: Locale::En,
                minimal,
            };
            for part in render(&endpoint, &notice, style) {
                let told = texts(&body(&part)).concat();
                assert!(
                    !told.chars().any(|c| ('\u{4e00}'..'\u{a000}').contains(&c)),
                    "{told}"
                );
            }
            let style = Style {
                locale: Locale::ZhCn,
                minimal,
            };
            for part in render(&endpoint, &spoken(notice, style.locale), style) {
                let told = texts(&body(&part)).concat();
                for word in [
                    "Required sidecar",
                    "Enable the injection",
                    "Where",
                    "Since",
                    "Critical",
                    "Cluster",
                    "Fixed",
                    "Digest",
                    "alive",
                    "Sent",
                    "more,",
                ] {
                    assert!(!told.contains(word), "{word}: {told}");
                }
            }
        }
    }
}
