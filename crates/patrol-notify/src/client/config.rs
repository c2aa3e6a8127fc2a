//! What a receiver's client is made of, and why one cannot be made. Never opens anything.

use std::sync::Arc;
use std::time::Duration;

use patrol_api::receiver::EndpointKind;

use crate::address::{Filter, Lookup, SystemLookup};
use crate::headers::ExtraHeaders;
use crate::proxy::Egress;
use crate::secret::Secret;
use crate::tls::{ClientCertificate, TlsError};

/// How long one attempt may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Name, TCP and TLS together. 3 s.
    pub connect: Duration,
    /// Everything, the body of the reply included. 15 s.
    pub total: Duration,
    /// The body of the reply once its head is there, within `total`. 2 s: the head has already decided,
    /// and the rest is read only so that the connection can be used again.
    pub body: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            connect: Duration::from_secs(3),
            total: Duration::from_secs(15),
            body: Duration::from_secs(2),
        }
    }
}

/// What one receiver's client is made of. A change of any of it means a new client: pooled
/// connections were checked against the old.
#[derive(Clone)]
pub struct ClientConfig {
    /// Receiver kind: how replies are read.
    pub kind: EndpointKind,
    /// What is sent.
    pub content_type: &'static str,
    /// Where it may send.
    pub filter: Filter,
    /// Headers from a Secret.
    pub headers: ExtraHeaders,
    /// PEM bundle that replaces the system's roots.
    pub ca_pem: Option<Secret>,
    /// What a receiver that asks who we are is shown.
    pub client_certificate: Option<ClientCertificate>,
    /// Deadlines.
    pub timing: Timing,
    /// Name resolution.
    pub lookup: Arc<dyn Lookup>,
    /// The way out: directly, or through a proxy.
    pub egress: Arc<Egress>,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            kind: EndpointKind::Webhook,
            content_type: "application/json",
            filter: Filter::default(),
            headers: ExtraHeaders::default(),
            ca_pem: None,
            client_certificate: None,
            timing: Timing::default(),
            lookup: Arc::new(SystemLookup),
            egress: Arc::default(),
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClientError {
    /// The CA, our own certificate or TLS itself.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The HTTP library refuses our settings.
    #[error("the HTTP client cannot be set up: this build of kube-patrol is broken")]
    Setup,
}

impl ClientError {
    /// Whether our own certificate or its key cannot be used.
    #[must_use]
    pub const fn is_about_client_certificate(self) -> bool {
        use TlsError as Tls;
        matches!(
            self,
            Self::Tls(
                Tls::NoClientCertificate
                    | Tls::NoClientKey
                    | Tls::BadClientKey
                    | Tls::OtherClientKey
            )
        )
    }

    /// The same, for a condition.
    #[must_use]
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Tls(error) => error.detail(),
            Self::Setup => "the HTTP client cannot be set up: this build of kube-patrol is broken",
        }
    }
}
