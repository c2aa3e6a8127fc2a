//! The resolver that hands out permitted addresses only.
//!
//! Its answers are the ones connected to: there is no second lookup that could say something else.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::{Filter, Refusal};

/// Every address of the host, or why there is none.
pub type LookupFuture = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Turns a host name into addresses. The system's resolver in production.
pub trait Lookup: Send + Sync {
    /// Looks `host` up once. The caller owns deadlines.
    fn lookup(&self, host: String) -> LookupFuture;
}

/// The operating system's resolver, search domains included.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> LookupFuture {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}

/// Every answer was refused; carries the reason of the first.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.detail())]
pub(crate) struct Refused(pub(crate) Refusal);

/// The name has no address at all.
#[derive(Debug, thiserror::Error)]
#[error("the name has no address")]
struct NoAnswer;

/// Joins a lookup and a filter for reqwest.
pub(crate) struct FilteredResolver {
    filter: Arc<Filter>,
    lookup: Arc<dyn Lookup>,
}

impl FilteredResolver {
    pub(crate) fn new(filter: Arc<Filter>, lookup: Arc<dyn Lookup>) -> Self {
        FilteredResolver { filter, lookup }
    }
}

impl Resolve for FilteredResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_string();
        let filter = Arc::clone(&self.filter);
        let answers = self.lookup.lookup(host.clone());
        Box::pin(async move {
            let mut refusal = None;
            let mut permitted = Vec::new();
            for address in answers.await? {
                match filter.permits(&host, address) {
                    // Port 0 asks reqwest to use the URL's own.
                    Ok(()) => permitted.push(SocketAddr::new(address, 0)),
                    Err(reason) => {
                        refusal.get_or_insert(reason);
                    }
                }
            }
            match (permitted.is_empty(), refusal) {
                (false, _) => Ok(Box::new(permitted.into_iter()) as Addrs),
                (true, Some(reason)) => Err(Refused(reason).into()),
                (true, None) => Err(NoAnswer.into()),
            }
        })
    }
}
