//! The list of receivers that are reached without the proxy, against one that compares labels one by one.

use std::net::IpAddr;

use patrol_notify::Secret;
use patrol_notify::address::{Bypass, Target};

use super::is_within;
use crate::feed::Feed;

const NAMES: &[&str] = &[
    "example.com",
    "a.example.com",
    "b.a.example.com",
    "notexample.com",
    "EXAMPLE.com",
    "example.com.",
    "svc",
    "hooks.svc",
    "com",
];
const ADDRESSES: &[&str] = &[
    "10.0.0.1",
    "10.200.0.1",
    "192.0.2.7",
    "fd00::1",
    "2001:db8::7",
];
const NETWORKS: &[&str] = &["10.0.0.0/8", "10.0.0.1/32", "0.0.0.0/0", "fd00::/8", "::/0"];
const PORTS: &[&str] = &["", ":443", ":80", ":8443"];

/// An entry as it is made here: what it is meant to be is known without parsing it.
enum Entry {
    All,
    Network(&'static str),
    /// What stands before the name, the name, and a port.
    Name(&'static str, &'static str, &'static str),
}

impl Entry {
    fn choose(feed: &mut Feed<'_>) -> Self {
        match feed.upto(7) {
            0 => Self::All,
            1 => Self::Network(feed.pick::<&str>(ADDRESSES)),
            2 => Self::Network(feed.pick::<&str>(NETWORKS)),
            _ => {
                let before = *feed.pick(&["", ".", "*."]);
                Self::Name(before, feed.pick::<&str>(NAMES), feed.pick::<&str>(PORTS))
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Self::All => "*".to_owned(),
            Self::Network(network) => (*network).to_owned(),
            Self::Name(before, name, port) => format!("{before}{name}{port}"),
        }
    }

    fn covers(&self, host: &str, port: &str) -> bool {
        let address = host.parse::<IpAddr>().ok();
        match (self, address) {
            (Self::All, _) => true,
            (Self::Network(network), Some(address)) => is_within(address, network),
            (Self::Name(before, name, wanted), None) => {
                let (host, name) = (labels(host), labels(name));
                let below = host.len() > name.len() && host.ends_with(&name);
                let itself = before.is_empty() && host == name;
                (below || itself) && (wanted.is_empty() || *wanted == port)
            }
            (Self::Network(_), None) | (Self::Name(..), Some(_)) => false,
        }
    }
}

/// `b` and choices: a receiver and a list; or `B` and a list as somebody might write it, which must be taken or refused.
pub(super) fn run(data: &[u8]) {
    let mut feed = Feed::new(data);
    let https = feed.flag();
    let host = match feed.flag() {
        true => *feed.pick(ADDRESSES),
        false => *feed.pick(NAMES),
    };
    let port = *feed.pick(PORTS);
    let entries: Vec<Entry> = (0..feed.upto(4))
        .map(|_| Entry::choose(&mut feed))
        .collect();
    let separator = feed.pick(&[",", ", ", " ", ",,", "\n"]);
    let list: Vec<String> = entries.iter().map(Entry::text).collect();
    let list = list.join(separator);

    let written = if host.contains(':') {
        format!("[{host}]")
    } else {
        host.to_owned()
    };
    let scheme = if https { "https" } else { "http" };
    let url = format!("{scheme}://{written}{port}/hook");
    let target = Target::parse(&Secret::new(url.clone().into_bytes())).expect("a receiver");
    let bypass = Bypass::parse(&list).expect("a list");
    let known = match (port, https) {
        ("", true) => ":443",
        ("", false) => ":80",
        (port, _) => port,
    };
    let expected = entries.iter().any(|entry| entry.covers(host, known));
    assert_eq!(bypass.covers(&target), expected, "{url} and {list:?}");
}

/// Anything as a list: taken or refused by the position of an entry that is there.
pub(super) fn run_raw(text: &[u8]) {
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    if let Err(wrong) = Bypass::parse(text) {
        let entries = text
            .split([',', ' ', '\t', '\n'])
            .filter(|entry| !entry.trim().is_empty());
        assert!(
            (1..=entries.count()).contains(&wrong.0),
            "{text:?}: {wrong}"
        );
    }
}

fn labels(name: &str) -> Vec<String> {
    let name = name.trim_end_matches('.').to_lowercase();
    name.split('.').map(str::to_owned).collect()
}
