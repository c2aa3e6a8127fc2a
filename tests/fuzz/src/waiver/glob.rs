//! Names, patterns of them, and a matcher that tries every way.

use crate::feed::Feed;

/// Letters of names, one of more than one byte among them.
const LETTERS: &[char] = &['a', 'b', '-', 'A', '.', '名'];
/// What patterns are made of beside them: two wildcards, and what belongs to no pattern of ours.
const MARKS: &[char] = &[
    '*', '?', 'a', 'b', '-', '*', '?', 'a', 'b', '.', '名', '[', '{', '\\', ' ', '\n',
];

/// At most seven letters.
pub(super) fn name(feed: &mut Feed<'_>) -> String {
    (0..feed.upto(7)).map(|_| *feed.pick(LETTERS)).collect()
}

/// At most nine marks.
pub(super) fn pattern(feed: &mut Feed<'_>) -> String {
    (0..feed.upto(9)).map(|_| *feed.pick(MARKS)).collect()
}

/// Whether a text is a pattern: some letters, no white space, no syntax of other kinds of pattern.
pub(super) fn is_pattern(text: &str) -> bool {
    let strange = |c: char| "[]{}\\".contains(c) || c.is_whitespace() || c.is_control();
    !text.is_empty() && !text.contains("**") && !text.contains(strange)
}

/// Whether a text may be a value of a label: letters, digits, `-`, `_`, `.`, with a letter or digit at both ends.
pub(super) fn is_label(text: &str) -> bool {
    let Some(ends) = text.chars().next().zip(text.chars().last()) else {
        return true;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() < 64
        && text.chars().all(plain)
        && ends.0.is_ascii_alphanumeric()
        && ends.1.is_ascii_alphanumeric()
}

/// Whether a whole name matches a pattern.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    matches_rest(&pattern, &name)
}

fn matches_rest(pattern: &[char], name: &[char]) -> bool {
    match pattern.split_first() {
        None => name.is_empty(),
        Some(('*', rest)) => (0..=name.len()).any(|taken| matches_rest(rest, &name[taken..])),
        Some(('?', rest)) => !name.is_empty() && matches_rest(rest, &name[1..]),
        Some((letter, rest)) => name.first() == Some(letter) && matches_rest(rest, &name[1..]),
    }
}
