//! F12: whatever comes back, only the provider's own word for success is a yes, and nothing makes a reader stumble.

use chrono::DateTime;
use patrol_api::receiver::EndpointKind;
use patrol_notify::{Class, kinds};
use proptest::prelude::*;
use reqwest::header::HeaderMap;

const CHATS: [EndpointKind; 5] = [
    EndpointKind::Slack,
    EndpointKind::Teams,
    EndpointKind::Dingtalk,
    EndpointKind::Feishu,
    EndpointKind::Wecom,
];

fn class(kind: EndpointKind, status: u16, body: &[u8]) -> Class {
    let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    kinds::classify(kind, status, &HeaderMap::new(), body, now).class
}

#[test]
fn f12_a_page_in_any_encoding_is_no_yes() {
    let cut = ["<html>".as_bytes(), &"词".as_bytes()[..2]].concat();
    for page in [
        b"<html>\xc4\xe3\xba\xc3".as_slice(),
        "\u{feff}<html>ok</html>".as_bytes(),
        b"\xff\xfe<\0h\0t\0m\0l\0>\0",
        &cut,
        b"  \r\n<!-- 1 -->",
    ] {
        for kind in CHATS {
            for status in [200, 201, 202, 204] {
                assert_ne!(
                    class(kind, status, page),
                    Class::Accepted,
                    "{kind:?} {page:?}"
                );
            }
        }
    }
}

proptest! {
    #[test]
    fn f12_noise_is_no_yes(body in proptest::collection::vec(any::<u8>(), 1..200), status in 0_u16..1_000) {
        for kind in CHATS {
            let said = class(kind, status, &body);
            let words: [&[u8]; 2] = [b"ok", b"1"];
            if said == Class::Accepted && !words.contains(&body.trim_ascii()) {
                // White space is as good as nothing, which is all that a workflow answers with.
                prop_assert!(kind == EndpointKind::Teams && String::from_utf8_lossy(&body).trim().is_empty());
            }
        }
    }

    /// A code of success in a structure that is not the provider's.
    #[test]
    fn f12_only_a_number_on_top_counts(value in "[\"\\[{]?0?[\"\\]}]?|null|true|0\\.5|-0\\.1|00|1e9|0x0") {
        for (kind, name) in [(EndpointKind::Dingtalk, "errcode"), (EndpointKind::Feishu, "code"), (EndpointKind::Wecom, "errcode")] {
            let body = format!("{{\"{name}\":{value}}}");
            let yes = class(kind, 200, body.as_bytes()) == Class::Accepted;
            prop_assert_eq!(yes, value == "0", "{}", body);
            let nested = format!("{{\"data\":{{\"{name}\":0}}}}");
            prop_assert_ne!(class(kind, 200, nested.as_bytes()), Class::Accepted);
        }
    }
}
