//! Names and ids as pure functions of what they stand for. Every field is length-prefixed,
//! so that no two different inputs are hashed alike.

use data_encoding::{BASE32_NOPAD, Encoding};
use patrol_api::ticket::Subject;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// Version of the identity: part of every ticket name, so that a change of the recipe can
/// never collide with the old one.
const IDENTITY: &str = "1";

static LOWER: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = BASE32_NOPAD.specification();
    spec.symbols = spec.symbols.to_lowercase();
    // The alphabet is constant; the fallback only spares a panic path.
    spec.encoding().unwrap_or(BASE32_NOPAD)
});

/// SHA-256 over all of them.
#[must_use]
pub fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// 26 characters of base32, lower case, over the first 130 bits.
fn short(parts: &[&[u8]]) -> String {
    let mut text = LOWER.encode(&digest(parts));
    text.truncate(26);
    text
}

/// 64 bits, for jitter and spreading.
#[must_use]
pub fn hash64(parts: &[&[u8]]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = digest(parts);
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// `metadata.name` of a ticket: `<check, at most 40>-<26 characters>` over policy, check,
/// requirement, subject and discriminator. Never over severity, message, counts, UID, pod
/// names, image tags or generations: a repeat of the same gap is the same ticket.
#[must_use]
pub fn ticket_name(
    policy: &str,
    check: &str,
    requirement: Option<&str>,
    subject: &Subject,
    discriminator: Option<&str>,
) -> String {
    let hash = short(&[
        IDENTITY.as_bytes(),
        policy.as_bytes(),
        check.as_bytes(),
        requirement.unwrap_or("").as_bytes(),
        subject.group.as_bytes(),
        subject.kind.as_bytes(),
        subject.namespace.as_deref().unwrap_or("").as_bytes(),
        subject.name.as_bytes(),
        discriminator.unwrap_or("").as_bytes(),
    ]);
    let slug: String = check.chars().take(40).collect();
    format!("{}-{hash}", slug.trim_end_matches('-'))
}

/// The id of one telling: the same for every try, different for every obligation.
/// `state` is in it because a resolve does not raise `seq`.
#[must_use]
pub fn event_id(
    ticket_uid: &str,
    receiver_uid: &str,
    state: &str,
    episode: u64,
    seq: u64,
    n: u64,
) -> String {
    short(&[
        ticket_uid.as_bytes(),
        receiver_uid.as_bytes(),
        state.as_bytes(),
        &episode.to_be_bytes(),
        &seq.to_be_bytes(),
        &n.to_be_bytes(),
    ])
}

/// The UID of a policy's own webhook as a receiver, and of objects that have none.
#[must_use]
pub fn derived_uid(kind: &str, namespace: &str, name: &str) -> String {
    short(&[
        b"uid",
        kind.as_bytes(),
        namespace.as_bytes(),
        name.as_bytes(),
    ])
}

/// The `webhook-id` of one message: a pure function of what it tells.
#[must_use]
pub fn message_id<'a>(event_ids: impl Iterator<Item = &'a str>, part: u32) -> String {
    let mut sorted: Vec<&str> = event_ids.collect();
    sorted.sort_unstable();
    let part = part.to_be_bytes();
    let mut parts: Vec<&[u8]> = sorted.iter().map(|id| id.as_bytes()).collect();
    parts.push(&part);
    format!("msg_{}", short(&parts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn subject(ns: &str, name: &str) -> Subject {
        Subject {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: Some(ns.into()),
            name: name.into(),
            uid: None,
        }
    }

    #[test]
    fn a_name_is_a_legal_object_name() {
        let name = ticket_name(
            "p",
            "sidecar-missing",
            Some("agent"),
            &subject("a", "b"),
            None,
        );
        assert!(name.starts_with("sidecar-missing-"), "{name}");
        assert_eq!(name.len(), "sidecar-missing-".len() + 26);
        assert!(
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        );
    }

    #[test]
    fn a_uid_does_not_change_the_name() {
        let mut with_uid = subject("a", "b");
        with_uid.uid = Some("x".into());
        assert_eq!(
            ticket_name("p", "c", None, &subject("a", "b"), None),
            ticket_name("p", "c", None, &with_uid, None)
        );
    }

    proptest! {
        /// Moving text over a field border gives another name.
        #[test]
        fn borders_count(a in "[a-z]{1,8}", b in "[a-z]{1,8}") {
            let joined = format!("{a}{b}");
            prop_assert_ne!(
                ticket_name(&a, &b, None, &subject("n", "m"), None),
                ticket_name(&joined, "", None, &subject("n", "m"), None)
            );
            prop_assert_ne!(
                ticket_name("p", "c", None, &subject(&a, &b), None),
                ticket_name("p", "c", None, &subject(&joined, ""), None)
            );
        }

        #[test]
        fn a_closing_never_looks_like_a_firing(e in 1u64..9, s in 1u64..9, n in 1u64..9) {
            prop_assert_ne!(event_id("t", "r", "Firing", e, s, n), event_id("t", "r", "Closed", e, s, n));
        }
    }
}
