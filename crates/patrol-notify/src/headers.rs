//! Extra request headers from a Secret.
//!
//! Pure. Values are credentials: marked sensitive, never shown; an error names the header only. The
//! headers that carry the protocol, the signature or the length stay ours.

use std::fmt;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

use crate::secret::Secret;

/// Ours, or meaningful to one hop only (RFC 9110 section 7.6.1). `authorization` has its own way in.
const FORBIDDEN: [&str; 16] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "authorization",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "accept-encoding",
];

/// Whole families that are ours: signatures and CloudEvents attributes.
const FORBIDDEN_PREFIXES: [&str; 2] = ["webhook-", "ce-"];

/// More than this is a mistake, and servers cut at about a hundred.
const MAX_HEADERS: usize = 32;

/// Why extra headers cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name is no header name. Position from 1: what stands there may be anything.
    #[error(
        "extra header {position}: its name is not a valid header name: use letters, digits and hyphens"
    )]
    Name {
        /// Which entry, from 1.
        position: usize,
    },
    /// The name belongs to the protocol or to us.
    #[error("extra header {name}: it is set by kube-patrol or by HTTP itself: remove it")]
    Forbidden {
        /// The lower-case name.
        name: String,
    },
    /// The value has control characters or line breaks inside.
    #[error(
        "extra header {name}: its value cannot be sent: remove line breaks and control characters"
    )]
    Value {
        /// The lower-case name.
        name: String,
    },
    /// Too many.
    #[error("there are {count} extra headers: at most 32 are sent")]
    TooMany {
        /// How many.
        count: usize,
    },
}

impl HeaderError {
    /// The same without names and numbers, for a condition.
    #[must_use]
    pub const fn detail(&self) -> &'static str {
        match self {
            Self::Name { .. } => {
                "a name in headersFrom is no valid header name: use letters, digits and hyphens"
            }
            Self::Forbidden { .. } => {
                "a header in headersFrom is set by kube-patrol or by HTTP itself: remove it"
            }
            Self::Value { .. } => {
                "the value of a header in headersFrom cannot be sent: remove line breaks and control characters"
            }
            Self::TooMany { .. } => "there are more than 32 headers in headersFrom: remove some",
        }
    }
}

/// Headers added to every request of one receiver.
#[derive(Clone, Default)]
pub struct ExtraHeaders(HeaderMap);

impl ExtraHeaders {
    /// Parses name and value pairs.
    ///
    /// # Errors
    /// Names the first header that cannot be used.
    pub fn parse<'a>(
        entries: impl IntoIterator<Item = (&'a str, &'a Secret)>,
    ) -> Result<Self, HeaderError> {
        let mut map = HeaderMap::new();
        let mut count = 0_usize;
        for (name, value) in entries {
            count += 1;
            let name = HeaderName::from_bytes(name.trim().as_bytes())
                .map_err(|_| HeaderError::Name { position: count })?;
            let text = name.as_str();
            if FORBIDDEN.contains(&text)
                || FORBIDDEN_PREFIXES
                    .iter()
                    .any(|prefix| text.starts_with(prefix))
            {
                return Err(HeaderError::Forbidden {
                    name: text.to_string(),
                });
            }
            let value = sensitive(text, value)?;
            map.insert(name, value);
        }
        if count > MAX_HEADERS {
            return Err(HeaderError::TooMany { count });
        }
        Ok(ExtraHeaders(map))
    }

    /// Adds the `authorization` header, whole value (`Bearer ...`, `Basic ...`). It has a way of its own
    /// so that it is never set by accident.
    ///
    /// # Errors
    /// When the value cannot be a header value.
    pub fn with_authorization(mut self, value: &Secret) -> Result<Self, HeaderError> {
        let value = sensitive(AUTHORIZATION.as_str(), value)?;
        self.0.insert(AUTHORIZATION, value);
        Ok(self)
    }

    pub(crate) fn map(&self) -> &HeaderMap {
        &self.0
    }
}

fn sensitive(name: &str, value: &Secret) -> Result<HeaderValue, HeaderError> {
    let bad = || HeaderError::Value {
        name: name.to_string(),
    };
    let text = value.expose_text().ok_or_else(bad)?;
    let mut value = HeaderValue::from_str(text).map_err(|_| bad())?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for ExtraHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<ExtraHeaders, HeaderError> {
        let owned: Vec<(&str, Secret)> = pairs
            .iter()
            .map(|(name, value)| (*name, Secret::from(*value)))
            .collect();
        ExtraHeaders::parse(owned.iter().map(|(name, value)| (*name, value)))
    }

    #[test]
    fn useful_headers_pass_and_are_sensitive() {
        let headers = parse(&[("X-Api-Key", "k3y\n"), ("X-Tenant", "soc")]).unwrap();
        let value = headers.map().get("x-api-key").unwrap();
        assert_eq!(value, "k3y");
        assert!(value.is_sensitive());
        assert!(!format!("{headers:?}").contains("k3y"));
    }

    #[test]
    fn authorization_has_its_own_way() {
        let headers = parse(&[])
            .unwrap()
            .with_authorization(&"Bearer t0ken\n".into())
            .unwrap();
        assert_eq!(headers.map().get(AUTHORIZATION).unwrap(), "Bearer t0ken");
        assert!(!format!("{headers:?}").contains("t0ken"));
        assert!(
            ExtraHeaders::default()
                .with_authorization(&"a\nb".into())
                .is_err()
        );
    }

    #[test]
    fn ours_and_hop_by_hop_are_refused_in_any_case() {
        for name in [
            "Host",
            "content-length",
            "Content-Type",
            "AUTHORIZATION",
            "webhook-id",
            "Webhook-Signature",
            "webhook-anything",
            "ce-id",
            "CE-Source",
            "Connection",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "Proxy-Authorization",
            "Proxy-Connection",
            "Expect",
        ] {
            let error = parse(&[(name, "S3CRET")]).unwrap_err();
            assert_eq!(
                error,
                HeaderError::Forbidden {
                    name: name.to_ascii_lowercase()
                }
            );
            assert!(!error.to_string().contains("S3CRET"));
        }
    }

    #[test]
    fn nothing_can_be_smuggled() {
        for value in ["a\r\nHost: evil", "a\nb", "a\0b", "a\u{7f}b"] {
            assert_eq!(
                parse(&[("x-a", value)]).unwrap_err(),
                HeaderError::Value { name: "x-a".into() }
            );
        }
        for name in ["", "x a", "x:a", "x\r\ny", "ä"] {
            assert_eq!(
                parse(&[("x-ok", "1"), (name, "v")]).unwrap_err(),
                HeaderError::Name { position: 2 }
            );
        }
    }

    #[test]
    fn the_number_is_bounded() {
        let names: Vec<String> = (0..33).map(|n| format!("x-{n}")).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
        assert_eq!(
            parse(&pairs).unwrap_err(),
            HeaderError::TooMany { count: 33 }
        );
        assert!(parse(pairs.get(..32).unwrap()).is_ok());
    }
}
