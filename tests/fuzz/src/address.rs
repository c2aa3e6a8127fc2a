//! The address filter against a table of networks, read bit by bit, the longest prefix winning.
//!
//! Input: `u` and a URL; `b` and choices, or `B` and text, of a list of receivers that need no proxy; or any other byte, then choices: an address, the caller's list, the allow list.
//! Table: the IANA special-purpose registries of IPv4 and IPv6 (RFC 6890), RFC 6052 and 8215 (NAT64), RFC 3056 (6to4),
//! RFC 2765 (IPv4-translated), RFC 4291 (IPv4-compatible), and the documentation of the clouds.

mod bypass;
mod url;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use patrol_notify::address::{Allow, Filter, Refusal};

use crate::feed::Feed;

/// What a network is to a filter.
#[derive(Clone, Copy)]
enum Is {
    /// May be a receiver.
    Fine,
    /// Never is one.
    Never(Refusal),
    /// Leads to the IPv4 address whose first bit is this one.
    Leads(usize),
    /// Leads to an IPv4 address whose place nobody can know: RFC 6052, section 2.2.
    LeadsSomewhere,
}

/// Where RFC 6052 has the bits of an IPv4 address behind a prefix of so many bits. Bits 64 to 71 are none of it.
const PLACES: [(usize, [(usize, usize); 2]); 4] = [
    (96, [(96, 128), (128, 128)]),
    (64, [(72, 104), (104, 104)]),
    (56, [(56, 64), (72, 96)]),
    (48, [(48, 64), (72, 88)]),
];

const TABLE_V4: &[(&str, Is)] = &[
    ("0.0.0.0/0", Is::Fine),
    ("0.0.0.0/8", Is::Never(Refusal::Unspecified)),
    ("127.0.0.0/8", Is::Never(Refusal::Loopback)),
    ("169.254.0.0/16", Is::Never(Refusal::LinkLocal)),
    ("192.0.0.0/24", Is::Never(Refusal::Reserved)),
    ("192.88.99.0/24", Is::Never(Refusal::Reserved)),
    ("224.0.0.0/4", Is::Never(Refusal::Multicast)),
    ("240.0.0.0/4", Is::Never(Refusal::Reserved)),
    ("255.255.255.255/32", Is::Never(Refusal::Broadcast)),
    ("100.100.100.200/32", Is::Never(Refusal::Platform)),
    ("100.96.0.96/32", Is::Never(Refusal::Platform)),
    ("168.63.129.16/32", Is::Never(Refusal::Platform)),
    ("192.0.0.192/32", Is::Never(Refusal::Platform)),
];

const TABLE_V6: &[(&str, Is)] = &[
    // Nothing outside the global and the unique local addresses is anybody's.
    ("::/0", Is::Never(Refusal::Reserved)),
    ("2000::/3", Is::Fine),
    ("fc00::/7", Is::Fine),
    ("2001::/23", Is::Never(Refusal::Reserved)),
    ("fe80::/10", Is::Never(Refusal::LinkLocal)),
    ("ff00::/8", Is::Never(Refusal::Multicast)),
    ("::/96", Is::Leads(96)),
    ("::/128", Is::Never(Refusal::Unspecified)),
    ("::1/128", Is::Never(Refusal::Loopback)),
    ("::ffff:0:0/96", Is::Leads(96)),
    ("::ffff:0:0:0/96", Is::Leads(96)),
    ("64:ff9b::/96", Is::Leads(96)),
    ("64:ff9b:1::/48", Is::LeadsSomewhere),
    ("2002::/16", Is::Leads(16)),
    ("fd00:ec2::/32", Is::Never(Refusal::Platform)),
    ("fd20:ce::254/128", Is::Never(Refusal::Platform)),
];

/// Addresses on the edges, from which one or two bits lead elsewhere.
const EDGES: &[&str] = &[
    "10.0.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "255.255.255.255",
    "100.100.100.200",
    "192.0.0.192",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:0:169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1:2:3:4:127.0.0.1",
    "2002:a9fe:a9fe::1",
    "2001:1ff:ffff::1",
    "2001:200::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "febf::1",
    "ff02::1",
    "fec0::1",
    "2606:4700::1111",
    "1fff:ffff::1",
    "100::1",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1:7f00:0:100:808:808",
    "64:ff9b:1:7f:0:1:808:808",
    "64:ff9b:1:0:7f:0:108:808",
    "64:ff9b:1:a9fe:a9:fe00::",
];

pub(crate) fn run(data: &[u8]) {
    if let Some(text) = data.strip_prefix(b"u") {
        return url::run(text);
    }
    if let Some(choices) = data.strip_prefix(b"b") {
        return bypass::run(choices);
    }
    if let Some(text) = data.strip_prefix(b"B") {
        return bypass::run_raw(text);
    }
    let mut feed = Feed::new(data);
    feed.byte();
    let loopback = feed.flag();
    let address = address(&mut feed);
    let denied: Vec<IpAddr> = (0..feed.upto(2))
        .map(|_| self::address(&mut feed))
        .collect();
    let entries: Vec<String> = (0..feed.upto(3))
        .map(|_| entry(&mut feed, address))
        .collect();
    let host = *feed.pick(&[
        "",
        "hooks.example.com",
        "Hooks.Example.com.",
        "other.example",
    ]);

    let valid = entries.iter().all(|entry| is_entry(entry));
    let allow = Allow::parse(&entries);
    assert_eq!(allow.is_ok(), valid, "{entries:?}: {allow:?}");
    let Ok(allow) = allow else { return };
    let filter = Filter::new(loopback, denied.iter().copied(), Some(allow));
    let found = filter.permits(host, address);
    let expected = expected(loopback, &denied, &entries, host, address);
    assert_eq!(
        found, expected,
        "{address} for {host:?}, loopback {loopback}, denied {denied:?}, allowed {entries:?}"
    );
    // The same address in its other spelling.
    if let IpAddr::V4(v4) = address {
        assert_eq!(
            filter.permits(host, IpAddr::V6(v4.to_ipv6_mapped())),
            expected
        );
    }
}

/// One of the edges with some bits turned, or any address.
fn address(feed: &mut Feed<'_>) -> IpAddr {
    match feed.upto(3) {
        0 => IpAddr::V4(Ipv4Addr::from(feed.bytes::<4>())),
        1 => IpAddr::V6(Ipv6Addr::from(feed.bytes::<16>())),
        turned => {
            let edge: IpAddr = feed.pick(EDGES).parse().unwrap();
            (2..turned).fold(edge, |edge, _| turn(edge, usize::from(feed.byte())))
        }
    }
}

fn turn(address: IpAddr, bit: usize) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() ^ (1 << (bit % 32)))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() ^ (1 << (bit % 128)))),
    }
}

/// An entry of an allow list, often about the address.
fn entry(feed: &mut Feed<'_>, about: IpAddr) -> String {
    let network = if feed.flag() { about } else { address(feed) };
    match feed.upto(5) {
        0 => network.to_string(),
        1 => "HOOKS.example.com".to_owned(),
        2 => "*.example.com".to_owned(),
        _ => format!("{network}/{}", feed.upto(130)),
    }
}

/// Of the entries made here.
fn is_entry(entry: &str) -> bool {
    match entry.split_once('/') {
        Some((address, prefix)) => {
            let most = if address.contains(':') { 128 } else { 32 };
            prefix.parse::<usize>().is_ok_and(|prefix| prefix <= most)
        }
        None => !entry.contains('*'),
    }
}

fn expected(
    loopback: bool,
    denied: &[IpAddr],
    entries: &[String],
    host: &str,
    address: IpAddr,
) -> Result<(), Refusal> {
    let address = unmapped(address);
    let (verdict, leads) = look_up(address);
    match verdict {
        Some(Refusal::Loopback) if loopback => {}
        Some(refusal) => return Err(refusal),
        None => {}
    }
    for place in &leads {
        if let (Some(refusal), _) = look_up(*place) {
            return Err(refusal);
        }
    }
    let is_denied = |denied: &IpAddr| {
        let denied = unmapped(*denied);
        let lifted = loopback && denied.is_loopback();
        !lifted && (denied == address || leads.contains(&denied))
    };
    if denied.iter().any(is_denied) {
        return Err(Refusal::Denied);
    }
    let covers = |entry: &String| match entry.as_str() {
        "HOOKS.example.com" => matches!(host, "hooks.example.com" | "Hooks.Example.com."),
        network => is_within(address, network),
    };
    match entries.is_empty() || entries.iter().any(covers) {
        true => Ok(()),
        false => Err(Refusal::NotAllowed),
    }
}

fn unmapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if is_within(address, "::ffff:0:0/96") => v4_at(v6, 96),
        other => other,
    }
}

/// Why an address never is a receiver, and where it leads.
fn look_up(address: IpAddr) -> (Option<Refusal>, Vec<IpAddr>) {
    let table = if address.is_ipv4() {
        TABLE_V4
    } else {
        TABLE_V6
    };
    let length = |(network, _): &&(&str, Is)| {
        let (_, prefix) = network.split_once('/').unwrap();
        prefix.parse::<usize>().unwrap()
    };
    let row = table
        .iter()
        .filter(|(network, _)| is_within(address, network))
        .max_by_key(length);
    match (row.unwrap().1, address) {
        (Is::Fine, _) => (None, vec![]),
        (Is::Never(refusal), _) => (Some(refusal), vec![]),
        (Is::Leads(bit), IpAddr::V6(v6)) => (None, vec![v4_at(v6, bit)]),
        (Is::LeadsSomewhere, IpAddr::V6(_)) => (None, places(address)),
        (Is::Leads(_) | Is::LeadsSomewhere, IpAddr::V4(_)) => {
            panic!("no IPv4 network leads elsewhere")
        }
    }
}

/// Every place it may lead to, the longest prefix first. Behind a longer prefix the places of shorter ones hold zeros,
/// which are no address of anybody.
fn places(address: IpAddr) -> Vec<IpAddr> {
    let bits = bits(address);
    let read = |(_, parts): (usize, [(usize, usize); 2])| {
        let text: String = parts.map(|(from, to)| &bits[from..to]).concat();
        IpAddr::V4(Ipv4Addr::from_bits(u32::from_str_radix(&text, 2).unwrap()))
    };
    let counts =
        |(prefix, _): &(usize, _), place: &IpAddr| *prefix == 96 || !is_within(*place, "0.0.0.0/8");
    let all = PLACES.map(|place| (place, read(place)));
    let all = all.into_iter().filter(|(row, place)| counts(row, place));
    all.map(|(_, place)| place).collect()
}

/// Bits from the first on, as text.
fn bits(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.octets().iter().map(|b| format!("{b:08b}")).collect(),
        IpAddr::V6(v6) => v6.octets().iter().map(|b| format!("{b:08b}")).collect(),
    }
}

fn v4_at(address: Ipv6Addr, bit: usize) -> IpAddr {
    let bits = bits(IpAddr::V6(address));
    let value = u32::from_str_radix(&bits[bit..bit + 32], 2).unwrap();
    IpAddr::V4(Ipv4Addr::from_bits(value))
}

/// Whether an address is in `network/prefix`, or is the network when there is no prefix.
fn is_within(address: IpAddr, network: &str) -> bool {
    let (network, prefix) = match network.split_once('/') {
        Some((network, prefix)) => (network, Some(prefix.parse::<usize>().unwrap())),
        None => (network, None),
    };
    let network: IpAddr = network.parse().unwrap();
    let (address, network) = (bits(address), bits(network));
    address.len() == network.len()
        && address[..prefix.unwrap_or(address.len())] == network[..prefix.unwrap_or(network.len())]
}

/// What the filter has to say of a literal address when nothing is configured.
fn plainly(address: IpAddr) -> Result<(), Refusal> {
    expected(false, &[], &[], "", address)
}
