//! TLS settings of one receiver: ring, TLS 1.2 or newer, system roots or the receiver's own CA, and who we are.
//!
//! Verification is never switched off. With an own CA only that CA counts: whoever names one means it.

mod identity;

pub use identity::ClientCertificate;

use std::sync::{Arc, OnceLock};

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

/// Why TLS cannot be set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The PEM text cannot be decoded.
    #[error(
        "the CA certificate is not valid PEM: store it with its BEGIN CERTIFICATE and END CERTIFICATE lines"
    )]
    BadPem,
    /// No certificate in it.
    #[error("the CA value holds no certificate: store at least one BEGIN CERTIFICATE block")]
    NoCertificate,
    /// A certificate cannot serve as a trust anchor.
    #[error("the CA value holds a certificate that cannot be read: export it again")]
    BadCertificate,
    /// Our own certificate is no PEM text, or there is none.
    #[error("{}", NO_CLIENT_CERTIFICATE)]
    NoClientCertificate,
    /// Our own key is no PEM text, there is none, or it is encrypted.
    #[error("{}", NO_CLIENT_KEY)]
    NoClientKey,
    /// A certificate that cannot be read, or a key of a kind nobody can sign with here.
    #[error("{}", BAD_CLIENT_KEY)]
    BadClientKey,
    /// The key is another certificate's.
    #[error("{}", OTHER_CLIENT_KEY)]
    OtherClientKey,
    /// The library refuses its own defaults.
    #[error("TLS cannot be set up: this build of kube-patrol is broken")]
    Setup,
}

const NO_CLIENT_CERTIFICATE: &str = "tls.crt in the Secret of clientCertSecretRef holds no certificate in PEM that can be read: store it with its BEGIN CERTIFICATE and END CERTIFICATE lines";
const NO_CLIENT_KEY: &str = "tls.key in the Secret of clientCertSecretRef holds no private key in PEM that can be read: store it unencrypted, with its BEGIN PRIVATE KEY and END PRIVATE KEY lines";
const BAD_CLIENT_KEY: &str = "tls.key in the Secret of clientCertSecretRef holds a key that cannot be used: store one of kind RSA (2048 bits or more), P-256, P-384 or Ed25519";
const OTHER_CLIENT_KEY: &str = "tls.key in the Secret of clientCertSecretRef is not the key of the first certificate in tls.crt: store the two that belong together, intermediates after the certificate";

impl TlsError {
    /// The same, for a condition.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::BadPem => {
                "the CA certificate is not valid PEM: store it with its BEGIN CERTIFICATE and END CERTIFICATE lines"
            }
            Self::NoCertificate => {
                "the CA value holds no certificate: store at least one BEGIN CERTIFICATE block"
            }
            Self::BadCertificate => {
                "the CA value holds a certificate that cannot be read: export it again"
            }
            Self::NoClientCertificate => NO_CLIENT_CERTIFICATE,
            Self::NoClientKey => NO_CLIENT_KEY,
            Self::BadClientKey => BAD_CLIENT_KEY,
            Self::OtherClientKey => OTHER_CLIENT_KEY,
            Self::Setup => "TLS cannot be set up: this build of kube-patrol is broken",
        }
    }
}

/// Settings for a receiver with its own CA (PEM bytes) or with the system's roots, and what it is shown when it asks
/// who we are.
pub(crate) fn config(
    ca_pem: Option<&[u8]>,
    shown: Option<&ClientCertificate>,
) -> Result<ClientConfig, TlsError> {
    let mut config = match ca_pem {
        Some(pem) => trusting(roots(pem)?)?,
        None => system()?,
    };
    if let Some(shown) = shown {
        config.client_auth_cert_resolver = shown.resolver()?;
    }
    // Receivers share nothing, TLS sessions included.
    config.resumption = Resumption::in_memory_sessions(4);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// The system's roots are read once: hundreds of receivers share one copy of some 140 certificates.
fn system() -> Result<ClientConfig, TlsError> {
    static SYSTEM: OnceLock<ClientConfig> = OnceLock::new();
    if let Some(config) = SYSTEM.get() {
        return Ok(config.clone());
    }
    let config = match builder()?.with_platform_verifier() {
        Ok(builder) => builder.with_no_client_auth(),
        // A machine without roots can still send over http and to receivers with their own CA; https
        // fails with an unknown issuer, which is the truth.
        Err(_) => trusting(RootCertStore::empty())?,
    };
    Ok(SYSTEM.get_or_init(|| config).clone())
}

fn trusting(roots: RootCertStore) -> Result<ClientConfig, TlsError> {
    Ok(builder()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| TlsError::Setup)
}

fn roots(pem: &[u8]) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| TlsError::BadPem)?;
        store
            .add(certificate)
            .map_err(|_| TlsError::BadCertificate)?;
    }
    if store.is_empty() {
        return Err(TlsError::NoCertificate);
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ca_values() {
        let good = rcgen::generate_simple_self_signed(vec!["h".into()])
            .unwrap()
            .cert
            .pem();
        assert!(config(Some(good.as_bytes()), None).is_ok());
        assert!(
            config(
                Some(format!("# corporate\n{good}\n{good}").as_bytes()),
                None
            )
            .is_ok()
        );
        for (pem, expected) in [
            ("", TlsError::NoCertificate),
            ("hello", TlsError::NoCertificate),
            (
                "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
                TlsError::BadPem,
            ),
            (
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
                TlsError::BadCertificate,
            ),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", TlsError::BadPem),
        ] {
            assert_eq!(
                config(Some(pem.as_bytes()), None).err(),
                Some(expected),
                "{pem}"
            );
        }
    }

    #[test]
    fn without_an_own_ca_the_system_decides() {
        assert!(config(None, None).is_ok());
    }
}
