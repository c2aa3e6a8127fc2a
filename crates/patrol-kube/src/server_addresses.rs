//! Where the API server is, for whoever must not send there. Asked once, at start: what a
//! name resolves to then, and what the cluster says of its own endpoints.

use std::net::IpAddr;
use std::time::Duration;

use serde::Deserialize;

use crate::Connection;
use crate::client::{Call, OBJECT_MAX};
use crate::path;

/// A start is not held up for longer by each of the two questions.
const DEADLINE: Duration = Duration::from_secs(3);

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

impl Connection {
    /// Addresses of the API server: those of the host it is called by, and those of the
    /// EndpointSlices of Service `default/kubernetes`. What cannot be had is missing, with
    /// a line in the log.
    pub async fn server_addresses(&self) -> Vec<IpAddr> {
        let mut all = self.host_addresses().await;
        all.extend(self.endpoint_addresses().await);
        all.sort();
        all.dedup();
        all
    }

    /// The name that the API server is called by, where it is no address.
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        let host = self.server().host()?.trim_matches(['[', ']']);
        let is_name = !host.is_empty() && host.parse::<IpAddr>().is_err();
        is_name.then(|| host.to_owned())
    }

    async fn host_addresses(&self) -> Vec<IpAddr> {
        let host = self.server().host().unwrap_or_default();
        let host = host.trim_matches(['[', ']']);
        if let Ok(address) = host.parse() {
            return vec![address];
        }
        let lookup = tokio::net::lookup_host((host, 443));
        match tokio::time::timeout(DEADLINE, lookup).await {
            Ok(Ok(found)) => found.map(|address| address.ip()).collect(),
            _ => {
                tracing::warn!(
                    "the API server's name does not resolve here: its addresses are not barred to receivers"
                );
                vec![]
            }
        }
    }

    async fn endpoint_addresses(&self) -> Vec<IpAddr> {
        let target = format!(
            "{}/namespaces/default/endpointslices?labelSelector={}&limit=50",
            path::version_root("discovery.k8s.io", "v1"),
            path::escape("kubernetes.io/service-name=kubernetes")
        );
        let reply = self.reads.call(Call::get(target), DEADLINE, OBJECT_MAX);
        let slices: Slices = match reply.await {
            Ok(reply) if reply.status == 200 => match serde_json::from_slice(&reply.body) {
                Ok(slices) => slices,
                Err(_) => return vec![],
            },
            _ => {
                tracing::warn!(
                    "the API server's EndpointSlices cannot be read: their addresses are not barred to receivers"
                );
                return vec![];
            }
        };
        let endpoints = slices.items.into_iter().filter_map(|slice| slice.endpoints);
        endpoints
            .flatten()
            .flat_map(|endpoint| endpoint.addresses)
            .filter_map(|address| address.parse().ok())
            .collect()
    }
}
