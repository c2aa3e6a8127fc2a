//! Words that tickets are told in: names, reasons and pointers. Text of a cluster that is no
//! such word never gets through.

use patrol_core::kind::Kind;
use patrol_core::rule::Rule;
use patrol_core::sym::Sym;

/// JSON pointer of the pod inside a subject of this kind.
pub(crate) const fn pod_path(kind: Kind) -> &'static str {
    match kind {
        Kind::Pod => "",
        Kind::CronJob => "/spec/jobTemplate/spec/template",
        _ => "/spec/template",
    }
}

/// `1 node needs`, `3 nodes need`.
pub(crate) fn number(count: i64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// A key as a JSON pointer token (RFC 6901).
pub(crate) fn token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The name people know the requirement by.
pub(crate) fn name_of(rule: &Rule) -> &str {
    rule.requirement.as_deref().unwrap_or("agent")
}

/// `CrashLoopBackOff` as a reason of ours: `crash-loop-back-off`. Text that is no such
/// word never reaches a ticket.
pub(crate) fn kebab(word: &str) -> Sym {
    if word.is_empty() || word.len() > 60 || !word.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Sym::new("unknown-state");
    }
    let mut out = String::new();
    let chars: Vec<char> = word.chars().collect();
    for (i, c) in chars.iter().enumerate() {
        let after_lower = i
            .checked_sub(1)
            .and_then(|j| chars.get(j))
            .is_some_and(|p| !p.is_ascii_uppercase());
        let before_lower = chars.get(i + 1).is_some_and(|n| n.is_ascii_lowercase());
        if i > 0 && c.is_ascii_uppercase() && (after_lower || before_lower) {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    Sym::new(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubelet_words_become_reasons() {
        for (word, reason) in [
            ("CrashLoopBackOff", "crash-loop-back-off"),
            ("OOMKilled", "oom-killed"),
            ("ErrImagePull", "err-image-pull"),
            ("Completed", "completed"),
            ("", "unknown-state"),
            ("token=hunter2", "unknown-state"),
        ] {
            assert_eq!(kebab(word), *reason, "{word}");
        }
    }

    #[test]
    fn numbers_agree_with_their_words() {
        assert_eq!(number(1, "node needs", "nodes need"), "1 node needs");
        assert_eq!(number(0, "node needs", "nodes need"), "0 nodes need");
        assert_eq!(number(2, "node needs", "nodes need"), "2 nodes need");
    }

    #[test]
    fn keys_become_pointer_tokens() {
        assert_eq!(token("istio.io/rev~1"), "istio.io~1rev~01");
    }
}
