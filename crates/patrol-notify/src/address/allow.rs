//! `addresses.allow`: CIDRs, single addresses and exact host names.
//!
//! Pure. An allow list narrows; it never lifts what is always denied.

use std::net::IpAddr;

use super::ip::within;
use super::names::normal;

/// A parsed allow list. An empty one means "not set", as lists do in Kubernetes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    networks: Vec<Network>,
    hosts: Vec<String>,
}

/// Bits are left-aligned in 128, the family is compared on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Network {
    v4: bool,
    bits: u128,
    prefix: u32,
}

/// An entry that is neither a CIDR nor a host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "addresses.allow[{index}]: {fault}: write a CIDR such as 10.0.0.0/8 or an exact host such as hooks.example.com"
)]
pub struct AllowError {
    /// Which entry, from 0 as in a field path.
    pub index: usize,
    /// What is wrong with it.
    pub fault: &'static str,
}

impl AllowError {
    /// The same without the place, for a condition.
    pub const DETAIL: &'static str = "addresses.allow holds an entry that is neither a CIDR nor an exact host: write 10.0.0.0/8 or hooks.example.com";
}

impl Allow {
    /// Parses entries in the order they were written.
    ///
    /// # Errors
    /// The index and fault of the first bad entry.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, AllowError> {
        let mut allow = Allow::default();
        for (index, entry) in entries.iter().enumerate() {
            allow
                .add(entry.as_ref().trim())
                .map_err(|fault| AllowError { index, fault })?;
        }
        Ok(allow)
    }

    /// No entry at all.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && self.hosts.is_empty()
    }

    /// Is the host named, or the address in a named network?
    pub(super) fn covers(&self, host: &str, address: IpAddr) -> bool {
        let (v4, bits) = align(address);
        self.names(&normal(host))
            || self
                .networks
                .iter()
                .any(|network| network.v4 == v4 && within(bits, network.bits, network.prefix))
    }

    /// Is the host (in its normal form) named?
    pub(super) fn names(&self, host: &str) -> bool {
        self.hosts.iter().any(|named| named == host)
    }

    fn add(&mut self, entry: &str) -> Result<(), &'static str> {
        if entry.is_empty() {
            return Err("is empty");
        }
        if let Some((address, prefix)) = entry.split_once('/') {
            let address: IpAddr = address
                .parse()
                .map_err(|_| "has a slash but no IP address before it")?;
            let prefix: u32 = prefix
                .parse()
                .map_err(|_| "has no prefix length after the slash")?;
            return self.add_network(address, prefix);
        }
        let bare = entry
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(entry);
        if let Ok(address) = bare.parse::<IpAddr>() {
            let full = if address.is_ipv4() { 32 } else { 128 };
            return self.add_network(address, full);
        }
        if entry.contains('*') {
            return Err("contains a wildcard");
        }
        // The URL parser's own idea of a host, so that both sides are written alike (case, IDNA).
        match url::Host::parse(entry) {
            Ok(url::Host::Domain(domain)) => self.hosts.push(normal(&domain)),
            Ok(url::Host::Ipv4(v4)) => return self.add_network(IpAddr::V4(v4), 32),
            Ok(url::Host::Ipv6(v6)) => return self.add_network(IpAddr::V6(v6), 128),
            Err(_) => return Err("is neither a CIDR nor a host"),
        }
        Ok(())
    }

    fn add_network(&mut self, address: IpAddr, prefix: u32) -> Result<(), &'static str> {
        let (v4, bits) = align(address);
        if prefix > if v4 { 32 } else { 128 } {
            return Err("has a prefix length that is too long");
        }
        self.networks.push(Network { v4, bits, prefix });
        Ok(())
    }
}

/// Family and left-aligned bits, so that one prefix comparison serves both families.
fn align(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(v4) => (true, u128::from(v4.to_bits()) << 96),
        IpAddr::V6(v6) => (false, v6.to_bits()),
    }
}
