use std::collections::BTreeMap;

use super::*;
use crate::local::inputs::FileEntries;
use crate::local::inputs::testing::file;

const POD_A: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: []}\n";
const POD_B: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\nspec: {containers: []}\n";
const POLICY: &str = "apiVersion: kubepatrol.io/v1alpha1\nkind: PatrolPolicy\nmetadata: {name: p}\n\
                      spec: {baselines: [agent-coverage]}\n";
const BROKEN: &str = "kind: ConfigMap\nx: [\n";

/// A look at files with these contents.
fn scan(files: &[(&str, &str)]) -> Scan {
    let files: BTreeMap<Arc<str>, Arc<FileEntries>> = files
        .iter()
        .map(|(name, text)| ((*name).into(), Arc::new(file(name, text))))
        .collect();
    Scan {
        files,
        unreadable: vec![],
    }
}

fn look(world: &mut World, files: &[(&str, &str)], at: u64) -> (bool, Vec<String>) {
    said(world.look(&scan(files), Mono(at)))
}

fn said(look: Look) -> (bool, Vec<String>) {
    let changes = look
        .changes
        .iter()
        .map(|change| match change {
            Change::Seen(seen) => format!("seen {} {}", seen.kind, seen.key),
            Change::Blind((kind, key), _) => format!("blind {kind} {key}"),
            Change::Hidden(kind, _) => format!("hidden {kind}"),
            Change::Gone((kind, key)) => format!("gone {kind} {key}"),
        })
        .collect();
    (look.whole, changes)
}

fn list(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

#[test]
fn differences_are_told_once() {
    let mut world = World::default();
    let first = look(&mut world, &[("a.yaml", POD_A)], 0);
    assert_eq!(first, (true, list(&["seen Pod default/a"])));
    assert_eq!(look(&mut world, &[("a.yaml", POD_A)], 1), (false, vec![]));
    let changed = POD_A.replace("[]", "[{name: c}]");
    assert_eq!(
        look(&mut world, &[("a.yaml", &changed)], 2),
        (false, list(&["seen Pod default/a"]))
    );
    assert_eq!(
        look(&mut world, &[], 3),
        (false, list(&["gone Pod default/a"]))
    );
}

#[test]
fn an_object_may_move_between_files() {
    let mut world = World::default();
    look(&mut world, &[("a.yaml", POD_A)], 0);
    assert_eq!(look(&mut world, &[("b.yaml", POD_A)], 1), (false, vec![]));
}

#[test]
fn the_first_by_path_counts_and_the_other_is_named() {
    let mut world = World::default();
    let other = POD_A.replace("[]", "[{name: c}]");
    let found = world.look(&scan(&[("a.yaml", POD_A), ("b.yaml", &other)]), Mono(0));
    let [(second, first, id)] = found.repeated.as_slice() else {
        panic!("{:?}", found.repeated)
    };
    assert_eq!((&*second.file, &*first.file), ("b.yaml", "a.yaml"));
    assert_eq!(id.1.to_string(), "default/a");
    assert_eq!(said(found).1, list(&["seen Pod default/a"]));
    // Without the first, the second counts.
    assert_eq!(
        look(&mut world, &[("b.yaml", &other)], 1).1,
        list(&["seen Pod default/a"])
    );
}

#[test]
fn a_file_that_breaks_hides_its_objects() {
    let mut world = World::default();
    look(&mut world, &[("a.yaml", POD_A)], 0);
    let broken = look(&mut world, &[("a.yaml", "kind: Pod\nx: [")], 1);
    assert_eq!(broken, (true, list(&["blind Pod default/a", "hidden Pod"])));
    // Nothing new is said while it lasts.
    assert_eq!(
        look(&mut world, &[("a.yaml", "kind: Pod\nx: [")], 2),
        (false, vec![])
    );
    assert_eq!(
        look(&mut world, &[("a.yaml", POD_A)], 3),
        (true, list(&["seen Pod default/a"]))
    );
}

#[test]
fn an_empty_file_is_taken_at_its_word_after_a_minute() {
    let mut world = World::default();
    look(&mut world, &[("a.yaml", POD_A)], 0);
    let blind = list(&["blind Pod default/a"]);
    assert_eq!(look(&mut world, &[("a.yaml", "")], 1_000), (true, blind));
    assert_eq!(look(&mut world, &[("a.yaml", "")], 60_999), (false, vec![]));
    assert_eq!(
        look(&mut world, &[("a.yaml", "# done\n")], 61_000),
        (true, list(&["gone Pod default/a"]))
    );
}

#[test]
fn a_save_in_progress_starts_its_minute_anew() {
    let mut world = World::default();
    look(&mut world, &[("a.yaml", POD_A)], 0);
    look(&mut world, &[("a.yaml", "")], 1_000);
    look(&mut world, &[("a.yaml", POD_A)], 2_000);
    look(&mut world, &[("a.yaml", "")], 59_000);
    assert_eq!(
        look(&mut world, &[("a.yaml", "")], 118_000),
        (false, vec![])
    );
}

#[test]
fn nothing_inspected_is_gone_while_any_input_is_a_blind_spot() {
    let mut world = World::default();
    look(&mut world, &[("a.yaml", POD_A), ("b.yaml", POD_B)], 0);
    let missing = look(&mut world, &[("a.yaml", POD_A), ("z.yaml", BROKEN)], 1);
    assert_eq!(
        missing,
        (true, list(&["seen Pod default/a", "blind Pod default/b"]))
    );
    let mended = look(&mut world, &[("a.yaml", POD_A)], 2);
    assert_eq!(
        mended,
        (true, list(&["gone Pod default/b", "seen Pod default/a"]))
    );
}

#[test]
fn a_policy_is_gone_unless_the_blind_spot_may_hold_it() {
    let mut world = World::default();
    look(&mut world, &[("p.yaml", POLICY), ("z.yaml", BROKEN)], 0);
    assert_eq!(
        look(&mut world, &[("z.yaml", BROKEN)], 1).1,
        list(&["gone PatrolPolicy p"])
    );
    look(&mut world, &[("p.yaml", POLICY)], 2);
    let (_, changes) = look(&mut world, &[("z.yaml", "kind: PatrolPolicy\nx: [")], 3);
    assert!(
        changes.contains(&"blind PatrolPolicy p".to_owned()),
        "{changes:?}"
    );
}

#[test]
fn a_vanished_folder_is_a_blind_spot_and_no_deletion() {
    let mut world = World::default();
    look(
        &mut world,
        &[("dir/a.yaml", POD_A), ("dir/p.yaml", POLICY)],
        0,
    );
    let gone = Scan {
        unreadable: vec![crate::manifests::NotInspected::whole(
            &"dir".into(),
            "does not exist: check the path",
        )],
        ..Scan::default()
    };
    let (whole, changes) = said(world.look(&gone, Mono(1)));
    assert!(whole);
    assert!(changes.contains(&"blind Pod default/a".to_owned()));
    assert!(changes.contains(&"blind PatrolPolicy p".to_owned()));
    assert!(
        !changes.iter().any(|c| c.starts_with("gone")),
        "{changes:?}"
    );
    // It is remembered over a restart.
    let mut next = World::remembering(world.index(), []);
    let (_, changes) = said(next.look(&gone, Mono(2)));
    assert!(
        changes.contains(&"blind Pod default/a".to_owned()),
        "{changes:?}"
    );
}

#[test]
fn what_an_earlier_process_knew_is_gone_or_blind_but_never_forgotten() {
    let mut world = World::default();
    look(&mut world, &[("a.yaml", POD_A), ("b.yaml", POD_B)], 0);
    let index = world.index();
    let mut next = World::remembering(index.clone(), []);
    assert_eq!(
        look(&mut next, &[("a.yaml", "")], 0),
        (true, list(&["blind Pod default/a", "blind Pod default/b"]))
    );
    assert_eq!(
        look(&mut next, &[("a.yaml", "")], EMPTY_MILLIS).1,
        list(&["gone Pod default/a", "gone Pod default/b"])
    );
    let mut other = World::remembering(index, []);
    assert_eq!(
        look(&mut other, &[("a.yaml", POD_A)], 0).1,
        list(&["gone Pod default/b", "seen Pod default/a"])
    );
}

#[test]
fn an_object_that_cannot_be_decoded_is_blind_by_its_name() {
    let mut world = World::default();
    look(&mut world, &[("a.yaml", POD_A)], 0);
    let bad = POD_A.replace("containers: []", "hostNetwork: x");
    assert_eq!(
        look(&mut world, &[("a.yaml", &bad)], 1),
        (true, list(&["blind Pod default/a"]))
    );
}

#[test]
fn an_invalid_policy_counts_as_one_that_cannot_be_read() {
    let mut world = World::default();
    look(&mut world, &[("p.yaml", POLICY)], 0);
    let bad = POLICY.replace("baselines", "basslines");
    assert_eq!(
        look(&mut world, &[("p.yaml", &bad)], 1).1,
        // What was valid before still stands.
        list(&["seen PatrolPolicy p", "blind PatrolPolicy p"])
    );
}
