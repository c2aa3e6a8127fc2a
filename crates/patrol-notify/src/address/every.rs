//! Every address of a host, for receivers whose members do not share what they are told.
//!
//! The answers are filtered like any other, and a client that is [`Pinned`] to one of them passes the filter once more
//! when it connects.

use std::net::IpAddr;

use super::{Filter, Lookup, LookupFuture, Refusal, Target};
use crate::secret::Secret;

/// Why there is no address to send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nowhere {
    /// The URL cannot be used: whoever sends to it says why.
    Url,
    /// The name has no address now.
    Unresolved,
    /// None of its addresses may be sent to.
    Refused(Refusal),
}

/// Of one host no more are sent to: an answer of the resolver must not become a flood.
const MOST: usize = 16;

/// The addresses that are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Every {
    /// Each once, in order.
    pub addresses: Vec<IpAddr>,
    /// How many more there are.
    pub left_out: usize,
}

/// The addresses of a URL's host that may be sent to. Of more than 16 they are the first, and so the same each time.
///
/// # Errors
/// When there is none.
pub async fn every_address(
    url: &Secret,
    filter: &Filter,
    lookup: &dyn Lookup,
) -> Result<Every, Nowhere> {
    let target = Target::parse(url).map_err(|_| Nowhere::Url)?;
    if let Some(literal) = target.literal() {
        filter.permits_literal(&target).map_err(Nowhere::Refused)?;
        return Ok(Every {
            addresses: vec![literal],
            left_out: 0,
        });
    }
    let host = target.url().host_str().unwrap_or("").to_owned();
    let found = lookup.lookup(host.clone()).await;
    let found = found.map_err(|_| Nowhere::Unresolved)?;
    let mut refusal = None;
    let mut permitted = Vec::new();
    for address in found {
        match filter.permits(&host, address) {
            Ok(()) => permitted.push(address),
            Err(reason) => {
                refusal.get_or_insert(reason);
            }
        }
    }
    permitted.sort_unstable();
    permitted.dedup();
    let left_out = permitted.len().saturating_sub(MOST);
    permitted.truncate(MOST);
    match (permitted.is_empty(), refusal) {
        (false, _) => Ok(Every {
            addresses: permitted,
            left_out,
        }),
        (true, Some(reason)) => Err(Nowhere::Refused(reason)),
        (true, None) => Err(Nowhere::Unresolved),
    }
}

/// Answers for every name with one address.
#[derive(Debug, Clone, Copy)]
pub struct Pinned(pub IpAddr);

impl Lookup for Pinned {
    fn lookup(&self, _host: String) -> LookupFuture {
        let address = self.0;
        Box::pin(async move { Ok(vec![address]) })
    }
}
