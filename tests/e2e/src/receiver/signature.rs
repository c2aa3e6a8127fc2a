//! The receiver's side of Standard Webhooks signatures: HMAC-SHA256 over
//! `id.timestamp.body`, base64, `v1,` before it (the specification's symmetric scheme).
//! Written from the specification and shared with nobody, so that a mistake of the
//! sender is not repeated here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::BASE64;
use ring::hmac;

use crate::http::Headers;
use crate::{Context, Error, Result};

/// How far a timestamp may be from the receiver's clock, both ways.
const TOLERANCE: Duration = Duration::from_secs(300);

/// What was found out about a request's signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// The receiver has no secret.
    NotChecked,
    /// Right, for these secrets (positions in the order they were given): two while
    /// rotating.
    Valid(Vec<usize>),
    /// Wrong, stale or missing, and why.
    Invalid(String),
}

/// A secret in the `whsec_` form, ready to verify with.
#[derive(Debug, Clone)]
pub(crate) struct Secret(hmac::Key);

impl Secret {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let what = "signing secret: not whsec_ followed by base64";
        let encoded = text
            .strip_prefix("whsec_")
            .ok_or_else(|| Error::failed(what))?;
        let bytes = BASE64.decode(encoded.as_bytes()).context(what)?;
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }
}

/// Verifies a request as a receiver should: fields there, fresh, and at least one
/// signature right.
pub(crate) fn verify(
    secrets: &[Secret],
    headers: &Headers,
    body: &[u8],
    now: SystemTime,
) -> Signature {
    if secrets.is_empty() {
        return Signature::NotChecked;
    }
    verify_with(secrets, headers, body, now).unwrap_or_else(Signature::Invalid)
}

fn verify_with(
    secrets: &[Secret],
    headers: &Headers,
    body: &[u8],
    now: SystemTime,
) -> Result<Signature, String> {
    let field = |name: &str| headers.get(name).ok_or_else(|| format!("no {name} field"));
    let (id, timestamp) = (field("webhook-id")?, field("webhook-timestamp")?);
    if id.is_empty() || id.contains('.') {
        return Err(format!("webhook-id {id:?}: empty or with a dot"));
    }
    let sent: u64 = timestamp
        .parse()
        .map_err(|_| format!("webhook-timestamp {timestamp:?}: not Unix seconds"))?;
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    if now.abs_diff(Duration::from_secs(sent)) > TOLERANCE {
        return Err(format!("webhook-timestamp {sent}: more than 5 min off"));
    }
    let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body].concat();
    let mut valid = Vec::new();
    for signature in field("webhook-signature")?.split(' ') {
        let Some(encoded) = signature.strip_prefix("v1,") else {
            continue;
        };
        let Ok(tag) = BASE64.decode(encoded.as_bytes()) else {
            return Err(format!("webhook-signature {signature:?}: not base64"));
        };
        let right = |secret: &Secret| hmac::verify(&secret.0, &signed, &tag).is_ok();
        valid.extend(secrets.iter().position(right));
    }
    if valid.is_empty() {
        return Err("webhook-signature: no signature is right".to_owned());
    }
    Ok(Signature::Valid(valid))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const SENT: u64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn check(secrets: &[&str], id: &str, signature: &str, body: &[u8], now: u64) -> Signature {
        let secrets: Vec<_> = secrets.iter().map(|s| Secret::parse(s).unwrap()).collect();
        let headers = [
            ("Webhook-Id", id),
            ("webhook-timestamp", &SENT.to_string()),
            ("webhook-signature", signature),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let now = UNIX_EPOCH + Duration::from_secs(now);
        verify(&secrets, &Headers(headers.to_vec()), body, now)
    }

    #[test]
    fn the_example_of_the_specification_is_right() {
        let right = check(&[SECRET], ID, SIGNED, BODY, SENT + 299);
        assert_eq!(right, Signature::Valid(vec![0]));
        assert_eq!(check(&[], ID, SIGNED, BODY, SENT), Signature::NotChecked);
        // Among others, as while rotating.
        let several = format!("v1,{} v1a,abc {SIGNED}", BASE64.encode(&[7; 32]));
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let right = check(&[other, SECRET], ID, &several, BODY, SENT);
        assert_eq!(right, Signature::Valid(vec![1]));
    }

    #[test]
    fn whatever_is_changed_makes_it_wrong() {
        let other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        for (secret, id, signature, body, now) in [
            (other, ID, SIGNED, BODY, SENT),
            (SECRET, "msg_other", SIGNED, BODY, SENT),
            (SECRET, ID, "v1,AAAA", BODY, SENT),
            (SECRET, ID, "v1a,AAAA", BODY, SENT),
            (SECRET, ID, "v1,*", BODY, SENT),
            (SECRET, ID, SIGNED, br#"{"test": 2432232315}"#, SENT),
            (SECRET, ID, SIGNED, BODY, SENT + 301),
            (SECRET, ID, SIGNED, BODY, SENT - 301),
        ] {
            let wrong = check(&[secret], id, signature, body, now);
            assert!(
                matches!(wrong, Signature::Invalid(_)),
                "{id} {signature} {now}: {wrong:?}"
            );
        }
        Secret::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap_err();
    }
}
