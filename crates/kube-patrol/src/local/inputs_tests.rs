use std::fs;
use std::time::{Duration, SystemTime};

use super::*;

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n";

fn inputs(paths: &[(&Path, Take)]) -> Inputs {
    let paths = paths.iter().map(|(path, take)| (path.to_path_buf(), *take));
    Inputs::new(paths.collect(), vec![], "kube-patrol".into())
}

fn age(path: &Path, seconds: u64) {
    let when = SystemTime::now() - Duration::from_secs(seconds);
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(when).unwrap();
}

#[test]
fn a_file_that_changes_is_read_again_and_one_of_the_same_age_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.yaml");
    let mut inputs = inputs(&[(dir.path(), Take::All)]);
    let hash = |scan: &Scan| scan.files.values().next().unwrap().entries[0].hash;
    fs::write(&path, POD).unwrap();
    let first = hash(&inputs.scan());
    // The same length and the same time stamp, as a quick second save leaves them.
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    fs::write(&path, POD.replace("{name: a}", "{name: b}")).unwrap();
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(modified).unwrap();
    assert_ne!(hash(&inputs.scan()), first);
    age(&path, 3600);
    let third = inputs.scan();
    assert_eq!(hash(&inputs.scan()), hash(&third));
}

#[test]
fn tickets_are_never_taken_from_an_input() {
    let ticket = "apiVersion: kubepatrol.io/v1alpha1\nkind: Ticket\nmetadata: {name: t, namespace: n}\n\
                  spec: {finding: {policy: p, check: c, subject: {kind: Pod, name: x}, subjectRef: Pod/x, layer: L3}}\n";
    let file = testing::file("t.yaml", ticket);
    assert!(file.entries.is_empty());
    assert_eq!(file.coverage.kinds["Ticket"], 1);
    assert!(file.coverage.is_complete(), "{:?}", file.coverage);
}

#[test]
fn a_policy_named_on_the_command_line_replaces_those_in_the_folders() {
    let dir = tempfile::tempdir().unwrap();
    let policy = |name: &str| {
        format!(
            "apiVersion: kubepatrol.io/v1alpha1\nkind: PatrolPolicy\nmetadata: {{name: {name}}}\n"
        )
    };
    let named = dir.path().join("named.yaml");
    fs::write(&named, format!("{}---\n{POD}", policy("named"))).unwrap();
    let folder = dir.path().join("in");
    fs::create_dir(&folder).unwrap();
    fs::write(
        folder.join("x.yaml"),
        format!("{}---\n{POD}", policy("other")),
    )
    .unwrap();
    let mut inputs = inputs(&[
        (&named, Take::Declarations),
        (&folder, Take::AllButPolicies),
    ]);
    let scan = inputs.scan();
    let found: Vec<_> = scan
        .files
        .values()
        .flat_map(|f| &f.entries)
        .map(|e| format!("{} {}", e.id.0, e.id.1))
        .collect();
    assert_eq!(found, ["Pod default/a", "PatrolPolicy named"]);
}

#[test]
fn a_reason_tells_no_url() {
    let file = testing::file(
        "r.yaml",
        "apiVersion: kubepatrol.io/v1alpha1\nkind: AlertReceiver\nmetadata: {name: r}\n\
         spec: {webhook: {url: 'ftp://host/s3cret'}}\n",
    );
    let reason = file.coverage.not_inspected[0].to_string();
    assert!(!reason.contains("s3cret"), "{reason}");
    assert!(reason.contains("spec.webhook.url"), "{reason}");
}
