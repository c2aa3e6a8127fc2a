//! Expiry of certificate bundles. Reads validity only; it never judges trust.

use data_encoding::BASE64;
use patrol_api::time::Time;
use x509_cert::Certificate;

use crate::facts::CaBundle;

/// Reads a `caBundle` as the API carries it: base64 over concatenated PEM certificates.
#[must_use]
pub fn ca_bundle(base64: &str) -> CaBundle {
    let text: String = base64.split_whitespace().collect();
    if text.is_empty() {
        return CaBundle::Empty;
    }
    let Ok(pem) = BASE64.decode(text.as_bytes()) else {
        return CaBundle::Unreadable;
    };
    match Certificate::load_pem_chain(&pem) {
        // One certificate that is still valid keeps the whole bundle usable.
        Ok(chain) => chain
            .iter()
            .map(|c| c.tbs_certificate.validity.not_after.to_unix_duration())
            .max()
            .and_then(|d| i64::try_from(d.as_secs()).ok())
            .map_or(CaBundle::Unreadable, |secs| {
                CaBundle::ValidUntil(Time::from_unix(secs))
            }),
        Err(_) => CaBundle::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_and_garbage_are_told_apart() {
        assert_eq!(ca_bundle(""), CaBundle::Empty);
        assert_eq!(ca_bundle(" \n"), CaBundle::Empty);
        assert_eq!(ca_bundle("!!"), CaBundle::Unreadable);
        assert_eq!(ca_bundle("aGVsbG8="), CaBundle::Unreadable);
    }
}
