//! `test-receiver` on files: one probe, by the code that sends alerts, and what its answer
//! means. And the `doctor` without a cluster.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use serde_json::Value;

use super::process::{World, command, command_with};

/// What a scripted receiver got: its head in lower case, and its body.
pub(super) type Got = (String, Value);

/// A receiver on loopback that gives every request the same answer.
pub(super) fn answers(reply: &'static str) -> (String, Receiver<Got>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (into, got) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut writer = stream.try_clone().unwrap();
            let mut reader = BufReader::new(stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if matches!(reader.read_line(&mut head), Ok(0) | Err(_)) {
                    return;
                }
            }
            let head = head.to_ascii_lowercase();
            let length = head.split("content-length:").nth(1).unwrap_or("0");
            let length = length
                .lines()
                .next()
                .unwrap_or("0")
                .trim()
                .parse()
                .unwrap_or(0);
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
            let _ = into.send((head, body));
            let _ = writer.write_all(reply.as_bytes());
        }
    });
    (format!("http://{address}/s3cret-path"), got)
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A folder with the receiver `soc` and its secrets.
pub(super) fn world(url: &str) -> World {
    let world = World::new();
    world.write(
        "soc.yaml",
        "apiVersion: kubepatrol.io/v1alpha1\nkind: AlertReceiver\nmetadata: {name: soc}\nspec:\n  webhook:\n    \
         urlFrom: {secretKeyRef: {name: soc, key: url}}\n    signingSecretRef: {name: soc, key: sign}\n",
    );
    world.write(
        "secret.yaml",
        &format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: soc, namespace: kube-patrol}}\n\
             stringData: {{url: \"{url}\", sign: {SECRET}}}\n"
        ),
    );
    world
}

pub(super) fn test(world: &World, args: &[&str]) -> (Option<i32>, String, String) {
    let dir = world.path("");
    command(&[&["test-receiver"], args, &["-f", dir.to_str().unwrap()]].concat())
}

#[test]
fn a_probe_is_signed_and_its_answer_explained() {
    let (url, got) = answers("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
    let (code, out, err) = test(&world(&url), &["soc"]);
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    let (head, body) = got.recv().unwrap();
    assert!(head.contains("webhook-signature: v1,"), "{head}");
    assert_eq!(body["type"], "patrol.test");
    assert_eq!(body["data"]["receiver"], "soc");
    assert_eq!(body["data"]["tickets"], Value::Array(vec![]));
    assert!(got.try_recv().is_err(), "one probe");
    assert!(out.contains("Receiver:  soc (webhook)\n"), "{out}");
    assert!(
        out.contains("Answer:    Accepted, HTTP status 204\n"),
        "{out}"
    );
    assert!(out.contains(", signed, from this machine\n"), "{out}");
    assert!(!out.contains("s3cret"), "{out}");
}

#[test]
fn a_refusal_is_explained_without_a_word_of_it() {
    for (reply, class, words) in [
        (
            "HTTP/1.1 401 No\r\ncontent-length: 7\r\nconnection: close\r\n\r\nGEHEIM!",
            "Config, HTTP status 401",
            "refuses our credentials",
        ),
        (
            "HTTP/1.1 302 Found\r\nlocation: http://GEHEIM/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "Config, HTTP status 302",
            "redirect",
        ),
        (
            "HTTP/1.1 500 GEHEIM\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "Transient, HTTP status 500",
            "error of its own",
        ),
        (
            "HTTP/1.1 429 Slow\r\nretry-after: 90\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "Throttled, HTTP status 429",
            "wait 1m30s",
        ),
        (
            "HTTP/1.1 413 Big\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "PayloadRejected, HTTP status 413",
            "too large",
        ),
    ] {
        let (url, _got) = answers(reply);
        let (code, out, err) = test(&world(&url), &["soc"]);
        assert_eq!(code, Some(1), "{out}{err}");
        assert!(out.contains(&format!("Answer:    {class}\n")), "{out}");
        assert!(out.contains(words), "{out}");
        assert!(!format!("{out}{err}").contains("GEHEIM"), "{out}{err}");
        assert!(!format!("{out}{err}").contains("s3cret"), "{out}{err}");
    }
}

#[test]
fn a_receiver_that_does_not_answer_or_may_not_be_told_is_no_success() {
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (code, out, _) = test(&world(&format!("http://{nobody}/x")), &["soc"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("Answer:    Transient, no answer of the receiver\n"),
        "{out}"
    );
    let (code, out, _) = test(&world("http://169.254.169.254/latest"), &["soc"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("Answer:    AddressBlocked, no answer"),
        "{out}"
    );
    assert!(out.contains("Sent:      nothing\n"), "{out}");
}

#[test]
fn a_missing_secret_is_named_and_can_be_given() {
    let (url, got) = answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let world = world(&url);
    std::fs::remove_file(world.path("secret.yaml")).unwrap();
    let (code, out, _) = test(&world, &["soc"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(out.contains("Answer:    SecretMissing"), "{out}");
    assert!(out.contains("--secret soc/url=FILE"), "{out}");
    world.write("url.txt", &url);
    world.write("sign.txt", SECRET);
    let given = ["url", "sign"].map(|key| {
        let file = world.path(&format!("{key}.txt"));
        format!("--secret=soc/{key}={}", file.display())
    });
    let (code, out, _) = test(&world, &["soc", &given[0], &given[1]]);
    assert_eq!(code, Some(0), "{out}");
    got.recv().unwrap();
}

#[test]
fn a_policys_own_webhook_is_tested_by_its_name() {
    let (url, got) = answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let world = World::new();
    world.write(
        "policy.yaml",
        &format!(
            "{}  alerts: {{webhook: {{url: \"{url}\"}}}}\n",
            super::POLICY
        ),
    );
    let (code, out, err) = test(&world, &["policy/production"]);
    assert_eq!(code, Some(0), "{out}{err}");
    assert_eq!(got.recv().unwrap().1["data"]["policy"], "production");
    assert!(out.contains("unsigned (no signing secret is set)"), "{out}");
}

#[test]
fn a_state_folder_knows_its_receivers() {
    let (url, got) = answers("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let world = world(&url);
    world.write("policy.yaml", super::POLICY);
    assert_eq!(world.run(&["--once"]).0, Some(0));
    let state = world.path(".kube-patrol");
    let args = ["test-receiver", "soc", "--state", state.to_str().unwrap()];
    let (code, out, err) = command(&args);
    assert_eq!(code, Some(0), "{out}{err}");
    let body = got.recv().unwrap().1;
    let id = std::fs::read_to_string(state.join("cluster-id")).unwrap();
    assert_eq!(body["data"]["cluster"]["id"], id.trim());
}

#[test]
fn what_cannot_run_is_one_sentence() {
    let world = world("http://127.0.0.1:1/");
    for (args, words) in [
        (
            &["other"][..],
            "AlertReceiver/other: it is not in these files",
        ),
        (
            &["policy/other"],
            "PatrolPolicy/other: it is not in these files",
        ),
    ] {
        let (code, out, err) = test(&world, args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.starts_with(&format!("kube-patrol: {words}")), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    let bad = "apiVersion: kubepatrol.io/v1alpha1\nkind: AlertReceiver\nmetadata: {name: soc}\nspec: {}\n";
    world.write("soc.yaml", bad);
    let (code, _, err) = test(&world, &["soc"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.contains("exactly one kind of receiver must be set"),
        "{err}"
    );
}

#[test]
fn without_a_cluster_the_doctor_and_a_probe_cannot_run() {
    let world = World::new();
    let none = world.path("none");
    let env = [("KUBECONFIG", none.to_str().unwrap())];
    for args in [
        &["doctor"][..],
        &["doctor", "-o", "json"],
        &["test-receiver", "soc"],
        &["ack", "t", "--reason", "x"],
    ] {
        let (code, out, err) = command_with(args, &env);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        assert!(err.starts_with("kube-patrol: "), "{err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
    // A server that is not there.
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    world.write(
        "config",
        &format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: \"http://{nobody}\"}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: c}}}}]\nusers: [{{name: c, user: {{}}}}]\n"
        ),
    );
    let config = world.path("config");
    let (code, _, err) = command_with(&["doctor"], &[("KUBECONFIG", config.to_str().unwrap())]);
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.starts_with("kube-patrol: API server: the API server does not answer"),
        "{err}"
    );
}
