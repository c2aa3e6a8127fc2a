//! `docs/reliability.md` names tests: each must exist, and each row must have one that is named by it.

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

/// The rows of a table: the cell with its number, and its whole text.
fn rows(page: &str) -> Vec<(&str, &str)> {
    page.lines()
        .filter_map(|line| Some((line.strip_prefix("| ")?.split_once(" |")?.0, line)))
        .collect()
}

/// The failures of a delivery are F1 to F38, those of a receiver 75 to 91.
#[test]
fn every_row_has_a_test_that_is_named_by_it() {
    let page = fs::read_to_string(root().join("docs/reliability.md")).unwrap();
    let rows = rows(&page);
    let failures = (1..=38).map(|n| (format!("F{n}"), format!("f{n}_")));
    let receivers = (75..=91).map(|n| (n.to_string(), format!("row{n}_")));
    for (number, tag) in failures.chain(receivers) {
        let row = rows.iter().find(|(cell, _)| *cell == number);
        let Some((_, text)) = row else {
            panic!("{number} has no row");
        };
        let mut names = text.split('`').skip(1).step_by(2);
        let named = names.any(|name| name.starts_with(&tag) || name.contains(&format!("_{tag}")));
        assert!(
            named,
            "{number} names no test that begins with {tag}: {text}"
        );
        assert!(text.ends_with(" |"), "{number}: {text}");
        let result = text.trim_end_matches(" |").rsplit("| ").next();
        assert_eq!(result, Some("passes"), "{number}");
    }
}
