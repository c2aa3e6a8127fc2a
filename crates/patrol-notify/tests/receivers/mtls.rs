//! Receivers that ask who we are: a certificate they trust is shown, and what they refuse is named.

use crate::support::*;
use crate::tls::*;
use patrol_notify::{Class, Client, ClientCertificate, ClientConfig, Outcome};
use rcgen::date_time_ymd;
use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

const EACH: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];

async fn send(
    server: &Server,
    authority: &Authority,
    client_certificate: Option<ClientCertificate>,
) -> Outcome {
    let client = Client::new(ClientConfig {
        ca_pem: Some(authority.pem()),
        client_certificate,
        lookup: Scripted::new(&[&["127.0.0.1"]]),
        ..quick()
    })
    .unwrap();
    let port = server.address.port();
    post(&client, format!("https://receiver.test:{port}/")).await
}

#[tokio::test]
async fn a_certificate_of_the_receivers_authority_is_accepted() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let ours = clients.issue("patrol", |_| {}).pem;
    for versions in EACH {
        let server = serve(servers.asking(&clients, versions)).await;
        let outcome = send(&server, &servers, Some(ours.clone())).await;
        assert_eq!(
            (outcome.class, outcome.status),
            (Class::Accepted, Some(200)),
            "{versions:?}: {outcome:?}"
        );
    }
    // Nobody asks: nobody minds.
    let server = serve(server_config(servers.issue("receiver.test", |_| {}))).await;
    let outcome = send(&server, &servers, Some(ours)).await;
    assert_eq!(outcome.class, Class::Accepted, "{outcome:?}");
}

#[tokio::test]
async fn row82_a_client_certificate_we_do_not_have_is_named() {
    let (servers, clients) = (Authority::new(), Authority::new());
    for versions in EACH {
        let server = serve(servers.asking(&clients, versions)).await;
        let outcome = send(&server, &servers, None).await;
        assert_config(&outcome, "client certificate: set clientCertSecretRef");
    }
}

#[tokio::test]
async fn row82_a_client_certificate_that_is_refused_is_named() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let expired = clients.issue("patrol", |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    let made_anew = Authority::new().issue("patrol", |_| {});
    let strange = Authority::named("Strange").issue("patrol", |_| {});
    for versions in EACH {
        let server = serve(servers.asking(&clients, versions)).await;
        let outcome = send(&server, &servers, Some(expired.pem.clone())).await;
        assert_config(&outcome, "our client certificate has expired");
        let outcome = send(&server, &servers, Some(made_anew.pem.clone())).await;
        assert_config(&outcome, "the receiver refuses our client certificate");
        let outcome = send(&server, &servers, Some(strange.pem.clone())).await;
        assert_config(
            &outcome,
            "does not know the authority of our client certificate",
        );
    }
}

/// Row 82 of the faults: who we are changes nothing about who the receiver has to be.
#[tokio::test]
async fn row82_a_receiver_that_asks_is_verified_like_any_other() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let ours = clients.issue("patrol", |_| {}).pem;
    let server = serve(servers.asking(&clients, &[&TLS13])).await;
    let outcome = send(&server, &Authority::new(), Some(ours.clone())).await;
    assert_config(&outcome, "receiver's certificate");
    for (name, year, words) in [
        ("other.test", 2900, "host name"),
        ("receiver.test", 2002, "has expired"),
    ] {
        let identity = servers.issue(name, |params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(year, 1, 1);
        });
        let server = serve(server_config(identity)).await;
        assert_config(&send(&server, &servers, Some(ours.clone())).await, words);
    }
}

#[tokio::test]
async fn over_http_nothing_is_sent_in_its_place() {
    let authority = Authority::new();
    let server = Server::replying(&reply("200 OK", "", "")).await;
    let client = Client::new(ClientConfig {
        client_certificate: Some(authority.issue("patrol", |_| {}).pem),
        ..quick()
    })
    .unwrap();
    let outcome = post(&client, server.url("/")).await;
    assert_config(&outcome, "only shown over https");
    assert_eq!(server.connections(), 0);
}
