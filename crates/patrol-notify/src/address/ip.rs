//! Address classes: what is never a receiver, and which address another one hides.
//!
//! Pure tables. Sources: the IANA special-purpose registries (RFC 6890) and the clouds' own
//! documentation of their metadata services.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Refusal;

/// Metadata and platform addresses outside link-local.
const PLATFORM_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba Cloud metadata
    Ipv4Addr::new(100, 96, 0, 96),     // Volcengine metadata
    Ipv4Addr::new(168, 63, 129, 16),   // Azure platform
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle Cloud metadata
];

/// See [`PLATFORM_V4`].
const PLATFORM_V6: [(Ipv6Addr, u32); 2] = [
    // AWS: metadata, DNS, time, pod identity
    (Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0), 32),
    // Google Cloud metadata
    (Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254), 128),
];

/// Link-local networks, where metadata services live too.
const LINK_LOCAL: [(IpAddr, u32); 2] = [
    (IpAddr::V4(Ipv4Addr::new(169, 254, 0, 0)), 16),
    (IpAddr::V6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0)), 10),
];

/// What the NetworkPolicy that is shipped leaves out as well: of all that is never sent to, the networks that a packet
/// of a pod might reach.
pub fn platform_networks() -> impl Iterator<Item = (IpAddr, u32)> {
    let v4 = PLATFORM_V4.map(|ip| (IpAddr::V4(ip), 32));
    let v6 = PLATFORM_V6.map(|(ip, prefix)| (IpAddr::V6(ip), prefix));
    LINK_LOCAL.into_iter().chain(v4).chain(v6)
}

/// Whether a whole network lies in one of [`platform_networks`].
pub fn is_of_platform(network: IpAddr, prefix: u32) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    platform_networks().any(|(outer, length)| {
        outer.is_ipv4() == network.is_ipv4()
            && length <= prefix
            && within(bits(network), bits(outer), length)
    })
}

/// The reason an address is denied whatever the configuration says (loopback aside, which the
/// caller may lift). `address` is canonical: no IPv4-mapped form.
pub(super) fn never(address: IpAddr) -> Option<Refusal> {
    match address {
        IpAddr::V4(v4) => never_v4(v4),
        IpAddr::V6(v6) => never_v6(v6),
    }
}

fn never_v4(ip: Ipv4Addr) -> Option<Refusal> {
    if PLATFORM_V4.contains(&ip) {
        return Some(Refusal::Platform);
    }
    let [a, b, c, _] = ip.octets();
    match (a, b, c) {
        (0, _, _) => Some(Refusal::Unspecified),
        (127, _, _) => Some(Refusal::Loopback),
        (169, 254, _) => Some(Refusal::LinkLocal),
        (224..=239, _, _) => Some(Refusal::Multicast),
        _ if ip.is_broadcast() => Some(Refusal::Broadcast),
        // Future use; IETF protocol assignments; retired 6to4 anycast.
        (240..=255, _, _) | (192, 0, 0) | (192, 88, 99) => Some(Refusal::Reserved),
        _ => None,
    }
}

fn never_v6(ip: Ipv6Addr) -> Option<Refusal> {
    if PLATFORM_V6
        .iter()
        .any(|(network, prefix)| within(ip.to_bits(), network.to_bits(), *prefix))
    {
        return Some(Refusal::Platform);
    }
    if ip.is_unspecified() {
        return Some(Refusal::Unspecified);
    }
    if ip.is_loopback() {
        return Some(Refusal::Loopback);
    }
    if ip.is_multicast() {
        return Some(Refusal::Multicast);
    }
    if ip.is_unicast_link_local() {
        return Some(Refusal::LinkLocal);
    }
    if !embedded(IpAddr::V6(ip)).is_empty() {
        // Judged by what it hides.
        return None;
    }
    let [first, second, ..] = ip.segments();
    let unique_local = first & 0xfe00 == 0xfc00;
    let global = first & 0xe000 == 0x2000;
    // 2001::/23: Teredo, ORCHID, benchmarking and other protocol assignments.
    let protocol = first == 0x2001 && second < 0x0200;
    ((!unique_local && !global) || protocol).then_some(Refusal::Reserved)
}

/// The IPv4 addresses an IPv6 address may stand for on its way: NAT64 (well-known and local prefix), 6to4,
/// IPv4-translated and IPv4-compatible. Mapped addresses were made canonical before.
pub(super) fn embedded(address: IpAddr) -> Vec<IpAddr> {
    let IpAddr::V6(ip) = address else {
        return vec![];
    };
    let last = |[.., high, low]: [u16; 8]| (u32::from(high) << 16) | u32::from(low);
    let bits = match ip.segments() {
        // Unspecified and loopback look like IPv4-compatible ones and are not.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => return vec![],
        [0x64, 0xff9b, 1, ..] => return local_nat64(ip),
        segments @ ([0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [0, 0, 0, 0, 0, 0, ..]) => last(segments),
        [0x2002, high, low, ..] => (u32::from(high) << 16) | u32::from(low),
        _ => return vec![],
    };
    vec![IpAddr::V4(Ipv4Addr::from_bits(bits))]
}

/// `64:ff9b:1::/48` (RFC 8215) is cut up as each network likes, and which of the lengths of RFC 6052 it has there cannot
/// be seen: /96, /64, /56 or /48. What one of them reads in `0.0.0.0/8` is no way anywhere, and is what the zeros of a
/// longer prefix look like; only the longest is held to it.
fn local_nat64(ip: Ipv6Addr) -> Vec<IpAddr> {
    let [_, _, _, _, _, _, a, b, _, c, d, e, f, g, h, i] = ip.octets();
    let shorter = [[c, d, e, f], [b, c, d, e], [a, b, c, d]];
    let led = shorter.into_iter().filter(|[first, ..]| *first != 0);
    std::iter::once([f, g, h, i])
        .chain(led)
        .map(IpAddr::from)
        .collect()
}

/// Is `address` in `network/prefix`? A prefix over 128 is none.
pub(super) fn within(address: u128, network: u128, prefix: u32) -> bool {
    match 128_u32.checked_sub(prefix) {
        Some(128) => true,
        Some(host_bits) => address >> host_bits == network >> host_bits,
        None => false,
    }
}
