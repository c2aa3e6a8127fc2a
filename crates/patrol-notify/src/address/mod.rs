//! The address filter: which sockets a receiver's URL may lead to.
//!
//! It is asked at connect time, inside the resolver whose answers are then used, so a name that
//! changes its mind between check and use gains nothing. Literal addresses never reach a resolver;
//! they are checked on their own before each request. The address classes follow svix's list
//! (server/svix-server, `core/webhook_http_client`), with private ranges permitted: in-cluster and
//! data-centre receivers live there. The filter never looks anything up and never names an address
//! in a refusal: an answer of the resolver is nobody's business.

mod allow;
mod bypass;
mod every;
mod ip;
mod names;
mod resolve;
mod target;

pub use allow::{Allow, AllowError};
pub use bypass::{Bypass, BypassError};
pub use every::{Every, Nowhere, Pinned, every_address};
pub use ip::{is_of_platform, platform_networks};
pub use resolve::{Lookup, LookupFuture, SystemLookup};
pub use target::{Target, UrlError};

pub(crate) use resolve::{FilteredResolver, Refused};

use std::net::IpAddr;

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// This machine itself.
    Loopback,
    /// `0.0.0.0/8` or `::`.
    Unspecified,
    /// `169.254.0.0/16`, `fe80::/10`: metadata services live there.
    LinkLocal,
    /// Multicast.
    Multicast,
    /// `255.255.255.255`.
    Broadcast,
    /// A range no receiver can live in.
    Reserved,
    /// A cloud's metadata or platform address outside link-local.
    Platform,
    /// On the caller's list: the API server or this pod.
    Denied,
    /// `addresses.allow` is set and does not cover it.
    NotAllowed,
    /// `addresses.allow` is set and does not name the host, whose address only the proxy knows.
    NotNamed,
}

impl Refusal {
    /// Our own sentence about it.
    pub fn detail(self) -> &'static str {
        match self {
            Refusal::Loopback => "the receiver's address is loopback: use a reachable address",
            Refusal::Unspecified => "the receiver's address is unspecified: use a real address",
            Refusal::LinkLocal => {
                "the receiver's address is link-local, where metadata services live: never sent there"
            }
            Refusal::Multicast => "the receiver's address is multicast: use a unicast address",
            Refusal::Broadcast => "the receiver's address is broadcast: use a unicast address",
            Refusal::Reserved => {
                "the receiver's address is in a reserved range: use a real address"
            }
            Refusal::Platform => {
                "the receiver's address is a cloud platform's metadata or service address: never sent there"
            }
            Refusal::Denied => {
                "the receiver's address is the API server or this pod: never sent there"
            }
            Refusal::NotAllowed => {
                "the receiver's address is not covered by addresses.allow: add its CIDR or host"
            }
            Refusal::NotNamed => {
                "the receiver's host is not named in addresses.allow, and behind the proxy its address is not known here: add the host name"
            }
        }
    }
}

/// The decision for one receiver; see the module text.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    allow_loopback: bool,
    deny: Vec<IpAddr>,
    allow: Option<Allow>,
}

impl Filter {
    /// A filter that always denies what is never right, plus `deny` (API server addresses, own pod
    /// IP), and, when `allow` has entries, everything else but those.
    ///
    /// `allow_loopback` is meant for tests and local mode. It also lifts loopback entries of `deny`: on
    /// one machine the API server shares `127.0.0.1` with the receiver under test.
    pub fn new(
        allow_loopback: bool,
        deny: impl IntoIterator<Item = IpAddr>,
        allow: Option<Allow>,
    ) -> Self {
        let deny = deny
            .into_iter()
            .map(|ip| ip.to_canonical())
            .filter(|ip| !(allow_loopback && ip.is_loopback()))
            .collect();
        Filter {
            allow_loopback,
            deny,
            allow: allow.filter(|allow| !allow.is_empty()),
        }
    }

    /// May a request for `host` (as the URL has it) be sent to `address`?
    ///
    /// # Errors
    /// The first rule that refuses.
    pub fn permits(&self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        let address = address.to_canonical();
        match ip::never(address) {
            Some(Refusal::Loopback) if self.allow_loopback => {}
            Some(refusal) => return Err(refusal),
            None => {}
        }
        let inner = ip::embedded(address);
        // What a translator or tunnel turns it into is judged too, and loopback stays loopback
        // there: it would be somebody else's.
        if let Some(refusal) = inner.iter().find_map(|inner| ip::never(*inner)) {
            return Err(refusal);
        }
        if self
            .deny
            .iter()
            .any(|denied| *denied == address || inner.contains(denied))
        {
            return Err(Refusal::Denied);
        }
        match &self.allow {
            Some(allow) if !allow.covers(host, address) => Err(Refusal::NotAllowed),
            _ => Ok(()),
        }
    }

    /// Checks a URL whose host somebody else resolves: an address in full, a name by what it says. `denied` are names
    /// (in lower case) on the caller's list. A CIDR of `addresses.allow` allows no name.
    ///
    /// # Errors
    /// The first rule that refuses.
    pub(crate) fn permits_unresolved(
        &self,
        target: &Target,
        denied: &[String],
    ) -> Result<(), Refusal> {
        if target.literal().is_some() {
            return self.permits_literal(target);
        }
        let host = names::normal(target.url().host_str().unwrap_or(""));
        match names::never(&host) {
            Some(Refusal::Loopback) if self.allow_loopback => {}
            Some(refusal) => return Err(refusal),
            None => {}
        }
        if denied.contains(&host) {
            return Err(Refusal::Denied);
        }
        match &self.allow {
            Some(allow) if !allow.names(&host) => Err(Refusal::NotNamed),
            _ => Ok(()),
        }
    }

    /// Where the proxy itself may be: an admin has set it, so it may be a neighbour on loopback, and `addresses.allow`
    /// is not about it. What is never right stays so.
    pub(crate) fn for_proxy(&self) -> Filter {
        Filter::new(true, self.deny.iter().copied(), None)
    }

    /// Checks a URL whose host is a literal address; names are checked when they are resolved.
    ///
    /// # Errors
    /// As [`Filter::permits`].
    pub fn permits_literal(&self, target: &Target) -> Result<(), Refusal> {
        match target.literal() {
            Some(address) => self.permits("", address),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
