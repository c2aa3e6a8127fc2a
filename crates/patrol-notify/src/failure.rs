//! What an attempt without a reply means.
//!
//! Pure: an error in, a class and a fixed sentence out. The error's own text (it may quote the URL, a
//! certificate or the peer) ends here.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError};

use crate::address::Refused;
use crate::classify::{Class, Verdict};

/// There is no address.
pub const NO_NAME: &str =
    "the receiver's host name does not resolve: correct it, or see whether DNS can be reached";
/// The whole time for one attempt ran out before the status line was complete.
pub(crate) const NO_REPLY: Verdict = transient("no reply within the time for one request");

pub(crate) const fn transient(detail: &'static str) -> Verdict {
    Verdict {
        class: Class::Transient,
        detail,
    }
}

/// Before a byte of the message was sent.
const fn unreached(detail: &'static str) -> Verdict {
    Verdict {
        class: Class::Unreached,
        detail,
    }
}

pub(crate) const fn config(detail: &'static str) -> Verdict {
    Verdict {
        class: Class::Config,
        detail,
    }
}

/// Classifies a request that ended without a reply. `shows_certificate`: we have one for a receiver that asks.
pub(crate) fn explain(error: &reqwest::Error, shows_certificate: bool) -> Verdict {
    if let Some(verdict) = explain_cause(error, shows_certificate) {
        return verdict;
    }
    if error.is_builder() {
        return config("the receiver's URL cannot be requested: check it");
    }
    if error.is_dns() {
        return unreached(NO_NAME);
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => unreached(
            "no connection to the receiver within the connect time: see whether a firewall or a NetworkPolicy is in between",
        ),
        (true, false) => unreached(
            "the connection to the receiver cannot be opened: see whether it runs, and whether name and port are right",
        ),
        (false, true) => NO_REPLY,
        (false, false) => transient(
            "the receiver closed the connection or answered with something else than HTTP",
        ),
    }
}

/// What lies at the bottom of an error, where that decides.
pub(crate) fn explain_cause(
    error: &(dyn Error + 'static),
    shows_certificate: bool,
) -> Option<Verdict> {
    if let Some(Refused(refusal)) = find::<Refused>(error) {
        return Some(Verdict {
            class: Class::Blocked,
            detail: refusal.detail(),
        });
    }
    let tls = find::<rustls::Error>(error)?;
    Some(explain_tls(tls, shows_certificate))
}

/// Why TLS with the proxy itself failed.
pub(crate) fn explain_proxy_tls(error: &io::Error) -> Verdict {
    use CertificateError as Certificate;
    use rustls::Error as Tls;
    match find::<Tls>(error) {
        Some(Tls::InvalidCertificate(certificate)) => config(match certificate {
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                "the proxy's certificate has expired"
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "the proxy's certificate does not cover the host name in --receiver-proxy"
            }
            Certificate::UnknownIssuer => {
                "the proxy's certificate is not signed by a trusted authority: name the file with its authorities in --receiver-proxy-ca"
            }
            _ => "the proxy's certificate cannot be verified",
        }),
        Some(Tls::InvalidMessage(_)) => {
            config("the proxy does not speak TLS on this port: write http:// in --receiver-proxy")
        }
        Some(Tls::PeerIncompatible(_)) => config(
            "the proxy has no TLS version or cipher in common with us: it needs TLS 1.2 or newer",
        ),
        _ => transient("the TLS connection to the proxy failed"),
    }
}

fn explain_tls(error: &rustls::Error, shows_certificate: bool) -> Verdict {
    use rustls::Error as Tls;
    match error {
        Tls::InvalidCertificate(certificate) => config(explain_certificate(certificate)),
        Tls::PeerIncompatible(_) => config(INCOMPATIBLE),
        Tls::AlertReceived(alert) => explain_alert(*alert, shows_certificate),
        Tls::InvalidMessage(_) => {
            config("the receiver does not speak TLS on this port: use http or another port")
        }
        Tls::NoCertificatesPresented => config("the receiver shows no certificate"),
        _ => transient("the TLS connection to the receiver failed"),
    }
}

const INCOMPATIBLE: &str =
    "the receiver has no TLS version or cipher in common with us: it needs TLS 1.2 or newer";

fn explain_certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the receiver's certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the receiver's certificate is not valid yet"
        }
        CertificateError::UnknownIssuer => {
            "the receiver's certificate is not signed by a trusted authority: set caSecretRef"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the receiver's certificate does not cover its host name"
        }
        CertificateError::Revoked => "the receiver's certificate is revoked",
        _ => "the receiver's certificate cannot be verified",
    }
}

const REFUSED: &str = "the receiver refuses our client certificate: store one that it accepts in the Secret of clientCertSecretRef";

fn explain_alert(alert: AlertDescription, shows_certificate: bool) -> Verdict {
    use AlertDescription as Alert;
    match alert {
        Alert::CertificateRequired
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => config(match (shows_certificate, alert) {
            (false, _) => "the receiver asks for a client certificate: set clientCertSecretRef",
            (true, Alert::CertificateExpired) => {
                "the receiver says that our client certificate has expired: renew it in the Secret of clientCertSecretRef"
            }
            (true, Alert::CertificateRevoked) => {
                "the receiver says that our client certificate is revoked: store another in the Secret of clientCertSecretRef"
            }
            (true, Alert::UnknownCA) => {
                "the receiver does not know the authority of our client certificate: have it signed by one that it trusts, and store intermediates in tls.crt, too"
            }
            (true, _) => REFUSED,
        }),
        // A certificate that bears its authority's name, but not the signature of the key it has now.
        Alert::DecryptError if shows_certificate => config(REFUSED),
        // What TLS 1.2 servers also say to a client without a certificate.
        Alert::HandshakeFailure => config(if shows_certificate {
            "the receiver refuses the TLS handshake: it needs TLS 1.2 or newer, a cipher in common with us, and to accept our client certificate"
        } else {
            "the receiver refuses the TLS handshake: it needs TLS 1.2 or newer and a cipher in common with us, or asks for a client certificate: set clientCertSecretRef"
        }),
        Alert::ProtocolVersion | Alert::InsufficientSecurity => config(INCOMPATIBLE),
        Alert::UnrecognisedName => config("the receiver does not know the host name of the URL"),
        _ => transient("the TLS connection to the receiver failed"),
    }
}

/// The first error of type `T` in the chain. `io::Error` hides what it wraps from `source`, so it is
/// opened on its own.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(current) = next {
        if let Some(found) = current.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(inner) = current
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            && let Some(found) = find::<T>(inner)
        {
            return Some(found);
        }
        next = current.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_table() {
        use rustls::Error as Tls;
        for (error, class) in [
            (
                Tls::InvalidCertificate(CertificateError::Expired),
                Class::Config,
            ),
            (
                Tls::InvalidCertificate(CertificateError::UnknownIssuer),
                Class::Config,
            ),
            (
                Tls::InvalidCertificate(CertificateError::NotValidForName),
                Class::Config,
            ),
            (
                Tls::InvalidCertificate(CertificateError::NotValidYet),
                Class::Config,
            ),
            (
                Tls::InvalidCertificate(CertificateError::Revoked),
                Class::Config,
            ),
            (
                Tls::InvalidCertificate(CertificateError::BadEncoding),
                Class::Config,
            ),
            (Tls::NoCertificatesPresented, Class::Config),
            (
                Tls::AlertReceived(AlertDescription::CertificateRequired),
                Class::Config,
            ),
            (
                Tls::AlertReceived(AlertDescription::ProtocolVersion),
                Class::Config,
            ),
            (
                Tls::AlertReceived(AlertDescription::HandshakeFailure),
                Class::Config,
            ),
            (
                Tls::AlertReceived(AlertDescription::UnrecognisedName),
                Class::Config,
            ),
            (
                Tls::AlertReceived(AlertDescription::InternalError),
                Class::Transient,
            ),
            (Tls::DecryptError, Class::Transient),
            (Tls::General("S3CRET".into()), Class::Transient),
        ] {
            for shows_certificate in [false, true] {
                let verdict = explain_tls(&error, shows_certificate);
                assert_eq!(verdict.class, class, "{error}");
                assert!(!verdict.detail.contains("S3CRET"), "{error}");
            }
        }
    }

    #[test]
    fn a_cause_inside_an_io_error_is_found() {
        let wrapped = io::Error::other(io::Error::other(rustls::Error::DecryptError));
        assert_eq!(
            find::<rustls::Error>(&wrapped),
            Some(&rustls::Error::DecryptError)
        );
        assert!(find::<Refused>(&wrapped).is_none());
    }
}
