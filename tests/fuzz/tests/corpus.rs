//! The committed inputs go through their targets: what was found once stays found, and no target or input rots.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::path::{Path, PathBuf};

use patrol_fuzz::TARGETS;

/// Bytes of all inputs together, so that a clone stays small.
const MOST: u64 = 300 * 1024;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn every_input_passes() {
    let mut bytes = 0;
    for target in TARGETS {
        let folder = corpus().join(target.name);
        let inputs = names(&folder);
        assert!(inputs.len() >= 8, "{}: hardly any inputs", target.name);
        for input in inputs {
            let data = std::fs::read(folder.join(&input)).unwrap();
            bytes += data.len() as u64;
            // Named before it runs: the output of a test that fails shows it last.
            println!("{}/{input}", target.name);
            (target.run)(&data);
        }
    }
    assert!(bytes <= MOST, "{bytes} bytes of inputs");
}

#[test]
fn every_folder_has_a_target() {
    for folder in names(&corpus()) {
        assert!(patrol_fuzz::find(&folder).is_some(), "{folder}: no target");
    }
}

#[test]
fn no_input_at_all_is_an_input() {
    for target in TARGETS {
        (target.run)(&[]);
    }
}
