//! What makes a request of a body ready: each provider's own proof of who sends.
//!
//! Pure: body, address, credential and time in, address, body and headers out. It happens at the last moment, because most
//! proofs hold the time of the attempt. A credential never leaves in anything but the request.

use data_encoding::BASE64;
use ring::hmac;
use url::form_urlencoded;

use crate::secret::Secret;
use crate::sign::SigningSecrets;

/// How a sender proves who it is, beside what the address and fixed headers prove.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Standard Webhooks: headers over id, time and body.
    Signing(SigningSecrets),
    /// DingTalk: `timestamp` in milliseconds and `sign` in the query.
    Dingtalk(Secret),
    /// Feishu: `timestamp` in seconds and `sign` in the body.
    Feishu(Secret),
    /// PagerDuty: `routing_key` in the body.
    RoutingKey(Secret),
}

/// The query that proves a message to a DingTalk robot: base64(HMAC-SHA256(key = secret, `timestamp` LF `secret`)).
/// Source: DingTalk open platform, "Customize robot security settings", signature.
#[must_use]
pub fn dingtalk_query(secret: &Secret, unix: i64) -> Option<String> {
    let secret = secret.expose_text()?;
    let timestamp = unix.saturating_mul(1000);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let tag = hmac::sign(&key, format!("{timestamp}\n{secret}").as_bytes());
    let sign: String =
        form_urlencoded::byte_serialize(BASE64.encode(tag.as_ref()).as_bytes()).collect();
    Some(format!("timestamp={timestamp}&sign={sign}"))
}

/// The signature that proves a message to a Feishu bot: base64(HMAC-SHA256(key = `timestamp` LF `secret`, nothing)).
/// Source: Feishu open platform, "Custom bot usage guide", signature verification.
#[must_use]
pub fn feishu_sign(secret: &Secret, unix: i64) -> Option<String> {
    let secret = secret.expose_text()?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, format!("{unix}\n{secret}").as_bytes());
    Some(BASE64.encode(hmac::sign(&key, b"").as_ref()))
}

/// Puts text fields at the front of a JSON object.
#[must_use]
pub fn insert_fields(body: &[u8], fields: &[(&str, &str)]) -> Option<Vec<u8>> {
    let rest = body.strip_prefix(b"{")?;
    let mut out = vec![b'{'];
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let name = serde_json::Value::from(*name);
        let value = serde_json::Value::from(*value);
        out.extend_from_slice(format!("{name}:{value}").as_bytes());
    }
    if !fields.is_empty() && rest != b"}" {
        out.push(b',');
    }
    out.extend_from_slice(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "SECd0ntUseTh1sKeyAnywhere";

    /// Made with `printf '1800000006000\nKEY' | openssl dgst -sha256 -hmac KEY -binary | base64`, then escaped for a query.
    #[test]
    fn dingtalk() {
        let key = Secret::from(KEY);
        assert_eq!(
            dingtalk_query(&key, 1_800_000_000).unwrap(),
            "timestamp=1800000000000&sign=VGW15NbdPJOk2LrZ3E3tKKxziwjmHOyfevqjYgJdJFI%3D"
        );
        assert_eq!(
            dingtalk_query(&key, 1_800_000_006).unwrap(),
            "timestamp=1800000006000&sign=pCbMlHCl%2Bj81EsBQRy9b%2FxP6u4ckGrNjJmVxe6xyDvY%3D"
        );
    }

    /// Made with `openssl dgst -sha256 -mac HMAC -macopt "key:$(printf '1800000000\nKEY')" -binary < /dev/null | base64`.
    #[test]
    fn feishu() {
        let sign = feishu_sign(&Secret::from(KEY), 1_800_000_000);
        assert_eq!(
            sign.unwrap(),
            "uwXqLXMyzD44QS9EPMDXaOhkNQ33F5NVyUt6/GDAItk="
        );
    }

    #[test]
    fn a_key_that_is_no_text_signs_nothing() {
        let key = Secret::new(vec![0xff, 0xfe]);
        assert_eq!(dingtalk_query(&key, 1), None);
        assert_eq!(feishu_sign(&key, 1), None);
    }

    #[test]
    fn fields_go_in_front_and_are_escaped() {
        for (body, fields, expected) in [
            ("{}", &[("a", "1")][..], Some(r#"{"a":"1"}"#)),
            (
                r#"{"x":1}"#,
                &[("a", "q\""), ("b", "2")],
                Some(r#"{"a":"q\"","b":"2","x":1}"#),
            ),
            (r#"{"x":1}"#, &[], Some(r#"{"x":1}"#)),
            ("[]", &[("a", "1")], None),
            ("", &[("a", "1")], None),
        ] {
            let put = insert_fields(body.as_bytes(), fields);
            assert_eq!(put.as_deref(), expected.map(str::as_bytes), "{body}");
        }
    }
}
