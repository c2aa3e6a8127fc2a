//! What the documents say of the repository is there: files, links and anchors.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every document, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut found = vec![];
    let mut folders = vec![repository(), repository().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if folder != repository() {
                    folders.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "md") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// The targets of Markdown links.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
}

/// The anchors that a page's headings make.
fn anchors(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            line.trim_start_matches('#')
                .trim()
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '))
                .map(|c| if c == ' ' { '-' } else { c })
                .collect()
        })
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let documents = documents();
    assert!(documents.len() > 10);
    let mut dead = vec![];
    for (path, text) in &documents {
        for link in links(text).filter(|link| !link.starts_with("http")) {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match file.is_empty() {
                true => path.clone(),
                false => path.parent().unwrap().join(file),
            };
            let lives = target.exists()
                && (anchor.is_empty()
                    || anchors(&std::fs::read_to_string(&target).unwrap())
                        .iter()
                        .any(|found| found == anchor));
            if !lives {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{}", dead.join("\n"));
}

#[test]
fn the_map_names_files_that_exist() {
    let map = std::fs::read_to_string(repository().join("docs/architecture.md")).unwrap();
    let mut seen = 0;
    for word in map.split('`').skip(1).step_by(2) {
        let is_path = ["crates/", "tests/", "deploy/", "docs/"]
            .iter()
            .any(|top| word.starts_with(top));
        if is_path && !word.contains(' ') {
            seen += 1;
            assert!(
                repository().join(word).exists(),
                "docs/architecture.md: {word}"
            );
        }
    }
    assert!(seen > 20, "only {seen} paths");
}

/// The code that people copy is the same wherever it stands.
#[test]
fn the_signature_is_verified_in_one_way() {
    let snippet = |path: &str| {
        let text = std::fs::read_to_string(repository().join(path)).unwrap();
        let code = text.split("```python").nth(1).unwrap();
        code.split("```").next().unwrap().to_owned()
    };
    assert_eq!(snippet("README.md"), snippet("docs/webhook.md"));
}
