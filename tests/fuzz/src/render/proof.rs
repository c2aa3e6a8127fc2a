//! Proofs of who sends, checked as receivers check them.

use data_encoding::BASE64;
use patrol_notify::render::Part;
use patrol_notify::{Secret, SigningSecrets, seal};
use ring::hmac;
use serde_json::Value;

/// 2027-01-15T08:00:00Z.
const NOW: i64 = 1_800_000_000;
const KEYS: [&[u8]; 2] = [
    b"0123456789abcdefghijklmn",
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345",
];
const SECRET: &str = "SECd0ntUseTh1sKeyAnywhere";

pub(super) fn check(part: &Part) {
    webhook(part);
    bodies(part);
}

/// Standard Webhooks: every key of a rotation signs id, time and body.
fn webhook(part: &Part) {
    let secrets: Vec<String> = KEYS
        .iter()
        .map(|key| format!("whsec_{}", BASE64.encode(key)))
        .collect();
    let signing = SigningSecrets::parse(&Secret::from(secrets.join(" "))).unwrap();
    let header = signing.header(&part.webhook_id, NOW, &part.body);
    assert!(!part.webhook_id.contains('.') && part.webhook_id.is_ascii());
    let mut signed = format!("{}.{NOW}.", part.webhook_id).into_bytes();
    signed.extend_from_slice(&part.body);
    let signatures: Vec<&str> = header.split(' ').collect();
    assert_eq!(signatures.len(), KEYS.len());
    for (key, signature) in KEYS.iter().zip(signatures) {
        let tag = signature.strip_prefix("v1,").expect("version 1");
        let tag = BASE64.decode(tag.as_bytes()).expect("base64");
        let key = hmac::Key::new(hmac::HMAC_SHA256, key);
        hmac::verify(&key, &signed, &tag).expect("it verifies");
    }
}

/// What goes into a body beside the message is there, and the message is as it was.
fn bodies(part: &Part) {
    let Ok(Value::Object(before)) = serde_json::from_slice(&part.body) else {
        return;
    };
    let sign = seal::feishu_sign(&Secret::from(SECRET), NOW).expect("a text");
    let fields = [("timestamp", "1800000000"), ("sign", sign.as_str())];
    // The generic message has a field of this name and is never signed so.
    let fields = if before.contains_key("timestamp") {
        &fields[1..]
    } else {
        &fields[..]
    };
    let sealed = seal::insert_fields(&part.body, fields).expect("an object");
    let Ok(Value::Object(mut after)) = serde_json::from_slice(&sealed) else {
        panic!("no object any more");
    };
    for (name, value) in fields {
        assert_eq!(after.remove(*name), Some(Value::from(*value)));
    }
    assert_eq!(after, before);
    let key = hmac::Key::new(hmac::HMAC_SHA256, format!("{NOW}\n{SECRET}").as_bytes());
    let tag = BASE64.decode(sign.as_bytes()).expect("base64");
    hmac::verify(&key, b"", &tag).expect("it verifies");
}
