//! URLs: which address a literal one leads to, whatever it is spelled like, and that nothing but the host is shown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use patrol_notify::Secret;
use patrol_notify::address::{Filter, Target};

pub(super) fn run(text: &[u8]) {
    let parsed = Target::parse(&Secret::new(text.to_vec()));
    let text = std::str::from_utf8(text);
    let Ok(target) = parsed else { return };
    let text = text.expect("a URL is text").trim();
    let why = format!("{text:?} became {target:?}");

    let host = target.host();
    assert!(!host.is_empty(), "{why}");
    assert!(
        !host.contains(['/', '?', '#', '@', '\\', ' ', '%']),
        "{why}"
    );
    assert!(!host.chars().any(char::is_control), "{why}");
    assert_eq!(
        format!("{target:?}"),
        format!("Target {{ host: {host:?}, .. }}"),
        "more than the host is shown"
    );

    let found = Filter::new(false, [], None).permits_literal(&target);
    let (name, port) = split(host);
    assert_ne!(port, Some(0), "{why}");
    match literal(name) {
        Some(address) => assert_eq!(found, super::plainly(address), "{why}"),
        None => {
            assert_eq!(found, Ok(()), "a name is judged when it is resolved: {why}");
            assert_eq!(
                numbers(name),
                None,
                "a resolver takes this for an address: {why}"
            );
        }
    }
    // A plain spelling of one to four numbers is the address that they have always been.
    if let Some(spelled) = authority(text).and_then(numbers) {
        assert_eq!(literal(name), Some(IpAddr::V4(spelled)), "{why}");
    }
}

fn split(host: &str) -> (&str, Option<u16>) {
    if host.ends_with(']') {
        return (host, None);
    }
    match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.parse().expect("a port is a number"))),
        None => (host, None),
    }
}

fn literal(name: &str) -> Option<IpAddr> {
    let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    match inner {
        Some(v6) => Some(IpAddr::V6(v6.parse::<Ipv6Addr>().expect("in brackets"))),
        None => name.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

/// The host of a URL that is written in the plainest way.
fn authority(text: &str) -> Option<&str> {
    let rest = ["http://", "https://"]
        .iter()
        .find_map(|s| text.strip_prefix(s))?;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    Some(&rest[..end])
}

/// As `inet_aton` reads it: one to four numbers, each decimal, octal or hexadecimal, the last one filling what is left.
fn numbers(name: &str) -> Option<Ipv4Addr> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let parts: Vec<u64> = name.split('.').map(number).collect::<Option<_>>()?;
    let (last, front) = parts.split_last()?;
    let left = 4_usize.checked_sub(front.len())?;
    if left == 0 || front.iter().any(|part| *part > 255) || *last >= 1 << (8 * left) {
        return None;
    }
    let mut value = *last;
    for (index, part) in front.iter().enumerate() {
        value += part << (8 * (3 - index));
    }
    u32::try_from(value).ok().map(Ipv4Addr::from_bits)
}

fn number(text: &str) -> Option<u64> {
    let (digits, base) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(hex) => (hex, 16),
        None if text.len() > 1 && text.starts_with('0') => (&text[1..], 8),
        None => (text, 10),
    };
    // A lone "0x" counts as nought where URLs are parsed.
    if digits.is_empty() && base == 16 {
        return Some(0);
    }
    let all = !digits.is_empty() && digits.chars().all(|c| c.is_digit(base));
    all.then(|| u64::from_str_radix(digits, base).ok())?
}
