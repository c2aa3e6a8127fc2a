//! Our own certificate and key, for receivers that ask who we are.
//!
//! Nothing is verified but that the two belong together: whether it is still valid and trusted is the receiver's to say,
//! by its clock. Never prints a byte of either.

use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{Error, InconsistentKeys};

use super::TlsError;
use crate::secret::Secret;

/// A certificate and its private key, as a Secret of type `kubernetes.io/tls` holds them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate in PEM, intermediates after it.
    pub chain: Secret,
    /// Its private key in PEM.
    pub key: Secret,
}

impl ClientCertificate {
    /// What answers a receiver's question.
    pub(super) fn resolver(&self) -> Result<Arc<dyn ResolvesClientCert>, TlsError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(self.chain.expose())
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::NoClientCertificate)?;
        if chain.is_empty() {
            return Err(TlsError::NoClientCertificate);
        }
        let key =
            PrivateKeyDer::from_pem_slice(self.key.expose()).map_err(|_| TlsError::NoClientKey)?;
        let provider = rustls::crypto::ring::default_provider();
        let pair = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::OtherClientKey,
            Error::InvalidCertificate(_) => TlsError::NoClientCertificate,
            _ => TlsError::BadClientKey,
        })?;
        Ok(Arc::new(SingleCertAndKey::from(pair)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["patrol".into()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn resolve(chain: &str, key: &str) -> Result<(), TlsError> {
        let certificate = ClientCertificate {
            chain: chain.into(),
            key: key.into(),
        };
        certificate.resolver().map(drop)
    }

    #[test]
    fn what_belongs_together_is_taken() {
        let (chain, key) = pair();
        assert_eq!(resolve(&chain, &key), Ok(()));
        let (other, _) = pair();
        let with_more = format!("# ours\n{chain}\n# the authority\n{other}");
        assert_eq!(resolve(&with_more, &format!("# key\n{key}")), Ok(()));
    }

    #[test]
    fn what_does_not_is_named() {
        let (chain, key) = pair();
        let (other_chain, other_key) = pair();
        let pem = |what: &str, value: &str| {
            format!("-----BEGIN {what}-----\n{value}\n-----END {what}-----\n")
        };
        for (chain, key, expected) in [
            ("", &*key, TlsError::NoClientCertificate),
            ("hello", &key, TlsError::NoClientCertificate),
            (&*key, &key, TlsError::NoClientCertificate),
            (
                &pem("CERTIFICATE", "!!!"),
                &key,
                TlsError::NoClientCertificate,
            ),
            (
                &pem("CERTIFICATE", "AAAA"),
                &key,
                TlsError::NoClientCertificate,
            ),
            (&*chain, "", TlsError::NoClientKey),
            (&chain, &chain, TlsError::NoClientKey),
            (
                &chain,
                &pem("ENCRYPTED PRIVATE KEY", "AAAA"),
                TlsError::NoClientKey,
            ),
            (&chain, &pem("PRIVATE KEY", "AAAA"), TlsError::BadClientKey),
            (&chain, &other_key, TlsError::OtherClientKey),
            (
                &format!("{other_chain}{chain}"),
                &key,
                TlsError::OtherClientKey,
            ),
        ] {
            assert_eq!(resolve(chain, key), Err(expected), "{expected}");
            assert_eq!(expected.to_string(), expected.detail());
        }
    }

    #[test]
    fn printing_shows_neither() {
        let (chain, key) = pair();
        let shown = format!(
            "{:?}",
            ClientCertificate {
                chain: chain.into(),
                key: key.into(),
            }
        );
        assert!(!shown.contains("BEGIN"), "{shown}");
    }
}
