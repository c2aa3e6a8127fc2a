//! `docs/reliability.md` names tests: each must exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// All code below a folder.
fn sources(folder: &Path) -> String {
    let mut out = String::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            out += &sources(&path);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out += &fs::read_to_string(&path).unwrap_or_default();
        }
    }
    out
}

#[test]
fn every_test_that_the_page_names_exists() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let code = sources(&root().join("crates")) + &sources(&root().join("tests"));
    let names: BTreeSet<&str> = page
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| !word.contains([' ', '/', '-', '.']))
        .collect();
    assert!(names.len() > 40, "only {} names", names.len());
    let missing: Vec<&&str> = names
        .iter()
        .filter(|name| !code.contains(&format!("fn {name}(")))
        .filter(|name| !["CRATE", "NAME"].contains(*name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    let paths = page.split('`').skip(1).step_by(2);
    for path in paths.filter(|word| word.starts_with("crates/")) {
        assert!(root().join(path).exists(), "{path}");
    }
}
