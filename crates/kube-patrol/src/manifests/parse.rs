//! A file's bytes to documents: the encoding, JSON or YAML, and for each document that
//! cannot be parsed the reason and the kinds it may have held.

use std::borrow::Cow;
use std::collections::BTreeSet;

use patrol_core::kind::Kind;
use serde_json::Value;

use super::coverage::MayHold;
use super::json_lines::item_lines;
use super::split::{Chunk, split};
use super::yaml;

/// A parsed document.
#[derive(Debug)]
pub struct Document {
    pub index: usize,
    /// First line that says something, from 1.
    pub line: usize,
    pub value: Value,
    /// Lines of a list's items, from 1; empty where they are not known.
    pub item_lines: Vec<usize>,
}

/// A document that cannot be parsed.
#[derive(Debug)]
pub struct Broken {
    pub index: usize,
    pub line: usize,
    pub reason: String,
    pub may_hold: MayHold,
}

/// UTF-8, with or without a byte-order mark, or UTF-16 with one (as PowerShell redirects).
pub fn decode_text(bytes: Vec<u8>) -> Result<String, &'static str> {
    const NO_TEXT: &str = "is not UTF-8 text: save it as UTF-8";
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, odd) = rest.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|pair| unit(*pair)).collect();
        (odd.is_empty())
            .then(|| String::from_utf16(&units).ok())
            .flatten()
            .ok_or(NO_TEXT)
    };
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).map_err(|_| NO_TEXT),
        _ => String::from_utf8(bytes).map_err(|_| NO_TEXT),
    }
}

/// The documents of a file. `json`: a stream of JSON values and nothing else.
pub fn documents(text: &str, json: bool) -> Vec<Result<Document, Broken>> {
    if json {
        return json_stream(text);
    }
    // kubectl, too, takes a file that begins like JSON for JSON.
    if is_json_like(text) {
        let values = json_stream(text);
        if values.iter().all(Result::is_ok) {
            return values;
        }
    }
    split(text).iter().map(document).collect()
}

fn is_json_like(text: &str) -> bool {
    text.trim_start().starts_with(['{', '['])
}

fn document(chunk: &Chunk<'_>) -> Result<Document, Broken> {
    let body = without_stray_marks(chunk.text);
    if is_json_like(body.trim_start_matches("---"))
        && let Ok(value) = serde_json::from_str(body.trim_start_matches("---"))
    {
        let before = chunk.first_line.saturating_sub(1);
        return Ok(Document {
            index: chunk.index,
            line: chunk.content_line,
            item_lines: lines_of(&value, body.trim_start_matches("---"), before),
            value,
        });
    }
    let line_of = |line: usize| chunk.first_line.saturating_add(line).saturating_sub(1);
    match yaml::parse(&body) {
        Ok(parsed) => Ok(Document {
            index: chunk.index,
            line: chunk.content_line,
            value: parsed.value,
            item_lines: parsed.item_lines.into_iter().map(line_of).collect(),
        }),
        Err(error) => Err(Broken {
            index: chunk.index,
            line: error.line.map_or(chunk.content_line, line_of),
            reason: error.reason,
            may_hold: sniff(chunk.text),
        }),
    }
}

/// Files put together with `cat` carry byte-order marks in the middle.
fn without_stray_marks(text: &str) -> Cow<'_, str> {
    const MARK: char = '\u{feff}';
    match text.contains(MARK) {
        true => Cow::Owned(text.replace(MARK, "")),
        false => Cow::Borrowed(text),
    }
}

fn json_stream(text: &str) -> Vec<Result<Document, Broken>> {
    let mut out = Vec::new();
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    loop {
        let rest = text.get(stream.byte_offset()..).unwrap_or_default();
        let blank = rest.len() - rest.trim_start().len();
        let start = stream.byte_offset() + blank;
        let line = 1 + count_lines(text.get(..start).unwrap_or_default());
        match stream.next() {
            None => return out,
            Some(Ok(value)) => {
                let own = text.get(start..stream.byte_offset()).unwrap_or_default();
                out.push(Ok(Document {
                    index: out.len(),
                    line,
                    item_lines: lines_of(&value, own, line - 1),
                    value,
                }));
            }
            Some(Err(error)) => {
                out.push(Err(Broken {
                    index: out.len(),
                    line: error.line().max(line),
                    reason: json_reason(&error),
                    may_hold: sniff(rest),
                }));
                // Where the next value would begin is unknown.
                return out;
            }
        }
    }
}

fn count_lines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn lines_of(value: &Value, text: &str, before: usize) -> Vec<usize> {
    if value.get("items").is_some() || value.is_array() {
        item_lines(text).into_iter().map(|l| l + before).collect()
    } else {
        vec![]
    }
}

/// serde_json's own words name no value for syntax errors.
fn json_reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    if error.is_eof() {
        "ends in the middle: complete it".into()
    } else if text.starts_with("recursion limit") {
        "goes beyond a limit (nesting): flatten it".into()
    } else {
        let what = text.split(" at line ").next().unwrap_or_default();
        format!("is no valid JSON ({what}): correct it")
    }
}

/// The kinds that a text which cannot be parsed mentions. When it mentions none, or one
/// that is filled in by a template, it could be anything.
fn sniff(text: &str) -> MayHold {
    let mut names = BTreeSet::new();
    for line in text.lines() {
        for (at, _) in line.match_indices("kind") {
            let rest = line.get(at + 4..).unwrap_or_default();
            let rest = rest.trim_start_matches(['"', '\'']).trim_start();
            let Some(value) = rest.strip_prefix(':') else {
                continue;
            };
            let value = value.trim_start().trim_start_matches(['"', '\'']);
            let name: String = value
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            names.insert(name);
        }
    }
    let is_opaque = |name: &String| name.is_empty() || name == "List";
    if names.is_empty() || names.iter().any(is_opaque) {
        return MayHold::Anything;
    }
    let names: BTreeSet<&str> = names
        .iter()
        .map(|name| name.strip_suffix("List").unwrap_or(name))
        .collect();
    MayHold::Kinds(
        Kind::ALL
            .into_iter()
            .filter(|kind| names.contains(kind.info().kind))
            .collect(),
    )
}
