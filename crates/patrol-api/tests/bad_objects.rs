//! The objects in `tests/bad-objects` and `tests/good-objects` at the root of the repository, judged offline.
//! The same files are given to a real API server elsewhere; the sentences must be the same.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

use std::fmt::Debug;
use std::path::PathBuf;

use patrol_api::policy::{PatrolPolicy, PatrolPolicySpec};
use patrol_api::receiver::AlertReceiver;
use patrol_api::ticket::Ticket;
use patrol_api::validate::{admit, validate};
use patrol_api::waiver::TicketWaiver;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

struct Case {
    name: String,
    expect: String,
    by: String,
    object: Value,
}

fn cases(folder: &str) -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests")
        .join(folder);
    let mut cases: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| {
            let path = file.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let header = |name: &str| {
                let prefix = format!("# {name}: ");
                text.lines()
                    .find_map(|line| line.strip_prefix(&prefix))
                    .unwrap_or("")
                    .to_owned()
            };
            Case {
                name: path.file_name().unwrap().to_str().unwrap().to_owned(),
                expect: header("expect"),
                by: header("by"),
                object: serde_saphyr::from_str(&text).unwrap(),
            }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

/// A fragment may leave out the shown value: `Invalid value: must be` fits `Invalid value: "9s": must be`.
fn fits(sentence: &str, fragment: &str) -> bool {
    sentence.contains(fragment)
        || fragment
            .split_once("Invalid value: ")
            .is_some_and(|(field, rest)| {
                sentence.strip_prefix(field).is_some_and(|sentence| {
                    sentence.starts_with("Invalid value: ")
                        && sentence.contains(&format!(": {rest}"))
                })
            })
}

#[test]
fn every_bad_object_is_refused_with_its_sentence() {
    let cases = cases("bad-objects");
    assert!(cases.len() >= 100, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let sentences: Vec<_> = validate(&case.object)
            .iter()
            .map(ToString::to_string)
            .collect();
        let right = match case.by.as_str() {
            "schema" => {
                !case.expect.is_empty()
                    && sentences
                        .iter()
                        .any(|sentence| fits(sentence, &case.expect))
                    && sentences.len() == 1
            }
            // What no schema can say is for the engine to say.
            "semantic" => sentences.is_empty(),
            _ => false,
        };
        if !right {
            wrong.push(format!(
                "{} ({}): wanted {:?}, got {sentences:#?}",
                case.name, case.by, case.expect
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Decodes what was admitted, encodes it, and has that admitted and decoded again.
fn there_and_back<T: DeserializeOwned + Serialize + PartialEq + Debug>(whole: Value) {
    let object: T = serde_json::from_value(whole).unwrap();
    let again = admit(&serde_json::to_value(&object).unwrap()).unwrap();
    assert_eq!(serde_json::from_value::<T>(again).unwrap(), object);
}

#[test]
fn every_good_object_is_admitted_and_decoded() {
    let cases = cases("good-objects");
    assert!(cases.len() >= 5, "only {} cases", cases.len());
    for case in cases {
        let whole =
            admit(&case.object).unwrap_or_else(|problems| panic!("{}: {problems:#?}", case.name));
        match whole["kind"].as_str().unwrap() {
            "PatrolPolicy" => there_and_back::<PatrolPolicy>(whole),
            "AlertReceiver" => there_and_back::<AlertReceiver>(whole),
            "TicketWaiver" => there_and_back::<TicketWaiver>(whole),
            _ => there_and_back::<Ticket>(whole),
        }
    }
}

#[test]
fn the_schema_and_the_types_have_the_same_defaults() {
    let bare = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy", "metadata": {"name": "bare"}, "spec": {},
    });
    let policy: PatrolPolicy = serde_json::from_value(bare.clone()).unwrap();
    assert_eq!(policy.spec, PatrolPolicySpec::default());
    let admitted: PatrolPolicy = serde_json::from_value(admit(&bare).unwrap()).unwrap();
    assert_eq!(admitted.spec, PatrolPolicySpec::default());
}

#[test]
fn nulls_say_nothing() {
    let object = json!({
        "apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy", "metadata": {"name": "x", "labels": null},
        "spec": {"mode": null, "baselines": null, "schedule": {"every": null, "cron": "* * * * *"}, "tickets": null},
    });
    let whole = admit(&object).unwrap();
    assert_eq!(whole["spec"]["mode"], "Enforce");
    assert_eq!(whole["spec"]["tickets"]["clearAfter"], "30s");
    assert_eq!(whole["spec"].get("baselines"), None);
    assert_eq!(whole["spec"]["schedule"], json!({"cron": "* * * * *"}));
}

#[test]
fn what_is_none_of_ours_is_named() {
    for (object, field) in [
        (json!({"apiVersion": "v1", "kind": "Pod"}), "apiVersion"),
        (
            json!({"apiVersion": "kubepatrol.io/v2", "kind": "Ticket"}),
            "apiVersion",
        ),
        (
            json!({"apiVersion": "kubepatrol.io/v1alpha1", "kind": "Tickets"}),
            "kind",
        ),
        (json!([]), "apiVersion"),
        (json!(null), "apiVersion"),
    ] {
        let problems = validate(&object);
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert_eq!(problems[0].field, field);
    }
}

#[test]
fn metadata_is_judged_too() {
    for (metadata, sentence) in [
        (
            json!({}),
            "metadata.name: Required value: name or generateName is required",
        ),
        (
            json!({"name": 5}),
            "metadata.name: Invalid value: \"integer\"",
        ),
        (
            json!({"name": "x", "labels": {"a b": "c"}}),
            "metadata.labels: Invalid value: \"a b\": name part must consist",
        ),
        (
            json!({"name": "x", "labels": {"a": "c d"}}),
            "metadata.labels: Invalid value: \"c d\": a valid label must be",
        ),
        (
            json!({"name": "x", "annotations": {"A/": "c d"}}),
            "metadata.annotations: Invalid value: \"A/\": ",
        ),
        (
            json!({"name": "x", "foo": 1}),
            "unknown field \"metadata.foo\"",
        ),
    ] {
        let object = json!({
            "apiVersion": "kubepatrol.io/v1alpha1", "kind": "PatrolPolicy", "metadata": metadata, "spec": {},
        });
        let sentences: Vec<_> = validate(&object).iter().map(ToString::to_string).collect();
        assert_eq!(sentences.len(), 1, "{sentences:#?}");
        assert!(sentences[0].starts_with(sentence), "{sentences:#?}");
    }
}
