//! Texts and names at the edge of what the API server takes.

use crate::random::Random;

/// Each is meant to steer a terminal, a browser or a chat, to hide, or to overflow.
const NASTY: [&str; 22] = [
    "",
    " ",
    "\u{1b}[31mred\u{1b}[0m\u{1b}]0;title\u{7}",
    "\u{9b}2J\u{90}",
    "user\u{202e}gpj.exe\u{202c}",
    "\u{2066}isolated\u{2069}\u{200f}",
    "in\u{200b}vis\u{2060}ible\u{feff}",
    "tag\u{e0041}\u{e007f}",
    "line\nbreak\r\nand\ttab",
    "line\u{2028}paragraph\u{2029}",
    "nul\u{0}bell\u{7}del\u{7f}",
    "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "[a](javascript:alert(1)) ![b](http://x/) | `c` | <!channel> @all",
    "{{ .Values.secret }} ${HOME} $(id) %s%n",
    "'; DROP TABLE tickets; --",
    "缺少安全边车 容器",
    "שלום مرحبا",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "\u{fffd}\u{fffe}\u{ffff}\u{10ffff}",
    "\\\"quoted\\\" \\u0000 \\x00",
    "NaN",
];

/// A nasty text.
pub(super) fn nasty(random: &mut Random) -> String {
    let one = random.pick(&NASTY).copied().unwrap_or_default();
    if random.once_in(20) {
        return one.repeat(200);
    }
    let other = random.pick(&NASTY).copied().unwrap_or_default();
    format!("{one}{other}")
}

/// A nasty text that is not empty and neither begins nor ends with white space.
pub(super) fn inner_nasty(random: &mut Random) -> String {
    format!("x{}x", nasty(random))
}

/// Characters that must not reach a ticket: they steer, turn or hide.
pub fn is_harmless(text: &str) -> bool {
    !text.chars().any(|c| {
        c.is_control()
            || matches!(c,
                '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}')
    })
}

/// A DNS label of a length.
fn label(random: &mut Random, length: usize) -> String {
    const INNER: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789-";
    let outer = INNER.split_last().map_or(INNER, |(_, rest)| rest);
    (0..length)
        .filter_map(|at| {
            let edge = at == 0 || at + 1 == length;
            random.pick(if edge { outer } else { INNER }).copied()
        })
        .map(char::from)
        .collect()
}

/// Names that no two objects share: `number` is in each. At most `longest` characters.
/// With `dots` it may be a subdomain, else it is one label that begins with a letter.
pub(super) fn name(random: &mut Random, number: usize, longest: usize, dots: bool) -> String {
    let core = format!("n{number}");
    let room = longest.saturating_sub(core.len() + 1);
    match random.below(5) {
        0 => core,
        // An internationalised name, as an attacker would write it.
        1 if room > 12 => format!("{core}-xn--80ak6aa92e"),
        2 if dots => {
            let mut name = core;
            // Labels of 63 characters, as many as there is room for.
            while name.len() + 64 <= longest {
                name = format!("{name}.{}", label(random, 63));
            }
            let left = longest - name.len();
            match left {
                0 | 1 => name,
                _ => format!("{name}.{}", label(random, left - 1)),
            }
        }
        _ if room > 0 => {
            let length = room.min(63 - core.len() - 1);
            format!("{core}-{}", label(random, length))
        }
        _ => core,
    }
}

/// Namespaces that the policies select (`shop*`), some as long as they can be.
pub fn namespace_names(random: &mut Random, count: usize) -> Vec<String> {
    (0..count)
        .map(|n| {
            let core = format!("shop-{n}");
            match n % 3 {
                0 => core,
                1 => format!("{core}-xn--{}", label(random, 10)),
                _ => {
                    let tail = label(random, 63 - core.len() - 1);
                    format!("{core}-{tail}")
                }
            }
        })
        .collect()
}

/// A label value at the limit.
pub(super) fn label_value(random: &mut Random) -> String {
    match random.below(4) {
        0 => String::new(),
        1 => "true".to_owned(),
        2 => "a".to_owned(),
        _ => label(random, 63).replacen('-', "_", 1),
    }
}

/// A label or annotation key, some with a prefix of 253 characters.
pub(super) fn key(random: &mut Random, number: usize) -> String {
    match random.below(4) {
        0 => format!("k{number}"),
        1 => format!("example.com/k{number}"),
        2 => {
            let part = label(random, 63);
            let prefix = [part.as_str(); 3].join(".");
            format!("{prefix}.{}/k{number}", label(random, 61))
        }
        _ => format!("sidecar.istio.io/k{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_limits_and_differ() {
        let mut random = Random::new(1);
        let names: Vec<_> = (0..2000)
            .map(|n| {
                name(
                    &mut random,
                    n,
                    if n % 2 == 0 { 253 } else { 52 },
                    n % 2 == 0,
                )
            })
            .collect();
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
        assert!(names.iter().any(|n| n.len() == 253), "none at the limit");
        for (n, name) in names.iter().enumerate() {
            assert!(name.len() <= if n % 2 == 0 { 253 } else { 52 }, "{name}");
            assert!(
                name.split('.').all(|l| (1..=63).contains(&l.len())),
                "{name}"
            );
        }
        let namespaces = namespace_names(&mut random, 40);
        assert!(namespaces.iter().all(|n| n.len() <= 63));
        assert!(namespaces.iter().any(|n| n.len() == 63));
        for n in 0..200 {
            let key = key(&mut random, n);
            let (prefix, rest) = key.split_once('/').unwrap_or(("", &key));
            assert!(prefix.len() <= 253 && rest.len() <= 63, "{key}");
        }
    }

    #[test]
    fn nasty_texts_are_mostly_not_harmless_and_plain_ones_are() {
        let bad = NASTY.iter().filter(|t| !is_harmless(t)).count();
        assert!(bad >= 9, "{bad}");
        assert!(is_harmless("缺少安全边车 👩‍🚀 שלום <b>"));
    }
}
