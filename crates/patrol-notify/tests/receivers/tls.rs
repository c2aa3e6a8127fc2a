//! Receivers behind TLS: verification fails closed, with a reason, and an own CA works.

use std::sync::Arc;

use crate::support::*;
use patrol_notify::{Class, Client, ClientCertificate, ClientConfig, Outcome, Secret};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

/// An authority of our own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate chain and its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    /// Both as a Secret holds them.
    pub pem: ClientCertificate,
}

impl Authority {
    /// All of these have the same name, as one has that was made anew.
    pub fn new() -> Self {
        Self::named("Authority")
    }

    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Authority(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> Secret {
        self.0.pem().into()
    }

    pub fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut params = CertificateParams::new(vec![name.to_string()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        Identity {
            chain: vec![certificate.der().clone()],
            pem: ClientCertificate {
                chain: certificate.pem().into(),
                key: key.serialize_pem().into(),
            },
            key: key.into(),
        }
    }

    /// A server that asks for a certificate of `clients` and speaks these versions of TLS.
    pub fn asking(
        &self,
        clients: &Authority,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ServerConfig {
        self.asking_with(clients, versions, |roots, provider| {
            WebPkiClientVerifier::builder_with_provider(roots, provider)
                .build()
                .unwrap()
        })
    }

    /// The same with a verifier of its own.
    pub fn asking_with(
        &self,
        clients: &Authority,
        versions: &[&'static rustls::SupportedProtocolVersion],
        verifier: impl FnOnce(
            Arc<rustls::RootCertStore>,
            Arc<rustls::crypto::CryptoProvider>,
        ) -> Arc<dyn rustls::server::danger::ClientCertVerifier>,
    ) -> ServerConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(clients.0.der().clone()).unwrap();
        let verifier = verifier(Arc::new(roots), provider());
        let identity = self.issue("receiver.test", |_| {});
        ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(identity.chain, identity.key)
            .unwrap()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub fn server_config(identity: Identity) -> ServerConfig {
    ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)
        .unwrap()
}

pub async fn serve(config: ServerConfig) -> Server {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    Server::start(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            // A client that does not like us ends the handshake: the test looks at its side.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            while read_request(&mut stream).await.is_some() {
                let ok = reply("200 OK", "", "");
                stream.write_all(ok.as_bytes()).await.unwrap();
            }
        }
    })
    .await
}

async fn send(server: &Server, ca: Option<Secret>) -> Outcome {
    let client = Client::new(ClientConfig {
        ca_pem: ca,
        lookup: Scripted::new(&[&["127.0.0.1"]]),
        ..quick()
    })
    .unwrap();
    post(
        &client,
        format!("https://receiver.test:{}/", server.address.port()),
    )
    .await
}

#[track_caller]
pub fn assert_config(outcome: &Outcome, words: &str) {
    assert_eq!(
        (outcome.class, outcome.status),
        (Class::Config, None),
        "{outcome:?}"
    );
    assert!(outcome.detail.contains(words), "{outcome:?}");
}

#[tokio::test]
async fn row82_an_own_authority_works_and_the_system_does_not_know_it() {
    let authority = Authority::new();
    let server = serve(server_config(authority.issue("receiver.test", |_| {}))).await;
    let outcome = send(&server, Some(authority.pem())).await;
    assert_eq!(
        (outcome.class, outcome.status),
        (Class::Accepted, Some(200))
    );
    assert_config(&send(&server, None).await, "trusted authority");
    assert_config(
        &send(&server, Some(Authority::new().pem())).await,
        "cannot be verified",
    );
}

#[tokio::test]
async fn row82_a_self_signed_certificate_is_refused() {
    let own = rcgen::generate_simple_self_signed(vec!["receiver.test".into()]).unwrap();
    let pem = Secret::from(own.cert.pem());
    let server = serve(server_config(Identity {
        chain: vec![own.cert.der().clone()],
        pem: ClientCertificate {
            chain: pem.clone(),
            key: own.signing_key.serialize_pem().into(),
        },
        key: own.signing_key.into(),
    }))
    .await;
    assert_config(&send(&server, None).await, "trusted authority");
    // Named as its own authority it is trusted: that is what the user said.
    assert_eq!(send(&server, Some(pem)).await.class, Class::Accepted);
}

#[tokio::test]
async fn row82_name_and_dates_are_verified() {
    let authority = Authority::new();
    let server = serve(server_config(authority.issue("other.test", |_| {}))).await;
    assert_config(&send(&server, Some(authority.pem())).await, "host name");

    let server = serve(server_config(authority.issue("receiver.test", |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    })))
    .await;
    assert_config(&send(&server, Some(authority.pem())).await, "expired");

    let server = serve(server_config(authority.issue("receiver.test", |params| {
        params.not_before = date_time_ymd(2900, 1, 1);
        params.not_after = date_time_ymd(2901, 1, 1);
    })))
    .await;
    assert_config(&send(&server, Some(authority.pem())).await, "not valid yet");
}

/// Answers the first record of a client with these bytes. No library speaks versions as old any more.
async fn answers_hello(answer: &'static [u8]) -> Server {
    Server::start(move |mut stream| async move {
        let mut header = [0; 5];
        stream.read_exact(&mut header).await.unwrap();
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        stream.read_exact(&mut vec![0; length]).await.unwrap();
        stream.write_all(answer).await.unwrap();
        until_closed(&mut stream).await;
    })
    .await
}

/// One that knows of newer versions refuses ours with an alert; one that does not offers its own.
#[tokio::test]
async fn row82_a_protocol_that_is_too_old_is_named() {
    // Record: alert, TLS 1.0, 2 bytes. Fatal, protocol_version.
    let refuses = answers_hello(&[21, 3, 1, 0, 2, 2, 70]).await;
    // Record: handshake, TLS 1.0, 42 bytes. ServerHello, 38 bytes: TLS 1.0, random, no session,
    // TLS_RSA_WITH_AES_128_CBC_SHA, no compression.
    let offers = answers_hello(
        b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01\
          0123456789abcdef0123456789abcdef\x00\x00\x2f\x00",
    )
    .await;
    for server in [refuses, offers] {
        let outcome = send(&server, None).await;
        assert_config(&outcome, "it needs TLS 1.2 or newer");
        assert_eq!(server.connections(), 1, "and is not tried again");
    }
}

#[tokio::test]
async fn tls_to_a_plain_port_is_named() {
    let server = Server::start(|mut stream| async move {
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        until_closed(&mut stream).await;
    })
    .await;
    assert_config(&send(&server, None).await, "does not speak TLS");
}

#[tokio::test]
async fn a_handshake_that_stalls_ends_with_the_connect_time() {
    let server = Server::start(|mut stream| async move { until_closed(&mut stream).await }).await;
    let outcome = send(&server, None).await;
    assert_eq!((outcome.class, outcome.status), (Class::Unreached, None));
    assert!(outcome.detail.contains("connect time"), "{outcome:?}");
}
