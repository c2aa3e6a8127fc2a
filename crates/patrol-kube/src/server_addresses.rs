//! Where the API server is, for whoever must not send there: what its name resolves to, and what the cluster says of its
//! own endpoints. Asked again and again, because either may change, or be silent when the process starts.

use std::convert::Infallible;
use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::Connection;
use crate::client::{Call, OBJECT_MAX};
use crate::path;

/// A start is not held up for longer by each of the two questions.
const DEADLINE: Duration = Duration::from_secs(3);
/// Between two looks, and after one that failed.
const EVERY: Duration = Duration::from_secs(300);
/// See [`EVERY`].
const SOON: Duration = Duration::from_secs(15);

const NO_NAME: &str = "the API server's name does not resolve here: addresses that it was not known by before are not barred to receivers";
const NO_REPLY: &str = "the API server's EndpointSlices cannot be read: addresses that were not known before are not barred to receivers";
const NO_SENSE: &str = "the API server's EndpointSlices cannot be understood: addresses that were not known before are not barred to receivers";

#[derive(Deserialize)]
struct Slices {
    #[serde(default)]
    items: Vec<Slice>,
}

#[derive(Deserialize)]
struct Slice {
    /// Some servers write `null` for none.
    #[serde(default)]
    endpoints: Option<Vec<Endpoint>>,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(default)]
    addresses: Vec<String>,
}

/// What is known of one question.
#[derive(Default)]
struct Known {
    addresses: Vec<IpAddr>,
    trouble: Option<&'static str>,
}

impl Known {
    /// An answer with addresses replaces the last one; no answer, or one without any, leaves it: no cluster is without
    /// an API server. A trouble is told once.
    fn take(&mut self, answer: Result<Vec<IpAddr>, &'static str>) {
        let trouble = answer.as_ref().err().copied();
        if let Some(trouble) = trouble.filter(|_| trouble != self.trouble) {
            tracing::warn!("{trouble}");
        }
        self.trouble = trouble;
        if let Some(addresses) = answer.ok().filter(|addresses| !addresses.is_empty()) {
            self.addresses = addresses;
        }
    }
}

/// Addresses of the API server: those of the host it is called by, and those of the EndpointSlices of Service
/// `default/kubernetes`. What cannot be had is missing, with a line in the log.
pub struct ServerAddresses {
    connection: Connection,
    host: Known,
    endpoints: Known,
    /// Between two looks.
    pub every: Duration,
    /// After a look that failed.
    pub soon: Duration,
}

impl ServerAddresses {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            host: Known::default(),
            endpoints: Known::default(),
            every: EVERY,
            soon: SOON,
        }
    }

    /// Asks both questions; all addresses that are known then, each once.
    pub async fn look(&mut self) -> Vec<IpAddr> {
        self.host.take(self.connection.host_addresses().await);
        self.endpoints
            .take(self.connection.endpoint_addresses().await);
        let both = [&self.host, &self.endpoints];
        let mut all: Vec<IpAddr> = both.iter().flat_map(|k| &k.addresses).copied().collect();
        all.sort();
        all.dedup();
        all
    }

    /// Looks again and again, and says each time what is known.
    pub async fn follow(mut self, tell: impl Fn(Vec<IpAddr>)) -> Infallible {
        loop {
            let is_well = self.host.trouble.or(self.endpoints.trouble).is_none();
            tokio::time::sleep(if is_well { self.every } else { self.soon }).await;
            tell(self.look().await);
        }
    }
}

impl Connection {
    /// The API server's addresses as they are now.
    pub async fn server_addresses(&self) -> Vec<IpAddr> {
        ServerAddresses::new(self.clone()).look().await
    }

    /// The name that the API server is called by, where it is no address.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        let host = self.server().host()?.trim_matches(['[', ']']);
        let is_name = !host.is_empty() && host.parse::<IpAddr>().is_err();
        is_name.then(|| host.to_owned())
    }

    async fn host_addresses(&self) -> Result<Vec<IpAddr>, &'static str> {
        let host = self.server().host().unwrap_or_default();
        let host = host.trim_matches(['[', ']']);
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let lookup = tokio::net::lookup_host((host, 443));
        match tokio::time::timeout(DEADLINE, lookup).await {
            Ok(Ok(found)) => Ok(found.map(|address| address.ip()).collect()),
            _ => Err(NO_NAME),
        }
    }

    async fn endpoint_addresses(&self) -> Result<Vec<IpAddr>, &'static str> {
        let target = format!(
            "{}/namespaces/default/endpointslices?labelSelector={}&limit=50",
            path::version_root("discovery.k8s.io", "v1"),
            path::escape("kubernetes.io/service-name=kubernetes")
        );
        let reply = self.reads.call(Call::get(target), DEADLINE, OBJECT_MAX);
        let slices: Slices = match reply.await {
            Ok(reply) if reply.status == 200 => {
                serde_json::from_slice(&reply.body).map_err(|_| NO_SENSE)?
            }
            _ => return Err(NO_REPLY),
        };
        let endpoints = slices.items.into_iter().filter_map(|slice| slice.endpoints);
        let addresses = endpoints.flatten().flat_map(|endpoint| endpoint.addresses);
        Ok(addresses
            .filter_map(|address| address.parse().ok())
            .collect())
    }
}
