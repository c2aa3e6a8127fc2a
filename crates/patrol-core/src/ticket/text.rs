//! Texts as a ticket may hold them: harmless to print, and not too long. Never cuts inside
//! a character.

use patrol_api::ticket::limits;

use crate::harmless::clean;

/// At most `most` harmless characters; a cut text ends in an ellipsis.
#[must_use]
pub fn cut(text: &str, most: usize) -> String {
    let text = clean(text);
    if text.chars().count() <= most {
        return text.into_owned();
    }
    let mut out: String = text.chars().take(most.saturating_sub(1)).collect();
    out.push('…');
    out
}

/// At most `most` items, each at most `length` characters.
#[must_use]
pub fn cut_list<S: AsRef<str>>(items: &[S], most: usize, length: usize) -> Vec<String> {
    items
        .iter()
        .take(most)
        .map(|item| cut(item.as_ref(), length))
        .collect()
}

/// A message or remediation.
#[must_use]
pub fn sentence(text: &str) -> String {
    cut(text, limits::TEXT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_counts_characters_and_shows() {
        assert_eq!(cut("节点缺少代理", 4), "节点缺…");
        assert_eq!(cut("short", 5), "short");
    }

    #[test]
    fn what_others_wrote_steers_no_terminal() {
        assert_eq!(cut("no\u{202e} room\n\u{1b}[2J", 12), "no room [2J");
    }
}
