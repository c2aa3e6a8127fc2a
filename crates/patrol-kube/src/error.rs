//! What can go wrong at this edge.
//!
//! Never carries a word of a reply: bodies may hold what nobody may see.

use std::time::Duration;

use kube::config::{InferConfigError, KubeconfigError};
use thiserror::Error;

/// The client could not be set up.
#[derive(Debug, Error)]
pub enum SetupError {
    /// Neither a kubeconfig nor an in-cluster identity.
    #[error(
        "API server: no identity to talk to it ({}): set KUBECONFIG, or run in a pod with a service account",
        inferred(.0)
    )]
    Identity(#[source] Box<kube::config::InferConfigError>),
    /// The kubeconfig file is of no use.
    #[error("kubeconfig: {}: mend it or name another one", unusable(.0))]
    Kubeconfig(#[from] Box<kube::config::KubeconfigError>),
    /// TLS, authentication or proxy settings are of no use.
    #[error("API server: the settings cannot be used: mend the kubeconfig: {0}")]
    Client(#[from] Box<kube::Error>),
}

fn inferred(error: &InferConfigError) -> String {
    let source = std::error::Error::source(error);
    match source.and_then(|source| source.downcast_ref::<KubeconfigError>()) {
        Some(error) => format!("the kubeconfig {}", unusable(error)),
        None => "there is no kubeconfig".into(),
    }
}

/// What is wrong with a kubeconfig. Never in the words of a parser: they quote the file,
/// and it holds credentials.
fn unusable(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::FindPath => "cannot be found".into(),
        KubeconfigError::ReadConfig(error, path) => {
            let path = path.display().to_string();
            let path = path.trim_matches('"');
            match error.kind() {
                std::io::ErrorKind::NotFound => format!("{path} does not exist"),
                std::io::ErrorKind::PermissionDenied => format!("{path} may not be read"),
                _ => format!("{path} cannot be read"),
            }
        }
        KubeconfigError::Parse(_) => "is no valid YAML".into(),
        KubeconfigError::CurrentContextNotSet => "has no current context".into(),
        KubeconfigError::LoadContext(name) => format!("has no context {name}"),
        KubeconfigError::LoadClusterOfContext(name) => format!("has no cluster {name}"),
        KubeconfigError::MissingClusterUrl | KubeconfigError::ParseClusterUrl(_) => {
            "has no valid server address".into()
        }
        KubeconfigError::LoadCertificateAuthority(_) | KubeconfigError::ParseCertificates(_) => {
            "has a certificate authority that cannot be read".into()
        }
        KubeconfigError::LoadClientCertificate(_) | KubeconfigError::LoadClientKey(_) => {
            "has a client certificate or key that cannot be read".into()
        }
        _ => "cannot be used".into(),
    }
}

/// A call that brought no usable reply. Whether the server acted on it is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// No complete reply within the deadline.
    #[error("no complete reply within {0:?}")]
    Deadline(Duration),
    /// The connection could not be made or broke.
    #[error("the connection could not be made or broke")]
    Connection,
    /// No credentials could be had for the call.
    #[error("no credentials could be had")]
    Credentials,
    /// The reply is longer than anything that is expected here.
    #[error("the reply is longer than {0} bytes")]
    TooLong(usize),
    /// This process no longer certainly leads: nothing was sent.
    #[error("this process does not lead: nothing was sent")]
    NotLeader,
    /// The request could not be put into words (a name that no URL can carry).
    #[error("the request cannot be expressed")]
    Request,
}

impl CallError {
    /// The word: metric label and log field.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deadline(_) => "Deadline",
            Self::Connection => "Connection",
            Self::Credentials => "Credentials",
            Self::TooLong(_) => "TooLong",
            Self::NotLeader => "NotLeader",
            Self::Request => "Request",
        }
    }
}
