use patrol_api::policy::PatrolPolicySpec;

use super::*;

const FINALIZER: &str = "kubepatrol.io/closing";

fn manifest(name: &str) -> Box<PatrolPolicy> {
    let mut policy = PatrolPolicy::new(name, PatrolPolicySpec::default());
    policy.metadata.uid = Some("u1".into());
    Box::new(policy)
}

fn now() -> Time {
    Time::from_unix(1_700_000_000)
}

fn open(dir: &std::path::Path) -> Declarations<PatrolPolicy> {
    Declarations::open(dir.to_path_buf(), "policies")
}

/// The last object told, with the events in words.
fn told(events: &[Event]) -> (Vec<String>, Option<PatrolPolicy>) {
    let mut last = None;
    let words = events
        .iter()
        .map(|event| match event {
            Event::Seen(seen) => {
                let Fact::Policy(policy) = &seen.fact else {
                    panic!()
                };
                last = Some((**policy).clone());
                format!("seen {} {}", seen.key, seen.version)
            }
            Event::Gone(_, key) => format!("gone {key}"),
            Event::Written(_, WriteResult::Done(_)) => "done".into(),
            Event::Written(_, other) => format!("{other:?}"),
            other => panic!("{other:?}"),
        })
        .collect();
    (words, last)
}

fn at(policy: &PatrolPolicy) -> Precondition {
    Precondition {
        key: ObjectKey::new("", policy.metadata.name.as_deref().unwrap()),
        uid: policy.metadata.uid.clone().unwrap(),
        version: policy.metadata.resource_version.clone().unwrap(),
    }
}

#[test]
fn generation_moves_with_the_spec_and_the_status_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = open(dir.path());
    let (words, first) = told(&kept.manifest(manifest("p"), now()));
    assert_eq!(words, ["seen p 1"]);
    let first = first.unwrap();
    assert_eq!(first.metadata.generation, Some(1));
    let status = PatrolPolicyStatus {
        observed_generation: Some(1),
        ..PatrolPolicyStatus::default()
    };
    let (words, _) = told(&kept.write_status(WriteId(1), &at(&first), status));
    assert_eq!(words, ["seen p 2", "done"]);
    // The same manifest again is no change; after a restart neither.
    let mut kept = open(dir.path());
    assert_eq!(told(&kept.manifest(manifest("p"), now())).0, ["seen p 2"]);
    let mut other = manifest("p");
    other.spec.suspend = true;
    let (words, changed) = told(&kept.manifest(other, now()));
    assert_eq!(words, ["seen p 3"]);
    let changed = changed.unwrap();
    assert_eq!(changed.metadata.generation, Some(2));
    assert_eq!(changed.status.unwrap().observed_generation, Some(1));
    assert_eq!(
        changed.metadata.creation_timestamp,
        first.metadata.creation_timestamp
    );
}

#[test]
fn an_annotation_changes_the_version_and_not_the_generation() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = open(dir.path());
    kept.manifest(manifest("p"), now());
    let mut asked = manifest("p");
    asked.metadata.annotations = Some([("kubepatrol.io/patrol-now".into(), "1".into())].into());
    let (words, object) = told(&kept.manifest(asked, now()));
    assert_eq!(words, ["seen p 2"]);
    assert_eq!(object.unwrap().metadata.generation, Some(1));
}

#[test]
fn a_status_write_needs_the_state_it_assumes() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = open(dir.path());
    let first = told(&kept.manifest(manifest("p"), now())).1.unwrap();
    let mut stale = at(&first);
    stale.version = "9".into();
    let status = PatrolPolicyStatus::default();
    let (words, _) = told(&kept.write_status(WriteId(1), &stale, status.clone()));
    assert_eq!(words, ["Conflict"]);
    stale.key = ObjectKey::new("", "q");
    assert_eq!(
        told(&kept.write_status(WriteId(1), &stale, status)).0,
        ["NotFound"]
    );
}

#[test]
fn a_finalizer_holds_a_policy_whose_manifest_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = open(dir.path());
    let first = told(&kept.manifest(manifest("p"), now())).1.unwrap();
    let held = kept.write_finalizer(WriteId(1), &at(&first), FINALIZER, true, now());
    let held = told(&held).1.unwrap();
    let leaving = told(&kept.manifest_gone("p", now()));
    assert_eq!(leaving.0, ["seen p 3"]);
    let leaving = leaving.1.unwrap();
    assert!(leaving.metadata.deletion_timestamp.is_some());
    assert_eq!(held.metadata.finalizers, leaving.metadata.finalizers);
    // A restart and a second look change nothing.
    let mut kept = open(dir.path());
    assert!(kept.manifest_gone("p", now()).is_empty());
    // Its manifest comes back: a new object, once the old one is gone.
    assert!(kept.manifest(manifest("p"), now()).is_empty());
    let ended = kept.write_finalizer(WriteId(2), &at(&leaving), FINALIZER, false, now());
    let (words, next) = told(&ended);
    assert_eq!(words, ["seen p 4", "done", "gone p", "seen p 1"]);
    assert!(next.unwrap().metadata.deletion_timestamp.is_none());
}

#[test]
fn without_a_finalizer_a_policy_goes_with_its_manifest() {
    let dir = tempfile::tempdir().unwrap();
    let mut kept = open(dir.path());
    kept.manifest(manifest("p"), now());
    assert_eq!(told(&kept.manifest_gone("p", now())).0, ["gone p"]);
    assert_eq!(open(dir.path()).names().count(), 0);
}

#[test]
fn a_dump_brings_no_status_and_no_deletion_along() {
    let dir = tempfile::tempdir().unwrap();
    let mut dumped = manifest("p");
    dumped.status = Some(PatrolPolicyStatus::default());
    dumped.metadata.deletion_timestamp = Some(meta_time(now()));
    dumped.metadata.finalizers = Some(vec!["x".into()]);
    dumped.metadata.resource_version = Some("77".into());
    let object = told(&open(dir.path()).manifest(dumped, now())).1.unwrap();
    assert_eq!(object.status, None);
    assert_eq!(object.metadata.deletion_timestamp, None);
    assert_eq!(object.metadata.finalizers, None);
    assert_eq!(object.metadata.resource_version.as_deref(), Some("1"));
}
