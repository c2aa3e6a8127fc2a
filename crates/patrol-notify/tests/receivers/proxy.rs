//! Receivers behind a proxy on loopback that writes down what it was asked: who is asked for what, what is never asked
//! for, and whose fault a failure is.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::support::*;
use crate::tls::*;
use patrol_notify::address::Filter;
use patrol_notify::proxy::{Egress, ProxySettings, Scheme};
use patrol_notify::{
    Allow, Class, Client, ClientCertificate, ClientConfig, Credential, Outcome, Secret,
    SigningSecrets,
};
use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// What a proxy does with whoever asks.
#[derive(Clone)]
enum Manner {
    /// Connects to this receiver, whatever it is asked for; answers requests that are no `CONNECT` itself.
    Serves(SocketAddr),
    /// The same for who brings these credentials.
    Guards(SocketAddr, &'static str),
    /// Answers with these bytes.
    Says(&'static str),
    /// Answers nothing.
    Hangs,
}

struct Proxy {
    server: Server,
    heads: Arc<Mutex<Vec<String>>>,
    shown: Arc<Mutex<Vec<bool>>>,
}

impl Proxy {
    async fn start(manner: Manner) -> Self {
        Self::over(manner, None).await
    }

    /// One that is spoken to over TLS, when given.
    async fn over(manner: Manner, tls: Option<ServerConfig>) -> Self {
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let shown = Arc::<Mutex<Vec<bool>>>::default();
        let acceptor = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        let (log, certificates) = (Arc::clone(&heads), Arc::clone(&shown));
        let server = Server::start(move |stream| {
            let (manner, log, acceptor) = (manner.clone(), Arc::clone(&log), acceptor.clone());
            let certificates = Arc::clone(&certificates);
            async move {
                match acceptor {
                    None => serve_one(stream, manner, &log).await,
                    Some(acceptor) => {
                        let Ok(stream) = acceptor.accept(stream).await else {
                            return;
                        };
                        let has_shown = stream.get_ref().1.peer_certificates().is_some();
                        certificates.lock().unwrap().push(has_shown);
                        serve_one(stream, manner, &log).await;
                    }
                }
            }
        })
        .await;
        Proxy {
            server,
            heads,
            shown,
        }
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address)
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    fn egress(&self) -> Egress {
        egress(&self.url())
    }
}

fn egress(url: &str) -> Egress {
    let settings = ProxySettings {
        url: url.into(),
        ..ProxySettings::default()
    };
    Egress::default().through(&settings, None).unwrap()
}

async fn serve_one<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    manner: Manner,
    log: &Mutex<Vec<String>>,
) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    log.lock().unwrap().push(head.clone());
    let receiver = match manner {
        Manner::Hangs => {
            let mut sink = [0; 1024];
            while let Ok(1..) = stream.read(&mut sink).await {}
            return;
        }
        Manner::Says(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
            let _ = stream.flush().await;
            return;
        }
        Manner::Guards(_, pair)
            if !head.to_ascii_lowercase().contains(
                &format!("proxy-authorization: basic {pair}\r\n").to_ascii_lowercase(),
            ) =>
        {
            let reply = reply("407 Proxy Authentication Required", "", "GEHEIM");
            let _ = stream.write_all(reply.as_bytes()).await;
            let _ = stream.flush().await;
            return;
        }
        Manner::Serves(receiver) | Manner::Guards(receiver, _) => receiver,
    };
    let mut receiver = TcpStream::connect(receiver).await.unwrap();
    if head.starts_with("CONNECT ") {
        let yes = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n";
        stream.write_all(yes).await.unwrap();
        stream.flush().await.unwrap();
    } else {
        receiver.write_all(head.as_bytes()).await.unwrap();
    }
    let _ = tokio::io::copy_bidirectional(&mut stream, &mut receiver).await;
}

/// A receiver behind TLS that writes down what it gets.
async fn receiver(authority: &Authority) -> (Server, Arc<Mutex<Vec<Received>>>) {
    let config = server_config(authority.issue("receiver.test", |_| {}));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let got = Arc::<Mutex<Vec<Received>>>::default();
    let log = Arc::clone(&got);
    let server = Server::start(move |stream| {
        let (acceptor, log) = (acceptor.clone(), Arc::clone(&log));
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            while let Some(request) = read_request(&mut stream).await {
                log.lock().unwrap().push(request);
                let ok = reply("200 OK", "", "");
                stream.write_all(ok.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
            }
        }
    })
    .await;
    (server, got)
}

/// A client of a cluster: no receiver on loopback, and no name that this machine could resolve.
fn config(egress: Egress) -> ClientConfig {
    ClientConfig {
        filter: Filter::default(),
        lookup: Scripted::new(&[&[]]),
        egress: Arc::new(egress),
        timing: QUICK,
        ..ClientConfig::default()
    }
}

async fn send(config: ClientConfig, url: &str) -> Outcome {
    post(&Client::new(config).unwrap(), url).await
}

#[track_caller]
fn assert_fails(outcome: &Outcome, class: Class, words: &str) {
    assert_eq!(
        (outcome.class, outcome.status),
        (class, None),
        "{outcome:?}"
    );
    assert!(outcome.detail.contains(words), "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("GEHEIM"), "{outcome:?}");
}

#[tokio::test]
async fn an_https_receiver_is_reached_through_a_tunnel_that_knows_its_host_alone() {
    let authority = Authority::new();
    let (server, got) = receiver(&authority).await;
    let proxy = Proxy::start(Manner::Serves(server.address)).await;
    let lookup = Scripted::new(&[&[]]);
    let client = Client::new(ClientConfig {
        ca_pem: Some(authority.pem()),
        lookup: Arc::clone(&lookup) as _,
        ..config(proxy.egress())
    })
    .unwrap();
    let signing = SigningSecrets::parse(&"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()).unwrap();
    for _ in 0..2 {
        let mut request = request("https://receiver.test:8443/s3cret/path?token=s3cret");
        request.credential = Some(Credential::Signing(signing.clone()));
        let outcome = within(client.post(request)).await;
        assert_eq!(
            (outcome.class, outcome.status),
            (Class::Accepted, Some(200)),
            "{outcome:?}"
        );
        assert_eq!(outcome.host, "receiver.test:8443");
    }
    let heads = proxy.heads();
    assert_eq!(heads.len(), 2);
    for head in heads {
        let lines: Vec<_> = head.lines().collect();
        assert_eq!(lines[0], "CONNECT receiver.test:8443 HTTP/1.1");
        assert_eq!(lines[1], "Host: receiver.test:8443");
        assert!(
            !head.contains("s3cret") && !head.contains("webhook"),
            "{head}"
        );
        assert!(!head.to_lowercase().contains("authorization"), "{head}");
    }
    let got = got.lock().unwrap();
    assert_eq!(got.len(), 2);
    let first = got[0].head.lines().next().unwrap();
    assert_eq!(first, "POST /s3cret/path?token=s3cret HTTP/1.1");
    assert_eq!(got[0].header("host"), Some("receiver.test:8443"));
    assert_eq!(got[0].header("content-type"), Some("application/json"));
    assert!(
        got[0]
            .header("webhook-signature")
            .unwrap()
            .starts_with("v1,")
    );
    assert!(
        got[0]
            .header("user-agent")
            .unwrap()
            .starts_with("kube-patrol/")
    );
    assert_eq!(got[0].body, br#"{"type":"patrol.test"}"#);
    let asked = lookup.calls.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(asked, 0, "the proxy resolves the receiver's name");
}

#[tokio::test]
async fn an_http_receiver_is_asked_for_by_its_whole_address() {
    let server = Server::replying(&reply("200 OK", "", "")).await;
    let proxy = Proxy::start(Manner::Guards(server.address, "dXNlcjpwYXNz")).await;
    let settings = ProxySettings {
        url: format!("http://user:pass@{}", proxy.server.address).into(),
        may_hold_credentials: true,
        ..ProxySettings::default()
    };
    let egress = Egress::default().through(&settings, None).unwrap();
    let outcome = send(config(egress), "http://receiver.test/hook?a=1").await;
    assert_eq!(
        (outcome.class, outcome.status),
        (Class::Accepted, Some(200)),
        "{outcome:?}"
    );
    let heads = proxy.heads();
    assert_eq!(heads.len(), 1);
    let first = heads[0].lines().next().unwrap();
    assert_eq!(first, "POST http://receiver.test/hook?a=1 HTTP/1.1");
    assert!(
        heads[0].contains("\r\nhost: receiver.test\r\n"),
        "{}",
        heads[0]
    );
    let outcome = send(config(proxy.egress()), "http://receiver.test/").await;
    assert_fails(
        &outcome,
        Class::Config,
        "the proxy asks for a user name and password",
    );
}

#[tokio::test]
async fn credentials_are_read_on_use_and_a_proxy_that_refuses_them_is_named() {
    let authority = Authority::new();
    let (server, got) = receiver(&authority).await;
    let proxy = Proxy::start(Manner::Guards(server.address, "dXNlcjpwYXNz")).await;
    let folder = std::env::temp_dir().join(format!("patrol-proxy-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("credentials");
    let settings = ProxySettings {
        url: proxy.url().into(),
        credentials: Some(file.clone()),
        ..ProxySettings::default()
    };
    let client = Client::new(ClientConfig {
        ca_pem: Some(authority.pem()),
        ..config(Egress::default().through(&settings, None).unwrap())
    })
    .unwrap();
    let url = "https://receiver.test/";
    let _ = std::fs::remove_file(&file);
    let outcome = post(&client, url).await;
    assert_fails(
        &outcome,
        Class::Config,
        "the proxy's credentials cannot be read",
    );
    assert_eq!(proxy.server.connections(), 0);
    std::fs::write(&file, "user").unwrap();
    let outcome = post(&client, url).await;
    assert_fails(&outcome, Class::Config, "not of the form USER:PASSWORD");
    std::fs::write(&file, "user:GEHEIM\n").unwrap();
    let outcome = post(&client, url).await;
    assert_fails(&outcome, Class::Config, "the proxy refuses our credentials");
    std::fs::write(&file, "user:pass\n").unwrap();
    let outcome = post(&client, url).await;
    assert_eq!(outcome.class, Class::Accepted, "{outcome:?}");
    assert!(
        got.lock().unwrap()[0]
            .header("proxy-authorization")
            .is_none()
    );
    std::fs::remove_dir_all(&folder).unwrap();
    let without = ClientConfig {
        ca_pem: Some(authority.pem()),
        ..config(proxy.egress())
    };
    let outcome = send(without, url).await;
    assert_fails(
        &outcome,
        Class::Config,
        "the proxy asks for a user name and password",
    );
}

/// An https proxy has its own authorities, and is not shown what receivers are shown.
#[tokio::test]
async fn a_proxy_behind_tls_is_verified_for_itself_and_not_shown_who_we_are() {
    let (of_proxy, of_receiver, clients) = (Authority::new(), Authority::new(), Authority::new());
    let server = serve(of_receiver.asking(&clients, &[&rustls::version::TLS13])).await;
    let asks_too = asks_perhaps(&of_proxy, &clients);
    let proxy = Proxy::over(Manner::Serves(server.address), Some(asks_too)).await;
    let port = proxy.server.address.port();
    let behind = |ca_pem: Option<Secret>, name: &str| {
        let settings = ProxySettings {
            url: format!("https://{name}:{port}").into(),
            ca_pem,
            ..ProxySettings::default()
        };
        ClientConfig {
            ca_pem: Some(of_receiver.pem()),
            client_certificate: Some(clients.issue("patrol", |_| {}).pem),
            lookup: Scripted::new(&[&["127.0.0.1"]]),
            ..config(Egress::default().through(&settings, None).unwrap())
        }
    };
    let url = "https://receiver.test/";
    let outcome = send(behind(Some(of_proxy.pem()), "receiver.test"), url).await;
    assert_eq!(
        (outcome.class, outcome.status),
        (Class::Accepted, Some(200)),
        "{outcome:?}"
    );
    assert_eq!(*proxy.shown.lock().unwrap(), [false]);
    let outcome = send(behind(Some(of_proxy.pem()), "proxy.test"), url).await;
    assert_fails(
        &outcome,
        Class::Config,
        "the proxy's certificate does not cover",
    );
    for ca in [None, Some(of_receiver.pem())] {
        let outcome = send(behind(ca, "receiver.test"), url).await;
        assert_fails(&outcome, Class::Config, "the proxy's certificate");
    }
    let plain = Proxy::start(Manner::Says("HTTP/1.1 400 Bad Request\r\n\r\n")).await;
    let tls_to_plain = egress(&format!("https://{}", plain.server.address));
    let outcome = send(config(tls_to_plain), url).await;
    // Whether the words or the end of the connection are seen first is up to the machine.
    assert!(outcome.detail.contains("proxy"), "{outcome:?}");
}

/// A server that asks for a certificate and takes clients without one.
fn asks_perhaps(authority: &Authority, clients: &Authority) -> ServerConfig {
    authority.asking_with(clients, &[&rustls::version::TLS13], |roots, provider| {
        WebPkiClientVerifier::builder_with_provider(roots, provider)
            .allow_unauthenticated()
            .build()
            .unwrap()
    })
}

#[tokio::test]
async fn a_receivers_own_failures_stay_its_own() {
    let authority = Authority::new();
    let expired = authority.issue("receiver.test", |params| {
        params.not_before = rcgen::date_time_ymd(2001, 1, 1);
        params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    });
    let server = serve(server_config(expired)).await;
    let proxy = Proxy::start(Manner::Serves(server.address)).await;
    let trusting = |ca: &Authority| ClientConfig {
        ca_pem: Some(ca.pem()),
        ..config(proxy.egress())
    };
    let outcome = send(trusting(&authority), "https://receiver.test/").await;
    assert_fails(
        &outcome,
        Class::Config,
        "the receiver's certificate has expired",
    );
    let server = serve(server_config(authority.issue("other.test", |_| {}))).await;
    let proxy = Proxy::start(Manner::Serves(server.address)).await;
    let other = ClientConfig {
        ca_pem: Some(authority.pem()),
        ..config(proxy.egress())
    };
    let outcome = send(other, "https://receiver.test/").await;
    assert_fails(
        &outcome,
        Class::Config,
        "the receiver's certificate does not cover",
    );
    let clients = Authority::new();
    for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
        let server = serve(authority.asking(&clients, versions)).await;
        let proxy = Proxy::start(Manner::Serves(server.address)).await;
        let anonymous = ClientConfig {
            ca_pem: Some(authority.pem()),
            ..config(proxy.egress())
        };
        let outcome = send(anonymous, "https://receiver.test/").await;
        assert_fails(&outcome, Class::Config, "set clientCertSecretRef");
    }
}

#[tokio::test]
async fn f19_what_is_never_sent_to_is_not_even_asked_for() {
    let proxy = Proxy::start(Manner::Says("HTTP/1.1 200 OK\r\n\r\n")).await;
    let egress = proxy.egress().never(["api.corp.test".to_owned()]);
    let filter = Filter::new(false, ["10.96.0.1".parse().unwrap()], None);
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[fe80::1]",
        "100.100.100.200",
        "168.63.129.16",
        "[fd00:ec2::254]",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "10.96.0.1",
        "127.0.0.1",
        "[::1]",
        "localhost",
        "LOCALHOST.",
        "x.localhost",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
        "instance-data.ec2.internal",
        "kubernetes",
        "kubernetes.default.svc.cluster.local",
        "api.corp.test",
        "API.corp.test.",
    ] {
        for scheme in ["http", "https"] {
            let blocked = ClientConfig {
                filter: filter.clone(),
                // What this machine would find: loopback is never looked for behind a proxy.
                lookup: Scripted::new(&[&["127.0.0.1"]]),
                ..config(egress.clone())
            };
            let outcome = send(blocked, &format!("{scheme}://{host}/latest")).await;
            assert_eq!(outcome.class, Class::Blocked, "{host}: {outcome:?}");
        }
    }
    assert_eq!(proxy.server.connections(), 0);
}

#[tokio::test]
async fn an_allow_list_holds_by_its_hosts_and_its_networks_name_no_host() {
    let server = Server::replying(&reply("200 OK", "", "")).await;
    let proxy = Proxy::start(Manner::Serves(server.address)).await;
    let allow = Allow::parse(&["10.0.0.0/8", "receiver.test"]).unwrap();
    let narrow = || ClientConfig {
        filter: Filter::new(false, [], Some(allow.clone())),
        ..config(proxy.egress())
    };
    for (host, expected) in [
        ("receiver.test", Class::Accepted),
        ("10.1.2.3", Class::Accepted),
        ("other.test", Class::Blocked),
        ("192.0.2.1", Class::Blocked),
    ] {
        let outcome = send(narrow(), &format!("http://{host}/")).await;
        assert_eq!(outcome.class, expected, "{host}: {outcome:?}");
    }
    let outcome = send(narrow(), "http://other.test/").await;
    assert!(outcome.detail.contains("add the host name"), "{outcome:?}");
    assert_eq!(proxy.server.connections(), 2);
}

#[tokio::test]
async fn who_is_excepted_is_reached_directly_and_filtered_as_ever() {
    let server = Server::replying(&reply("200 OK", "", "")).await;
    let proxy = Proxy::start(Manner::Says("")).await;
    let port = server.address.port();
    let direct = |filter: Filter| ClientConfig {
        filter,
        lookup: Scripted::new(&[&["127.0.0.1"]]),
        ..config(proxy.egress().except(".svc").unwrap())
    };
    let url = format!("http://alertmanager.monitoring.svc:{port}/");
    let outcome = send(direct(Filter::new(true, [], None)), &url).await;
    assert_eq!(outcome.class, Class::Accepted, "{outcome:?}");
    let outcome = send(direct(Filter::default()), &url).await;
    assert_eq!(outcome.class, Class::Blocked, "{outcome:?}");
    let only_https = ProxySettings {
        url: proxy.url().into(),
        ..ProxySettings::default()
    };
    let only_https = Egress::default().through(&only_https, Some(Scheme::Https));
    let http = ClientConfig {
        filter: Filter::new(true, [], None),
        lookup: Scripted::new(&[&["127.0.0.1"]]),
        ..config(only_https.unwrap())
    };
    let outcome = send(http, &format!("http://receiver.test:{port}/")).await;
    assert_eq!(outcome.class, Class::Accepted, "{outcome:?}");
    assert_eq!(proxy.server.connections(), 0);
}

#[tokio::test]
async fn a_proxy_that_is_down_or_refuses_is_named_and_its_words_are_not() {
    let url = "https://receiver.test/";
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = closed.local_addr().unwrap();
    drop(closed);
    let outcome = send(config(egress(&format!("http://{nobody}"))), url).await;
    assert_fails(
        &outcome,
        Class::Transient,
        "connection to the proxy cannot be opened",
    );
    let outcome = send(config(egress("http://proxy.test:3128")), url).await;
    assert_fails(
        &outcome,
        Class::Transient,
        "proxy's host name does not resolve",
    );
    for address in ["169.254.169.254", "10.96.0.1", "100.100.100.200"] {
        let never = ClientConfig {
            filter: Filter::new(false, ["10.96.0.1".parse().unwrap()], None),
            lookup: Scripted::new(&[&[address]]),
            ..config(egress("http://proxy.test:3128"))
        };
        let outcome = send(never, url).await;
        assert_fails(
            &outcome,
            Class::Config,
            "proxy's address is one that is never sent to",
        );
    }
    let hangs = Proxy::start(Manner::Hangs).await;
    let outcome = send(config(hangs.egress()), url).await;
    assert_fails(
        &outcome,
        Class::Transient,
        "through the proxy within the connect time",
    );
    for (answer, class, words) in [
        (
            "HTTP/1.1 407 GEHEIM\r\n\r\n",
            Class::Config,
            "the proxy asks for a user name",
        ),
        (
            "HTTP/1.1 403 GEHEIM\r\ncontent-length: 6\r\n\r\nGEHEIM",
            Class::Config,
            "the proxy refuses to connect",
        ),
        (
            "HTTP/1.0 405 GEHEIM\r\n\r\n",
            Class::Config,
            "the proxy refuses to connect",
        ),
        (
            "HTTP/1.1 502 GEHEIM\r\n\r\n",
            Class::Transient,
            "the proxy cannot reach the receiver",
        ),
        (
            "HTTP/1.1 503 GEHEIM\r\n\r\n<html>GEHEIM",
            Class::Transient,
            "the proxy cannot reach the receiver",
        ),
        (
            "HTTP/1.1 429 GEHEIM\r\n\r\n",
            Class::Transient,
            "the proxy cannot reach the receiver",
        ),
        (
            "HTTP/1.1 302 GEHEIM\r\nlocation: http://GEHEIM/\r\n\r\n",
            Class::Config,
            "does not answer CONNECT",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nGEHEIM",
            Class::Config,
            "does not answer CONNECT",
        ),
        ("GEHEIM\r\n\r\n", Class::Config, "does not answer CONNECT"),
        (
            "HTTP/1.1 2\r\n\r\n",
            Class::Config,
            "does not answer CONNECT",
        ),
        ("", Class::Transient, "the proxy closed the connection"),
        (
            "HTTP/1.1 200 OK\r\nx: ",
            Class::Transient,
            "the proxy closed the connection",
        ),
    ] {
        let proxy = Proxy::start(Manner::Says(answer)).await;
        let outcome = send(config(proxy.egress()), url).await;
        assert_fails(&outcome, class, words);
    }
}

/// What a receiver may do to us it may not do through a proxy either.
#[tokio::test]
async fn endless_answers_of_a_proxy_are_cut() {
    let endless = Server::start(|mut stream| async move {
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
        if stream.write_all(b"HTTP/1.1 200 OK\r\n").await.is_err() {
            return;
        }
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let url = format!("http://{}", endless.address);
    let outcome = send(config(egress(&url)), "https://receiver.test/").await;
    assert_fails(&outcome, Class::Config, "does not answer CONNECT");
    let flood = Server::start(|mut stream| async move {
        if read_request(&mut stream).await.is_none() {
            return;
        }
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
        let _ = stream.write_all(head).await;
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    })
    .await;
    let url = format!("http://{}", flood.address);
    let outcome = send(config(egress(&url)), "http://receiver.test/").await;
    assert_eq!(
        (outcome.class, outcome.status),
        (Class::Accepted, Some(200)),
        "{outcome:?}"
    );
    let silent = Server::start(|mut stream| async move { until_closed(&mut stream).await }).await;
    let url = format!("http://{}", silent.address);
    let outcome = send(config(egress(&url)), "http://receiver.test/").await;
    assert_fails(&outcome, Class::Transient, "no reply within the time");
}

#[tokio::test]
async fn who_we_are_is_shown_at_the_end_of_the_tunnel() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let server = serve(servers.asking(&clients, &[&rustls::version::TLS13])).await;
    let proxy = Proxy::start(Manner::Serves(server.address)).await;
    let shows = |certificate: ClientCertificate| ClientConfig {
        ca_pem: Some(servers.pem()),
        client_certificate: Some(certificate),
        ..config(proxy.egress())
    };
    let ours = clients.issue("patrol", |_| {}).pem;
    let outcome = send(shows(ours), "https://receiver.test/").await;
    assert_eq!(outcome.class, Class::Accepted, "{outcome:?}");
    let strange = Authority::new().issue("patrol", |_| {}).pem;
    let outcome = send(shows(strange), "https://receiver.test/").await;
    assert_fails(&outcome, Class::Config, "our client certificate");
}
