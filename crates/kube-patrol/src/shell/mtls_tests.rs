//! Deliveries to a receiver that asks for a client certificate: read on use, rotated without a restart, and what is
//! wrong with it is said without a byte of it.

use std::sync::Mutex;

use patrol_api::receiver::{TlsSecretRef, WebhookSpec};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::tests::{LEADS, at, class, post, target};
use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate and its key in PEM.
fn issue(by: &Authority) -> (String, String) {
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, by).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// A receiver that takes whatever comes from a client of the authority that it trusts now.
struct Asking {
    url: String,
    trusts: Arc<Mutex<Arc<ServerConfig>>>,
}

impl Asking {
    async fn start(servers: &Authority, clients: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/hook", listener.local_addr().unwrap());
        let trusts = Arc::new(Mutex::new(config(servers, clients)));
        let now = Arc::clone(&trusts);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = TlsAcceptor::from(Arc::clone(&now.lock().unwrap()));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut head = [0; 4096];
                    let _ = stream.read(&mut head).await;
                    let reply =
                        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
                    let _ = stream.write_all(reply).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self { url, trusts }
    }

    fn trust(&self, servers: &Authority, clients: &Authority) {
        *self.trusts.lock().unwrap() = config(servers, clients);
    }
}

fn config(servers: &Authority, clients: &Authority) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, servers).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    Arc::new(config)
}

fn asked(url: &str) -> Target {
    target(WebhookSpec {
        url: Some(url.to_owned()),
        ca_secret_ref: Some(at("ca.crt")),
        client_cert_secret_ref: Some(TlsSecretRef { name: "soc".into() }),
        ..WebhookSpec::default()
    })
}

#[tokio::test]
async fn row82_a_rotated_client_certificate_is_shown_without_a_restart() {
    let (servers, first, second) = (authority(), authority(), authority());
    let ca = servers.pem();
    let ((old, old_key), (new, new_key)) = (issue(&first), issue(&second));
    let receiver = Asking::start(&servers, &first).await;
    let post = post(
        &[
            ("ca.crt", &ca, &ca),
            ("tls.crt", &old, &new),
            ("tls.key", &old_key, &new_key),
        ],
        LEADS,
    );
    let soc = asked(&receiver.url);
    assert_eq!(class(&post, &soc).await, DeliveryClass::Accepted);
    // What is still cached is refused now, and the Secret has the new pair: the same message arrives.
    receiver.trust(&servers, &second);
    assert_eq!(class(&post, &soc).await, DeliveryClass::Accepted);
    receiver.trust(&servers, &authority());
    match class(&post, &soc).await {
        DeliveryClass::Config(why) => assert!(why.contains("client certificate"), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn half_a_pair_from_before_the_rotation_is_read_again() {
    let (servers, clients) = (authority(), authority());
    let ca = servers.pem();
    let ((old, _), (new, new_key)) = (issue(&clients), issue(&clients));
    let receiver = Asking::start(&servers, &clients).await;
    let keys = [
        ("ca.crt", &*ca, &*ca),
        ("tls.crt", &old, &new),
        ("tls.key", &new_key, &new_key),
    ];
    let sent = class(&post(&keys, LEADS), &asked(&receiver.url)).await;
    assert_eq!(sent, DeliveryClass::Accepted);
}

#[tokio::test]
async fn what_is_wrong_with_a_client_certificate_is_said_and_no_byte_of_it() {
    let (servers, clients) = (authority(), authority());
    let ca = servers.pem();
    let ((ours, key), (_, other)) = (issue(&clients), issue(&clients));
    let receiver = Asking::start(&servers, &clients).await;
    for (crt, key, says) in [
        (
            "s3cret",
            &*key,
            "tls.crt in the Secret of clientCertSecretRef",
        ),
        (
            &*ours,
            "s3cret",
            "tls.key in the Secret of clientCertSecretRef",
        ),
        (&ours, &other, "is not the key of the first certificate"),
    ] {
        let keys = [
            ("ca.crt", &*ca, &*ca),
            ("tls.crt", crt, crt),
            ("tls.key", key, key),
        ];
        match class(&post(&keys, LEADS), &asked(&receiver.url)).await {
            DeliveryClass::Config(why) => {
                assert!(why.contains(says) && !why.contains("s3cret"), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }
    for missing in ["tls.crt", "tls.key"] {
        let keys = [
            ("ca.crt", &*ca, &*ca),
            ("tls.crt", &ours, &ours),
            ("tls.key", &key, &key),
        ];
        let left: Vec<_> = keys
            .into_iter()
            .filter(|(name, ..)| *name != missing)
            .collect();
        let sent = class(&post(&left, LEADS), &asked(&receiver.url)).await;
        assert_eq!(sent, DeliveryClass::SecretMissing, "{missing}");
    }
}
