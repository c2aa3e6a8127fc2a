//! Text that no chat takes for markup.
//!
//! Chats differ in what they take for markup, and some honour no escape at all, so a character that could mean something is
//! replaced by one that looks the same and means nothing. Nothing is removed here; what steers terminals or turns lines
//! around was removed before.

/// The text with every character that a markdown dialect could take for markup, a call or a link replaced.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let after = rest.peek().copied().unwrap_or(' ');
        out.push(stand_in(before, c, after));
        before = c;
    }
    // What is left is told by more than one character: a bare host that chats turn into a link.
    out.replace("www.", "www․").replace("WWW.", "WWW․")
}

fn stand_in(before: char, c: char, after: char) -> char {
    match c {
        '*' => '∗',
        // Inside a word it is a part of it.
        '_' if !(before.is_alphanumeric() && after.is_alphanumeric()) => 'ˍ',
        '~' => '∼',
        '`' => 'ˋ',
        '[' => '［',
        ']' => '］',
        '<' => '＜',
        '>' => '＞',
        '@' => '＠',
        '\\' => '＼',
        '#' if !before.is_alphanumeric() => '＃',
        '|' => '｜',
        '&' if after == '#' || after.is_alphanumeric() => '＆',
        // A scheme, or a word for a picture such as `:fire:`.
        ':' if after == '/' || (!before.is_alphanumeric() && after.is_alphanumeric()) => '：',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_text() {
        for (text, expected) in [
            (
                "Deployment/web is 3:2, a_b-c.d (x)!",
                "Deployment/web is 3:2, a_b-c.d (x)!",
            ),
            ("缺少安全边车", "缺少安全边车"),
            ("**bold** _it_ ~no~ `c`", "∗∗bold∗∗ ˍitˍ ∼no∼ ˋcˋ"),
            ("[a](https://evil)", "［a］(https：//evil)"),
            (
                "<!here> <at id=all></at> @all @所有人",
                "＜!here＞ ＜at id=all＞＜/at＞ ＠all ＠所有人",
            ),
            (
                "# top :fire: www.evil.example",
                "＃ top ：fire: www․evil.example",
            ),
            (
                "reg.io:5000/a:b & &lt;c&#62;",
                "reg.io:5000/a:b & ＆lt;c＆＃62;",
            ),
        ] {
            assert_eq!(plain(text), expected);
        }
    }

    #[test]
    fn once_is_enough() {
        let text = "_a_ <@U1|x> [y](z) ::a:: \\*";
        assert_eq!(plain(&plain(text)), plain(text));
    }
}
