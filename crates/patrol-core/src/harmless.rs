//! Free text made safe to print: what a name or an annotation carries must not steer a terminal, turn a
//! line around or hide itself.
//!
//! Pure. It removes; it never escapes for a format (JSON does that) and never shortens.

use std::borrow::Cow;

/// The text without control, direction and invisible formatting characters. Line breaks and tabs become
/// a space, so that words stay apart.
#[must_use]
pub fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| fate(c) == Fate::Keep) {
        return Cow::Borrowed(text);
    }
    let kept = text.chars().filter_map(|c| match fate(c) {
        Fate::Keep => Some(c),
        Fate::Space => Some(' '),
        Fate::Drop => None,
    });
    Cow::Owned(kept.collect())
}

#[derive(PartialEq, Eq)]
enum Fate {
    Keep,
    Space,
    Drop,
}

fn fate(c: char) -> Fate {
    match c {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => Fate::Space,
        c if c.is_control() => Fate::Drop,
        // Marks, embeddings, overrides, isolates and their deprecated kin.
        '\u{061c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{206f}' => Fate::Drop,
        // Invisible: soft hyphen, zero-width space, word joiner and invisible operators, byte order mark, annotations, tags.
        '\u{00ad}'
        | '\u{200b}'
        | '\u{2060}'..='\u{2065}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => Fate::Drop,
        _ => Fate::Keep,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (text, expected) in [
            ("", ""),
            ("Deployment/web", "Deployment/web"),
            ("缺少安全边车", "缺少安全边车"),
            ("naïve 👩‍🚀 नमस्ते", "naïve 👩‍🚀 नमस्ते"),
            ("שלום مرحبا", "שלום مرحبا"),
            ("a\nb\r\nc\td", "a b  c d"),
            ("a\u{2028}b\u{2029}c", "a b c"),
            ("\u{1b}[31mred\u{1b}[0m", "[31mred[0m"),
            ("\u{9b}31mred", "31mred"),
            ("bell\u{7} null\0 del\u{7f}", "bell null del"),
            ("user\u{202e}txt.exe", "usertxt.exe"),
            ("\u{2066}a\u{2069}\u{200f}b\u{061c}", "ab"),
            ("ad\u{200b}min\u{feff}\u{2060}\u{ad}", "admin"),
            ("x\u{e0041}\u{e007f}y", "xy"),
        ] {
            assert_eq!(clean(text), expected, "{text:?}");
        }
    }

    #[test]
    fn ordinary_text_is_not_copied() {
        assert!(matches!(clean("Deployment/web 缺少"), Cow::Borrowed(_)));
    }

    #[test]
    fn cleaning_is_idempotent_and_leaves_nothing_to_clean() {
        for c in ('\0'..=char::MAX).step_by(7).chain('\0'..='\u{3000}') {
            let once = clean(&format!("a{c}b")).into_owned();
            assert_eq!(clean(&once), once);
            assert!(!once.chars().any(char::is_control));
        }
    }
}
