//! What a host name alone says, for receivers behind a proxy: the proxy resolves it, so no address can be judged here.
//!
//! Pure. Only names that are never right are known; which addresses a name may lead to is the proxy's to decide.

use super::Refusal;

/// Names of the machine itself, beside everything below `localhost`.
const LOOPBACK: [&str; 6] = [
    "localhost.localdomain",
    "localhost4",
    "localhost6",
    "localhost6.localdomain6",
    "ip6-localhost",
    "ip6-loopback",
];

/// Metadata services that have a name: Google, Amazon, Tencent, Equinix.
const PLATFORM: [&str; 8] = [
    "metadata",
    "metadata.goog",
    "metadata.google.internal",
    "instance-data",
    "instance-data.ec2.internal",
    "metadata.tencentyun.com",
    "metadata.platformequinix.com",
    "metadata.packet.net",
];

/// The API server's Service, as pods call it.
const SERVER: &str = "kubernetes.default.svc";

/// Lower case, without the dot at the end.
pub(super) fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Whether a name (in its normal form) is the machine that asks.
pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost") || LOOPBACK.contains(&host)
}

/// Why a name (in its normal form) is never sent to, whatever it resolves to.
pub(super) fn never(host: &str) -> Option<Refusal> {
    if is_loopback(host) {
        return Some(Refusal::Loopback);
    }
    if PLATFORM.contains(&host) {
        return Some(Refusal::Platform);
    }
    let is_server = match host.strip_prefix(SERVER) {
        Some(rest) => rest.is_empty() || rest.starts_with('.'),
        None => matches!(host, "kubernetes" | "kubernetes.default"),
    };
    is_server.then_some(Refusal::Denied)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_never_right() {
        for (host, expected) in [
            ("localhost", Some(Refusal::Loopback)),
            ("LocalHost.", Some(Refusal::Loopback)),
            ("a.b.localhost", Some(Refusal::Loopback)),
            ("localhost.localdomain", Some(Refusal::Loopback)),
            ("ip6-localhost", Some(Refusal::Loopback)),
            ("metadata", Some(Refusal::Platform)),
            ("METADATA.Google.Internal.", Some(Refusal::Platform)),
            ("instance-data.ec2.internal", Some(Refusal::Platform)),
            ("kubernetes", Some(Refusal::Denied)),
            ("kubernetes.default", Some(Refusal::Denied)),
            ("kubernetes.default.svc", Some(Refusal::Denied)),
            (
                "kubernetes.default.svc.cluster.local.",
                Some(Refusal::Denied),
            ),
            ("localhost.example.com", None),
            ("metadata.example.com", None),
            ("kubernetes.example.com", None),
            ("kubernetes.default.svca", None),
            ("hooks.slack.com", None),
        ] {
            assert_eq!(never(&normal(host)), expected, "{host}");
        }
    }
}
