//! Standard Webhooks 1.0.0 signatures (`v1`, HMAC-SHA256).
//!
//! Pure: secrets in, header value out. Several secrets sign at once so that a receiver can be moved
//! from one to the next without a gap. An error says what is wrong with a secret and never shows it.

use std::fmt;

use data_encoding::{BASE64, BASE64_NOPAD};
use ring::hmac;

use crate::secret::Secret;

/// What a serialised signing secret starts with.
const PREFIX: &str = "whsec_";
/// Decoded length the standard allows, in bytes.
const MIN_BYTES: usize = 24;
/// See [`MIN_BYTES`].
const MAX_BYTES: usize = 64;
/// More than this many at once is a mistake, not a rotation; it also bounds the header.
const MAX_SECRETS: usize = 8;

/// Why a signing secret cannot be used. `position` counts from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// Not text at all.
    #[error("the signing secret is not UTF-8 text: store it as text that starts with whsec_")]
    NotText,
    /// Nothing but white space.
    #[error("the signing secret is empty: store at least one whsec_ secret")]
    Empty,
    /// Too many at once.
    #[error(
        "there are {count} signing secrets: at most 8 are used at a time, remove those that were rotated out"
    )]
    TooMany {
        /// How many were found.
        count: usize,
    },
    /// No `whsec_`.
    #[error(
        "signing secret {position} of {count} does not start with whsec_: put the prefix before the base64 text"
    )]
    NoPrefix {
        /// Which one, from 1.
        position: usize,
        /// Of how many.
        count: usize,
    },
    /// What follows the prefix does not decode.
    #[error(
        "signing secret {position} of {count} is not standard base64 after whsec_: check that it was copied whole"
    )]
    NotBase64 {
        /// Which one, from 1.
        position: usize,
        /// Of how many.
        count: usize,
    },
    /// Outside 24 to 64 bytes.
    #[error(
        "signing secret {position} of {count} is {bytes} bytes long: the standard wants 24 to 64 random bytes"
    )]
    Length {
        /// Which one, from 1.
        position: usize,
        /// Of how many.
        count: usize,
        /// Decoded length in bytes.
        bytes: usize,
    },
}

impl SignError {
    /// The same without numbers, for a condition.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::NotText => {
                "the signing secret is not UTF-8 text: store it as text that starts with whsec_"
            }
            Self::Empty => "the signing secret is empty: store at least one whsec_ secret",
            Self::TooMany { .. } => {
                "there are more than 8 signing secrets: remove those that were rotated out"
            }
            Self::NoPrefix { .. } => {
                "a signing secret does not start with whsec_: put the prefix before the base64 text"
            }
            Self::NotBase64 { .. } => {
                "a signing secret is not standard base64 after whsec_: check that it was copied whole"
            }
            Self::Length { .. } => {
                "a signing secret has a wrong length: the standard wants 24 to 64 random bytes"
            }
        }
    }
}

/// One or several parsed signing secrets, in the order they were written.
#[derive(Clone)]
pub struct SigningSecrets {
    keys: Vec<hmac::Key>,
}

impl SigningSecrets {
    /// Parses `whsec_...` secrets separated by white space.
    ///
    /// # Errors
    /// Names the position and the fault of the first bad secret. One bad secret makes the whole value
    /// unusable: signing with the rest would hide half a rotation.
    pub fn parse(value: &Secret) -> Result<Self, SignError> {
        let text = value.expose_text().ok_or(SignError::NotText)?;
        let parts: Vec<&str> = text.split_whitespace().collect();
        let count = parts.len();
        if count == 0 {
            return Err(SignError::Empty);
        }
        if count > MAX_SECRETS {
            return Err(SignError::TooMany { count });
        }
        let keys = parts
            .iter()
            .enumerate()
            .map(|(index, part)| parse_one(part, index + 1, count))
            .collect::<Result<_, _>>()?;
        Ok(SigningSecrets { keys })
    }

    /// The value of the `webhook-signature` header: one `v1,` per secret, separated by spaces.
    ///
    /// `timestamp` is the unix time of this attempt in seconds. What is signed is
    /// `id.timestamp.body`, byte for byte what goes over the wire.
    pub fn header(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let stamp = timestamp.to_string();
        let signatures: Vec<String> = self
            .keys
            .iter()
            .map(|key| {
                let mut context = hmac::Context::with_key(key);
                context.update(id.as_bytes());
                context.update(b".");
                context.update(stamp.as_bytes());
                context.update(b".");
                context.update(body);
                format!("v1,{}", BASE64.encode(context.sign().as_ref()))
            })
            .collect();
        signatures.join(" ")
    }

    /// How many secrets sign.
    pub fn count(&self) -> usize {
        self.keys.len()
    }
}

impl fmt::Debug for SigningSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecrets([secret])")
    }
}

fn parse_one(part: &str, position: usize, count: usize) -> Result<hmac::Key, SignError> {
    let encoded = part
        .strip_prefix(PREFIX)
        .ok_or(SignError::NoPrefix { position, count })?;
    // Padding is optional: generators differ, the value does not.
    let bytes = BASE64_NOPAD
        .decode(encoded.trim_end_matches('=').as_bytes())
        .map_err(|_| SignError::NotBase64 { position, count })?;
    if !(MIN_BYTES..=MAX_BYTES).contains(&bytes.len()) {
        return Err(SignError::Length {
            position,
            count,
            bytes: bytes.len(),
        });
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn whsec(bytes: usize) -> String {
        format!("whsec_{}", BASE64.encode(&vec![7_u8; bytes]))
    }

    #[test]
    fn known_vector_of_the_standard() {
        let secrets = SigningSecrets::parse(&KNOWN.into()).unwrap();
        assert_eq!(secrets.header(ID, 1_614_265_330, BODY), SIGNATURE);
    }

    #[test]
    fn every_part_is_signed() {
        let secrets = SigningSecrets::parse(&KNOWN.into()).unwrap();
        assert_ne!(secrets.header("msg_other", 1_614_265_330, BODY), SIGNATURE);
        assert_ne!(secrets.header(ID, 1_614_265_331, BODY), SIGNATURE);
        assert_ne!(secrets.header(ID, 1_614_265_330, b"{}"), SIGNATURE);
    }

    #[test]
    fn rotation_signs_with_each_secret_in_order() {
        let other = whsec(32);
        for separator in [" ", "\n", "  \t "] {
            let both = format!("{KNOWN}{separator}{other}\n");
            let secrets = SigningSecrets::parse(&both.into()).unwrap();
            let header = secrets.header(ID, 1_614_265_330, BODY);
            let parts: Vec<&str> = header.split(' ').collect();
            assert_eq!(secrets.count(), 2);
            assert_eq!(parts.len(), 2);
            assert_eq!(parts[0], SIGNATURE);
            assert!(parts[1].starts_with("v1,"));
            assert_ne!(parts[0], parts[1]);
        }
    }

    #[test]
    fn padding_is_optional_and_lengths_are_24_to_64() {
        for bytes in 0..=80 {
            let padded = whsec(bytes);
            let bare = padded.trim_end_matches('=').to_string();
            let expected = (24..=64).contains(&bytes);
            assert_eq!(
                SigningSecrets::parse(&padded.into()).is_ok(),
                expected,
                "{bytes}"
            );
            assert_eq!(
                SigningSecrets::parse(&bare.into()).is_ok(),
                expected,
                "{bytes}"
            );
        }
    }

    #[test]
    fn errors_name_the_fault_and_never_the_value() {
        let rows: Vec<(Secret, SignError)> = vec![
            (Secret::new(vec![0xff]), SignError::NotText),
            ("".into(), SignError::Empty),
            (" \n\t".into(), SignError::Empty),
            (
                "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(),
                SignError::NoPrefix {
                    position: 1,
                    count: 1,
                },
            ),
            (
                "WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into(),
                SignError::NoPrefix {
                    position: 1,
                    count: 1,
                },
            ),
            (
                format!("{KNOWN} topsecret").into(),
                SignError::NoPrefix {
                    position: 2,
                    count: 2,
                },
            ),
            (
                format!("{KNOWN} whsec_topsecret!").into(),
                SignError::NotBase64 {
                    position: 2,
                    count: 2,
                },
            ),
            // The URL-safe alphabet is another encoding.
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2Lala-_".into(),
                SignError::NotBase64 {
                    position: 1,
                    count: 1,
                },
            ),
            (
                "whsec_".into(),
                SignError::Length {
                    position: 1,
                    count: 1,
                    bytes: 0,
                },
            ),
            (
                whsec(23).into(),
                SignError::Length {
                    position: 1,
                    count: 1,
                    bytes: 23,
                },
            ),
            (
                format!("{KNOWN} {}", whsec(65)).into(),
                SignError::Length {
                    position: 2,
                    count: 2,
                    bytes: 65,
                },
            ),
            ([KNOWN; 9].join(" ").into(), SignError::TooMany { count: 9 }),
        ];
        for (secret, expected) in rows {
            let error = SigningSecrets::parse(&secret).unwrap_err();
            assert_eq!(error, expected);
            let shown = format!("{error} {error:?}");
            for part in secret.expose_text().unwrap_or_default().split_whitespace() {
                let value = part.trim_start_matches("whsec_");
                assert!(value.is_empty() || !shown.contains(value), "{shown}");
            }
        }
    }

    #[test]
    fn printing_shows_no_key() {
        let secrets = SigningSecrets::parse(&KNOWN.into()).unwrap();
        assert_eq!(format!("{secrets:?}"), "SigningSecrets([secret])");
    }
}
