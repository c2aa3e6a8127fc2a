//! A receiver that asks for a client certificate, told from files: `--secret NAME/KEY=FILE` gives both keys.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::process::{World, command};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn issue(by: &Authority) -> (rcgen::Certificate, KeyPair) {
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, by).unwrap(), key)
}

/// A receiver on loopback that takes what comes from a client of this authority, which also signed its own certificate.
fn asks(authority: &Authority) -> String {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone())
        .build()
        .unwrap();
    let (certificate, key) = issue(authority);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key.into())
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut reader = BufReader::new(StreamOwned::new(connection, stream));
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                // A client that shows nothing is refused with an alert, which the reading has sent.
                if matches!(reader.read_line(&mut head), Ok(0) | Err(_)) {
                    break;
                }
            }
            let length = head.to_ascii_lowercase();
            let length = length.split("content-length: ").nth(1).unwrap_or("0");
            let length: usize = length.lines().next().unwrap_or("0").parse().unwrap_or(0);
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_ok() && !head.is_empty() {
                let reply = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                let _ = reader.get_mut().write_all(reply);
            }
        }
    });
    format!("https://{address}/s3cret-path")
}

#[test]
fn a_client_certificate_comes_from_files_and_what_is_wrong_with_it_is_said() {
    let authority = authority();
    let url = asks(&authority);
    let world = World::new();
    world.write(
        "soc.yaml",
        &format!(
            "apiVersion: kubepatrol.io/v1alpha1\nkind: AlertReceiver\nmetadata: {{name: soc}}\nspec:\n  webhook:\n    \
             url: {url}\n    caSecretRef: {{name: soc-ca, key: ca.crt}}\n    clientCertSecretRef: {{name: soc-tls}}\n"
        ),
    );
    let (ours, key) = issue(&authority);
    let (_, other) = issue(&authority);
    world.write("ca.pem", &authority.pem());
    world.write("ours.pem", &ours.pem());
    world.write("key.pem", &key.serialize_pem());
    world.write("other.pem", &other.serialize_pem());
    let test = |files: &[(&str, &str)]| {
        let dir = world.path("");
        let given: Vec<_> = [("soc-ca/ca.crt", "ca.pem")]
            .iter()
            .chain(files)
            .map(|(at, file)| format!("--secret={at}={}", world.path(file).display()))
            .collect();
        let mut args = vec!["test-receiver", "soc", "-f", dir.to_str().unwrap()];
        args.extend(given.iter().map(String::as_str));
        let (code, out, err) = command(&args);
        assert!(!format!("{out}{err}").contains("s3cret"), "{out}{err}");
        assert!(
            !format!("{out}{err}").contains("PRIVATE KEY-----\n"),
            "{out}{err}"
        );
        (code, out.split_whitespace().collect::<Vec<_>>().join(" "))
    };

    let (code, out) = test(&[
        ("soc-tls/tls.crt", "ours.pem"),
        ("soc-tls/tls.key", "key.pem"),
    ]);
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("Answer: Accepted, HTTP status 204"), "{out}");

    let (code, out) = test(&[("soc-tls/tls.crt", "ours.pem")]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("Answer: SecretMissing"), "{out}");
    let wanted = "Secret kube-patrol/soc-tls: no value for the key tls.key in these files";
    assert!(out.contains(wanted), "{out}");

    let (code, out) = test(&[
        ("soc-tls/tls.crt", "ours.pem"),
        ("soc-tls/tls.key", "other.pem"),
    ]);
    assert_eq!(code, Some(1), "{out}");
    let wanted =
        "tls.key in the Secret of clientCertSecretRef is not the key of the first certificate";
    assert!(out.contains(wanted), "{out}");
}
