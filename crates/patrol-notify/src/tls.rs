//! TLS settings of one receiver: ring, TLS 1.2 or newer, system roots or the receiver's own CA.
//!
//! Verification is never switched off. With an own CA only that CA counts: whoever names one means it.

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
    /// The library refuses its own defaults.
    #[error("TLS cannot be set up: this build of kube-patrol is broken")]
    Setup,
}

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
            Self::Setup => "TLS cannot be set up: this build of kube-patrol is broken",
        }
    }
}

/// Settings for a receiver with its own CA (PEM bytes) or with the system's roots.
pub(crate) fn config(ca_pem: Option<&[u8]>) -> Result<ClientConfig, TlsError> {
    let mut config = match ca_pem {
        Some(pem) => trusting(roots(pem)?)?,
        None => system()?,
    };
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
        assert!(config(Some(good.as_bytes())).is_ok());
        assert!(config(Some(format!("# corporate\n{good}\n{good}").as_bytes())).is_ok());
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
            assert_eq!(config(Some(pem.as_bytes())).err(), Some(expected), "{pem}");
        }
    }

    #[test]
    fn without_an_own_ca_the_system_decides() {
        assert!(config(None).is_ok());
    }
}
