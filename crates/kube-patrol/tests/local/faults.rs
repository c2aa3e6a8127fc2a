//! What happens to folders and disks while local mode runs.

use std::fs;

use super::process::{World, eventually};
use super::{BARE, POLICY};

/// The state folder lies in the input folder: moving that away takes both, and writing a
/// ticket must not make an empty folder that looks as if everything had been removed.
#[test]
fn a_folder_that_vanishes_and_comes_back_ends_nothing() {
    let outer = World::new();
    fs::create_dir(outer.path("in")).unwrap();
    outer.write("in/web.yaml", BARE);
    outer.write("in/policy.yaml", POLICY);
    let inner = outer.within("in");
    let local = inner.start(&[]);
    let of_web = || {
        let mut tickets = inner.tickets("shop").into_iter().map(|(_, text)| text);
        tickets.find(|text| text.contains("subjectRef: Deployment/web"))
    };
    let before = eventually("a ticket", of_web);
    local.says("sidecar-missing shop/Deployment/web");
    fs::rename(outer.path("in"), outer.path("away")).unwrap();
    local.logs("in: not inspected: does not exist: check the path");
    fs::rename(outer.path("away"), outer.path("in")).unwrap();
    local.logs("mended: ");
    let again = BARE.replace("name: web, namespace", "name: later, namespace");
    outer.write("in/later.yaml", &again);
    local.says("sidecar-missing shop/Deployment/later");
    for word in ["PolicyRemoved", "SubjectGone", "Reopened", "Fixed"] {
        assert!(!local.out().contains(word), "{}", local.out());
    }
    let after = of_web().unwrap();
    assert!(after.contains("phase: Open"), "{after}");
    let opened = |text: &str| {
        text.lines()
            .find(|l| l.contains("openedAt"))
            .map(str::to_owned)
    };
    assert_eq!(opened(&before), opened(&after));
}

#[test]
fn what_cannot_be_decoded_is_said_in_plain_words() {
    let world = super::world();
    world.write(
        "bad.yaml",
        // More digits than a timestamp of the log has in a row.
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad, namespace: shop}\nspec: {template: 770077007700}\n",
    );
    let local = world.start(&[]);
    local.logs("bad.yaml:1: not inspected: Deployment cannot be decoded (a number where an object belongs): correct it");
    let log = local.log();
    assert!(!log.contains("Raw") && !log.contains("77007700"), "{log}");
}

#[test]
fn an_address_that_is_none_is_refused_in_the_words_of_lint() {
    let world = super::world();
    world.write(
        "receiver.yaml",
        "apiVersion: kubepatrol.io/v1alpha1\nkind: AlertReceiver\nmetadata: {name: hook}\n\
         spec: {webhook: {url: 'http://user:s3cr3t@example.com/'}}\n",
    );
    let local = world.start(&[]);
    local.logs("AlertReceiver hook is invalid: spec.webhook.url: Invalid value: must be an http or https address");
    let (code, out, err) =
        super::process::command(&["lint", world.path("receiver.yaml").to_str().unwrap()]);
    assert_eq!(code, Some(1), "{err}");
    assert!(
        out.contains("Invalid value: must be an http or https address"),
        "{out}"
    );
    assert!(!format!("{}{out}{err}", local.log()).contains("s3cr3t"));
}
