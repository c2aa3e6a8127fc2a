//! Manifests: files and folders of YAML or JSON to objects with their place in the file.
//!
//! Everything that was met is accounted for: an object, a document counted by its kind, or
//! an entry of what was not inspected with the reason. One bad document never hides the
//! next one, no input can make this hang or grow without bound, and no value of a file gets
//! into a reason. It never writes and never decides what an object means.

mod coverage;
mod deep;
mod find;
mod io_reason;
mod json_lines;
mod object;
mod parse;
mod split;
mod yaml;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use coverage::{Coverage, MayHold, NotInspected, Source};
pub use find::{Found, find};
pub use io_reason::io_reason;
pub use object::{Decoded, Object};
pub use yaml::{YamlError, from_yaml, read_yaml, to_yaml};

/// The largest file that is read, in bytes: parsed, it takes several times as much memory.
pub const MAX_FILE_BYTES: u64 = 64 << 20;

/// The name under which standard input is reported.
pub const STDIN: &str = "-";

/// Where manifests come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Standard input.
    Stdin,
    /// A file, or a folder with all below it.
    Path(PathBuf),
}

impl Input {
    /// `-` is standard input.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        if text == STDIN {
            Self::Stdin
        } else {
            Self::Path(PathBuf::from(text))
        }
    }
}

/// What one file holds.
#[derive(Debug, Default)]
pub struct FileContent {
    /// Its objects, in order.
    pub objects: Vec<Object>,
    /// What of it was not inspected, and the documents by kind.
    pub coverage: Coverage,
    /// Whether it holds no document at all: empty, blank or only comments.
    pub is_empty: bool,
}

/// What a set of inputs holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// All objects, by path and place.
    pub objects: Vec<Object>,
    /// The account of everything that was met.
    pub coverage: Coverage,
}

/// Reads everything below the inputs; tells `progress` how many files of how many it has. `skip` are folders that are not entered (the state
/// folder, when it lies inside an input).
#[must_use]
pub fn load(inputs: &[Input], skip: &[PathBuf], mut progress: impl FnMut(usize, usize)) -> Loaded {
    let mut loaded = Loaded::default();
    if inputs.contains(&Input::Stdin) {
        loaded.add(read_stdin());
    }
    let paths: Vec<&Path> = inputs
        .iter()
        .filter_map(|input| match input {
            Input::Stdin => None,
            Input::Path(path) => Some(path.as_path()),
        })
        .collect();
    let all = find(&paths, skip);
    let count = all.len();
    for (done, found) in all.into_iter().enumerate() {
        progress(done, count);
        match found {
            Found::File(path) => loaded.add(read_file(&path)),
            Found::NotInspected(entry) => loaded.coverage.not_inspected.push(entry),
        }
    }
    loaded
}

impl Loaded {
    fn add(&mut self, content: FileContent) {
        self.objects.extend(content.objects);
        self.coverage.add(content.coverage);
    }
}

/// Reads one regular file.
#[must_use]
pub fn read_file(path: &Path) -> FileContent {
    let name: Arc<str> = path.to_string_lossy().into();
    match File::open(path) {
        Ok(file) => read_from(&name, file, is_json(path)),
        Err(error) => unread(&name, io_reason(&error)),
    }
}

fn read_stdin() -> FileContent {
    read_from(&STDIN.into(), std::io::stdin().lock(), false)
}

fn read_from(name: &Arc<str>, reader: impl Read, json: bool) -> FileContent {
    let mut bytes = Vec::new();
    // One byte more than allowed tells "just fits" from "too large", whatever the size was
    // when it was asked for.
    if let Err(error) = reader.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes) {
        return unread(name, io_reason(&error));
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_FILE_BYTES {
        return unread(name, "is larger than 64 MB: split it".into());
    }
    read_bytes(name, bytes, json)
}

/// Takes a file's bytes apart. `json`: read it as JSON only (a stream of values).
#[must_use]
pub fn read_bytes(name: &Arc<str>, bytes: Vec<u8>, json: bool) -> FileContent {
    let text = match parse::decode_text(bytes) {
        Ok(text) => text,
        Err(reason) => return unread(name, reason.into()),
    };
    deep::on_deep_stack(|| read_text(name, &text, json)).unwrap_or_else(|| {
        unread(
            name,
            "could not be parsed: no thread could be started".into(),
        )
    })
}

fn read_text(name: &Arc<str>, text: &str, json: bool) -> FileContent {
    let mut content = FileContent {
        is_empty: true,
        ..FileContent::default()
    };
    for document in parse::documents(text, json) {
        content.is_empty = false;
        match document {
            Ok(document) => object::expand(name, document, &mut content),
            Err(broken) => content.coverage.not_inspected.push(NotInspected {
                file: Arc::clone(name),
                document: Some(broken.index),
                line: Some(broken.line),
                reason: broken.reason,
                may_hold: broken.may_hold,
                object: None,
            }),
        }
    }
    content
}

fn unread(name: &Arc<str>, reason: String) -> FileContent {
    let mut content = FileContent::default();
    content
        .coverage
        .not_inspected
        .push(NotInspected::whole(name, reason));
    content
}

fn is_json(path: &Path) -> bool {
    path.extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("json"))
}

/// Identities that several objects share, each with the sources that came later than the
/// first. `local` takes the first by path and names the others.
#[must_use]
pub fn repeated(objects: &[Object]) -> Vec<(&Object, Source)> {
    let mut seen = BTreeSet::new();
    objects
        .iter()
        .filter_map(|object| {
            let identity = object.identity()?;
            (!seen.insert(identity)).then(|| (object, object.source.clone()))
        })
        .collect()
}

#[cfg(test)]
mod tests;
