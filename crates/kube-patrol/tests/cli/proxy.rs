//! `--receiver-proxy`: a probe and local mode go through it, and what is wrong with it is one sentence without a secret.

use super::process::{World, command, command_with};
use super::receivers::{answers, test, world};

const TAKEN: &str = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";

/// The proxy's own address, without the path that a receiver has.
fn address(url: &str) -> &str {
    url.strip_suffix("/s3cret-path").unwrap()
}

/// A receiver that only a proxy can reach: nothing here resolves its name.
const BEHIND: &str = "http://hooks.invalid/s3cret-path";

#[test]
fn a_probe_goes_through_the_proxy_that_is_named() {
    let (url, got) = answers(TAKEN);
    let soc = world(BEHIND);
    soc.write("credentials", "user:geheim\n");
    let proxy = format!("--receiver-proxy={}", address(&url));
    let file = soc.path("credentials");
    let credentials = format!("--receiver-proxy-credentials={}", file.display());
    let (code, out, err) = test(&soc, &["soc", &proxy, &credentials]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(
        out.contains("one patrol.test notice to hooks.invalid, signed"),
        "{out}"
    );
    let (head, body) = got.recv().unwrap();
    assert!(
        head.starts_with("post http://hooks.invalid/s3cret-path http/1.1\r\n"),
        "{head}"
    );
    assert!(head.contains("\r\nproxy-authorization: basic "), "{head}");
    assert_eq!(body["type"], "patrol.test");
    assert!(!format!("{out}{err}").contains("geheim"), "{out}{err}");

    let direct = format!("{proxy} --receiver-no-proxy=hooks.invalid");
    let direct: Vec<&str> = direct.split(' ').collect();
    let (code, out, _) = test(&soc, &[&["soc"], &*direct].concat());
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("does not resolve"), "{out}");
    assert!(got.try_recv().is_err(), "the proxy was not asked");
}

#[test]
fn the_environment_names_it_too() {
    let (url, got) = answers(TAKEN);
    let soc = world(BEHIND);
    let dir = soc.path("");
    let args = ["test-receiver", "soc", "-f", dir.to_str().unwrap()];
    let proxy = address(&url);
    let (code, out, _) = command_with(&args, &[("RECEIVER_PROXY", proxy)]);
    assert_eq!(code, Some(0), "{out}");
    got.recv().unwrap();
    let (code, out, _) = command_with(&args, &[("RECEIVER_PROXY", "env"), ("HTTP_PROXY", proxy)]);
    assert_eq!(code, Some(0), "{out}");
    got.recv().unwrap();
    // By itself it is for other programs.
    let others = [("HTTPS_PROXY", proxy), ("HTTP_PROXY", proxy)];
    let (code, out, _) = command_with(&args, &others);
    assert_eq!(code, Some(1), "{out}");
    assert!(got.try_recv().is_err());
}

#[test]
fn local_mode_tells_through_it() {
    let (url, got) = answers(TAKEN);
    let soc = world(BEHIND);
    let alerts = "  alerts: {groupWait: 0s, receivers: [{name: soc}]}\n";
    soc.write("policy.yaml", &format!("{}{alerts}", super::POLICY));
    soc.write(
        "web.yaml",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec:\n  selector: {matchLabels: {app: web}}\n  \
         template:\n    metadata: {labels: {app: web}}\n    spec: {containers: [{name: app, image: app}]}\n",
    );
    let proxy = format!("--receiver-proxy={}", address(&url));
    let (code, out, err) = soc.run(&["--once", &proxy]);
    assert_eq!(code, Some(1), "{out}{err}");
    let (head, body) = got.recv().unwrap();
    assert!(
        head.starts_with("post http://hooks.invalid/s3cret-path "),
        "{head}"
    );
    assert_eq!(body["type"], "patrol.alert");
    assert!(!format!("{out}{err}").contains("s3cret"), "{out}{err}");
}

#[test]
fn what_is_wrong_with_it_is_one_sentence_without_the_address() {
    let soc = World::new();
    let dir = soc.path("");
    for (args, says) in [
        (
            &["--receiver-proxy=http://u:s3cret@proxy.test:3128"][..],
            "kube-patrol: --receiver-proxy: it holds a user name or password",
        ),
        (
            &["--receiver-proxy=s3cret.test"],
            "kube-patrol: --receiver-proxy: it is no proxy's address",
        ),
        (
            &["--receiver-no-proxy=.svc"],
            "kube-patrol: --receiver-no-proxy: there is no proxy",
        ),
        (
            &[
                "--receiver-proxy=https://proxy.test",
                "--receiver-proxy-ca=/nowhere",
            ],
            "kube-patrol: --receiver-proxy-ca: /nowhere: ",
        ),
    ] {
        let all = [&["local", dir.to_str().unwrap(), "--once"], args].concat();
        let (code, out, err) = command(&all);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.starts_with(says), "{err}");
        assert!(!err.contains("s3cret"), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}
