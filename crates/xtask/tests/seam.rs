//! The seam between the part that decides and the parts that act. `patrol-core` and
//! `patrol-checks` link no runtime and no client, have nothing asynchronous, read no
//! clock, environment or file, and walk through no hash map. This test fails when that
//! stops being true.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// The crates that decide.
const PURE: [&str; 2] = ["patrol-core", "patrol-checks"];

/// Crates that do I/O; a mark that ends in `-` stands for every name that begins so.
const ACTING: [&str; 12] = [
    "tokio",
    "tokio-",
    "kube",
    "kube-client",
    "kube-runtime",
    "reqwest",
    "hyper",
    "hyper-",
    "rustls",
    "async-",
    "mio",
    "socket2",
];

/// What the source of a pure crate must not say, and why.
const FORBIDDEN: [(&str, &str); 17] = [
    ("async fn", "decisions are synchronous"),
    ("async move", "decisions are synchronous"),
    ("async {", "decisions are synchronous"),
    (".await", "decisions are synchronous"),
    ("Instant", "time comes in as an argument"),
    ("SystemTime", "time comes in as an argument"),
    ("Utc::now", "time comes in as an argument"),
    ("Local::now", "time comes in as an argument"),
    ("Timestamp::now", "time comes in as an argument"),
    ("std::env", "settings come in as arguments"),
    ("env::var", "settings come in as arguments"),
    ("std::fs", "files belong to the edges"),
    ("std::net", "sockets belong to the edges"),
    ("std::process", "processes belong to the edges"),
    ("std::thread", "threads belong to the edges"),
    ("RandomState", "order must not depend on chance"),
    ("thread_rng", "chance must not decide"),
];

/// Ways to walk through a collection.
const WALKS: [&str; 9] = [
    "iter()",
    "iter_mut()",
    "into_iter()",
    "keys()",
    "into_keys()",
    "values()",
    "values_mut()",
    "into_values()",
    "drain(",
];

/// Files whose hash sets are only looked up, each with the reason. A new one needs a
/// reason as good.
const LOOKED_UP: [(&str, &str); 3] = [
    (
        "patrol-core/src/inventory.rs",
        "nodes, found by name and walked in the ordered map beside it",
    ),
    (
        "patrol-core/src/inventory/pool.rs",
        "shared shapes, found by content",
    ),
    (
        "patrol-core/src/sym.rs",
        "interned strings, found by content",
    ),
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn cargo_tree(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .current_dir(repository())
        .args(["tree", "--package", package, "--edges", "normal"])
        .args(["--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let names = text.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

fn is_acting(name: &str) -> bool {
    ACTING.iter().any(|&mark| match mark.ends_with('-') {
        true => name.starts_with(mark),
        false => name == mark,
    })
}

/// The files of the pure crates without comments, literals and tests, by path from
/// `crates/`.
fn sources() -> Vec<(String, String)> {
    let crates = repository().join("crates");
    let mut files = vec![];
    for name in PURE {
        walk(&crates.join(name).join("src"), &mut files);
    }
    let tests: Vec<PathBuf> = files.iter().flat_map(|path| test_modules(path)).collect();
    files
        .iter()
        .filter(|path| !tests.contains(path))
        .map(|path| {
            let name = path.strip_prefix(&crates).unwrap().display().to_string();
            (name, code(&std::fs::read_to_string(path).unwrap()))
        })
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// The files of the modules that a file declares for tests only.
fn test_modules(path: &Path) -> Vec<PathBuf> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let folder = match stem {
        "lib" | "mod" => path.parent().unwrap().to_owned(),
        _ => path.with_extension(""),
    };
    lines
        .windows(2)
        .filter(|pair| pair[0] == "#[cfg(test)]")
        .filter_map(|pair| pair[1].strip_suffix(';')?.rsplit(' ').next())
        .map(|name| folder.join(format!("{name}.rs")))
        .collect()
}

/// The code of a file: no comments, no literals, nothing after the start of its tests.
fn code(text: &str) -> String {
    let mut rest = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let mut out = String::new();
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, tail)| tail);
            out.push('\n');
        } else if let Some(tail) = rest.strip_prefix("'\"'") {
            rest = tail;
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].char_indices().find(|&(_, c)| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            rest = end.map_or("", |(at, _)| &rest[at + 2..]);
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// Names that a file gives to hash maps and sets: fields, arguments and variables.
fn hashed(code: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    code.split(['(', ',', ';', '{', '\n'])
        .filter_map(|part| {
            let before = &part[..part.find("HashMap").or(part.find("HashSet"))?];
            let named = &before[..before.find([':', '='])?];
            named.trim_end().rsplit(|c| !is_word(c)).next()
        })
        .filter(|name| !name.is_empty() && !name.starts_with("std"))
        .collect()
}

/// Walks through hash maps and sets in a file.
fn walks(code: &str) -> Vec<String> {
    let mut found = vec![];
    // Chains broken over lines are read as one word.
    let words: Vec<&str> = code.split_whitespace().collect();
    let joined = words.join(" ").replace(" .", ".");
    for name in hashed(code) {
        for walk in WALKS {
            let call = format!("{name}.{walk}");
            if joined.contains(&call) {
                found.push(call);
            }
        }
        for before in ["", "&", "&mut ", "self.", "&self.", "&mut self."] {
            let looped = format!("in {before}{name} {{");
            if joined.contains(&looped) {
                found.push(looped);
            }
        }
    }
    found
}

#[test]
fn the_deciding_crates_link_nothing_that_acts() {
    for package in PURE {
        let tree = cargo_tree(package);
        assert!(tree.iter().any(|name| name == "patrol-api"), "{tree:?}");
        let acting: Vec<&String> = tree.iter().filter(|name| is_acting(name)).collect();
        assert!(acting.is_empty(), "{package} links {acting:?}");
    }
}

#[test]
fn the_deciding_crates_say_nothing_of_io_clocks_or_chance() {
    let sources = sources();
    assert!(sources.len() > 30, "only {} files found", sources.len());
    let mut found = vec![];
    for (name, code) in &sources {
        for (words, why) in FORBIDDEN {
            if code.contains(words) {
                found.push(format!("{name}: has `{words}`: {why}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn no_order_of_a_hash_map_reaches_a_decision() {
    for (name, code) in sources() {
        let uses = code.contains("HashMap") || code.contains("HashSet");
        let allowed = LOOKED_UP.iter().any(|(file, _)| *file == name);
        assert!(
            !uses || allowed,
            "{name}: uses a hash map or set: use the ordered one, or say in LOOKED_UP why its \
             order reaches nothing"
        );
        let walks = walks(&code);
        assert!(walks.is_empty(), "{name}: walks through one: {walks:?}");
    }
}

/// The scans above are only worth something if they find what they look for.
#[test]
fn the_scans_find_what_they_look_for() {
    assert!(is_acting("tokio") && is_acting("hyper-util") && !is_acting("kube-core"));
    assert!(cargo_tree("patrol-kube").iter().any(|name| is_acting(name)));
    let code = code(
        "use std::collections::HashMap; // Instant\n\
         struct A { known: HashMap<u8, u8> }\n\
         fn f(a: &A) { for x in a\n    .known\n    .values() {} let s = \"std::fs \\\" Instant\"; }\n\
         #[cfg(test)]\nmod tests { std::env }",
    );
    for (words, _) in FORBIDDEN {
        assert!(!code.contains(words), "{words} in {code}");
    }
    assert_eq!(walks(&code), ["known.values()"]);
    let looped = "let mut seen = HashSet::new(); for x in &seen { }";
    assert_eq!(walks(looped), ["in &seen {"]);
}
