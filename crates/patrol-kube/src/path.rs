//! URLs of the API: paths of our table of kinds, with everything escaped.

use std::fmt::Write as _;

use patrol_core::kind::{Kind, KindInfo};

/// The path of all objects of a kind, in every namespace.
pub(crate) fn collection(kind: Kind) -> String {
    let info = kind.info();
    format!(
        "{}/{}",
        version_root(info.group, info.version),
        info.resource
    )
}

/// The path of the objects of a kind in one namespace (none for cluster-scoped kinds).
pub(crate) fn in_namespace(kind: Kind, namespace: &str) -> String {
    let KindInfo {
        group,
        version,
        resource,
        namespaced,
        ..
    } = kind.info();
    let root = version_root(group, version);
    if namespaced {
        format!("{root}/namespaces/{}/{resource}", escape(namespace))
    } else {
        format!("{root}/{resource}")
    }
}

/// The path of one object.
pub(crate) fn object(kind: Kind, namespace: &str, name: &str) -> String {
    format!("{}/{}", in_namespace(kind, namespace), escape(name))
}

/// The path of a group and version: also where its resources can be discovered.
pub(crate) fn version_root(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("/api/{}", escape(version))
    } else {
        format!("/apis/{}/{}", escape(group), escape(version))
    }
}

/// Escapes everything that is not unreserved in a URL. `.` and `..` alone would climb,
/// and no object can have these names, so they are escaped too.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~');
        if plain || (byte == b'.' && !matches!(text, "." | "..")) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_follow_group_and_scope() {
        assert_eq!(collection(Kind::Pod), "/api/v1/pods");
        assert_eq!(
            object(Kind::Ticket, "shop", "a-b"),
            "/apis/kubepatrol.io/v1alpha1/namespaces/shop/tickets/a-b"
        );
        assert_eq!(
            object(Kind::PatrolPolicy, "", "prod"),
            "/apis/kubepatrol.io/v1alpha1/patrolpolicies/prod"
        );
    }

    #[test]
    fn nothing_leaves_its_segment() {
        assert_eq!(escape("a/../b?c#d e%"), "a%2F..%2Fb%3Fc%23d%20e%25");
        assert_eq!(escape(".."), "%2E%2E");
        assert_eq!(escape("v1.apps"), "v1.apps");
        assert_eq!(escape("支"), "%E6%94%AF");
    }
}
